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
mod damage;
mod disk;
mod link;
mod operator;
mod plan;
mod process;
mod survey;

use crate::lock::lock;
use crate::node::Node;
use crate::timers::Due;
use crate::trace::Event;
use crate::world::{WORLD, World};
use latent_ports::{NodeId, UnixMs};
use std::collections::BTreeMap;

pub use clock::{ClockDrift, ClockStep};
pub use condition::Condition;
pub use damage::{BitRot, GarbageTails, LatentSector, LostWrite, MisdirectedWrite};
pub use disk::{AfterFailedSync, DiskError, DiskFull, ShortRead, SlowDisk, SyncFailure};
pub use link::{CallPart, CutLink, DegradeLink, Flap, Isolate, LoseMessage, Partition};
pub use operator::RemoveDirectory;
pub use plan::{Action, Anchor, Fault, OpKind};
pub use process::{CrashLoop, Kill, NewDisk, Pause, PowerLoss};
pub use survey::SeenOp;
pub(crate) use survey::Survey;

/// What the families' actions have in common. `fault` is the fault's number in its world: what began under it ends
/// under it. A fault whose node is unknown does nothing and is reported at the end.
trait Strike {
    /// Every node that it names.
    fn nodes(&self) -> Vec<&str>;

    /// It strikes.
    fn begin(&self, world: &World, fault: usize) -> Lasts;

    /// The time that it lasts is over, for the `step`-th time (from 1): a fault of several acts begins the next one and
    /// says how many milliseconds that lasts; `None`: it wears off now.
    fn next(&self, _world: &World, _fault: usize, _step: u32) -> Option<u64> {
        None
    }

    /// It wears off. Called once, and only after it began and if it lasts.
    fn end(&self, world: &World, fault: usize);

    /// Whether it waited for so many operations or calls, and has had them all: it lasts, and does nothing any more.
    fn is_used_up(&self, _world: &World, _fault: usize) -> bool {
        false
    }
}

/// How long a fault lasts once it has struck.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Lasts {
    /// It has happened.
    NoTime,
    /// So many milliseconds, or until faults are over.
    Ms(u64),
    /// Until faults are over.
    UntilFaultsEnd,
}

impl Lasts {
    fn ms_or_until_end(for_ms: Option<u64>) -> Lasts {
        for_ms.map_or(Lasts::UntilFaultsEnd, Lasts::Ms)
    }
}

/// What became of a fault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FaultOutcome {
    /// The fault.
    pub fault: Fault,
    /// When it struck; `None`: it never did.
    pub struck: Option<UnixMs>,
    /// When it wore off; `None`: it has not, or it lasted no time.
    pub ended: Option<UnixMs>,
    /// It waited for so many operations or calls, and has had them all.
    pub is_used_up: bool,
    /// How many operations or marks of its anchor were counted.
    pub counted: u64,
    /// Nodes that it names and that never were.
    pub unknown_nodes: Vec<String>,
}

/// All faults of a world.
#[derive(Default)]
pub(crate) struct FaultBook {
    armed: Vec<Armed>,
    /// Which process each pause holds, by the fault's number: its node, and how many had died before it.
    pauses: BTreeMap<usize, (NodeId, u32)>,
    /// Whether faults are over: none strikes any more.
    over: bool,
}

struct Armed {
    fault: Fault,
    counted: u64,
    struck_ns: Option<u64>,
    ended_ns: Option<u64>,
    /// It struck and has not worn off.
    lasts: bool,
    /// How often the time that it lasts was over.
    steps: u32,
}

impl FaultBook {
    /// Whether a fault waits for an operation of the node.
    pub(crate) fn watches(&self, name: &str) -> bool {
        self.armed
            .iter()
            .any(|armed| matches!(&armed.fault.anchor, Anchor::NthOp { node, .. } if node == name))
    }
}

/// What the book knows of one fault: when it struck and ended, ns of the world, and how much its anchor counted.
type Known = (Fault, Option<u64>, Option<u64>, u64);

impl Armed {
    fn counts_op(&self, name: &str, op: OpKind, path: &str, to: &str, now_ns: u64) -> bool {
        let Anchor::NthOp { node, op: kind, path_prefix, after_ms, .. } = &self.fault.anchor else {
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
        self.counted += 1;
        let n = match self.fault.anchor {
            Anchor::NthOp { n, .. } | Anchor::Mark { n, .. } => n.max(1),
            Anchor::At(_) | Anchor::AtMs(_) => return false,
        };
        self.counted == n && self.struck_ns.is_none()
    }
}

impl World {
    /// Arms a fault. Nodes may be added later.
    ///
    /// # Panics
    /// If the anchor is [`Anchor::At`]: whoever reads a scenario resolves instants first.
    pub fn arm(&self, fault: Fault) {
        self.assert_not_observing("arm a fault");
        let at_ns = match &fault.anchor {
            Anchor::At(text) => {
                panic!("fault anchored at '{text}': turn the instant into at_ms before arming it")
            }
            Anchor::AtMs(ms) => Some(self.at_ns(UnixMs(*ms)).max(self.now_ns())),
            Anchor::NthOp { node, .. } => {
                if let Some(node) = self.find(node) {
                    node.set_watched();
                }
                None
            }
            Anchor::Mark { .. } => None,
        };
        let index = self.faults(|book| {
            book.armed.push(Armed {
                fault,
                counted: 0,
                struck_ns: None,
                ended_ns: None,
                lasts: false,
                steps: 0,
            });
            book.armed.len() - 1
        });
        if let Some(at_ns) = at_ns {
            self.timers().insert(at_ns, Due::Fault(index));
        }
    }

    /// What became of the faults so far, in the order in which they were armed.
    #[must_use]
    pub fn fault_outcomes(&self) -> Vec<FaultOutcome> {
        let outcomes = self.faults(|book| {
            let outcome =
                |armed: &Armed| (armed.fault.clone(), armed.struck_ns, armed.ended_ns, armed.counted);
            book.armed.iter().map(outcome).collect::<Vec<_>>()
        });
        let at = |ns: u64| self.start() + std::time::Duration::from_nanos(ns);
        let full = |(index, (fault, struck_ns, ended_ns, counted)): (usize, Known)| FaultOutcome {
            is_used_up: struck_ns.is_some() && fault.action.strike().is_used_up(self, index),
            unknown_nodes: fault
                .nodes()
                .filter(|name| self.find(name).is_none())
                .map(str::to_owned)
                .collect(),
            struck: struck_ns.map(at),
            ended: ended_ns.map(at),
            counted,
            fault,
        };
        outcomes.into_iter().enumerate().map(full).collect()
    }

    pub(crate) fn faults<T>(&self, work: impl FnOnce(&mut FaultBook) -> T) -> T {
        work(&mut lock(&self.inner.faults))
    }

    /// Counts an operation. Faults that concern a process are returned, to strike after it; others strike now.
    pub(crate) fn strike(&self, node: &Node, op: OpKind, path: &str, to: &str) -> Vec<usize> {
        let now_ns = self.now_ns();
        self.note_op(node, op, path);
        let mut due = Vec::new();
        self.faults(|book| {
            for (index, armed) in book.armed.iter_mut().enumerate() {
                if armed.counts_op(node.name(), op, path, to, now_ns) && armed.count() {
                    due.push(index);
                }
            }
        });
        let (deferred, now) = due
            .into_iter()
            .partition::<Vec<_>, _>(|index| self.faults(|book| book.armed[*index].fault.action.is_process()));
        now.into_iter().for_each(|index| self.fire(index));
        deferred
    }

    /// Counts a mark and lets the faults strike that waited for it.
    pub(crate) fn strike_mark(&self, node: &Node, mark: &str) {
        let now_ns = self.now_ns();
        let mut due = Vec::new();
        self.faults(|book| {
            for (index, armed) in book.armed.iter_mut().enumerate() {
                let Anchor::Mark { name, node: at, after_ms, .. } = &armed.fault.anchor else { continue };
                let here = at.as_ref().is_none_or(|at| **at == **node.name());
                let counts = name == mark && here && now_ns >= after_ms.saturating_mul(1_000_000);
                if counts && armed.count() {
                    due.push(index);
                }
            }
        });
        due.into_iter().for_each(|index| self.fire(index));
    }

    /// A fault strikes, unless faults are over.
    pub(crate) fn fire(&self, index: usize) {
        let now_ns = self.now_ns();
        let action = self.faults(|book| {
            let armed = book.armed.get_mut(index).filter(|_| !book.over)?;
            armed.struck_ns = Some(now_ns);
            Some(armed.fault.action.clone())
        });
        let Some(action) = action else { return };
        self.record_at(WORLD, Event::Fault { action: &action, ends: false });
        let lasts = action.strike().begin(self, index);
        self.faults(|book| book.armed[index].lasts = lasts != Lasts::NoTime);
        if let Lasts::Ms(lasts_ms) = lasts {
            let ends_ns = now_ns.saturating_add(lasts_ms.saturating_mul(1_000_000));
            self.timers().insert(ends_ns, Due::FaultEnds(index));
        }
    }

    /// The time that a fault lasts is over: its next act begins, or it wears off.
    pub(crate) fn pass_fault(&self, index: usize) {
        let acting = self.faults(|book| {
            let armed = &mut book.armed[index];
            armed.steps += 1;
            armed.lasts.then(|| (armed.fault.action.clone(), armed.steps))
        });
        let Some((action, step)) = acting else { return };
        match action.strike().next(self, index, step) {
            None => self.end_fault(index),
            Some(lasts_ms) => {
                let ends_ns = self.now_ns().saturating_add(lasts_ms.saturating_mul(1_000_000));
                self.timers().insert(ends_ns, Due::FaultEnds(index));
            }
        }
    }

    /// A fault wears off, unless it has done so already.
    fn end_fault(&self, index: usize) {
        let now_ns = self.now_ns();
        let action = self.faults(|book| {
            let armed = &mut book.armed[index];
            let action = std::mem::replace(&mut armed.lasts, false).then(|| armed.fault.action.clone());
            armed.ended_ns = armed.ended_ns.or(action.as_ref().map(|_| now_ns));
            action
        });
        let Some(action) = action else { return };
        self.record_at(WORLD, Event::Fault { action: &action, ends: true });
        action.strike().end(self, index);
    }

    /// Trouble is over: what lasts ends now, what has not struck never will. Damage stays: bytes that rotted are
    /// rotten, and a block that cannot be read still cannot.
    pub fn end_faults(&self) {
        self.assert_not_observing("end faults");
        let count = self.faults(|book| {
            book.over = true;
            book.armed.len()
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
