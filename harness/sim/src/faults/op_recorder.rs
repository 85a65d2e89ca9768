//! Records every operation of a run that can trigger a fault, in order.
//!
//! A run of the same plan does the same operations up to the first fault, so a recorded operation is identified by
//! its node and its index ([`RecordedOp::trigger`]). Recording is passive: no draw, no task, no timer.

use super::plan::Trigger;
use crate::context::OpTarget;
use crate::disk::DiskStore;
use crate::op_kind::OpKind;
use latent_ports::NodeId;
use std::sync::Arc;

/// A recorded operation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordedOp {
    /// The node that did it.
    pub node: NodeId,
    /// The node's name.
    pub node_name: Arc<str>,
    /// A single kind of operation.
    pub op: OpKind,
    /// 1-based index of the operation on its node, over all kinds.
    pub op_index: u64,
    /// Time in nanoseconds since the start of the world.
    pub time_ns: u64,
    /// Path of a disk operation; otherwise empty.
    pub path: String,
    /// The node at the other end of a network operation; otherwise `None`.
    pub peer: Option<NodeId>,
    /// Whether the node's disk holds un-synced state after the operation. If not, every crash here leaves the same
    /// disk.
    pub leaves_unsynced: bool,
}

impl RecordedOp {
    /// Returns the trigger that matches this operation in a run of the same plan.
    #[must_use]
    pub fn trigger(&self) -> Trigger {
        let (node, path_prefix) = (self.node_name.to_string(), String::new());
        Trigger::NthOp { node, op: OpKind::Any, path_prefix, n: self.op_index, after_ms: 0 }
    }
}

/// Operations recorded so far.
#[derive(Default)]
pub(crate) struct OpRecorder {
    ops: Vec<RecordedOp>,
    /// Number of operations by node number.
    counts: Vec<u64>,
}

impl OpRecorder {
    /// Returns the operations recorded so far.
    pub(crate) fn ops(&self) -> Vec<RecordedOp> {
        self.ops.clone()
    }

    /// Records an operation that is about to take effect on a node with this disk.
    pub(crate) fn record(
        &mut self,
        (node, node_name): (NodeId, &Arc<str>),
        disk: &DiskStore,
        (op, target): (OpKind, OpTarget<'_>),
        time_ns: u64,
    ) {
        let index = usize::from(node.0);
        if index >= self.counts.len() {
            self.counts.resize(index + 1, 0);
        }
        self.counts[index] += 1;
        self.ops.push(RecordedOp {
            node,
            node_name: node_name.clone(),
            op,
            op_index: self.counts[index],
            time_ns,
            path: target.paths().0.to_owned(),
            peer: target.peer(),
            leaves_unsynced: leaves_unsynced_change(op) || disk.has_unsynced(),
        });
    }
}

/// Whether the operation itself leaves un-synced state. A crash at a sync occurs before the sync takes effect.
fn leaves_unsynced_change(op: OpKind) -> bool {
    OpKind::Change.covers(op) && !matches!(op, OpKind::Sync | OpKind::SyncDir)
}
