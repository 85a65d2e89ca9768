//! Messages between nodes: a call and its answer, each of which may be lost, late or duplicated.

use crate::NodeId;
use bytes::Bytes;
use std::fmt;
use std::future::Future;
use std::time::Duration;

/// A message: a small head with the request or answer, and a body that is passed by reference.
///
/// Eight copies of one body share its bytes. On a real network the two are sent in one frame, each with its length.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Message {
    /// The request or answer, encoded by the system under test.
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
    /// The sender.
    pub from: NodeId,
    /// The message.
    pub message: Message,
}

/// Reason why a call has no answer.
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
    /// The reason.
    pub kind: NetErrorKind,
    /// The called node.
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

/// The network of one node.
pub trait Net: Clone + Send + Sync + 'static {
    /// Sends `message` to `to` and waits at most `timeout` for the answer. Dropping the future abandons the
    /// answer, not the request.
    fn call(
        &self,
        to: NodeId,
        message: Message,
        timeout: Duration,
    ) -> impl Future<Output = Result<Message, NetError>> + Send;

    /// Serves calls until the node dies, at most `limit` at a time; calls above the limit are answered
    /// [`NetErrorKind::Overloaded`]. A node serves once; if a handler never ends, its caller times out.
    fn serve<H, F>(&self, limit: usize, handler: H) -> impl Future<Output = ()> + Send
    where
        H: Fn(Request) -> F + Send + Sync + 'static,
        F: Future<Output = Message> + Send + 'static;
}
