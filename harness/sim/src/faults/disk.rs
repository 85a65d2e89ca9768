//! Disk faults that a program notices: errors, failed syncs, no space, slow operations, short reads.
//!
//! An operation that fails with [`DiskError`] has no effect: a failed append wrote nothing; a failed sync made
//! nothing durable and dropped nothing, so the next one may still succeed. A [`SyncFailure`] is worse, and is what
//! kernels do: the pages that could not be written are marked clean, so later syncs succeed without them. What reads
//! return afterwards depends on the file system: ext4 and XFS return the new bytes until the cache drops them, Btrfs
//! reverts to the old ones (Rebello et al., "Can Applications Recover from fsync Failures?", USENIX ATC 2020). With
//! new bytes and later appends that were synced, a crash leaves zeros (or the older bytes) in place of the dropped
//! bytes; with no later append the file keeps its old length. Truncations are in the journal and are not dropped with
//! the pages. A concurrent sync of the same file fails too: its pages were dropped as well.
//!
//! Not modelled: a sync that fails for some pages and writes others, a failed sync of a directory that loses names
//! (that is a plain error: use [`DiskError`] with `sync_dir`), a file system that turns read-only after an error, an
//! error that only the first of several handles sees. A read error is equivalent to a latent sector error that heals.
//!
//! A full disk cuts a write short: the prefix that fits is kept. Freed space is usable again. A slow disk stretches
//! syncs, and makes reads and writes take the device's time, which otherwise take none; operations on names stay in
//! the cache. A short read returns a proper prefix, never empty, as POSIX allows; the rest is still there.
//!
//! Frequency: in four years 30 to 80% of flash drives develop a bad block (Schroeder et al., "Flash Reliability in
//! Production", FAST 2016); no figure is known for how often that surfaces as an error or a failed sync. Scenarios
//! run weeks: their rates are accelerated.

use super::behavior::{FaultBehavior, FaultDuration, FaultTarget};
use crate::disk::{DiskFaultEffect, DiskFaultRule, DiskStore, ReadsAfterFailedSync};
use crate::op_kind::OpKind;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Fails operations of a kind with an input/output error, without effect.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub struct DiskError {
    /// The node.
    pub node: String,
    /// Kind of the operations that fail.
    pub op: OpKind,
    /// Prefix of the paths that match. Empty: all.
    #[serde(default)]
    pub path_prefix: String,
    /// Number of operations; `None`: all while the fault is active.
    #[serde(default)]
    #[schemars(range(max = 1_000_000))]
    pub times: Option<u32>,
    /// Duration in milliseconds; `None`: until faults end.
    #[serde(default)]
    #[schemars(range(max = 31_622_400_000_u64))]
    pub for_ms: Option<u64>,
}

/// Fails a sync and marks the unwritten pages as clean: no later sync writes them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub struct SyncFailure {
    /// The node.
    pub node: String,
    /// Prefix of the synced files' paths. Empty: all.
    #[serde(default)]
    pub path_prefix: String,
    /// Number of syncs.
    #[schemars(range(max = 1_000_000))]
    pub times: u32,
    /// Contents that reads return afterwards.
    pub shows: ReadsAfterFailedSync,
}

/// Fills the node's disk: it accepts no more bytes and no more names.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub struct DiskFull {
    /// The node.
    pub node: String,
    /// Free bytes left before the disk is full; a write that does not fit is cut there.
    #[serde(default)]
    #[schemars(range(max = 1_000_000_000_000_000_u64))]
    pub room_bytes: u64,
    /// Duration in milliseconds; `None`: until faults end.
    #[serde(default)]
    #[schemars(range(max = 31_622_400_000_u64))]
    pub for_ms: Option<u64>,
}

/// Slows the node's disk, except for operations on names. Overlapping faults: the slowest wins.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub struct SlowDisk {
    /// The node.
    pub node: String,
    /// Factor on the duration of syncs. A read or write, which otherwise takes no time, takes this many times the 150
    /// µs commonly assumed for a random read of a solid-state drive. 1: not slow.
    #[schemars(range(max = 1_000_000))]
    pub times: u32,
    /// Duration in milliseconds; `None`: until faults end.
    #[serde(default)]
    #[schemars(range(max = 31_622_400_000_u64))]
    pub for_ms: Option<u64>,
}

/// Makes reads return fewer bytes than are requested and present, but at least one. Affects only reads of two bytes
/// or more.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub struct ShortRead {
    /// The node.
    pub node: String,
    /// Prefix of the files' paths. Empty: all.
    #[serde(default)]
    pub path_prefix: String,
    /// Number of reads.
    #[schemars(range(max = 1_000_000))]
    pub times: u32,
}

/// A fault that is one rule at a node's disk, until its count is exhausted or its duration has passed.
pub(super) trait DiskRule {
    /// Returns the node, and the prefix of the paths that match.
    fn place(&self) -> (&str, &str);

    /// Returns the effect and the number of operations that it has; `None`: all while the fault is active.
    fn effect(&self) -> (DiskFaultEffect, Option<u32>);

    /// Returns the duration in milliseconds; `None`: until faults end.
    fn for_ms(&self) -> Option<u64> {
        None
    }
}

impl<R: DiskRule> FaultBehavior for R {
    fn nodes(&self) -> Vec<&str> {
        vec![self.place().0]
    }

    fn begin(&self, target: &dyn FaultTarget, fault: usize) -> FaultDuration {
        let ((node, path_prefix), (effect, times)) = (self.place(), self.effect());
        begin_at_disk(target, node, self.for_ms(), |disk| {
            disk.faults().add(DiskFaultRule { fault, path_prefix: path_prefix.to_owned(), times, effect });
        })
    }

    fn end(&self, target: &dyn FaultTarget, fault: usize) {
        remove_fault(target, self.place().0, fault);
    }

    fn is_exhausted(&self, target: &dyn FaultTarget, fault: usize) -> bool {
        target.machine(self.place().0).is_some_and(|machine| !machine.disk().faults().has_rule(fault))
    }
}

/// Sets a rule or a condition at a node's disk for a duration.
pub(super) fn begin_at_disk(
    target: &dyn FaultTarget,
    node: &str,
    for_ms: Option<u64>,
    begin: impl FnOnce(&DiskStore),
) -> FaultDuration {
    if let Some(machine) = target.machine(node) {
        begin(machine.disk());
    }
    FaultDuration::ms_or_until_faults_end(for_ms)
}

/// Removes the rules and conditions of a fault at a node's disk.
pub(super) fn remove_fault(target: &dyn FaultTarget, node: &str, fault: usize) {
    if let Some(machine) = target.machine(node) {
        machine.disk().faults().remove_fault(fault);
    }
}

impl DiskRule for DiskError {
    fn place(&self) -> (&str, &str) {
        (&self.node, &self.path_prefix)
    }

    fn effect(&self) -> (DiskFaultEffect, Option<u32>) {
        (DiskFaultEffect::Error(self.op), self.times)
    }

    fn for_ms(&self) -> Option<u64> {
        self.for_ms
    }
}

impl DiskRule for SyncFailure {
    fn place(&self) -> (&str, &str) {
        (&self.node, &self.path_prefix)
    }

    fn effect(&self) -> (DiskFaultEffect, Option<u32>) {
        (DiskFaultEffect::SyncFailure(self.shows), Some(self.times))
    }
}

impl FaultBehavior for DiskFull {
    fn nodes(&self) -> Vec<&str> {
        vec![&self.node]
    }

    fn begin(&self, target: &dyn FaultTarget, fault: usize) -> FaultDuration {
        begin_at_disk(target, &self.node, self.for_ms, |disk| disk.limit_capacity(fault, self.room_bytes))
    }

    fn end(&self, target: &dyn FaultTarget, fault: usize) {
        remove_fault(target, &self.node, fault);
    }
}

impl FaultBehavior for SlowDisk {
    fn nodes(&self) -> Vec<&str> {
        vec![&self.node]
    }

    fn begin(&self, target: &dyn FaultTarget, fault: usize) -> FaultDuration {
        begin_at_disk(target, &self.node, self.for_ms, |disk| disk.faults().set_slowdown(fault, self.times))
    }

    fn end(&self, target: &dyn FaultTarget, fault: usize) {
        remove_fault(target, &self.node, fault);
    }
}

impl DiskRule for ShortRead {
    fn place(&self) -> (&str, &str) {
        (&self.node, &self.path_prefix)
    }

    fn effect(&self) -> (DiskFaultEffect, Option<u32>) {
        (DiskFaultEffect::ShortRead, Some(self.times))
    }
}
