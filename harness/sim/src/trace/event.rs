//! Records of the trace.

use crate::disk::CrashPolicy;
use crate::faults::FaultAction;
use latent_ports::{DiskErrorKind, DiskOp, MarkName, NetErrorKind, NodeId};

/// Node number of the world itself in the trace: faults, notes and cuts. Nodes are numbered from 1.
pub const WORLD_NODE: NodeId = NodeId(0);

/// Outcome of a call, as its caller sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallOutcome {
    /// The caller received the answer.
    Answered,
    /// The call failed.
    Failed(NetErrorKind),
}

/// Event of a trace record.
#[derive(Clone, Copy, Debug)]
pub enum Event<'a> {
    /// A process started.
    Boot,
    /// A process died; the policy that resolved its un-synced disk operations.
    Kill(CrashPolicy),
    /// A process was paused.
    Pause,
    /// A paused process was resumed.
    Resume,
    /// The node sent a request.
    Send {
        /// The server.
        to: NodeId,
        /// Length of head and body.
        len_bytes: u64,
        /// XXH3-128 of head and body.
        digest: u128,
    },
    /// The node's process took a request from its queue.
    Receive {
        /// The caller.
        from: NodeId,
        /// Length of head and body.
        len_bytes: u64,
        /// XXH3-128 of head and body.
        digest: u128,
    },
    /// The node answered a request.
    Answer {
        /// The caller.
        to: NodeId,
        /// Length of head and body.
        len_bytes: u64,
        /// XXH3-128 of head and body.
        digest: u128,
    },
    /// A call of this node ended.
    CallEnded {
        /// The server.
        to: NodeId,
        /// Outcome of the call.
        outcome: CallOutcome,
        /// Length of the answer, 0 if there is none.
        len_bytes: u64,
        /// XXH3-128 of the answer, 0 if there is none.
        digest: u128,
    },
    /// A message of this node was lost in transit.
    MessageLost {
        /// The receiver.
        to: NodeId,
        /// XXH3-128 of the message.
        digest: u128,
    },
    /// The network duplicated a message of this node.
    MessageDuplicated {
        /// The receiver.
        to: NodeId,
        /// XXH3-128 of the message.
        digest: u128,
    },
    /// A disk operation of the node. Recorded when it takes effect; a sync, when it ends.
    Disk {
        /// The operation.
        op: DiskOp,
        /// The path; for an open file, the path that opened it.
        path: &'a str,
        /// The new path of a rename, otherwise empty.
        to: &'a str,
        /// Offset in the file; 0 for operations without one.
        offset: u64,
        /// Number of bytes written or read.
        len_bytes: u64,
        /// XXH3-128 of the bytes written; 0 for operations that write none.
        digest: u128,
        /// Outcome of the operation.
        outcome: Result<(), DiskErrorKind>,
    },
    /// The system under test reached a mark.
    Mark {
        /// The mark, as its crate declares it.
        name: MarkName,
        /// The subject of the mark.
        subject: &'a str,
    },
    /// A note of the harness.
    Note(&'a str),
    /// A fault was injected (`ends` is false) or ended.
    Fault {
        /// The fault's action.
        action: &'a FaultAction,
        /// Whether the fault ended.
        ends: bool,
    },
}

/// One record of the trace.
#[derive(Clone, Copy, Debug)]
pub struct Record<'a> {
    /// Nanoseconds since the start of the world.
    pub time_ns: u64,
    /// The node; [`crate::WORLD_NODE`] for the world itself.
    pub node: NodeId,
    /// The event.
    pub event: Event<'a>,
}
