//! Entry point of an edge process.

use crate::config::EdgeConfig;
use crate::marks;
use crate::sequence::{self, SequenceAllocator};
use crate::service::Edge;
use crate::tee::calls::{TeeCopy, TeeFetch, TeeFetchResponse, TeeUploaded};
use crate::tee::gaps::{GAPS_DIR, GapStore};
use crate::tee::peer_copies::PeerCopies;
use crate::tee::peers::Peers;
use crate::tee::upload::{Uploader, UploaderDeps};
use crate::tee::upload_queue::UploadQueue;
use crate::tee::writer::TeeHandle;
use crate::tee::{OWN_DIR, PEER_DIR};
use bytes::Bytes;
use http::StatusCode;
use latent_ports::{Clock, Disk, DiskError, DiskErrorKind, Env, File, Mark, Message, Net, OpenMode, Request};
use latent_storekit::files::ensure_dir;
use latent_storekit::http_message::{RequestHead, response_to_message};
use latent_storekit::message::{decode_head, encode_head, service, tag};
use latent_storekit::object_store::{ObjectStore, StoreRetryPolicy};
use std::sync::Arc;
use std::time::Duration;

/// Backoff after a disk failure at boot. It doubles with each failure, up to the maximum.
const BOOT_RETRY: Duration = Duration::from_secs(1);
const MAX_BOOT_RETRY: Duration = Duration::from_secs(600);

/// Boots an edge: enqueues the tee files that an earlier process left, takes a boot number, and serves until the node
/// dies. The edge refuses calls until the disk provides a boot number. Files left over are uploaded in the meantime,
/// which may free space on a full disk.
///
/// Files of earlier boots are never written again: their valid prefix is uploaded and a torn tail is ignored.
pub async fn run<E: Env>(env: E, config: EdgeConfig) {
    let config = Arc::new(config);
    let (node, sequences) = retry(&env, || open_node(&env, &config)).await;
    let node = Arc::new(node);
    if let Some(uploader) = node.uploader.clone() {
        env.spawn(async move { uploader.run().await });
    }
    retry(&env, || sequences.next_boot(&env)).await;
    env.mark(Mark { name: marks::EDGE_BOOTED, subject: "" });
    let limit = config.limits.in_flight;
    env.net().serve(limit, move |request| handle(node.clone(), request)).await;
}

/// Retries a disk operation until it succeeds. Exiting would only cause a restart and the same operation.
async fn retry<E: Env, T, F: Future<Output = Result<T, DiskError>>>(env: &E, work: impl Fn() -> F) -> T {
    let mut pause = BOOT_RETRY;
    loop {
        match work().await {
            Ok(done) => return done,
            Err(error) => env.mark(Mark { name: marks::EDGE_BOOT_FAILED, subject: &error.to_string() }),
        }
        env.clock().sleep(pause).await;
        pause = (pause * 2).min(MAX_BOOT_RETRY);
    }
}

struct EdgeNode<E: Env> {
    env: E,
    config: Arc<EdgeConfig>,
    edge: Edge<E>,
    copies: Arc<PeerCopies<E>>,
    uploads: Arc<UploadQueue>,
    uploader: Option<Arc<Uploader<E>>>,
}

async fn open_node<E: Env>(
    env: &E,
    config: &Arc<EdgeConfig>,
) -> Result<(EdgeNode<E>, SequenceAllocator), DiskError> {
    for dir in [sequence::DIR, OWN_DIR, PEER_DIR, GAPS_DIR] {
        ensure_dir(env.disk(), dir).await?;
    }
    env.disk().sync_dir("").await?;
    let sequences = SequenceAllocator::load(env).await?;
    let copies = Arc::new(PeerCopies::new(env.clone()));
    let uploads = Arc::new(UploadQueue::default());
    let mut writer = None;
    let mut uploader = None;
    if let Some(tee) = &config.tee {
        let gaps = Arc::new(GapStore::new(env.clone()));
        let tee_handle =
            TeeHandle::start(env, config, tee.clone(), sequences.clone(), uploads.clone(), gaps.clone());
        let deps = UploaderDeps {
            edge: config.edge,
            config: tee.clone(),
            store: ObjectStore::new(env.clone(), tee.store, config.limits.store_timeout)
                .with_retries(StoreRetryPolicy::SHORT),
            peers: Peers::new(env, &config.peers, config.limits),
            copies: copies.clone(),
            gaps,
            uploads: uploads.clone(),
            tee: tee_handle.clone(),
        };
        let found = Uploader::new(env.clone(), deps);
        found.enqueue_existing().await?;
        uploader = Some(Arc::new(found));
        writer = Some((tee_handle, tee.on_failure));
    }
    let edge = Edge::new(env.clone(), config.clone(), sequences.clone(), writer);
    Ok((EdgeNode { env: env.clone(), config: config.clone(), edge, copies, uploads, uploader }, sequences))
}

/// Handles one call. A call that [`EdgeConfig::is_allowed`] denies receives an empty response, which does not decode.
async fn handle<E: Env>(node: Arc<EdgeNode<E>>, request: Request) -> Message {
    let Message { head, body } = request.message.clone();
    let asked = service(&request.message);
    if asked.is_some_and(|service| !node.config.is_allowed(service, request.from)) {
        node.env
            .mark(Mark { name: marks::EDGE_UNAUTHORIZED_CALL, subject: &format!("node {}", request.from.0) });
        return Message::default();
    }
    match asked {
        Some(tag::TEE_COPY) => match decode_head(tag::TEE_COPY, &head) {
            Ok(piece) => node.store_copy(piece, body).await,
            Err(_) => Message::default(),
        },
        Some(tag::TEE_FETCH) => match decode_head(tag::TEE_FETCH, &head) {
            Ok(fetch) => node.serve_fetch(fetch).await,
            Err(_) => Message::default(),
        },
        Some(tag::TEE_UPLOADED) => {
            if let Ok(TeeUploaded { name }) = decode_head(tag::TEE_UPLOADED, &head) {
                node.uploads.owner_uploaded(name);
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
        // Every other message is treated as HTTP; a head that does not decode is a bad request.
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

impl<E: Env> EdgeNode<E> {
    async fn store_copy(&self, piece: TeeCopy, bytes: Bytes) -> Message {
        let (answer, begun) = self.copies.store(piece, bytes).await;
        if begun {
            self.uploads.copy_started(piece.name);
        }
        Message { head: encode_head(tag::TEE_COPY, &answer), body: Bytes::new() }
    }

    async fn serve_fetch(&self, fetch: TeeFetch) -> Message {
        let (answer, body) = match self.read_part(fetch).await {
            Ok(Some(bytes)) => (TeeFetchResponse::Bytes, bytes),
            Ok(None) => (TeeFetchResponse::Missing, Bytes::new()),
            Err(_) => (TeeFetchResponse::Failed, Bytes::new()),
        };
        Message { head: encode_head(tag::TEE_FETCH, &answer), body }
    }

    async fn read_part(&self, fetch: TeeFetch) -> Result<Option<Bytes>, DiskError> {
        for dir in [PEER_DIR, OWN_DIR] {
            match self.env.disk().open(&format!("{dir}/{}", fetch.name), OpenMode::Read).await {
                // A short read is allowed: the peer asks for the rest until it receives an empty response.
                Ok(file) => return file.read_at(fetch.offset, fetch.len_bytes).await.map(Some),
                Err(error) if error.kind == DiskErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        Ok(None)
    }
}
