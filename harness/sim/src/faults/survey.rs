//! The survey: every operation of a run that a fault could be anchored to, written down in order.
//!
//! A run of the same plan does the same operations up to the first fault that strikes, so an operation of a survey
//! is found again by its node and its number ([`SeenOp::anchor`]). A survey only watches: no draw, no task, no timer.

use super::{Anchor, OpKind};
use crate::lock::lock;
use crate::node::Node;
use crate::world::World;
use latent_ports::NodeId;
use std::sync::Arc;

/// One operation that a survey saw.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SeenOp {
    /// Who did it.
    pub node: NodeId,
    /// Its name.
    pub node_name: Arc<str>,
    /// What it was: a single kind.
    pub op: OpKind,
    /// The how-manieth operation of its node, of any kind: the first is 1.
    pub n: u64,
    /// When, in nanoseconds since the world began.
    pub time_ns: u64,
    /// The path, for a disk operation.
    pub path: String,
    /// Whether the node's disk holds anything un-synced once the operation has taken effect: if not, every crash
    /// here leaves the same disk.
    pub leaves_unsynced: bool,
}

impl SeenOp {
    /// The anchor that strikes at this very operation, in a run of the same plan.
    #[must_use]
    pub fn anchor(&self) -> Anchor {
        let (node, path_prefix) = (self.node_name.to_string(), String::new());
        Anchor::NthOp { node, op: OpKind::Any, path_prefix, n: self.n, after_ms: 0 }
    }
}

/// What a survey has seen so far.
#[derive(Default)]
pub(crate) struct Survey {
    seen: Vec<SeenOp>,
    /// Operations of each node, by its number.
    counts: Vec<u64>,
}

impl World {
    /// Begins to write down every operation of every node. Before the first node is added, or the numbers would not
    /// be those that anchors count.
    pub fn begin_survey(&self) {
        self.assert_not_observing("begin a survey");
        assert!(self.nodes().is_empty(), "a survey begins before the first node is added");
        *lock(&self.inner.survey) = Some(Survey::default());
    }

    /// What the survey saw until faults were over, or until now.
    #[must_use]
    pub fn surveyed(&self) -> Vec<SeenOp> {
        lock(&self.inner.survey).as_ref().map_or_else(Vec::new, |survey| survey.seen.clone())
    }

    pub(crate) fn is_surveyed(&self) -> bool {
        lock(&self.inner.survey).is_some()
    }

    /// An operation is about to happen. What comes after the end of faults is not written down: no fault strikes there.
    pub(super) fn note_op(&self, node: &Node, op: OpKind, path: &str) {
        if self.faults(|book| book.over) {
            return;
        }
        let mut survey = lock(&self.inner.survey);
        let Some(survey) = survey.as_mut() else { return };
        let index = usize::from(node.id().0);
        if index >= survey.counts.len() {
            survey.counts.resize(index + 1, 0);
        }
        survey.counts[index] += 1;
        survey.seen.push(SeenOp {
            node: node.id(),
            node_name: node.name().clone(),
            op,
            n: survey.counts[index],
            time_ns: self.now_ns(),
            path: path.to_owned(),
            leaves_unsynced: changes(op) || node.disk().has_unsynced(),
        });
    }
}

/// Whether the operation itself leaves something un-synced. A crash at a sync strikes before it did anything.
fn changes(op: OpKind) -> bool {
    OpKind::Change.covers(op) && !matches!(op, OpKind::Sync | OpKind::SyncDir)
}
