//! The survey: every operation of a run that a fault could be anchored to, written down in order.
//!
//! A run of the same plan does the same operations up to the first fault that strikes, so an operation of a survey
//! is found again by its node and its number ([`RecordedOp::trigger`]). A survey only watches: no draw, no task, no timer.

use super::{OpKind, Trigger};
use crate::lock::lock;
use crate::node::Node;
use crate::world::World;
use latent_ports::NodeId;
use std::sync::Arc;

/// One operation that a survey saw.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordedOp {
    /// Who did it.
    pub node: NodeId,
    /// Its name.
    pub node_name: Arc<str>,
    /// What it was: a single kind.
    pub op: OpKind,
    /// The how-manieth operation of its node, of any kind: the first is 1.
    pub op_index: u64,
    /// When, in nanoseconds since the world began.
    pub time_ns: u64,
    /// The path, for a disk operation.
    pub path: String,
    /// Whether the node's disk holds anything un-synced once the operation has taken effect: if not, every crash
    /// here leaves the same disk.
    pub leaves_unsynced: bool,
}

impl RecordedOp {
    /// The anchor that strikes at this very operation, in a run of the same plan.
    #[must_use]
    pub fn trigger(&self) -> Trigger {
        let (node, path_prefix) = (self.node_name.to_string(), String::new());
        Trigger::NthOp { node, op: OpKind::Any, path_prefix, n: self.op_index, after_ms: 0 }
    }
}

/// What a survey has seen so far.
#[derive(Default)]
pub(crate) struct OpRecorder {
    ops: Vec<RecordedOp>,
    /// Operations of each node, by its number.
    counts: Vec<u64>,
}

impl World {
    /// Begins to write down every operation of every node. Before the first node is added, or the numbers would not
    /// be those that anchors count.
    pub fn start_op_recording(&self) {
        self.assert_not_observing("begin a survey");
        assert!(self.nodes().is_empty(), "a survey begins before the first node is added");
        *lock(&self.inner.op_recorder) = Some(OpRecorder::default());
    }

    /// What the survey saw until faults were over, or until now.
    #[must_use]
    pub fn recorded_ops(&self) -> Vec<RecordedOp> {
        lock(&self.inner.op_recorder).as_ref().map_or_else(Vec::new, |op_recorder| op_recorder.ops.clone())
    }

    pub(crate) fn is_recording_ops(&self) -> bool {
        lock(&self.inner.op_recorder).is_some()
    }

    /// An operation is about to happen. What comes after the end of faults is not written down: no fault strikes there.
    pub(super) fn record_op(&self, node: &Node, op: OpKind, path: &str) {
        if self.with_fault_registry(|registry| registry.has_ended) {
            return;
        }
        let mut op_recorder = lock(&self.inner.op_recorder);
        let Some(op_recorder) = op_recorder.as_mut() else { return };
        let index = usize::from(node.id().0);
        if index >= op_recorder.counts.len() {
            op_recorder.counts.resize(index + 1, 0);
        }
        op_recorder.counts[index] += 1;
        op_recorder.ops.push(RecordedOp {
            node: node.id(),
            node_name: node.name().clone(),
            op,
            op_index: op_recorder.counts[index],
            time_ns: self.now_ns(),
            path: path.to_owned(),
            leaves_unsynced: leaves_unsynced_change(op) || node.disk().has_unsynced(),
        });
    }
}

/// Whether the operation itself leaves something un-synced. A crash at a sync strikes before it did anything.
fn leaves_unsynced_change(op: OpKind) -> bool {
    OpKind::Change.covers(op) && !matches!(op, OpKind::Sync | OpKind::SyncDir)
}
