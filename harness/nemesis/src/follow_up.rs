//! Pairs: a second fault soon after the first, while the system still deals with it.
//!
//! The second strikes within the next twenty operations of the same node or of one that holds the data: an error and then a crash,
//! a crash during the recovery from a crash, a failed sync while a repair writes. Where the first fault strikes the n-th
//! operation of a kind, the second strikes a later one of the same kind.

use crate::fault_budget::damages;
use crate::fault_kind::FaultKind;
use crate::fault_sampler::FaultSampler;
use latent_sim::{DiskError, Fault, FaultAction, Kill, OpKind, ReadsAfterFailedSync, SyncFailure, Trigger};

/// Greatest distance of the second fault, in operations.
const WITHIN_OPS: u64 = 20;
const SECOND_MS: u64 = 1_000;

impl FaultSampler<'_> {
    /// Draws the second fault of a pair; `None` for two of three faults. It never damages durable bytes, so that the
    /// budget need not count it.
    pub(crate) fn follow_up(&self, first: &Fault) -> Option<Fault> {
        let node = first_node(first)?;
        if self.within(110, 0, 2) > 0 || self.kind == FaultKind::GarbageTails {
            return None;
        }
        let node = if self.within(111, 0, 3) == 0 { self.data_node(112) } else { node.to_owned() };
        let trigger = self.second_trigger(first, &node);
        let path_prefix = String::new();
        let action = match self.within(113, 0, 4) {
            0 | 1 => FaultAction::Kill(Kill { node, restart_after_ms: Some(SECOND_MS), ..Kill::default() }),
            2 => {
                let shows = self.pick(114, &[ReadsAfterFailedSync::Old, ReadsAfterFailedSync::New]);
                FaultAction::SyncFailure(SyncFailure { node, path_prefix, times: 1, shows })
            }
            _ => {
                let op = self.pick(114, &[OpKind::Read, OpKind::Change, OpKind::Sync, OpKind::Append]);
                FaultAction::DiskError(DiskError { node, op, path_prefix, times: Some(1), for_ms: None })
            }
        };
        Some(Fault { trigger, action })
    }

    fn second_trigger(&self, first: &Fault, node: &str) -> Trigger {
        let later = self.within(115, 1, WITHIN_OPS);
        let nth = |op, after_ms| Trigger::NthOp {
            node: node.to_owned(),
            op,
            path_prefix: String::new(),
            n: later,
            after_ms,
        };
        match &first.trigger {
            Trigger::NthOp { node: of, op, path_prefix, n, after_ms } if of == node => Trigger::NthOp {
                node: of.clone(),
                op: *op,
                path_prefix: path_prefix.clone(),
                n: n + later,
                after_ms: *after_ms,
            },
            Trigger::NthOp { after_ms, .. } => nth(OpKind::Change, *after_ms),
            // The rule of an error strikes the operations that follow the mark.
            Trigger::Mark { .. } => first.trigger.clone(),
            Trigger::AtMs(at_ms) => {
                let op = self.pick(116, &[OpKind::Any, OpKind::Change, OpKind::Disk]);
                nth(op, (at_ms - self.targets.window().start_ms).unsigned_abs())
            }
            Trigger::At(_) => nth(OpKind::Any, 0),
        }
    }
}

/// Returns the node that the fault strikes, if it is one.
fn first_node(fault: &Fault) -> Option<&str> {
    match &fault.action {
        FaultAction::Kill(it) => Some(&it.node),
        FaultAction::Pause(it) => Some(&it.node),
        FaultAction::DiskError(it) => Some(&it.node),
        FaultAction::SyncFailure(it) => Some(&it.node),
        FaultAction::DiskFull(it) => Some(&it.node),
        FaultAction::SlowDisk(it) => Some(&it.node),
        FaultAction::ShortRead(it) => Some(&it.node),
        action => damages(action),
    }
}
