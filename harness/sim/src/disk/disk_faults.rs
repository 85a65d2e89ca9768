//! The faults that are switched on at one disk.
//!
//! Rules wait for operations on a class of paths and strike the next so many; conditions hold for a while. What a
//! fault switched on is lifted under the fault's number. With nothing switched on, an operation costs a few loads.

use crate::faults::{OpKind, ReadsAfterFailedSync};
use crate::lock::lock;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};

/// Strikes operations on paths that begin so: the next `times`, or all until it is lifted.
#[derive(Clone, Debug)]
pub(crate) struct DiskFaultRule {
    /// The fault that asked for it.
    pub(crate) fault: usize,
    pub(crate) path_prefix: String,
    pub(crate) times: Option<u32>,
    pub(crate) effect: DiskFaultEffect,
}

/// What befalls an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DiskFaultEffect {
    /// One of this kind fails and has no effect.
    Error(OpKind),
    /// A sync fails and drops what it should have written.
    SyncFailure(ReadsAfterFailedSync),
    /// A read of at least two bytes gives some of them.
    ShortRead,
    /// A write is seen, and never written.
    LostWrite,
    /// A write goes to another place, which the key picks.
    MisdirectedWrite(u128),
}

/// What holds until it is lifted, by the fault that asked for it.
#[derive(Debug, Default)]
struct ActiveDiskConditions {
    slow_times: BTreeMap<usize, u32>,
    capacities_bytes: BTreeMap<usize, u64>,
    garbage: BTreeSet<usize>,
}

#[derive(Debug)]
pub(crate) struct DiskFaults {
    rules: Mutex<Vec<DiskFaultRule>>,
    conditions: Mutex<ActiveDiskConditions>,
    // What follows is worked out of the two above, so that the common case takes no lock.
    any_rule: AtomicBool,
    slow_times: AtomicU32,
    capacity_bytes: AtomicU64,
    garbage: AtomicBool,
    /// Whether a file's cache may hold what passes for written.
    unwritten: AtomicBool,
}

impl Default for DiskFaults {
    fn default() -> DiskFaults {
        DiskFaults {
            rules: Mutex::default(),
            conditions: Mutex::default(),
            any_rule: AtomicBool::new(false),
            slow_times: AtomicU32::new(1),
            capacity_bytes: AtomicU64::new(u64::MAX),
            garbage: AtomicBool::new(false),
            unwritten: AtomicBool::new(false),
        }
    }
}

impl DiskFaults {
    pub(crate) fn add(&self, rule: DiskFaultRule) {
        if rule.times != Some(0) {
            lock(&self.rules).push(rule);
            self.any_rule.store(true, Ordering::Relaxed);
        }
    }

    /// The first rule that says something of an operation on these paths; uses up one of its times.
    fn take<T>(&self, path: &str, to: &str, select: impl Fn(DiskFaultEffect) -> Option<T>) -> Option<T> {
        if !self.any_rule.load(Ordering::Relaxed) {
            return None;
        }
        let mut rules = lock(&self.rules);
        let hits = |rule: &DiskFaultRule| {
            let here = path.starts_with(&rule.path_prefix) || to.starts_with(&rule.path_prefix);
            here.then(|| select(rule.effect)).flatten()
        };
        let (index, selected) =
            rules.iter().enumerate().find_map(|(index, rule)| Some((index, hits(rule)?)))?;
        if let Some(left) = &mut rules[index].times {
            *left -= 1;
            if *left == 0 {
                rules.remove(index);
            }
        }
        self.any_rule.store(!rules.is_empty(), Ordering::Relaxed);
        Some(selected)
    }

    /// Whether the operation fails by request.
    pub(crate) fn fails(&self, op: impl Fn() -> OpKind, path: &str, to: &str) -> bool {
        let select = |effect| match effect {
            DiskFaultEffect::Error(kind) => kind.covers(op()).then_some(()),
            _ => None,
        };
        self.take(path, to, select).is_some()
    }

    pub(crate) fn take_sync_failure(&self, path: &str) -> Option<ReadsAfterFailedSync> {
        let select = |effect| match effect {
            DiskFaultEffect::SyncFailure(shows) => Some(shows),
            _ => None,
        };
        let shows = self.take(path, path, select);
        if shows == Some(ReadsAfterFailedSync::New) {
            self.unwritten.store(true, Ordering::Relaxed);
        }
        shows
    }

    pub(crate) fn take_short_read(&self, path: &str) -> bool {
        self.take(path, path, |effect| (effect == DiskFaultEffect::ShortRead).then_some(())).is_some()
    }

    /// What becomes of a write that does not go where it should.
    pub(crate) fn take_write_fault(&self, path: &str) -> Option<DiskFaultEffect> {
        let is_write_fault = |effect: &DiskFaultEffect| {
            matches!(effect, DiskFaultEffect::LostWrite | DiskFaultEffect::MisdirectedWrite(_))
        };
        let write_fault = self.take(path, path, |effect| Some(effect).filter(is_write_fault));
        if write_fault == Some(DiskFaultEffect::LostWrite) {
            self.unwritten.store(true, Ordering::Relaxed);
        }
        write_fault
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
    pub(crate) fn take_has_unwritten(&self) -> bool {
        self.unwritten.swap(false, Ordering::Relaxed)
    }

    pub(crate) fn set_slowdown(&self, fault: usize, times: u32) {
        self.change(|conditions| _ = conditions.slow_times.insert(fault, times));
    }

    pub(crate) fn limit_capacity(&self, fault: usize, capacity_bytes: u64) {
        self.change(|conditions| _ = conditions.capacities_bytes.insert(fault, capacity_bytes));
    }

    pub(crate) fn set_garbage_tails(&self, fault: usize) {
        self.change(|conditions| _ = conditions.garbage.insert(fault));
    }

    /// Whether a rule of this fault still waits for operations.
    pub(crate) fn has_rule(&self, fault: usize) -> bool {
        lock(&self.rules).iter().any(|rule| rule.fault == fault)
    }

    /// Takes back what is left of what a fault switched on.
    pub(crate) fn remove_fault(&self, fault: usize) {
        let mut rules = lock(&self.rules);
        rules.retain(|rule| rule.fault != fault);
        self.any_rule.store(!rules.is_empty(), Ordering::Relaxed);
        drop(rules);
        self.change(|conditions| {
            conditions.slow_times.remove(&fault);
            conditions.capacities_bytes.remove(&fault);
            conditions.garbage.remove(&fault);
        });
    }

    /// Of several, the slowest and the fullest counts.
    fn change(&self, change: impl FnOnce(&mut ActiveDiskConditions)) {
        let mut conditions = lock(&self.conditions);
        change(&mut conditions);
        let slow_times = conditions.slow_times.values().max().copied().unwrap_or(1).max(1);
        let capacity_bytes = conditions.capacities_bytes.values().min().copied().unwrap_or(u64::MAX);
        self.slow_times.store(slow_times, Ordering::Relaxed);
        self.capacity_bytes.store(capacity_bytes, Ordering::Relaxed);
        self.garbage.store(!conditions.garbage.is_empty(), Ordering::Relaxed);
    }
}
