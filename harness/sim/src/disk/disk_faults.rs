//! Active faults of one disk.
//!
//! Rules match operations on paths with a prefix and apply to the next few of them; conditions apply for a duration.
//! Both are removed by the index of their fault. Without active faults, an operation costs a few atomic loads.

use crate::lock::lock;
use crate::op_kind::OpKind;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};

/// Rule that applies to operations on paths with a prefix: to the next `times`, or to all until it is removed.
#[derive(Clone, Debug)]
pub(crate) struct DiskFaultRule {
    /// Index of the fault.
    pub(crate) fault: usize,
    pub(crate) path_prefix: String,
    pub(crate) times: Option<u32>,
    pub(crate) effect: DiskFaultEffect,
}

/// Effect of a rule on an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DiskFaultEffect {
    /// An operation of this kind fails without effect.
    Error(OpKind),
    /// A sync fails and drops the bytes that it should have written.
    SyncFailure(ReadsAfterFailedSync),
    /// A read of at least two bytes returns a part of them.
    ShortRead,
    /// A write is visible and never becomes durable.
    LostWrite,
    /// A write goes to another location, which the key selects.
    MisdirectedWrite(u128),
}

/// Contents that reads return after a failed sync.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ReadsAfterFailedSync {
    /// The durable bytes: the file system discarded the dirty pages.
    Old,
    /// The written bytes: the pages stay in the cache, marked clean, until the next crash.
    New,
}

/// Active conditions, by fault index.
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
    // The following are derived from the two fields above, so that the common case takes no lock.
    any_rule: AtomicBool,
    slow_times: AtomicU32,
    capacity_bytes: AtomicU64,
    garbage: AtomicBool,
    /// Whether the cache of a file may hold clean pages that were never written.
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

    /// Returns the effect of the first rule that matches these paths and that `select` accepts, and counts it.
    fn take_effect<T>(
        &self,
        path: &str,
        to: &str,
        select: impl Fn(DiskFaultEffect) -> Option<T>,
    ) -> Option<T> {
        if !self.any_rule.load(Ordering::Relaxed) {
            return None;
        }
        let mut rules = lock(&self.rules);
        let matches = |rule: &DiskFaultRule| {
            let is_path_match = path.starts_with(&rule.path_prefix) || to.starts_with(&rule.path_prefix);
            is_path_match.then(|| select(rule.effect)).flatten()
        };
        let (index, selected) =
            rules.iter().enumerate().find_map(|(index, rule)| Some((index, matches(rule)?)))?;
        if let Some(left) = &mut rules[index].times {
            *left -= 1;
            if *left == 0 {
                rules.remove(index);
            }
        }
        self.any_rule.store(!rules.is_empty(), Ordering::Relaxed);
        Some(selected)
    }

    /// Whether a rule fails the operation.
    pub(crate) fn fails(&self, op: impl Fn() -> OpKind, path: &str, to: &str) -> bool {
        let select = |effect| match effect {
            DiskFaultEffect::Error(kind) => kind.covers(op()).then_some(()),
            _ => None,
        };
        self.take_effect(path, to, select).is_some()
    }

    pub(crate) fn take_sync_failure(&self, path: &str) -> Option<ReadsAfterFailedSync> {
        let select = |effect| match effect {
            DiskFaultEffect::SyncFailure(shows) => Some(shows),
            _ => None,
        };
        let shows = self.take_effect(path, path, select);
        if shows == Some(ReadsAfterFailedSync::New) {
            self.unwritten.store(true, Ordering::Relaxed);
        }
        shows
    }

    pub(crate) fn take_short_read(&self, path: &str) -> bool {
        self.take_effect(path, path, |effect| (effect == DiskFaultEffect::ShortRead).then_some(())).is_some()
    }

    /// Returns the effect of a rule on a write, if any.
    pub(crate) fn take_write_fault(&self, path: &str) -> Option<DiskFaultEffect> {
        let is_write_fault = |effect: &DiskFaultEffect| {
            matches!(effect, DiskFaultEffect::LostWrite | DiskFaultEffect::MisdirectedWrite(_))
        };
        let write_fault = self.take_effect(path, path, |effect| Some(effect).filter(is_write_fault));
        if write_fault == Some(DiskFaultEffect::LostWrite) {
            self.unwritten.store(true, Ordering::Relaxed);
        }
        write_fault
    }

    /// Returns the factor on the duration of operations.
    pub(crate) fn slow_times(&self) -> u32 {
        self.slow_times.load(Ordering::Relaxed)
    }

    /// Returns the capacity that faults impose.
    pub(crate) fn capacity_bytes(&self) -> u64 {
        self.capacity_bytes.load(Ordering::Relaxed)
    }

    pub(crate) fn has_garbage_tails(&self) -> bool {
        self.garbage.load(Ordering::Relaxed)
    }

    /// Returns whether caches may hold clean pages that were never written, and resets it.
    pub(crate) fn take_has_unwritten(&self) -> bool {
        self.unwritten.swap(false, Ordering::Relaxed)
    }

    pub(crate) fn set_slowdown(&self, fault: usize, times: u32) {
        self.update_conditions(|conditions| _ = conditions.slow_times.insert(fault, times));
    }

    pub(crate) fn limit_capacity(&self, fault: usize, capacity_bytes: u64) {
        self.update_conditions(|conditions| _ = conditions.capacities_bytes.insert(fault, capacity_bytes));
    }

    pub(crate) fn set_garbage_tails(&self, fault: usize) {
        self.update_conditions(|conditions| _ = conditions.garbage.insert(fault));
    }

    /// Whether a rule of this fault still waits for operations.
    pub(crate) fn has_rule(&self, fault: usize) -> bool {
        lock(&self.rules).iter().any(|rule| rule.fault == fault)
    }

    /// Removes the rules and conditions of a fault.
    pub(crate) fn remove_fault(&self, fault: usize) {
        let mut rules = lock(&self.rules);
        rules.retain(|rule| rule.fault != fault);
        self.any_rule.store(!rules.is_empty(), Ordering::Relaxed);
        drop(rules);
        self.update_conditions(|conditions| {
            conditions.slow_times.remove(&fault);
            conditions.capacities_bytes.remove(&fault);
            conditions.garbage.remove(&fault);
        });
    }

    /// Changes the conditions. Overlapping faults: the slowest and the fullest win.
    fn update_conditions(&self, change: impl FnOnce(&mut ActiveDiskConditions)) {
        let mut conditions = lock(&self.conditions);
        change(&mut conditions);
        let slow_times = conditions.slow_times.values().max().copied().unwrap_or(1).max(1);
        let capacity_bytes = conditions.capacities_bytes.values().min().copied().unwrap_or(u64::MAX);
        self.slow_times.store(slow_times, Ordering::Relaxed);
        self.capacity_bytes.store(capacity_bytes, Ordering::Relaxed);
        self.garbage.store(!conditions.garbage.is_empty(), Ordering::Relaxed);
    }
}
