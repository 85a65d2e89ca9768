//! The same edges on real disks: results of the simulation hold on a real file system too. Two edges with a directory
//! each, on real threads; only the network is a table of functions.

use bytes::Bytes;
use futures_util::future::{BoxFuture, join_all, pending};
use latent_edge::tee::{TeeFile, TeeName};
use latent_edge::{EdgeConfig, TeeConfig};
use latent_host::HostDisk;
use latent_ports::{
    Clock, Env, Mark, Message, Net, NetError, NetErrorKind, NodeId, Request, UnixMs, race_timeout,
};
use latent_storekit::http_message::{Forward, http_call, response_to_message};
use latent_storekit::message::{decode_head, encode_head, tag};
use latent_storekit::object_store::{ObjectError, ObjectRequest, ObjectResponse, encode_object_response};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

const NOON: UnixMs = UnixMs(1_456_142_400_000);
const STORE: NodeId = NodeId(1);
const INGEST: NodeId = NodeId(2);
const EDGES: [NodeId; 2] = [NodeId(3), NodeId(4)];
const TIMEOUT: Duration = Duration::from_secs(60);

type Handler = Arc<dyn Fn(Request) -> BoxFuture<'static, Message> + Send + Sync>;

/// Network within one process.
#[derive(Clone, Default)]
struct InProcessNet {
    here: Option<NodeId>,
    servers: Arc<Mutex<BTreeMap<NodeId, Handler>>>,
}

impl InProcessNet {
    fn at(&self, node: NodeId) -> InProcessNet {
        InProcessNet { here: Some(node), servers: self.servers.clone() }
    }
}

impl Net for InProcessNet {
    async fn call(&self, to: NodeId, message: Message, timeout: Duration) -> Result<Message, NetError> {
        let server = self.servers.lock().unwrap().get(&to).cloned();
        let server = server.ok_or(NetError { kind: NetErrorKind::Refused, to })?;
        let answer = server(Request { from: self.here.unwrap(), message });
        race_timeout(&HostClock::new(), timeout, answer)
            .await
            .ok_or(NetError { kind: NetErrorKind::Timeout, to })
    }

    async fn serve<H, F>(&self, _limit: usize, handler: H)
    where
        H: Fn(Request) -> F + Send + Sync + 'static,
        F: Future<Output = Message> + Send + 'static,
    {
        let server: Handler = Arc::new(move |request| Box::pin(handler(request)));
        self.servers.lock().unwrap().insert(self.here.unwrap(), server);
        pending::<()>().await;
    }
}

/// Wall clock that stands at noon, and a real monotonic clock.
#[derive(Clone)]
struct HostClock(Instant);

impl HostClock {
    #[expect(clippy::disallowed_methods, reason = "this test runs on the real machine")]
    fn new() -> HostClock {
        HostClock(Instant::now())
    }
}

impl Clock for HostClock {
    fn wall(&self) -> UnixMs {
        NOON
    }

    fn monotonic(&self) -> Duration {
        self.0.elapsed()
    }

    #[expect(clippy::disallowed_methods, reason = "this test runs on the real machine")]
    async fn sleep(&self, duration: Duration) {
        tokio::time::sleep(duration).await;
    }
}

#[derive(Clone)]
struct HostEnv {
    node: NodeId,
    disk: HostDisk,
    net: InProcessNet,
    clock: HostClock,
}

impl Env for HostEnv {
    type Disk = HostDisk;
    type Net = InProcessNet;
    type Clock = HostClock;

    fn node(&self) -> NodeId {
        self.node
    }
    fn disk(&self) -> &HostDisk {
        &self.disk
    }
    fn net(&self) -> &InProcessNet {
        &self.net
    }
    fn clock(&self) -> &HostClock {
        &self.clock
    }
    fn draw(&self, _stream: &'static str, _key: u128) -> u64 {
        unreachable!("an edge draws nothing")
    }
    #[expect(clippy::disallowed_methods, reason = "this test runs on the real machine")]
    fn spawn<F: Future<Output = ()> + Send + 'static>(&self, task: F) {
        drop(tokio::spawn(task));
    }
    fn mark(&self, _mark: Mark<'_>) {}
}

type Objects = Arc<Mutex<BTreeMap<String, Bytes>>>;

/// Boots the edges on the given directories, runs `script`, and kills every process without a clean shutdown.
fn on_machines<F: Future<Output = ()>>(
    roots: [&Path; 2],
    objects: &Objects,
    script: impl FnOnce(HostEnv) -> F,
) {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_time().build().unwrap();
    let net = InProcessNet::default();
    let machine = |node, root: &Path| HostEnv {
        node,
        disk: HostDisk::new(root).unwrap(),
        net: net.at(node),
        clock: HostClock::new(),
    };
    runtime.block_on(async {
        let client = machine(NodeId(9), roots[0]);
        let objects = objects.clone();
        let net = net.clone();
        client.spawn(
            async move { net.at(STORE).serve(9, move |request| store(request, objects.clone())).await },
        );
        let net = client.net.clone();
        client.spawn(async move { net.at(INGEST).serve(9, ingest).await });
        for at in [0, 1] {
            let config = EdgeConfig::new(at as u16 + 1, vec![EDGES[1 - at]], vec![INGEST]);
            let config = config.with_tee(TeeConfig::new(STORE));
            client.spawn(latent_edge::run(machine(EDGES[at], roots[at]), config));
        }
        while client.net.servers.lock().unwrap().len() < 4 {
            client.clock.sleep(Duration::from_millis(1)).await;
        }
        script(client).await;
    });
}

async fn ingest(request: Request) -> Message {
    Forward::from_message(&request.message).unwrap();
    response_to_message(tag::INGEST_FORWARD, http::Response::new(Bytes::from_static(b"1")))
}

async fn store(request: Request, objects: Objects) -> Message {
    let mut objects = objects.lock().unwrap();
    let (answer, body) = match ObjectRequest::from_message(&request.message).unwrap() {
        ObjectRequest::Put { key } => {
            objects.insert(key, request.message.body);
            (Ok(ObjectResponse::Done), Bytes::new())
        }
        ObjectRequest::Get { key, .. } => match objects.get(&key) {
            Some(object) => (Ok(ObjectResponse::Bytes { total_bytes: object.len() as u64 }), object.clone()),
            None => (Err(ObjectError::NotFound), Bytes::new()),
        },
        other => (Err(ObjectError::BadRequest(format!("{other:?}"))), Bytes::new()),
    };
    encode_object_response(&answer, body)
}

async fn post(client: &HostEnv, edge: NodeId, body: String) {
    let request = http::Request::post("/track").body(Bytes::from(body)).unwrap();
    let response = http_call(client, edge, request, TIMEOUT).await.unwrap();
    assert_eq!(response.status(), 200, "{:?}", response.body());
}

async fn post_many(client: &HostEnv, name: &str) {
    let posts = (0..200).map(|n| post(client, EDGES[n % 2], format!("{name} {n}")));
    join_all(posts).await;
}

fn tee_files(root: &Path, dir: &str) -> BTreeMap<TeeName, Bytes> {
    let entries = std::fs::read_dir(root.join(dir)).unwrap().map(|entry| entry.unwrap().path());
    entries
        .map(|path| {
            (
                path.file_name().unwrap().to_str().unwrap().parse().unwrap(),
                std::fs::read(&path).unwrap().into(),
            )
        })
        .collect()
}

#[test]
fn requests_survive_a_killed_process_on_both_disks_and_reach_the_store() {
    let dirs = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let roots = [dirs[0].path(), dirs[1].path()];
    let objects = Objects::default();
    on_machines(roots, &objects, async |client| post_many(&client, "first").await);
    for at in [0, 1] {
        let own = tee_files(roots[at], "tee");
        assert_eq!(own.len(), 1);
        assert_eq!(own, tee_files(roots[1 - at], "tee-peer"), "the two copies differ");
        let records = TeeFile::decode(own.values().next().unwrap()).unwrap().records;
        assert_eq!(records.len(), 100);
        assert!(records.windows(2).all(|pair| pair[0].sequence < pair[1].sequence));
    }
    on_machines(roots, &objects, async |client| {
        post_many(&client, "second").await;
        for edge in EDGES {
            let message = Message { head: encode_head(tag::TEE_FLUSH, &()), body: Bytes::new() };
            let answer = client.net.call(edge, message, TIMEOUT).await.unwrap();
            assert_eq!(decode_head::<Result<(), String>>(tag::TEE_FLUSH, &answer.head).unwrap(), Ok(()));
        }
    });
    let objects = objects.lock().unwrap();
    assert_eq!(objects.len(), 8, "one file for each edge and each of its boots, each by both edges");
    let stored: BTreeSet<Bytes> = objects
        .values()
        .flat_map(|object| TeeFile::decode(object).unwrap().records)
        .map(|record| record.body)
        .collect();
    let sent =
        ["first", "second"].iter().flat_map(|name| (0..200).map(move |n| format!("{name} {n}").into()));
    assert_eq!(stored, sent.collect());
    assert!(roots.iter().all(|root| tee_files(root, "tee").is_empty()), "an uploaded file stays");
}
