//! Test fixture: two edges, two ingest nodes, a tee store and a client. Ingest and the store are minimal
//! implementations of their protocols, with memory that survives their node. The edges are under test.

use bytes::Bytes;
use latent_edge::tee::calls::{TeeCopy, TeeCopyResponse};
use latent_edge::tee::{TeeFile, TeeObject, TeeRecord};
use latent_edge::{EdgeConfig, TeeConfig};
use latent_ports::{Clock, Env, Message, Net, NodeId, Request};
use latent_sim::{DiskImage, NodeSpec, SimEnv, World};
use latent_storekit::http_message::{Forward, http_call, response_to_message};
use latent_storekit::message::{decode_head, encode_head, tag};
use latent_storekit::object_store::{
    ObjectError, ObjectInfo, ObjectRequest, ObjectResponse, encode_object_response,
};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

pub const INGEST: [NodeId; 2] = [NodeId(1), NodeId(2)];
pub const STORE: NodeId = NodeId(3);
pub const EDGES: [NodeId; 2] = [NodeId(4), NodeId(5)];
pub const EDGE_NAMES: [&str; 2] = ["edge-1", "edge-2"];
const OPERATOR: NodeId = NodeId(6);
/// First node after the fixture's own: a stand-in for edge 1 in one test.
pub const IMPOSTOR: NodeId = NodeId(7);
pub const HOUR: Duration = Duration::from_secs(3600);
pub const MINUTE: Duration = Duration::from_secs(60);
const TIMEOUT: Duration = Duration::from_secs(40);

type Shared<T> = Arc<Mutex<T>>;

#[derive(Clone)]
pub struct EdgeFixture {
    pub world: World,
    /// Contents of the tee store.
    pub objects: Shared<BTreeMap<String, Bytes>>,
    /// Requests that ingest received, in order.
    pub forwarded: Shared<Vec<(Forward, Bytes)>>,
    /// Bodies that clients sent, with the status of the response; 0 for no response.
    pub answers: Shared<Vec<(Bytes, u16)>>,
    clients: Shared<u32>,
    /// Message that the impostor sends, and the response.
    impostor_request: Shared<Option<Message>>,
    impostor_response: Shared<Option<Bytes>>,
    flushed: Shared<Option<Result<(), String>>>,
}

impl EdgeFixture {
    pub fn build(world: World, tweak: impl Fn(EdgeConfig) -> EdgeConfig) -> EdgeFixture {
        let fixture = EdgeFixture {
            world,
            objects: Arc::default(),
            forwarded: Arc::default(),
            answers: Arc::default(),
            clients: Arc::default(),
            impostor_request: Arc::default(),
            impostor_response: Arc::default(),
            flushed: Arc::default(),
        };
        for node in INGEST {
            let forwarded = fixture.forwarded.clone();
            let spec = NodeSpec::named(format!("ingest-{}", node.0));
            assert_eq!(fixture.world.add_node(spec, move |env| ingest(env, forwarded.clone())), node);
        }
        let objects = fixture.objects.clone();
        let store = fixture.world.add_node(NodeSpec::named("store"), move |env| store(env, objects.clone()));
        assert_eq!(store, STORE);
        for (at, name) in EDGE_NAMES.into_iter().enumerate() {
            let config = EdgeConfig::new(at as u16 + 1, vec![EDGES[1 - at]], INGEST.to_vec());
            let config = tweak(config.with_tee(TeeConfig::new(STORE)));
            let node = fixture
                .world
                .add_node(NodeSpec::named(name), move |env| latent_edge::run(env, config.clone()));
            assert_eq!(node, EDGES[at]);
        }
        let flushed = fixture.flushed.clone();
        let operator =
            fixture.world.add_node(NodeSpec::named("operator"), move |env| flush(env, flushed.clone()));
        assert_eq!(operator, OPERATOR);
        fixture.world.kill(OPERATOR);
        fixture
    }

    /// Waits until the edges serve.
    pub async fn ready(self) -> EdgeFixture {
        self.world.sleep(Duration::from_secs(1)).await;
        self
    }

    /// Posts `bodies` to `edge` from a client of its own, with `pause` between a response and the next request.
    pub fn post_all(&self, edge: NodeId, bodies: Vec<Bytes>, pause: Duration) {
        let number = self.next_client();
        let fixture = self.clone();
        let boot = move |env| post(env, fixture.clone(), edge, bodies.clone(), pause);
        self.world.add_node(NodeSpec::named(format!("client-{number}")), boot);
    }

    /// Posts one body and returns the status; 0 for no response.
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

    /// Calls edge 2 from a node that is neither edge nor client; the first such node is [`IMPOSTOR`]. Returns the head
    /// of the response.
    pub async fn call_as_impostor(&self, message: Message) -> Bytes {
        *self.impostor_request.lock().unwrap() = Some(message);
        let (impostor_request, impostor_response) =
            (self.impostor_request.clone(), self.impostor_response.clone());
        if let Some(stranger) = self.world.node_named("stranger") {
            self.world.restart(stranger);
        } else {
            let boot = move |env: SimEnv| {
                let (impostor_request, impostor_response) =
                    (impostor_request.clone(), impostor_response.clone());
                async move {
                    let Some(message) = impostor_request.lock().unwrap().take() else { return };
                    let answer = env.net().call(EDGES[1], message, TIMEOUT).await.unwrap();
                    *impostor_response.lock().unwrap() = Some(answer.head);
                }
            };
            self.world.add_node(NodeSpec::named("stranger"), boot);
        }
        loop {
            self.world.sleep(Duration::from_millis(100)).await;
            if let Some(head) = self.impostor_response.lock().unwrap().take() {
                return head;
            }
        }
    }

    /// Sends one chunk of edge 1's file to edge 2, as edge 1 would. Edge 2 must be configured to accept [`IMPOSTOR`] as
    /// an edge.
    pub async fn copy(&self, piece: TeeCopy, bytes: Bytes) -> TeeCopyResponse {
        let message = Message { head: encode_head(tag::TEE_COPY, &piece), body: bytes };
        decode_head(tag::TEE_COPY, &self.call_as_impostor(message).await).unwrap()
    }

    fn next_client(&self) -> u32 {
        let mut clients = self.clients.lock().unwrap();
        *clients += 1;
        *clients
    }

    /// Flushes both edges.
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

    /// Returns the bodies that were answered 200.
    pub fn acknowledged(&self) -> Vec<Bytes> {
        let answers = self.answers.lock().unwrap();
        answers.iter().filter(|(_, status)| *status == 200).map(|(body, _)| body.clone()).collect()
    }

    /// Returns the records in the tee store, each once. Every object must be intact, and each sequence number must have
    /// one record.
    pub fn stored(&self) -> Vec<TeeRecord> {
        let mut by_number: BTreeMap<(u16, u64), TeeRecord> = BTreeMap::new();
        for record in self.stored_by_object().into_values().flatten() {
            let other = by_number.insert((record.edge, record.sequence), record.clone());
            assert!(other.is_none_or(|other| other == record), "two requests of one number: {record:?}");
        }
        by_number.into_values().collect()
    }

    /// Returns the records of each object in the tee store.
    pub fn stored_by_object(&self) -> BTreeMap<TeeObject, Vec<TeeRecord>> {
        let objects = self.objects.lock().unwrap();
        let files = objects.iter().map(|(key, bytes)| {
            let file = TeeFile::decode(bytes).unwrap();
            assert_eq!(file.end, latent_storekit::frame::ScanEnd::Clean, "{key}");
            (TeeObject::from_key(key).unwrap(), file.records)
        });
        files.collect()
    }

    /// Returns the number of tee objects that hold a request.
    pub fn objects_with(&self, body: &Bytes) -> usize {
        self.stored_by_object().values().filter(|records| has(records, body)).count()
    }

    /// Returns the records on one edge's disk, own files and copies.
    pub fn held(&self, edge: NodeId) -> Vec<TeeRecord> {
        records_in(&self.world.durable_image(edge))
    }

    /// Returns the paths of the tee files on one edge's disk.
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
                    (Ok(ObjectResponse::Done), Bytes::new())
                }
                ObjectRequest::Get { key, range: None } => match objects.get(&key) {
                    Some(object) => {
                        (Ok(ObjectResponse::Bytes { total_bytes: object.len() as u64 }), object.clone())
                    }
                    None => (Err(ObjectError::NotFound), Bytes::new()),
                },
                ObjectRequest::List { prefix, after, .. } => {
                    let is_listed = |key: &&String| key.starts_with(&prefix) && **key > after;
                    let of = |key: &String| ObjectInfo { key: key.clone(), bytes: objects[key].len() as u64 };
                    let listed = objects.keys().filter(is_listed).map(of).collect();
                    (Ok(ObjectResponse::Page { objects: listed, more: false }), Bytes::new())
                }
                other => (Err(ObjectError::BadRequest(format!("{other:?}"))), Bytes::new()),
            };
            encode_object_response(&answer, body)
        }
    };
    env.net().serve(100, handler).await;
}

async fn post(env: SimEnv, fixture: EdgeFixture, edge: NodeId, bodies: Vec<Bytes>, pause: Duration) {
    for body in bodies {
        let request = http::Request::post("/track").body(body.clone()).unwrap();
        let status = match http_call(&env, edge, request, TIMEOUT).await {
            Ok(response) => response.status().as_u16(),
            Err(_) => 0,
        };
        fixture.answers.lock().unwrap().push((body, status));
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
