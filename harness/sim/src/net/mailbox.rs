//! Requests that wait at a process.

use crate::timers::CallKey;
use latent_ports::{Message, NetErrorKind, NodeId};
use std::collections::VecDeque;
use std::task::Waker;

/// Request queue of a process that serves.
pub(crate) struct Mailbox {
    pub(super) queue: VecDeque<IncomingRequest>,
    /// Number of requests in handlers.
    pub(super) running: usize,
    pub(super) limit: usize,
    pub(super) waker: Option<Waker>,
}

/// Request that arrived.
#[derive(Clone, Debug)]
pub(crate) struct IncomingRequest {
    pub(super) call: CallKey,
    pub(super) from: NodeId,
    pub(super) message: Message,
    pub(super) digest: u128,
}

impl Mailbox {
    /// Accepts a request, or fails if the queue is full.
    pub(crate) fn accept(&mut self, incoming: IncomingRequest) -> Result<Option<Waker>, NetErrorKind> {
        if self.queue.len() + self.running >= self.limit {
            return Err(NetErrorKind::Overloaded);
        }
        self.queue.push_back(incoming);
        Ok(self.waker.take())
    }
}
