//! Messages between nodes: a call and its answer, either of which may be lost, late or doubled.

use crate::NodeId;
use bytes::Bytes;
use std::fmt;
use std::future::Future;
use std::time::Duration;

/// One message: a small head that says what it is, and a body that is passed on by reference.
///
/// Eight copies of one body share its bytes. On a real network the two travel in one frame, each with its length.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Message {
    /// What is asked or answered, encoded by the system under test.
    pub head: Bytes,
    /// The payload, if any.
    pub body: Bytes,
}

impl Message {
    /// Length of head and body together, in bytes.
    #[must_use]
    pub fn len_bytes(&self) -> usize {
        self.head.len() + self.body.len()
    }
}

/// A message that arrived at a server, with its sender.
#[derive(Clone, Debug)]
pub struct Request {
    /// Who sent it.
    pub from: NodeId,
    /// What was sent.
    pub message: Message,
}

/// Why a call has no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum NetErrorKind {
    /// No answer within the time allowed. The effect may have happened, or may yet happen.
    Timeout,
    /// The other side refused: no process listens there. The call had no effect.
    Refused,
    /// The other side's queue is full. The call had no effect.
    Overloaded,
}

/// A call without an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub struct NetError {
    /// Why.
    pub kind: NetErrorKind,
    /// Who was called.
    pub to: NodeId,
}

impl fmt::Display for NetError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let why = match self.kind {
            NetErrorKind::Timeout => "no answer in time",
            NetErrorKind::Refused => "connection refused",
            NetErrorKind::Overloaded => "queue full",
        };
        write!(f, "call to node {}: {why}", self.to.0)
    }
}

/// The network as one node reaches it.
pub trait Net: Clone + Send + Sync + 'static {
    /// Sends `message` to `to` and waits at most `timeout` for the answer. Dropping the future abandons the
    /// answer, not the request.
    fn call(
        &self,
        to: NodeId,
        message: Message,
        timeout: Duration,
    ) -> impl Future<Output = Result<Message, NetError>> + Send;

    /// Serves calls until the node dies, at most `limit` at a time; what comes above the limit is answered
    /// [`NetErrorKind::Overloaded`]. A node serves once; a handler that never ends leaves its caller to time out.
    fn serve<H, F>(&self, limit: usize, handler: H) -> impl Future<Output = ()> + Send
    where
        H: Fn(Request) -> F + Send + Sync + 'static,
        F: Future<Output = Message> + Send + 'static;
}
