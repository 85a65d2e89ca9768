//! A small site: two edges, two ingest nodes, a tee store, a client. Ingest and the store are the simplest things
//! that keep their sides of the protocol, in memory that outlives their node; what is tested is the edges.

use bytes::Bytes;
use latent_edge::message::{
    Forward, TeeCopy, TeeCopyAnswer, decode_head, encode_head, http_call, response_to_message, tag,
};
use latent_edge::object_api::{ObjectAnswer, ObjectError, ObjectInfo, ObjectRequest, answer_to_message};
use latent_edge::tee::{TeeFile, TeeObject, TeeRecord};
use latent_edge::{EdgeConfig, TeeConfig};
use latent_ports::{Clock, Env, Message, Net, NodeId, Request};
use latent_sim::{DiskImage, NodeSpec, SimEnv, World};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

pub const INGEST: [NodeId; 2] = [NodeId(1), NodeId(2)];
pub const STORE: NodeId = NodeId(3);
pub const EDGES: [NodeId; 2] = [NodeId(4), NodeId(5)];
pub const EDGE_NAMES: [&str; 2] = ["edge-1", "edge-2"];
const OPERATOR: NodeId = NodeId(6);
/// The first node after the site's own: one test's stand-in for edge 1.
pub const IMPOSTOR: NodeId = NodeId(7);
pub const HOUR: Duration = Duration::from_secs(3600);
pub const MINUTE: Duration = Duration::from_secs(60);
const PATIENCE: Duration = Duration::from_secs(40);

type Shared<T> = Arc<Mutex<T>>;

#[derive(Clone)]
pub struct Site {
    pub world: World,
    /// What the tee store holds.
    pub objects: Shared<BTreeMap<String, Bytes>>,
    /// What ingest was handed, in order.
    pub forwarded: Shared<Vec<(Forward, Bytes)>>,
    /// What clients sent and were told: body and status; 0 for no answer.
    pub answers: Shared<Vec<(Bytes, u16)>>,
    clients: Shared<u32>,
    /// What the impostor is to ask, and what it was told.
    asked: Shared<Option<Message>>,
    told: Shared<Option<Bytes>>,
    flushed: Shared<Option<Result<(), String>>>,
}

impl Site {
    pub fn build(world: World, tweak: impl Fn(EdgeConfig) -> EdgeConfig) -> Site {
        let site = Site {
            world,
            objects: Arc::default(),
            forwarded: Arc::default(),
            answers: Arc::default(),
            clients: Arc::default(),
            asked: Arc::default(),
            told: Arc::default(),
            flushed: Arc::default(),
        };
        for node in INGEST {
            let forwarded = site.forwarded.clone();
            let spec = NodeSpec::named(format!("ingest-{}", node.0));
            assert_eq!(site.world.add_node(spec, move |env| ingest(env, forwarded.clone())), node);
        }
        let objects = site.objects.clone();
        let store = site.world.add_node(NodeSpec::named("store"), move |env| store(env, objects.clone()));
        assert_eq!(store, STORE);
        for (at, name) in EDGE_NAMES.into_iter().enumerate() {
            let config = EdgeConfig::new(at as u16 + 1, vec![EDGES[1 - at]], INGEST.to_vec());
            let config = tweak(config.with_tee(TeeConfig::new(STORE)));
            let node =
                site.world.add_node(NodeSpec::named(name), move |env| latent_edge::run(env, config.clone()));
            assert_eq!(node, EDGES[at]);
        }
        let flushed = site.flushed.clone();
        let operator =
            site.world.add_node(NodeSpec::named("operator"), move |env| flush(env, flushed.clone()));
        assert_eq!(operator, OPERATOR);
        site.world.kill(OPERATOR);
        site
    }

    /// Waits until the edges serve.
    pub async fn ready(self) -> Site {
        self.world.sleep(Duration::from_secs(1)).await;
        self
    }

    /// Posts `bodies` to `edge`, each `pause` after the answer to the one before, from a client of its own.
    pub fn post_all(&self, edge: NodeId, bodies: Vec<Bytes>, pause: Duration) {
        let number = self.next_client();
        let site = self.clone();
        let boot = move |env| post(env, site.clone(), edge, bodies.clone(), pause);
        self.world.add_node(NodeSpec::named(format!("client-{number}")), boot);
    }

    /// Posts one body and gives the status; 0 for no answer.
    pub async fn post(&self, edge: NodeId, body: &str) -> u16 {
        let before = self.answers.lock().unwrap().len();
        self.post_all(edge, vec![Bytes::copy_from_slice(body.as_bytes())], Duration::ZERO);
        loop {
            self.world.sleep(Duration::from_millis(100)).await;
            if let Some((_, status)) = self.answers.lock().unwrap().get(before) {
                return *status;
            }
        }
    }

    /// Asks edge 2 something from a node that is neither edge nor client, which is [`IMPOSTOR`] if it is the first
    /// one added; gives the head of the answer.
    pub async fn ask_as_stranger(&self, message: Message) -> Bytes {
        *self.asked.lock().unwrap() = Some(message);
        let (asked, told) = (self.asked.clone(), self.told.clone());
        if let Some(stranger) = self.world.node_named("stranger") {
            self.world.restart(stranger);
        } else {
            let boot = move |env: SimEnv| {
                let (asked, told) = (asked.clone(), told.clone());
                async move {
                    let Some(message) = asked.lock().unwrap().take() else { return };
                    let answer = env.net().call(EDGES[1], message, PATIENCE).await.unwrap();
                    *told.lock().unwrap() = Some(answer.head);
                }
            };
            self.world.add_node(NodeSpec::named("stranger"), boot);
        }
        loop {
            self.world.sleep(Duration::from_millis(100)).await;
            if let Some(head) = self.told.lock().unwrap().take() {
                return head;
            }
        }
    }

    /// Sends one piece of edge 1's file to edge 2, as edge 1 would; edge 2 must take [`IMPOSTOR`] for an edge.
    pub async fn copy(&self, piece: TeeCopy, bytes: Bytes) -> TeeCopyAnswer {
        let message = Message { head: encode_head(tag::TEE_COPY, &piece), body: bytes };
        decode_head(tag::TEE_COPY, &self.ask_as_stranger(message).await).unwrap()
    }

    fn next_client(&self) -> u32 {
        let mut clients = self.clients.lock().unwrap();
        *clients += 1;
        *clients
    }

    /// Asks both edges to put all they have into the store.
    pub async fn flush(&self) -> Result<(), String> {
        *self.flushed.lock().unwrap() = None;
        self.world.restart(OPERATOR);
        loop {
            self.world.sleep(Duration::from_millis(100)).await;
            if let Some(done) = self.flushed.lock().unwrap().take() {
                self.world.kill(OPERATOR);
                return done;
            }
        }
    }

    /// The bodies that were answered 200.
    pub fn acknowledged(&self) -> Vec<Bytes> {
        let answers = self.answers.lock().unwrap();
        answers.iter().filter(|(_, status)| *status == 200).map(|(body, _)| body.clone()).collect()
    }

    /// The records in the tee store, each once; every object must be whole, and of one number there is one record.
    pub fn stored(&self) -> Vec<TeeRecord> {
        let mut by_number: BTreeMap<(u16, u64), TeeRecord> = BTreeMap::new();
        for record in self.stored_by_object().into_values().flatten() {
            let other = by_number.insert((record.edge, record.sequence), record.clone());
            assert!(other.is_none_or(|other| other == record), "two requests of one number: {record:?}");
        }
        by_number.into_values().collect()
    }

    /// The records of each object in the tee store.
    pub fn stored_by_object(&self) -> BTreeMap<TeeObject, Vec<TeeRecord>> {
        let objects = self.objects.lock().unwrap();
        let files = objects.iter().map(|(key, bytes)| {
            let file = TeeFile::decode(bytes).unwrap();
            assert_eq!(file.end, latent_edge::frame::End::Clean, "{key}");
            (TeeObject::from_key(key).unwrap(), file.records)
        });
        files.collect()
    }

    /// In how many objects of the tee store a request stands.
    pub fn objects_with(&self, body: &Bytes) -> usize {
        self.stored_by_object().values().filter(|records| has(records, body)).count()
    }

    /// The records on one edge's disk, own files and copies.
    pub fn held(&self, edge: NodeId) -> Vec<TeeRecord> {
        records_in(&self.world.durable_image(edge))
    }

    /// Paths of the tee files on one edge's disk.
    pub fn tee_files(&self, edge: NodeId) -> Vec<String> {
        let image = self.world.disk_image(edge);
        ["tee", "tee-peer"]
            .iter()
            .flat_map(|dir| image.list(dir).map(|(path, _)| path.to_owned()).collect::<Vec<_>>())
            .collect()
    }
}

pub fn records_in(image: &DiskImage) -> Vec<TeeRecord> {
    let files = image.files().filter(|(path, _)| path.ends_with(".tee"));
    files.filter_map(|(_, file)| TeeFile::decode(&file.bytes()).ok()).flat_map(|file| file.records).collect()
}

pub fn has(records: &[TeeRecord], body: &Bytes) -> bool {
    records.iter().any(|record| record.body == *body && record.target == "/track")
}

pub fn bodies(name: &str, count: usize) -> Vec<Bytes> {
    (0..count).map(|at| Bytes::from(format!("{name} {at} {}", "x".repeat(400)))).collect()
}

async fn ingest(env: SimEnv, forwarded: Shared<Vec<(Forward, Bytes)>>) {
    let handler = move |request: Request| {
        let forwarded = forwarded.clone();
        async move {
            let forward = Forward::from_message(&request.message).unwrap();
            forwarded.lock().unwrap().push((forward, request.message.body));
            response_to_message(tag::INGEST_FORWARD, http::Response::new(Bytes::from_static(b"1")))
        }
    };
    env.net().serve(100, handler).await;
}

async fn store(env: SimEnv, objects: Shared<BTreeMap<String, Bytes>>) {
    let handler = move |request: Request| {
        let objects = objects.clone();
        async move {
            let body = request.message.body.clone();
            let mut objects = objects.lock().unwrap();
            let (answer, body) = match ObjectRequest::from_message(&request.message).unwrap() {
                ObjectRequest::Put { key } => {
                    objects.insert(key, body);
                    (Ok(ObjectAnswer::Done), Bytes::new())
                }
                ObjectRequest::Get { key, range: None } => match objects.get(&key) {
                    Some(object) => {
                        (Ok(ObjectAnswer::Bytes { total_bytes: object.len() as u64 }), object.clone())
                    }
                    None => (Err(ObjectError::NotFound), Bytes::new()),
                },
                ObjectRequest::List { prefix, after, .. } => {
                    let is_listed = |key: &&String| key.starts_with(&prefix) && **key > after;
                    let of = |key: &String| ObjectInfo { key: key.clone(), bytes: objects[key].len() as u64 };
                    let listed = objects.keys().filter(is_listed).map(of).collect();
                    (Ok(ObjectAnswer::Page { objects: listed, more: false }), Bytes::new())
                }
                other => (Err(ObjectError::BadRequest(format!("{other:?}"))), Bytes::new()),
            };
            answer_to_message(&answer, body)
        }
    };
    env.net().serve(100, handler).await;
}

async fn post(env: SimEnv, site: Site, edge: NodeId, bodies: Vec<Bytes>, pause: Duration) {
    for body in bodies {
        let request = http::Request::post("/track").body(body.clone()).unwrap();
        let status = match http_call(&env, edge, request, PATIENCE).await {
            Ok(response) => response.status().as_u16(),
            Err(_) => 0,
        };
        site.answers.lock().unwrap().push((body, status));
        env.clock().sleep(pause).await;
    }
}

async fn flush(env: SimEnv, flushed: Shared<Option<Result<(), String>>>) {
    let mut all = Ok(());
    for edge in EDGES {
        let message = Message { head: encode_head(tag::TEE_FLUSH, &()), body: Bytes::new() };
        let answer = env.net().call(edge, message, 10 * MINUTE).await;
        let one = match answer {
            Ok(answer) => decode_head(tag::TEE_FLUSH, &answer.head).unwrap(),
            Err(error) => Err(error.to_string()),
        };
        all = all.and(one);
    }
    *flushed.lock().unwrap() = Some(all);
}
