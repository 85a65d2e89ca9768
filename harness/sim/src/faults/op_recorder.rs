//! Records every operation of a run that can trigger a fault, in order.
//!
//! A run of the same plan does the same operations up to the first fault, so a recorded operation is identified by
//! its node and its index ([`RecordedOp::trigger`]). Recording is passive: no draw, no task, no timer.

use super::Trigger;
use crate::lock::lock;
use crate::node::Node;
use crate::op_kind::OpKind;
use crate::world::World;
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

impl World {
    /// Starts to record every operation of every node. Call it before the first node is added; otherwise the indexes
    /// differ from those that triggers count.
    pub fn start_op_recording(&self) {
        self.assert_not_observing("start recording operations");
        assert!(self.nodes().is_empty(), "start recording operations before adding the first node");
        *lock(&self.inner.op_recorder) = Some(OpRecorder::default());
    }

    /// Returns the operations recorded until faults ended, or until now.
    #[must_use]
    pub fn recorded_ops(&self) -> Vec<RecordedOp> {
        lock(&self.inner.op_recorder).as_ref().map_or_else(Vec::new, |recorder| recorder.ops.clone())
    }

    pub(crate) fn is_recording_ops(&self) -> bool {
        lock(&self.inner.op_recorder).is_some()
    }

    /// Records an operation that is about to take effect. Operations after the end of faults are not recorded: they
    /// trigger no fault.
    pub(super) fn record_op(&self, node: &Node, op: OpKind, path: &str) {
        if self.with_fault_registry(|registry| registry.has_ended) {
            return;
        }
        let mut recorder = lock(&self.inner.op_recorder);
        let Some(recorder) = recorder.as_mut() else { return };
        let index = usize::from(node.id().0);
        if index >= recorder.counts.len() {
            recorder.counts.resize(index + 1, 0);
        }
        recorder.counts[index] += 1;
        recorder.ops.push(RecordedOp {
            node: node.id(),
            node_name: node.name().clone(),
            op,
            op_index: recorder.counts[index],
            time_ns: self.now_ns(),
            path: path.to_owned(),
            leaves_unsynced: leaves_unsynced_change(op) || node.disk().has_unsynced(),
        });
    }
}

/// Whether the operation itself leaves un-synced state. A crash at a sync occurs before the sync takes effect.
fn leaves_unsynced_change(op: OpKind) -> bool {
    OpKind::Change.covers(op) && !matches!(op, OpKind::Sync | OpKind::SyncDir)
}
