//! The faults that are switched on at one disk.
//!
//! Rules wait for operations on a class of paths and strike the next so many; conditions hold for a while. What a
//! fault switched on is lifted under the fault's number. With nothing switched on, an operation costs a few loads.

use crate::faults::{AfterFailedSync, OpKind};
use crate::lock::lock;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};

/// Strikes operations on paths that begin so: the next `times`, or all until it is lifted.
#[derive(Clone, Debug)]
pub(crate) struct Rule {
    /// The fault that asked for it.
    pub(crate) fault: usize,
    pub(crate) path_prefix: String,
    pub(crate) times: Option<u32>,
    pub(crate) strikes: Strikes,
}

/// What befalls an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Strikes {
    /// One of this kind fails and has no effect.
    Error(OpKind),
    /// A sync fails and drops what it should have written.
    SyncFailure(AfterFailedSync),
    /// A read of at least two bytes gives some of them.
    ShortRead,
    /// A write is seen, and never written.
    WriteLost,
    /// A write goes to another place, which the key picks.
    WriteAstray(u128),
}

/// What holds until it is lifted, by the fault that asked for it.
#[derive(Debug, Default)]
struct Lasting {
    slow_times: BTreeMap<usize, u32>,
    capacities_bytes: BTreeMap<usize, u64>,
    garbage: BTreeSet<usize>,
}

#[derive(Debug)]
pub(crate) struct Faults {
    rules: Mutex<Vec<Rule>>,
    lasting: Mutex<Lasting>,
    // What follows is worked out of the two above, so that the common case takes no lock.
    any_rule: AtomicBool,
    slow_times: AtomicU32,
    capacity_bytes: AtomicU64,
    garbage: AtomicBool,
    /// Whether a file's cache may hold what passes for written.
    unwritten: AtomicBool,
}

impl Default for Faults {
    fn default() -> Faults {
        Faults {
            rules: Mutex::default(),
            lasting: Mutex::default(),
            any_rule: AtomicBool::new(false),
            slow_times: AtomicU32::new(1),
            capacity_bytes: AtomicU64::new(u64::MAX),
            garbage: AtomicBool::new(false),
            unwritten: AtomicBool::new(false),
        }
    }
}

impl Faults {
    pub(crate) fn add(&self, rule: Rule) {
        if rule.times != Some(0) {
            lock(&self.rules).push(rule);
            self.any_rule.store(true, Ordering::Relaxed);
        }
    }

    /// The first rule that says something of an operation on these paths; uses up one of its times.
    fn take<T>(&self, path: &str, to: &str, says: impl Fn(Strikes) -> Option<T>) -> Option<T> {
        if !self.any_rule.load(Ordering::Relaxed) {
            return None;
        }
        let mut rules = lock(&self.rules);
        let hits = |rule: &Rule| {
            let here = path.starts_with(&rule.path_prefix) || to.starts_with(&rule.path_prefix);
            here.then(|| says(rule.strikes)).flatten()
        };
        let (index, said) = rules.iter().enumerate().find_map(|(index, rule)| Some((index, hits(rule)?)))?;
        if let Some(left) = &mut rules[index].times {
            *left -= 1;
            if *left == 0 {
                rules.remove(index);
            }
        }
        self.any_rule.store(!rules.is_empty(), Ordering::Relaxed);
        Some(said)
    }

    /// Whether the operation fails by request.
    pub(crate) fn fails(&self, op: impl Fn() -> OpKind, path: &str, to: &str) -> bool {
        let says = |strikes| match strikes {
            Strikes::Error(kind) => kind.covers(op()).then_some(()),
            _ => None,
        };
        self.take(path, to, says).is_some()
    }

    pub(crate) fn sync_failure(&self, path: &str) -> Option<AfterFailedSync> {
        let says = |strikes| match strikes {
            Strikes::SyncFailure(shows) => Some(shows),
            _ => None,
        };
        let shows = self.take(path, path, says);
        if shows == Some(AfterFailedSync::New) {
            self.unwritten.store(true, Ordering::Relaxed);
        }
        shows
    }

    pub(crate) fn short_read(&self, path: &str) -> bool {
        self.take(path, path, |strikes| (strikes == Strikes::ShortRead).then_some(())).is_some()
    }

    /// What becomes of a write that does not go where it should.
    pub(crate) fn stray_write(&self, path: &str) -> Option<Strikes> {
        let strays = |strikes: &Strikes| matches!(strikes, Strikes::WriteLost | Strikes::WriteAstray(_));
        let stray = self.take(path, path, |strikes| Some(strikes).filter(strays));
        if stray == Some(Strikes::WriteLost) {
            self.unwritten.store(true, Ordering::Relaxed);
        }
        stray
    }

    /// How many times as long operations take.
    pub(crate) fn slow_times(&self) -> u32 {
        self.slow_times.load(Ordering::Relaxed)
    }

    /// The disk takes no more than this.
    pub(crate) fn capacity_bytes(&self) -> u64 {
        self.capacity_bytes.load(Ordering::Relaxed)
    }

    pub(crate) fn garbage(&self) -> bool {
        self.garbage.load(Ordering::Relaxed)
    }

    /// Whether caches may hold what passes for written; from now on they do not.
    pub(crate) fn take_unwritten(&self) -> bool {
        self.unwritten.swap(false, Ordering::Relaxed)
    }

    pub(crate) fn slow_down(&self, fault: usize, times: u32) {
        self.change(|lasting| _ = lasting.slow_times.insert(fault, times));
    }

    pub(crate) fn fill_up(&self, fault: usize, capacity_bytes: u64) {
        self.change(|lasting| _ = lasting.capacities_bytes.insert(fault, capacity_bytes));
    }

    pub(crate) fn leave_garbage(&self, fault: usize) {
        self.change(|lasting| _ = lasting.garbage.insert(fault));
    }

    /// Whether a rule of this fault still waits for operations.
    pub(crate) fn waits(&self, fault: usize) -> bool {
        lock(&self.rules).iter().any(|rule| rule.fault == fault)
    }

    /// Takes back what is left of what a fault switched on.
    pub(crate) fn lift(&self, fault: usize) {
        let mut rules = lock(&self.rules);
        rules.retain(|rule| rule.fault != fault);
        self.any_rule.store(!rules.is_empty(), Ordering::Relaxed);
        drop(rules);
        self.change(|lasting| {
            lasting.slow_times.remove(&fault);
            lasting.capacities_bytes.remove(&fault);
            lasting.garbage.remove(&fault);
        });
    }

    /// Of several, the slowest and the fullest counts.
    fn change(&self, change: impl FnOnce(&mut Lasting)) {
        let mut lasting = lock(&self.lasting);
        change(&mut lasting);
        let slow_times = lasting.slow_times.values().max().copied().unwrap_or(1).max(1);
        let capacity_bytes = lasting.capacities_bytes.values().min().copied().unwrap_or(u64::MAX);
        self.slow_times.store(slow_times, Ordering::Relaxed);
        self.capacity_bytes.store(capacity_bytes, Ordering::Relaxed);
        self.garbage.store(!lasting.garbage.is_empty(), Ordering::Relaxed);
    }
}
