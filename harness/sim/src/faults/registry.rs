//! Progress of the faults of a world: which are armed, triggered, active and ended.

use super::plan::{Fault, FaultAction, Trigger};
use crate::op_kind::OpKind;
use latent_ports::{MarkName, NodeId, UnixMs};
use std::collections::BTreeMap;

/// Outcome of a fault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FaultOutcome {
    /// The fault.
    pub fault: Fault,
    /// Time of the injection; `None`: not triggered.
    pub triggered_at: Option<UnixMs>,
    /// Time of the end; `None`: still active, or without duration.
    pub ended_at: Option<UnixMs>,
    /// The fault was limited to a number of operations or calls and has affected them all.
    pub is_exhausted: bool,
    /// Number of operations or marks that matched its trigger.
    pub match_count: u64,
    /// Names of nodes that it refers to and that were never added.
    pub unknown_nodes: Vec<String>,
}

/// All faults of a world.
#[derive(Default)]
pub(crate) struct FaultRegistry {
    armed: Vec<ArmedFault>,
    /// The process that each pause holds, by fault index: node and incarnation.
    pauses: BTreeMap<usize, (NodeId, u32)>,
    /// Whether faults have ended: none triggers any more.
    has_ended: bool,
    /// The last operation that triggered a fault, and its time.
    triggering_op: Option<TriggeringOp>,
}

/// An operation that triggered a fault.
struct TriggeringOp {
    node: String,
    op: OpKind,
    at_ns: u64,
}

struct ArmedFault {
    fault: Fault,
    match_count: u64,
    triggered_ns: Option<u64>,
    ended_ns: Option<u64>,
    /// Whether the fault was injected and has not ended.
    is_active: bool,
    /// Whether nothing was left of the fault when it ended; `None`: it has not ended.
    was_exhausted: Option<bool>,
    /// Number of phases that have ended.
    phases_ended: u32,
}

/// Progress of a fault. Times are in nanoseconds since the start of the world.
pub(crate) struct FaultProgress {
    pub(crate) fault: Fault,
    pub(crate) triggered_ns: Option<u64>,
    pub(crate) ended_ns: Option<u64>,
    pub(crate) match_count: u64,
    /// Whether nothing was left of the fault when it ended; `None`: it has not ended.
    pub(crate) was_exhausted: Option<bool>,
}

impl ArmedFault {
    fn matches_op(&self, name: &str, op: OpKind, path: &str, to: &str, now_ns: u64) -> bool {
        let Trigger::NthOp { node, op: kind, path_prefix, after_ms, .. } = &self.fault.trigger else {
            return false;
        };
        node == name
            && kind.covers(op)
            && now_ns >= after_ms.saturating_mul(1_000_000)
            && (path.starts_with(path_prefix.as_str())
                || (!to.is_empty() && to.starts_with(path_prefix.as_str())))
    }

    /// Counts a match. Returns whether it is the one that triggers the fault.
    fn count_match(&mut self) -> bool {
        self.match_count += 1;
        let n = match self.fault.trigger {
            Trigger::NthOp { n, .. } | Trigger::Mark { n, .. } => n.max(1),
            Trigger::At(_) | Trigger::AtMs(_) => return false,
        };
        self.match_count == n && self.triggered_ns.is_none()
    }
}

impl FaultRegistry {
    /// Whether a fault waits for an operation of the node.
    pub(crate) fn has_op_trigger(&self, name: &str) -> bool {
        self.armed
            .iter()
            .any(|armed| matches!(&armed.fault.trigger, Trigger::NthOp { node, .. } if node == name))
    }

    /// Adds a fault and returns its index.
    pub(crate) fn arm(&mut self, fault: Fault) -> usize {
        self.armed.push(ArmedFault {
            fault,
            match_count: 0,
            triggered_ns: None,
            ended_ns: None,
            is_active: false,
            was_exhausted: None,
            phases_ended: 0,
        });
        self.armed.len() - 1
    }

    /// Returns the progress of each fault, in the order of arming.
    pub(crate) fn progress(&self) -> Vec<FaultProgress> {
        let progress = |armed: &ArmedFault| FaultProgress {
            fault: armed.fault.clone(),
            triggered_ns: armed.triggered_ns,
            ended_ns: armed.ended_ns,
            match_count: armed.match_count,
            was_exhausted: armed.was_exhausted,
        };
        self.armed.iter().map(progress).collect()
    }

    /// Counts an operation of a node. Returns the faults that it triggers.
    pub(crate) fn count_op(
        &mut self,
        name: &str,
        op: OpKind,
        (path, to): (&str, &str),
        now_ns: u64,
    ) -> Vec<usize> {
        let mut triggered = Vec::new();
        for (index, armed) in self.armed.iter_mut().enumerate() {
            if armed.matches_op(name, op, path, to, now_ns) && armed.count_match() {
                self.triggering_op = Some(TriggeringOp { node: name.to_owned(), op, at_ns: now_ns });
                triggered.push(index);
            }
        }
        triggered
    }

    /// Returns the kind of this node's operation that triggers a fault at this time, if one does.
    pub(crate) fn triggering_op(&self, node: &str, now_ns: u64) -> Option<OpKind> {
        let is_it = |triggering: &&TriggeringOp| triggering.node == node && triggering.at_ns == now_ns;
        self.triggering_op.as_ref().filter(is_it).map(|triggering| triggering.op)
    }

    /// Counts a mark of a node. Returns the faults that it triggers.
    pub(crate) fn count_mark(&mut self, node_name: &str, mark: MarkName, now_ns: u64) -> Vec<usize> {
        let mut triggered = Vec::new();
        for (index, armed) in self.armed.iter_mut().enumerate() {
            let Trigger::Mark { name, node: at, after_ms, .. } = &armed.fault.trigger else { continue };
            let is_node_match = at.as_ref().is_none_or(|at| at == node_name);
            let counts = name == mark.name() && is_node_match && now_ns >= after_ms.saturating_mul(1_000_000);
            if counts && armed.count_match() {
                triggered.push(index);
            }
        }
        triggered
    }

    /// Whether the fault affects a process or its clock, and so is injected after the operation that triggers it.
    pub(crate) fn is_process_fault(&self, index: usize) -> bool {
        self.armed[index].fault.action.is_process_fault()
    }

    /// Marks a fault as triggered and returns its action; `None` if faults have ended.
    pub(crate) fn begin(&mut self, index: usize, now_ns: u64) -> Option<FaultAction> {
        let armed = self.armed.get_mut(index).filter(|_| !self.has_ended)?;
        armed.triggered_ns = Some(now_ns);
        Some(armed.fault.action.clone())
    }

    pub(crate) fn set_active(&mut self, index: usize, is_active: bool) {
        self.armed[index].is_active = is_active;
    }

    /// Counts the end of a phase. Returns the action and the number of phases that have ended, if the fault is active.
    pub(crate) fn end_phase(&mut self, index: usize) -> Option<(FaultAction, u32)> {
        let armed = &mut self.armed[index];
        armed.phases_ended += 1;
        armed.is_active.then(|| (armed.fault.action.clone(), armed.phases_ended))
    }

    /// Marks a fault as ended and returns its action; `None` if it was not active.
    pub(crate) fn end(&mut self, index: usize, now_ns: u64) -> Option<FaultAction> {
        let armed = &mut self.armed[index];
        let action = std::mem::replace(&mut armed.is_active, false).then(|| armed.fault.action.clone());
        armed.ended_ns = armed.ended_ns.or(action.as_ref().map(|_| now_ns));
        action
    }

    /// Notes whether a fault that ends now has affected all operations or calls that it was limited to.
    pub(crate) fn set_exhausted_at_end(&mut self, index: usize, is_exhausted: bool) {
        self.armed[index].was_exhausted = Some(is_exhausted);
    }

    /// Lets no fault trigger from now on. Returns the number of faults.
    pub(crate) fn end_triggers(&mut self) -> usize {
        self.has_ended = true;
        self.armed.len()
    }

    pub(crate) fn has_ended(&self) -> bool {
        self.has_ended
    }

    /// Notes the process that a pause holds: node and incarnation.
    pub(crate) fn add_pause(&mut self, fault: usize, process: (NodeId, u32)) {
        self.pauses.insert(fault, process);
    }

    /// Ends a pause. Returns its process, unless another pause still holds that.
    pub(crate) fn remove_pause(&mut self, fault: usize) -> Option<(NodeId, u32)> {
        let paused = self.pauses.remove(&fault)?;
        (!self.pauses.values().any(|other| *other == paused)).then_some(paused)
    }
}
