//! All other edges, as this one asks them: one of them keeps the second copy.
//!
//! Copies go to one edge as long as it takes them. When it fails, the same batch goes to the next one that is not
//! resting, under the same numbers; a copy that begins there in the middle of a file is filled from this edge's own file
//! first. So each record that was answered is on this disk and, with all before it in its file, on one other; older
//! parts of a file may be on several.

use super::peer::{Peer, PeerFailure};
use super::record::TeeName;
use crate::config::EdgeLimits;
use bytes::Bytes;
use futures_util::future::join_all;
use latent_ports::{Env, File, Mark, NodeId};
use std::sync::atomic::{AtomicUsize, Ordering};

/// The other edges.
pub(crate) struct Peers<E> {
    env: E,
    all: Vec<Peer<E>>,
    /// Which of them takes copies now.
    current: AtomicUsize,
}

/// What the other edges hold of a file.
pub(crate) struct Fetched {
    /// Their copies, or the owner's file.
    pub(crate) copies: Vec<Bytes>,
    /// Of those that could not be asked: why not, one of the reasons.
    pub(crate) failure: Option<PeerFailure>,
}

impl<E: Env> Peers<E> {
    /// `nodes` in the order in which copies are to go to them.
    pub(crate) fn new(env: &E, nodes: &[NodeId], limits: EdgeLimits) -> Peers<E> {
        // While the last of them is asked, the first must not be due again: a batch would never fail at once.
        let others = u32::try_from(nodes.len().saturating_sub(1)).unwrap_or(u32::MAX);
        let limits = EdgeLimits { rest: limits.rest + limits.copy_timeout.saturating_mul(others), ..limits };
        let all = nodes.iter().map(|node| Peer::new(env.clone(), *node, limits)).collect();
        Peers { env: env.clone(), all, current: AtomicUsize::new(0) }
    }

    /// Whether there are some, and each failed a moment ago.
    pub(crate) fn all_rest(&self) -> bool {
        !self.all.is_empty() && self.all.iter().all(Peer::is_resting)
    }

    /// Makes a second copy of `name` durable up to `offset` and `bytes` behind it; see [`Peer::copy`]. Without other
    /// edges there is nothing to do.
    pub(crate) async fn copy<F: File>(
        &self,
        name: TeeName,
        file: &F,
        offset: u64,
        bytes: &Bytes,
    ) -> Result<(), PeerFailure> {
        let first = self.current.load(Ordering::Relaxed);
        let mut failed: Option<PeerFailure> = None;
        for turn in 0..self.all.len() {
            let at = (first + turn) % self.all.len();
            match self.all[at].copy(name, file, offset, bytes).await {
                Ok(()) => {
                    if turn > 0 {
                        self.env.mark(Mark { name: "edge.peer-changed", subject: "" });
                        self.current.store(at, Ordering::Relaxed);
                    }
                    return Ok(());
                }
                // That one can take no more of this file outweighs that another did not answer.
                Err(failure) => failed = failed.filter(PeerFailure::is_final).or(Some(failure)),
            }
        }
        failed.map_or(Ok(()), Err)
    }

    /// What all of them hold of a file.
    pub(crate) async fn fetch(&self, name: TeeName) -> Fetched {
        let mut fetched = Fetched { copies: Vec::new(), failure: None };
        for answer in join_all(self.all.iter().map(|peer| peer.fetch(name))).await {
            match answer {
                Ok(copy) => fetched.copies.extend(copy),
                Err(failure) => fetched.failure = Some(failure),
            }
        }
        fetched
    }

    /// Says to all of them that a file of this edge is in the tee store: which of them hold copies of it, this process may
    /// not know. False when one could not be told.
    pub(crate) async fn uploaded(&self, name: TeeName) -> bool {
        join_all(self.all.iter().map(|peer| peer.uploaded(name))).await.iter().all(Result::is_ok)
    }
}
