//! Client of one other edge: store a chunk, fetch a file, confirm an upload.

use super::record::TeeName;
use crate::config::EdgeLimits;
use crate::marks;
use crate::tee::calls::{TeeCopy, TeeCopyResponse, TeeFetch, TeeFetchResponse, TeeUploaded};
use bytes::{Bytes, BytesMut};
use latent_ports::{Clock, DiskError, Env, File, Mark, Message, Net, NetError, NodeId};
use latent_storekit::files::read_exactly;
use latent_storekit::message::{MessageError, decode_head, encode_head, tag};
use serde::{Serialize, de::DeserializeOwned};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// Chunk size for missing data, and maximum number of chunks per batch. A copy that is further behind fails the batch;
/// the next batch continues from there.
const CHUNK_BYTES: u64 = 4 << 20;
const MAX_CHUNKS: usize = 32;

/// Error of a call to a peer.
#[derive(Clone, Debug, thiserror::Error)]
pub(crate) enum PeerError {
    #[error(transparent)]
    Net(#[from] NetError),
    #[error(transparent)]
    Message(#[from] MessageError),
    #[error("node {0} failed a moment ago; not asked again yet")]
    BackingOff(u16),
    #[error("node {0} could not write")]
    Failed(u16),
    #[error("node {0} could not read the file")]
    Unreadable(u16),
    #[error("node {0} holds other bytes under this name")]
    Closed(u16),
    #[error("node {0} is still behind after {MAX_CHUNKS} pieces")]
    Behind(u16),
    #[error("this disk, for what the copy lacks: {0}")]
    LocalDisk(#[from] DiskError),
}

impl PeerError {
    /// Whether the copy of the file can never take more bytes.
    pub(crate) fn is_permanent(&self) -> bool {
        matches!(self, PeerError::Closed(_))
    }
}

/// Client of another edge.
pub(crate) struct Peer<E> {
    env: E,
    node: NodeId,
    limits: EdgeLimits,
    backoff_until: Mutex<Option<Duration>>,
}

impl<E: Env> Peer<E> {
    pub(crate) fn new(env: E, node: NodeId, limits: EdgeLimits) -> Peer<E> {
        Peer { env, node, limits, backoff_until: Mutex::new(None) }
    }

    async fn call<Q: Serialize, A: DeserializeOwned>(
        &self,
        tag: u8,
        request: &Q,
        body: Bytes,
        timeout: Duration,
    ) -> Result<(A, Bytes), PeerError> {
        let message = Message { head: encode_head(tag, request), body };
        let answer = self.env.net().call(self.node, message, timeout).await?;
        Ok((decode_head(tag, &answer.head)?, answer.body))
    }

    /// Whether the peer failed recently and is in backoff.
    pub(crate) fn is_backing_off(&self) -> bool {
        let now = self.env.clock().monotonic();
        self.backoff_until.lock().unwrap_or_else(PoisonError::into_inner).is_some_and(|until| now < until)
    }

    /// Makes the peer's copy of `name` durable up to `offset`, followed by `bytes`. `file` is this edge's own file,
    /// durable up to `offset`; data that the copy lacks is read from it.
    pub(crate) async fn replicate<F: File>(
        &self,
        name: TeeName,
        file: &F,
        offset: u64,
        bytes: &Bytes,
    ) -> Result<(), PeerError> {
        if self.is_backing_off() {
            return Err(PeerError::BackingOff(self.node.0));
        }
        let replicated = self.replicate_chunks(name, file, offset, bytes).await;
        let backoff_until = match replicated {
            Ok(()) | Err(PeerError::Closed(_) | PeerError::Behind(_)) => None,
            Err(_) => Some(self.env.clock().monotonic() + self.limits.backoff),
        };
        *self.backoff_until.lock().unwrap_or_else(PoisonError::into_inner) = backoff_until;
        replicated
    }

    async fn replicate_chunks<F: File>(
        &self,
        name: TeeName,
        file: &F,
        offset: u64,
        bytes: &Bytes,
    ) -> Result<(), PeerError> {
        let mut chunk = (offset, bytes.clone());
        for _ in 0..MAX_CHUNKS {
            let (at, body) = chunk;
            let end = at + body.len() as u64;
            let request = TeeCopy { name, offset: at };
            let (answer, _) = self.call(tag::TEE_COPY, &request, body, self.limits.copy_timeout).await?;
            let have_bytes = match answer {
                TeeCopyResponse::Durable if end == offset + bytes.len() as u64 => return Ok(()),
                TeeCopyResponse::Durable => end,
                TeeCopyResponse::Behind { have_bytes } => {
                    self.env.mark(Mark { name: marks::TEE_COPY_BEHIND, subject: "" });
                    have_bytes
                }
                TeeCopyResponse::Closed => return Err(PeerError::Closed(self.node.0)),
                TeeCopyResponse::Failed => return Err(PeerError::Failed(self.node.0)),
            };
            chunk = if have_bytes < offset {
                let len = (offset - have_bytes).min(CHUNK_BYTES);
                (have_bytes, read_exactly(file, "own tee file", have_bytes, len).await?)
            } else {
                (offset, bytes.clone())
            };
        }
        Err(PeerError::Behind(self.node.0))
    }

    /// Fetches the peer's copy of a file, or its own file; `None` when it has neither.
    pub(crate) async fn fetch(&self, name: TeeName) -> Result<Option<Bytes>, PeerError> {
        let mut file = BytesMut::new();
        loop {
            let request = TeeFetch { name, offset: file.len() as u64, len_bytes: CHUNK_BYTES };
            let (answer, bytes) =
                self.call(tag::TEE_FETCH, &request, Bytes::new(), self.limits.store_timeout).await?;
            match answer {
                TeeFetchResponse::Missing => return Ok(None),
                TeeFetchResponse::Failed => return Err(PeerError::Unreadable(self.node.0)),
                TeeFetchResponse::Bytes if bytes.is_empty() => return Ok(Some(file.freeze())),
                TeeFetchResponse::Bytes => file.extend_from_slice(&bytes),
            }
        }
    }

    /// Notifies the peer that a file of this edge is in the tee store.
    pub(crate) async fn notify_uploaded(&self, name: TeeName) -> Result<(), PeerError> {
        let request = TeeUploaded { name };
        let ((), _) = self.call(tag::TEE_UPLOADED, &request, Bytes::new(), self.limits.copy_timeout).await?;
        Ok(())
    }
}
