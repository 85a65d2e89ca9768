//! Faults of the plan: what strikes, and when.
//!
//! A fault strikes once: at an instant, at the n-th operation of a kind on a class of paths at a node, or when a
//! mark is reached for the n-th time. Faults name nodes, since they are written before the nodes exist; a fault
//! whose node never came is reported as such, not passed over.
//!
//! A fault that befalls a process at an operation strikes after the operation took effect in the page cache or
//! left for the network, with one exception: at a sync it strikes before the sync made anything durable.

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
use crate::timers::TimerEvent;
use crate::trace::Event;
use crate::world::{WORLD_NODE, World};
use latent_ports::{NodeId, UnixMs};
use std::collections::BTreeMap;

pub use clock::{ClockDrift, ClockStep};
pub use condition::Condition;
pub use corruption::{BitRot, GarbageTails, LatentSector, LostWrite, MisdirectedWrite};
pub use disk::{DiskError, DiskFull, ReadsAfterFailedSync, ShortRead, SlowDisk, SyncFailure};
pub use link::{CallPart, CutLink, DegradeLink, Flap, Isolate, LoseMessage, Partition};
pub(crate) use op_recorder::OpRecorder;
pub use op_recorder::RecordedOp;
pub use operator::RemoveDirectory;
pub use plan::{Fault, FaultAction, OpKind, Trigger};
pub use process::{CrashLoop, Kill, NewDisk, Pause, PowerLoss};

/// What the families' actions have in common. `fault` is the fault's number in its world: what began under it ends
/// under it. A fault whose node is unknown does nothing and is reported at the end.
trait FaultBehavior {
    /// Every node that it names.
    fn nodes(&self) -> Vec<&str>;

    /// It strikes.
    fn begin(&self, world: &World, fault: usize) -> FaultDuration;

    /// The time that it lasts is over, for the `step`-th time (from 1): a fault of several acts begins the next one and
    /// says how many milliseconds that lasts; `None`: it wears off now.
    fn next_phase(&self, _world: &World, _fault: usize, _phase: u32) -> Option<u64> {
        None
    }

    /// It wears off. Called once, and only after it began and if it lasts.
    fn end(&self, world: &World, fault: usize);

    /// Whether it waited for so many operations or calls, and has had them all: it lasts, and does nothing any more.
    fn is_exhausted(&self, _world: &World, _fault: usize) -> bool {
        false
    }
}

/// How long a fault lasts once it has struck.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum FaultDuration {
    /// It has happened.
    Instant,
    /// So many milliseconds, or until faults are over.
    Ms(u64),
    /// Until faults are over.
    UntilFaultsEnd,
}

impl FaultDuration {
    fn ms_or_until_faults_end(for_ms: Option<u64>) -> FaultDuration {
        for_ms.map_or(FaultDuration::UntilFaultsEnd, FaultDuration::Ms)
    }
}

/// What became of a fault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FaultOutcome {
    /// The fault.
    pub fault: Fault,
    /// When it struck; `None`: it never did.
    pub triggered_at: Option<UnixMs>,
    /// When it wore off; `None`: it has not, or it lasted no time.
    pub ended_at: Option<UnixMs>,
    /// It waited for so many operations or calls, and has had them all.
    pub is_exhausted: bool,
    /// How many operations or marks of its anchor were counted.
    pub match_count: u64,
    /// Nodes that it names and that never were.
    pub unknown_nodes: Vec<String>,
}

/// All faults of a world.
#[derive(Default)]
pub(crate) struct FaultRegistry {
    armed: Vec<ArmedFault>,
    /// Which process each pause holds, by the fault's number: its node, and how many had died before it.
    pauses: BTreeMap<usize, (NodeId, u32)>,
    /// Whether faults are over: none strikes any more.
    has_ended: bool,
}

struct ArmedFault {
    fault: Fault,
    match_count: u64,
    triggered_ns: Option<u64>,
    ended_ns: Option<u64>,
    /// It struck and has not worn off.
    is_active: bool,
    /// How often the time that it lasts was over.
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

/// What the book knows of one fault: when it struck and ended, ns of the world, and how much its anchor counted.
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

    /// Counts one; says whether it was the one that the anchor waits for.
    fn count(&mut self) -> bool {
        self.match_count += 1;
        let n = match self.fault.trigger {
            Trigger::NthOp { n, .. } | Trigger::Mark { n, .. } => n.max(1),
            Trigger::At(_) | Trigger::AtMs(_) => return false,
        };
        self.match_count == n && self.triggered_ns.is_none()
    }
}

impl World {
    /// Arms a fault. Nodes may be added later.
    ///
    /// # Panics
    /// If the anchor is [`Trigger::At`]: whoever reads a scenario resolves instants first.
    pub fn arm(&self, fault: Fault) {
        self.assert_not_observing("arm a fault");
        let trigger_ns = match &fault.trigger {
            Trigger::At(text) => {
                panic!("fault anchored at '{text}': turn the instant into at_ms before arming it")
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

    /// What became of the faults so far, in the order in which they were armed.
    #[must_use]
    pub fn fault_outcomes(&self) -> Vec<FaultOutcome> {
        let outcomes = self.with_fault_registry(|registry| {
            let outcome = |armed: &ArmedFault| {
                (armed.fault.clone(), armed.triggered_ns, armed.ended_ns, armed.match_count)
            };
            registry.armed.iter().map(outcome).collect::<Vec<_>>()
        });
        let at = |ns: u64| self.start() + std::time::Duration::from_nanos(ns);
        let full =
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
        outcomes.into_iter().enumerate().map(full).collect()
    }

    pub(crate) fn with_fault_registry<T>(&self, work: impl FnOnce(&mut FaultRegistry) -> T) -> T {
        work(&mut lock(&self.inner.faults))
    }

    /// Counts an operation. Faults that concern a process are returned, to strike after it; others strike now.
    pub(crate) fn trigger_on_op(&self, node: &Node, op: OpKind, path: &str, to: &str) -> Vec<usize> {
        let now_ns = self.now_ns();
        self.record_op(node, op, path);
        let mut due = Vec::new();
        self.with_fault_registry(|registry| {
            for (index, armed) in registry.armed.iter_mut().enumerate() {
                if armed.matches_op(node.name(), op, path, to, now_ns) && armed.count() {
                    due.push(index);
                }
            }
        });
        let (deferred, now) = due.into_iter().partition::<Vec<_>, _>(|index| {
            self.with_fault_registry(|registry| registry.armed[*index].fault.action.is_process())
        });
        now.into_iter().for_each(|index| self.inject_fault(index));
        deferred
    }

    /// Counts a mark and lets the faults strike that waited for it.
    pub(crate) fn trigger_on_mark(&self, node: &Node, mark: &str) {
        let now_ns = self.now_ns();
        let mut due = Vec::new();
        self.with_fault_registry(|registry| {
            for (index, armed) in registry.armed.iter_mut().enumerate() {
                let Trigger::Mark { name, node: at, after_ms, .. } = &armed.fault.trigger else { continue };
                let here = at.as_ref().is_none_or(|at| **at == **node.name());
                let counts = name == mark && here && now_ns >= after_ms.saturating_mul(1_000_000);
                if counts && armed.count() {
                    due.push(index);
                }
            }
        });
        due.into_iter().for_each(|index| self.inject_fault(index));
    }

    /// A fault strikes, unless faults are over.
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

    /// The time that a fault lasts is over: its next act begins, or it wears off.
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

    /// A fault wears off, unless it has done so already.
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

    /// Trouble is over: what lasts ends now, what has not struck never will. Damage stays: bytes that rotted are
    /// rotten, and a block that cannot be read still cannot.
    pub fn end_faults(&self) {
        self.assert_not_observing("end faults");
        let count = self.with_fault_registry(|registry| {
            registry.has_ended = true;
            registry.armed.len()
        });
        (0..count).for_each(|index| self.end_fault(index));
    }

    /// How strong a named condition is at a node, if it holds: the strongest where several faults say so.
    #[must_use]
    pub fn condition(&self, node: NodeId, name: &str) -> Option<u64> {
        self.node(node)
            .conditions(|held| held.values().filter(|(of, _)| of == name).map(|(_, level)| *level).max())
    }
}
