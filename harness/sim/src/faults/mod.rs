//! Faults of a plan: triggers, injection and end.
//!
//! A fault triggers once: at an instant, at the n-th operation of a kind on matching paths at a node, or when a mark
//! is reached for the n-th time. Faults refer to nodes by name, since they are written before the nodes exist. The
//! outcome of a fault reports names of nodes that were never added.
//!
//! A process fault that an operation triggers is injected after the operation took effect in the page cache or left
//! for the network, with one exception: at a sync it is injected before the sync makes anything durable.

mod clock;
mod condition;
mod corruption;
mod disk;
mod link;
mod op_recorder;
mod operator;
mod plan;
mod process;

use crate::lock::lock;
use crate::node::Node;
use crate::op_kind::OpKind;
use crate::timers::TimerEvent;
use crate::trace::Event;
use crate::world::{WORLD_NODE, World};
use latent_ports::{NodeId, UnixMs};
use std::collections::BTreeMap;

pub use clock::{ClockDrift, ClockStep};
pub use condition::Condition;
pub use corruption::{BitRot, GarbageTails, LatentSector, LostWrite, MisdirectedWrite};
pub use disk::{DiskError, DiskFull, ShortRead, SlowDisk, SyncFailure};
pub use link::{CallPart, CutLink, DegradeLink, Flap, Isolate, LoseMessage, Partition};
pub(crate) use op_recorder::OpRecorder;
pub use op_recorder::RecordedOp;
pub use operator::RemoveDirectory;
pub use plan::{Fault, FaultAction, Trigger};
pub use process::{CrashLoop, Kill, NewDisk, Pause, PowerLoss};

/// Behavior that the actions of all fault families share. `fault` is the index of the fault in its world: effects
/// that begin under an index end under it. A fault whose node is unknown does nothing and is reported at the end.
trait FaultBehavior {
    /// Returns every node that the action names.
    fn nodes(&self) -> Vec<&str>;

    /// Begins the fault's effect.
    fn begin(&self, world: &World, fault: usize) -> FaultDuration;

    /// Ends the current phase; `phase` counts from 1. A fault with several phases begins the next one and returns its
    /// duration in milliseconds; `None` ends the fault now.
    fn next_phase(&self, _world: &World, _fault: usize, _phase: u32) -> Option<u64> {
        None
    }

    /// Ends the fault's effect. Called once, and only for a fault that began and has a duration.
    fn end(&self, world: &World, fault: usize);

    /// Whether the fault was limited to a number of operations or calls and has affected them all: it is active,
    /// without further effect.
    fn is_exhausted(&self, _world: &World, _fault: usize) -> bool {
        false
    }
}

/// Duration of a fault after it triggers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum FaultDuration {
    /// No duration: the effect is complete.
    Instant,
    /// This many milliseconds, or until faults end.
    Ms(u64),
    /// Until faults end.
    UntilFaultsEnd,
}

impl FaultDuration {
    fn ms_or_until_faults_end(for_ms: Option<u64>) -> FaultDuration {
        for_ms.map_or(FaultDuration::UntilFaultsEnd, FaultDuration::Ms)
    }
}

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
}

struct ArmedFault {
    fault: Fault,
    match_count: u64,
    triggered_ns: Option<u64>,
    ended_ns: Option<u64>,
    /// Whether the fault was injected and has not ended.
    is_active: bool,
    /// Number of phases that have ended.
    phases_ended: u32,
}

impl FaultRegistry {
    /// Whether a fault waits for an operation of the node.
    pub(crate) fn has_op_trigger(&self, name: &str) -> bool {
        self.armed
            .iter()
            .any(|armed| matches!(&armed.fault.trigger, Trigger::NthOp { node, .. } if node == name))
    }
}

/// Fault, time of injection, time of end (both in nanoseconds since the start of the world), and number of matches.
type FaultProgress = (Fault, Option<u64>, Option<u64>, u64);

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
            Trigger::AtMs(ms) => Some(self.elapsed_ns_at(UnixMs(*ms)).max(self.now_ns())),
            Trigger::NthOp { node, .. } => {
                if let Some(node) = self.find_node(node) {
                    node.set_has_op_trigger();
                }
                None
            }
            Trigger::Mark { .. } => None,
        };
        let index = self.with_fault_registry(|registry| {
            registry.armed.push(ArmedFault {
                fault,
                match_count: 0,
                triggered_ns: None,
                ended_ns: None,
                is_active: false,
                phases_ended: 0,
            });
            registry.armed.len() - 1
        });
        if let Some(trigger_ns) = trigger_ns {
            self.timers().insert(trigger_ns, TimerEvent::TriggerFault(index));
        }
    }

    /// Returns the outcomes of the faults so far, in the order of arming.
    #[must_use]
    pub fn fault_outcomes(&self) -> Vec<FaultOutcome> {
        let outcomes = self.with_fault_registry(|registry| {
            let outcome = |armed: &ArmedFault| {
                (armed.fault.clone(), armed.triggered_ns, armed.ended_ns, armed.match_count)
            };
            registry.armed.iter().map(outcome).collect::<Vec<_>>()
        });
        let at = |ns: u64| self.start() + std::time::Duration::from_nanos(ns);
        let to_outcome =
            |(index, (fault, triggered_ns, ended_ns, match_count)): (usize, FaultProgress)| FaultOutcome {
                is_exhausted: triggered_ns.is_some() && fault.action.behavior().is_exhausted(self, index),
                unknown_nodes: fault
                    .nodes()
                    .filter(|name| self.find_node(name).is_none())
                    .map(str::to_owned)
                    .collect(),
                triggered_at: triggered_ns.map(at),
                ended_at: ended_ns.map(at),
                match_count,
                fault,
            };
        outcomes.into_iter().enumerate().map(to_outcome).collect()
    }

    pub(crate) fn with_fault_registry<T>(&self, work: impl FnOnce(&mut FaultRegistry) -> T) -> T {
        work(&mut lock(&self.inner.faults))
    }

    /// Counts an operation and injects the faults that it triggers, except process faults: it returns those, to be
    /// injected after the operation.
    pub(crate) fn trigger_on_op(&self, node: &Node, op: OpKind, path: &str, to: &str) -> Vec<usize> {
        let now_ns = self.now_ns();
        self.record_op(node, op, path);
        let mut triggered = Vec::new();
        self.with_fault_registry(|registry| {
            for (index, armed) in registry.armed.iter_mut().enumerate() {
                if armed.matches_op(node.name(), op, path, to, now_ns) && armed.count_match() {
                    triggered.push(index);
                }
            }
        });
        let (deferred, now) = triggered.into_iter().partition::<Vec<_>, _>(|index| {
            self.with_fault_registry(|registry| registry.armed[*index].fault.action.is_process_fault())
        });
        now.into_iter().for_each(|index| self.inject_fault(index));
        deferred
    }

    /// Counts a mark and injects the faults that it triggers.
    pub(crate) fn trigger_on_mark(&self, node: &Node, mark: &str) {
        let now_ns = self.now_ns();
        let mut triggered = Vec::new();
        self.with_fault_registry(|registry| {
            for (index, armed) in registry.armed.iter_mut().enumerate() {
                let Trigger::Mark { name, node: at, after_ms, .. } = &armed.fault.trigger else { continue };
                let is_node_match = at.as_ref().is_none_or(|at| **at == **node.name());
                let counts = name == mark && is_node_match && now_ns >= after_ms.saturating_mul(1_000_000);
                if counts && armed.count_match() {
                    triggered.push(index);
                }
            }
        });
        triggered.into_iter().for_each(|index| self.inject_fault(index));
    }

    /// Injects a fault, unless faults have ended.
    pub(crate) fn inject_fault(&self, index: usize) {
        let now_ns = self.now_ns();
        let action = self.with_fault_registry(|registry| {
            let armed = registry.armed.get_mut(index).filter(|_| !registry.has_ended)?;
            armed.triggered_ns = Some(now_ns);
            Some(armed.fault.action.clone())
        });
        let Some(action) = action else { return };
        self.record_at(WORLD_NODE, Event::Fault { action: &action, ends: false });
        let duration = action.behavior().begin(self, index);
        self.with_fault_registry(|registry| {
            registry.armed[index].is_active = duration != FaultDuration::Instant
        });
        if let FaultDuration::Ms(duration_ms) = duration {
            let ends_ns = now_ns.saturating_add(duration_ms.saturating_mul(1_000_000));
            self.timers().insert(ends_ns, TimerEvent::EndFaultPhase(index));
        }
    }

    /// Ends the current phase of a fault: its next phase begins, or it ends.
    pub(crate) fn advance_fault(&self, index: usize) {
        let active = self.with_fault_registry(|registry| {
            let armed = &mut registry.armed[index];
            armed.phases_ended += 1;
            armed.is_active.then(|| (armed.fault.action.clone(), armed.phases_ended))
        });
        let Some((action, phase)) = active else { return };
        match action.behavior().next_phase(self, index, phase) {
            None => self.end_fault(index),
            Some(duration_ms) => {
                let ends_ns = self.now_ns().saturating_add(duration_ms.saturating_mul(1_000_000));
                self.timers().insert(ends_ns, TimerEvent::EndFaultPhase(index));
            }
        }
    }

    /// Ends a fault, unless it is not active.
    fn end_fault(&self, index: usize) {
        let now_ns = self.now_ns();
        let action = self.with_fault_registry(|registry| {
            let armed = &mut registry.armed[index];
            let action = std::mem::replace(&mut armed.is_active, false).then(|| armed.fault.action.clone());
            armed.ended_ns = armed.ended_ns.or(action.as_ref().map(|_| now_ns));
            action
        });
        let Some(action) = action else { return };
        self.record_at(WORLD_NODE, Event::Fault { action: &action, ends: true });
        action.behavior().end(self, index);
    }

    /// Ends all faults: active faults end now, the others never trigger. Corruption remains: flipped bits stay
    /// flipped, and an unreadable block stays unreadable.
    pub fn end_faults(&self) {
        self.assert_not_observing("end faults");
        let count = self.with_fault_registry(|registry| {
            registry.has_ended = true;
            registry.armed.len()
        });
        (0..count).for_each(|index| self.end_fault(index));
    }

    /// Returns the level of a named condition at a node, if it is active: the highest of several faults.
    #[must_use]
    pub fn condition(&self, node: NodeId, name: &str) -> Option<u64> {
        self.node(node)
            .conditions(|held| held.values().filter(|(of, _)| of == name).map(|(_, level)| *level).max())
    }
}
