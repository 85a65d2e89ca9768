//! Client of all other edges. One of them stores the second copy.
//!
//! Copies go to one edge while it accepts them. When it fails, the same batch goes to the next edge that is not in
//! backoff, with the same sequence numbers. A copy that starts there in the middle of a file is first filled from this
//! edge's own file. So each acknowledged record is on this disk and, with all records before it in the file, on one
//! other disk. Older parts of a file may be on several edges.

use super::peer::{Peer, PeerError};
use super::record::TeeName;
use crate::config::EdgeLimits;
use crate::marks;
use bytes::Bytes;
use futures_util::future::join_all;
use latent_ports::{Env, File, Mark, NodeId};
use std::sync::atomic::{AtomicUsize, Ordering};

/// Clients of the other edges.
pub(crate) struct Peers<E> {
    env: E,
    all: Vec<Peer<E>>,
    /// Index of the edge that receives copies.
    current: AtomicUsize,
}

/// Copies of a file on the other edges.
pub(crate) struct FetchedCopies {
    /// Their copies, or the owner's file.
    pub(crate) copies: Vec<Bytes>,
    /// One of the errors of the edges that could not be queried.
    pub(crate) failure: Option<PeerError>,
}

impl<E: Env> Peers<E> {
    /// Creates the clients. `nodes` is in order of preference.
    pub(crate) fn new(env: &E, nodes: &[NodeId], limits: EdgeLimits) -> Peers<E> {
        // The first edge must still be in backoff when the last one times out; otherwise a batch would never fail
        // immediately.
        let others = u32::try_from(nodes.len().saturating_sub(1)).unwrap_or(u32::MAX);
        let limits =
            EdgeLimits { backoff: limits.backoff + limits.copy_timeout.saturating_mul(others), ..limits };
        let all = nodes.iter().map(|node| Peer::new(env.clone(), *node, limits)).collect();
        Peers { env: env.clone(), all, current: AtomicUsize::new(0) }
    }

    /// Whether there are other edges and all of them are in backoff.
    pub(crate) fn all_backing_off(&self) -> bool {
        !self.all.is_empty() && self.all.iter().all(Peer::is_backing_off)
    }

    /// Makes a second copy of `name` durable up to `offset`, followed by `bytes`; see [`Peer::replicate`]. Succeeds
    /// without other edges.
    pub(crate) async fn replicate<F: File>(
        &self,
        name: TeeName,
        file: &F,
        offset: u64,
        bytes: &Bytes,
    ) -> Result<(), PeerError> {
        let first = self.current.load(Ordering::Relaxed);
        let mut failed: Option<PeerError> = None;
        for turn in 0..self.all.len() {
            let at = (first + turn) % self.all.len();
            match self.all[at].replicate(name, file, offset, bytes).await {
                Ok(()) => {
                    if turn > 0 {
                        self.env.mark(Mark { name: marks::EDGE_PEER_CHANGED, subject: "" });
                        self.current.store(at, Ordering::Relaxed);
                    }
                    return Ok(());
                }
                // A permanent error of one edge takes precedence over a timeout of another.
                Err(failure) => failed = failed.filter(PeerError::is_permanent).or(Some(failure)),
            }
        }
        failed.map_or(Ok(()), Err)
    }

    /// Fetches the copies of a file from all other edges.
    pub(crate) async fn fetch(&self, name: TeeName) -> FetchedCopies {
        let mut fetched = FetchedCopies { copies: Vec::new(), failure: None };
        for answer in join_all(self.all.iter().map(|peer| peer.fetch(name))).await {
            match answer {
                Ok(copy) => fetched.copies.extend(copy),
                Err(failure) => fetched.failure = Some(failure),
            }
        }
        fetched
    }

    /// Notifies all other edges that a file of this edge is in the tee store; this process may not know which of them
    /// hold copies. Returns false when one could not be notified.
    pub(crate) async fn notify_uploaded(&self, name: TeeName) -> bool {
        join_all(self.all.iter().map(|peer| peer.notify_uploaded(name))).await.iter().all(Result::is_ok)
    }
}
