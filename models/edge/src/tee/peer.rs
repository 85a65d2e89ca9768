//! One other edge, as this one asks it: keep a piece, give a file, forget a file.

use super::record::TeeName;
use crate::config::EdgeLimits;
use crate::local::read_exactly;
use crate::message::{
    MessageError, TeeCopy, TeeCopyAnswer, TeeFetch, TeeFetchAnswer, TeeUploaded, decode_head, encode_head,
    tag,
};
use bytes::{Bytes, BytesMut};
use latent_ports::{Clock, DiskError, Env, File, Mark, Message, Net, NetError, NodeId};
use serde::{Serialize, de::DeserializeOwned};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// What a copy lacks is sent in pieces of this many bytes, at most so many for one batch: a copy that is further
/// behind fails the batch, and the next one goes on from there.
const PIECE_BYTES: u64 = 4 << 20;
const PIECES: usize = 32;

/// Why the peer did not do what it was asked.
#[derive(Clone, Debug, thiserror::Error)]
pub(crate) enum PeerFailure {
    #[error(transparent)]
    Net(#[from] NetError),
    #[error(transparent)]
    Message(#[from] MessageError),
    #[error("node {0} failed a moment ago; not asked again yet")]
    Resting(u16),
    #[error("node {0} could not write")]
    Failed(u16),
    #[error("node {0} could not read the file")]
    Unreadable(u16),
    #[error("node {0} holds other bytes under this name")]
    Closed(u16),
    #[error("node {0} is still behind after {PIECES} pieces")]
    Behind(u16),
    #[error("this disk, for what the copy lacks: {0}")]
    Own(#[from] DiskError),
}

impl PeerFailure {
    /// Whether the file's copy can take no more bytes, ever.
    pub(crate) fn is_final(&self) -> bool {
        matches!(self, PeerFailure::Closed(_))
    }
}

/// Another edge.
pub(crate) struct Peer<E> {
    env: E,
    node: NodeId,
    limits: EdgeLimits,
    rests_until: Mutex<Option<Duration>>,
}

impl<E: Env> Peer<E> {
    pub(crate) fn new(env: E, node: NodeId, limits: EdgeLimits) -> Peer<E> {
        Peer { env, node, limits, rests_until: Mutex::new(None) }
    }

    async fn ask<Q: Serialize, A: DeserializeOwned>(
        &self,
        tag: u8,
        question: &Q,
        body: Bytes,
        timeout: Duration,
    ) -> Result<(A, Bytes), PeerFailure> {
        let message = Message { head: encode_head(tag, question), body };
        let answer = self.env.net().call(self.node, message, timeout).await?;
        Ok((decode_head(tag, &answer.head)?, answer.body))
    }

    /// Whether it failed a moment ago, and is not asked again yet.
    pub(crate) fn is_resting(&self) -> bool {
        let now = self.env.clock().monotonic();
        self.rests_until.lock().unwrap_or_else(PoisonError::into_inner).is_some_and(|until| now < until)
    }

    /// Makes its copy of `name` durable up to `offset` and `bytes` behind it. `file` is this edge's own,
    /// durable up to `offset`: what the copy lacks comes from there.
    pub(crate) async fn copy<F: File>(
        &self,
        name: TeeName,
        file: &F,
        offset: u64,
        bytes: &Bytes,
    ) -> Result<(), PeerFailure> {
        if self.is_resting() {
            return Err(PeerFailure::Resting(self.node.0));
        }
        let copied = self.copy_now(name, file, offset, bytes).await;
        let rests_until = match copied {
            Ok(()) | Err(PeerFailure::Closed(_) | PeerFailure::Behind(_)) => None,
            Err(_) => Some(self.env.clock().monotonic() + self.limits.rest),
        };
        *self.rests_until.lock().unwrap_or_else(PoisonError::into_inner) = rests_until;
        copied
    }

    async fn copy_now<F: File>(
        &self,
        name: TeeName,
        file: &F,
        offset: u64,
        bytes: &Bytes,
    ) -> Result<(), PeerFailure> {
        let mut piece = (offset, bytes.clone());
        for _ in 0..PIECES {
            let (at, body) = piece;
            let end = at + body.len() as u64;
            let question = TeeCopy { name, offset: at };
            let (answer, _) = self.ask(tag::TEE_COPY, &question, body, self.limits.copy_timeout).await?;
            let have_bytes = match answer {
                TeeCopyAnswer::Durable if end == offset + bytes.len() as u64 => return Ok(()),
                TeeCopyAnswer::Durable => end,
                TeeCopyAnswer::Behind { have_bytes } => {
                    self.env.mark(Mark { name: "tee.copy-behind", subject: "" });
                    have_bytes
                }
                TeeCopyAnswer::Closed => return Err(PeerFailure::Closed(self.node.0)),
                TeeCopyAnswer::Failed => return Err(PeerFailure::Failed(self.node.0)),
            };
            piece = if have_bytes < offset {
                let len = (offset - have_bytes).min(PIECE_BYTES);
                (have_bytes, read_exactly(file, "own tee file", have_bytes, len).await?)
            } else {
                (offset, bytes.clone())
            };
        }
        Err(PeerFailure::Behind(self.node.0))
    }

    /// Its copy of a file, or its own file; `None` when it has none.
    pub(crate) async fn fetch(&self, name: TeeName) -> Result<Option<Bytes>, PeerFailure> {
        let mut file = BytesMut::new();
        loop {
            let question = TeeFetch { name, offset: file.len() as u64, len_bytes: PIECE_BYTES };
            let (answer, bytes) =
                self.ask(tag::TEE_FETCH, &question, Bytes::new(), self.limits.store_timeout).await?;
            match answer {
                TeeFetchAnswer::Missing => return Ok(None),
                TeeFetchAnswer::Failed => return Err(PeerFailure::Unreadable(self.node.0)),
                TeeFetchAnswer::Bytes if bytes.is_empty() => return Ok(Some(file.freeze())),
                TeeFetchAnswer::Bytes => file.extend_from_slice(&bytes),
            }
        }
    }

    /// Says that a file of this edge is in the tee store.
    pub(crate) async fn uploaded(&self, name: TeeName) -> Result<(), PeerFailure> {
        let question = TeeUploaded { name };
        let ((), _) = self.ask(tag::TEE_UPLOADED, &question, Bytes::new(), self.limits.copy_timeout).await?;
        Ok(())
    }
}
