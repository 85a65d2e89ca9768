//! Faults of a world: arming, injection and end, what triggers them, and what they act on.

use super::World;
use crate::context::{FaultTriggers, OpTarget};
use crate::disk::CrashPolicy;
use crate::faults::{
    Fault, FaultDuration, FaultOutcome, FaultProgress, FaultRegistry, FaultTarget, OpRecorder, RecordedOp,
    Trigger,
};
use crate::lock::lock;
use crate::machine::Machine;
use crate::net::LinkFaults;
use crate::node::Node;
use crate::op_kind::OpKind;
use crate::timers::TimerEvent;
use crate::trace::{Event, WORLD_NODE};
use latent_ports::{MarkName, NodeId, UnixMs};
use std::sync::Arc;
use std::time::Duration;

impl World {
    /// Arms a fault. Its nodes may be added later.
    ///
    /// # Panics
    /// If the trigger is [`Trigger::At`]: the reader of a scenario converts instants first.
    pub fn arm(&self, fault: Fault) {
        self.assert_not_observing("arm a fault");
        let trigger_ns = match &fault.trigger {
            Trigger::At(text) => {
                panic!("fault triggered at '{text}': convert the instant to at_ms before arming it")
            }
            Trigger::AtMs(ms) => Some(self.kernel().elapsed_ns_at(UnixMs(*ms)).max(self.now_ns())),
            Trigger::NthOp { node, .. } => {
                if let Some(node) = self.find_node(node) {
                    node.set_has_op_trigger();
                }
                None
            }
            Trigger::Mark { .. } => None,
        };
        let index = self.with_fault_registry(|registry| registry.arm(fault));
        if let Some(trigger_ns) = trigger_ns {
            self.kernel().timers().insert(trigger_ns, TimerEvent::TriggerFault(index));
        }
    }

    /// Returns the outcomes of the faults so far, in the order of arming.
    #[must_use]
    pub fn fault_outcomes(&self) -> Vec<FaultOutcome> {
        let at = |ns: u64| self.start() + Duration::from_nanos(ns);
        let to_outcome = |(index, progress): (usize, FaultProgress)| {
            let FaultProgress { fault, triggered_ns, ended_ns, match_count, was_exhausted } = progress;
            // The end of a fault removes what it had left, so that is noted before.
            let is_exhausted =
                was_exhausted.unwrap_or_else(|| fault.action.behavior().is_exhausted(self, index));
            FaultOutcome {
                is_exhausted: triggered_ns.is_some() && is_exhausted,
                unknown_nodes: fault
                    .nodes()
                    .filter(|name| self.find_node(name).is_none())
                    .map(str::to_owned)
                    .collect(),
                triggered_at: triggered_ns.map(at),
                ended_at: ended_ns.map(at),
                match_count,
                fault,
            }
        };
        let progress = self.with_fault_registry(|registry| registry.progress());
        progress.into_iter().enumerate().map(to_outcome).collect()
    }

    /// Injects a fault, unless faults have ended.
    pub(crate) fn inject_fault(&self, index: usize) {
        let now_ns = self.now_ns();
        let action = self.with_fault_registry(|registry| registry.begin(index, now_ns));
        let Some(action) = action else { return };
        self.record_at(WORLD_NODE, Event::Fault { action: &action, ends: false });
        let duration = action.behavior().begin(self, index);
        self.with_fault_registry(|registry| registry.set_active(index, duration != FaultDuration::Instant));
        if let FaultDuration::Ms(duration_ms) = duration {
            let ends_ns = now_ns.saturating_add(duration_ms.saturating_mul(1_000_000));
            self.kernel().timers().insert(ends_ns, TimerEvent::EndFaultPhase(index));
        }
    }

    /// Returns the kind of this node's operation that triggers a fault at this instant, if one does. The trace does not
    /// show it: a sync is recorded when it ends, and one in which its node dies never is.
    #[must_use]
    pub fn triggering_op(&self, node: &str) -> Option<OpKind> {
        self.with_fault_registry(|registry| registry.triggering_op(node, self.now_ns()))
    }

    /// Ends the current phase of a fault: its next phase begins, or it ends.
    pub(crate) fn advance_fault(&self, index: usize) {
        let active = self.with_fault_registry(|registry| registry.end_phase(index));
        let Some((action, phase)) = active else { return };
        match action.behavior().next_phase(self, index, phase) {
            None => self.end_fault(index),
            Some(duration_ms) => {
                let ends_ns = self.now_ns().saturating_add(duration_ms.saturating_mul(1_000_000));
                self.kernel().timers().insert(ends_ns, TimerEvent::EndFaultPhase(index));
            }
        }
    }

    /// Ends a fault, unless it is not active.
    fn end_fault(&self, index: usize) {
        let now_ns = self.now_ns();
        let action = self.with_fault_registry(|registry| registry.end(index, now_ns));
        let Some(action) = action else { return };
        self.record_at(WORLD_NODE, Event::Fault { action: &action, ends: true });
        let is_exhausted = action.behavior().is_exhausted(self, index);
        self.with_fault_registry(|registry| registry.set_exhausted_at_end(index, is_exhausted));
        action.behavior().end(self, index);
    }

    /// Ends all faults: active faults end now, the others never trigger. Corruption remains: flipped bits stay
    /// flipped, and an unreadable block stays unreadable.
    pub fn end_faults(&self) {
        self.assert_not_observing("end faults");
        let count = self.with_fault_registry(FaultRegistry::end_triggers);
        (0..count).for_each(|index| self.end_fault(index));
    }

    /// Returns the level of a named condition at a node, if it is active: the highest of several faults.
    #[must_use]
    pub fn condition(&self, node: NodeId, name: &str) -> Option<u64> {
        self.node(node).machine().condition(name)
    }

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
        lock(&self.inner.op_recorder).as_ref().map_or_else(Vec::new, OpRecorder::ops)
    }

    /// Records an operation that is about to take effect. Operations after the end of faults are not recorded: they
    /// trigger no fault.
    fn record_op(&self, node: &Node, op: OpKind, target: OpTarget<'_>) {
        if self.with_fault_registry(|registry| registry.has_ended()) {
            return;
        }
        if let Some(recorder) = lock(&self.inner.op_recorder).as_mut() {
            recorder.record((node.id(), node.name()), node.disk(), (op, target), self.now_ns());
        }
    }

    /// Whether an operation of the node may trigger a fault or be recorded.
    pub(super) fn needs_op_trigger(&self, node: &Node) -> bool {
        lock(&self.inner.op_recorder).is_some()
            || self.with_fault_registry(|registry| registry.has_op_trigger(node.name()))
    }

    fn with_fault_registry<T>(&self, work: impl FnOnce(&mut FaultRegistry) -> T) -> T {
        work(&mut lock(&self.inner.faults))
    }
}

impl FaultTriggers for World {
    fn on_op(&self, node: &Node, op: OpKind, target: OpTarget<'_>) -> Vec<usize> {
        let now_ns = self.now_ns();
        self.record_op(node, op, target);
        let triggered =
            self.with_fault_registry(|registry| registry.count_op(node.name(), op, target.paths(), now_ns));
        let (deferred, now) = triggered
            .into_iter()
            .partition::<Vec<_>, _>(|index| self.with_fault_registry(|r| r.is_process_fault(*index)));
        now.into_iter().for_each(|index| self.inject_fault(index));
        deferred
    }

    fn on_mark(&self, node: &Node, mark: MarkName) {
        let now_ns = self.now_ns();
        let triggered = self.with_fault_registry(|registry| registry.count_mark(node.name(), mark, now_ns));
        triggered.into_iter().for_each(|index| self.inject_fault(index));
    }

    fn inject(&self, fault: usize) {
        self.inject_fault(fault);
    }
}

impl FaultTarget for World {
    fn now_ns(&self) -> u64 {
        self.kernel().now_ns()
    }

    fn node_named(&self, name: &str) -> Option<NodeId> {
        self.find_node(name).map(|node| node.id())
    }

    fn machine(&self, name: &str) -> Option<Arc<Machine>> {
        self.find_node(name).map(|node| node.machine().clone())
    }

    fn with_link_faults(&self, work: &mut dyn FnMut(&mut LinkFaults)) {
        self.network().with_link_faults(work);
    }

    fn kill(&self, name: &str, keeps: Option<CrashPolicy>, tear_bytes: Option<u32>) {
        if let Some(node) = self.find_node(name) {
            node.kill_with_tear_size(self.kernel(), keeps, tear_bytes);
        }
    }

    fn start_if_down(&self, name: &str) {
        if let Some(node) = self.find_node(name).filter(|node| !node.is_up()) {
            self.start_node(&node);
        }
    }

    fn pause(&self, name: &str, fault: usize) {
        if let Some(node) = self.find_node(name).filter(|node| node.is_up()) {
            self.with_fault_registry(|registry| registry.add_pause(fault, (node.id(), node.incarnation())));
            node.pause(self.kernel());
        }
    }

    fn resume(&self, fault: usize) {
        let paused = self.with_fault_registry(|registry| registry.remove_pause(fault));
        let Some((node, incarnation)) = paused else { return };
        let node = self.node(node);
        if node.incarnation() == incarnation {
            node.resume(self.kernel());
        }
    }
}
