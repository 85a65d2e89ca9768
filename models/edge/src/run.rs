//! An edge from boot to death.

use crate::config::EdgeConfig;
use crate::local::ensure_dir;
use crate::message::{
    RequestHead, TeeCopy, TeeFetch, TeeFetchAnswer, TeeUploaded, decode_head, encode_head,
    response_to_message, service, tag,
};
use crate::numbers::{self, Numbers};
use crate::object_api::{ObjectStore, Patience};
use crate::service::Edge;
use crate::tee::copies::Copies;
use crate::tee::gaps::{GAPS_DIR, Gaps};
use crate::tee::peers::Peers;
use crate::tee::upload::{Parts, Uploader, Uploads};
use crate::tee::writer::Tee;
use crate::tee::{OWN_DIR, PEER_DIR};
use bytes::Bytes;
use http::StatusCode;
use latent_ports::{Clock, Disk, DiskError, DiskErrorKind, Env, File, Mark, Message, Net, OpenMode, Request};
use std::sync::Arc;
use std::time::Duration;

/// A disk that fails at boot is tried again after this long, then after twice as long, and so on to the most.
const BOOT_RETRY: Duration = Duration::from_secs(1);
const BOOT_RETRY_MOST: Duration = Duration::from_secs(600);

/// Boots an edge: finds the tee files that an earlier process left, takes a boot number, and serves until the node
/// dies. Until the disk gives a number the edge refuses calls; leftover files are uploaded meanwhile, which may be
/// just what makes room on a full disk.
///
/// Files of earlier boots are never written again: their valid part is uploaded, a torn tail is left behind.
pub async fn run<E: Env>(env: E, config: EdgeConfig) {
    let config = Arc::new(config);
    let (node, numbers) = retry(&env, || find(&env, &config)).await;
    let node = Arc::new(node);
    if let Some(uploader) = node.uploader.clone() {
        env.spawn(async move { uploader.run().await });
    }
    retry(&env, || numbers.next_boot(&env)).await;
    env.mark(Mark { name: "edge.booted", subject: "" });
    let limit = config.limits.in_flight;
    env.net().serve(limit, move |request| answer(node.clone(), request)).await;
}

/// Does what the disk refused again until it succeeds: a process that gave up would have to be restarted for the
/// same.
async fn retry<E: Env, T, F: Future<Output = Result<T, DiskError>>>(env: &E, work: impl Fn() -> F) -> T {
    let mut pause = BOOT_RETRY;
    loop {
        match work().await {
            Ok(done) => return done,
            Err(error) => env.mark(Mark { name: "edge.boot-failed", subject: &error.to_string() }),
        }
        env.clock().sleep(pause).await;
        pause = (pause * 2).min(BOOT_RETRY_MOST);
    }
}

struct Node<E: Env> {
    env: E,
    config: Arc<EdgeConfig>,
    edge: Edge<E>,
    copies: Arc<Copies<E>>,
    uploads: Arc<Uploads>,
    uploader: Option<Arc<Uploader<E>>>,
}

async fn find<E: Env>(env: &E, config: &Arc<EdgeConfig>) -> Result<(Node<E>, Numbers), DiskError> {
    for dir in [numbers::DIR, OWN_DIR, PEER_DIR, GAPS_DIR] {
        ensure_dir(env.disk(), dir).await?;
    }
    env.disk().sync_dir("").await?;
    let numbers = Numbers::find(env).await?;
    let copies = Arc::new(Copies::new(env.clone()));
    let uploads = Arc::new(Uploads::default());
    let mut writer = None;
    let mut uploader = None;
    if let Some(tee) = &config.tee {
        let gaps = Arc::new(Gaps::new(env.clone()));
        let way = Tee::start(env, config, tee.clone(), numbers.clone(), uploads.clone(), gaps.clone());
        let parts = Parts {
            edge: config.edge,
            config: tee.clone(),
            store: ObjectStore::new(env.clone(), tee.store, config.limits.store_timeout)
                .patient(Patience::BRIEF),
            peers: Peers::new(env, &config.peers, config.limits),
            copies: copies.clone(),
            gaps,
            uploads: uploads.clone(),
            tee: way.clone(),
        };
        let found = Uploader::new(env.clone(), parts);
        found.find_leftovers().await?;
        uploader = Some(Arc::new(found));
        writer = Some((way, tee.on_failure));
    }
    let edge = Edge::new(env.clone(), config.clone(), numbers.clone(), writer);
    Ok((Node { env: env.clone(), config: config.clone(), edge, copies, uploads, uploader }, numbers))
}

/// What is asked by a node that may not ask it gets an empty answer, which reads as none: see
/// [`EdgeConfig::grants`].
async fn answer<E: Env>(node: Arc<Node<E>>, request: Request) -> Message {
    let Message { head, body } = request.message.clone();
    let asked = service(&request.message);
    if asked.is_some_and(|service| !node.config.grants(service, request.from)) {
        node.env.mark(Mark { name: "edge.stranger-refused", subject: &format!("node {}", request.from.0) });
        return Message::default();
    }
    match asked {
        Some(tag::TEE_COPY) => match decode_head(tag::TEE_COPY, &head) {
            Ok(piece) => node.keep_copy(piece, body).await,
            Err(_) => Message::default(),
        },
        Some(tag::TEE_FETCH) => match decode_head(tag::TEE_FETCH, &head) {
            Ok(wanted) => node.give(wanted).await,
            Err(_) => Message::default(),
        },
        Some(tag::TEE_UPLOADED) => {
            if let Ok(TeeUploaded { name }) = decode_head(tag::TEE_UPLOADED, &head) {
                node.uploads.copy_confirmed(name);
            }
            Message { head: encode_head(tag::TEE_UPLOADED, &()), body: Bytes::new() }
        }
        Some(tag::TEE_FLUSH) => {
            let flushed = match &node.uploader {
                Some(uploader) => uploader.flush().await,
                None => Ok(()),
            };
            Message { head: encode_head(tag::TEE_FLUSH, &flushed), body: Bytes::new() }
        }
        // Everything else is taken for HTTP: what does not decode as a request is a bad one.
        _ => {
            let response = match decode_head::<RequestHead>(tag::EDGE_HTTP, &head) {
                Ok(head) => node.edge.handle_parts(head, body).await,
                Err(error) => {
                    let mut response = http::Response::new(Bytes::from(error.to_string()));
                    *response.status_mut() = StatusCode::BAD_REQUEST;
                    response
                }
            };
            response_to_message(tag::EDGE_HTTP, response)
        }
    }
}

impl<E: Env> Node<E> {
    async fn keep_copy(&self, piece: TeeCopy, bytes: Bytes) -> Message {
        let (answer, begun) = self.copies.keep(piece, bytes).await;
        if begun {
            self.uploads.copy_begun(piece.name);
        }
        Message { head: encode_head(tag::TEE_COPY, &answer), body: Bytes::new() }
    }

    async fn give(&self, wanted: TeeFetch) -> Message {
        let (answer, body) = match self.read_part(wanted).await {
            Ok(Some(bytes)) => (TeeFetchAnswer::Bytes, bytes),
            Ok(None) => (TeeFetchAnswer::Missing, Bytes::new()),
            Err(_) => (TeeFetchAnswer::Failed, Bytes::new()),
        };
        Message { head: encode_head(tag::TEE_FETCH, &answer), body }
    }

    async fn read_part(&self, wanted: TeeFetch) -> Result<Option<Bytes>, DiskError> {
        for dir in [PEER_DIR, OWN_DIR] {
            match self.env.disk().open(&format!("{dir}/{}", wanted.name), OpenMode::Read).await {
                // A short read is a lawful answer: the peer asks for the rest, until none comes.
                Ok(file) => return file.read_at(wanted.offset, wanted.len_bytes).await.map(Some),
                Err(error) if error.kind == DiskErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        Ok(None)
    }
}
