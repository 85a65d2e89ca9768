//! Faults of disks that a program notices: errors, failed syncs, no space, slowness, short reads.
//!
//! An operation that fails by request has no effect: a failed append wrote nothing, a failed sync made nothing
//! durable and forgot nothing, so that the next one may still succeed. A [`SyncFailure`] is the worse kind, and what
//! kernels do: the pages that could not be written are marked clean, so later syncs succeed without them. What reads
//! show afterwards depends on the file system: ext4 and XFS keep showing the new bytes until the cache drops them,
//! Btrfs goes back to the old ones (Rebello et al., "Can Applications Recover from fsync Failures?", USENIX ATC 2020).
//! Where new bytes were shown and later appends were synced, a crash leaves zeros (or what was there before) below
//! them, where the dropped bytes had been; with no later append the file is as long as it was. Truncations are the
//! journal's and are not dropped with the pages. A sync of the same file that is under way meanwhile fails too: its
//! pages were dropped as well.
//!
//! Not modelled: a sync that fails for some pages and writes others, a failed sync of a directory that loses names
//! (it is a plain error: ask for [`DiskError`] with `sync_dir`), a file system that turns read-only after an error, an
//! error that only the first of several handles is told. An error on a read is as good as a latent sector that heals.
//!
//! A full disk stops a write part-way: it keeps the prefix that fits. Room that is given back is room again. A slow
//! disk stretches syncs, and gives reads and writes the device's time, which otherwise take none; operations on
//! names stay in the cache. A short read gives a proper prefix, never nothing, as POSIX allows: the rest is there.
//!
//! How often: in four years 30 to 80% of flash drives grow a bad block (Schroeder et al., "Flash Reliability in
//! Production", FAST 2016); for how often that surfaces as an error or a failed sync we know no figure. Scenarios
//! run weeks: their rates are accelerated.

use super::{FaultBehavior, FaultDuration, OpKind};
use crate::disk::{DiskFaultEffect, DiskFaultRule};
use crate::node::Node;
use crate::world::World;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Operations of a kind fail with an input/output error and have no effect.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub struct DiskError {
    /// The node.
    pub node: String,
    /// Which operations.
    pub op: OpKind,
    /// Only on paths that begin so. Empty: all.
    #[serde(default)]
    pub path_prefix: String,
    /// How many of them; `None`: all of them while the fault lasts.
    #[serde(default)]
    #[schemars(range(max = 1_000_000))]
    pub times: Option<u32>,
    /// For how many milliseconds; `None`: until faults are over.
    #[serde(default)]
    #[schemars(range(max = 31_622_400_000_u64))]
    pub for_ms: Option<u64>,
}

/// A sync fails and marks what it did not write as written: no later sync writes it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub struct SyncFailure {
    /// The node.
    pub node: String,
    /// Only syncs of files whose paths begin so. Empty: all.
    #[serde(default)]
    pub path_prefix: String,
    /// How many syncs.
    #[schemars(range(max = 1_000_000))]
    pub times: u32,
    /// What reads of the file show afterwards.
    pub shows: ReadsAfterFailedSync,
}

/// What reads show of a file whose sync failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ReadsAfterFailedSync {
    /// What was durable before: the file system threw the dirty pages away.
    Old,
    /// What was written: the pages stay in the cache, marked clean, until the next crash.
    New,
}

/// The node's disk takes no more bytes and no more names.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub struct DiskFull {
    /// The node.
    pub node: String,
    /// Takes this many more bytes before it is full; a write that does not fit is cut there.
    #[serde(default)]
    #[schemars(range(max = 1_000_000_000_000_000_u64))]
    pub room_bytes: u64,
    /// For how many milliseconds; `None`: until faults are over.
    #[serde(default)]
    #[schemars(range(max = 31_622_400_000_u64))]
    pub for_ms: Option<u64>,
}

/// The node's disk is slow, but for operations on names. Of several, the slowest counts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub struct SlowDisk {
    /// The node.
    pub node: String,
    /// Syncs take this many times as long; a read or write, which otherwise takes no time, this many times the 150 µs
    /// that a random read of a solid-state drive is reckoned at. 1: not slow.
    #[schemars(range(max = 1_000_000))]
    pub times: u32,
    /// For how many milliseconds; `None`: until faults are over.
    #[serde(default)]
    #[schemars(range(max = 31_622_400_000_u64))]
    pub for_ms: Option<u64>,
}

/// Reads return fewer bytes than were asked for and are there, but not none. Only reads that would give two bytes or
/// more.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub struct ShortRead {
    /// The node.
    pub node: String,
    /// Only of files whose paths begin so. Empty: all.
    #[serde(default)]
    pub path_prefix: String,
    /// How many reads.
    #[schemars(range(max = 1_000_000))]
    pub times: u32,
}

/// Switches a rule on at a node's disk, until its times are used up or `for_ms` is over.
pub(super) fn add_rule(
    world: &World,
    node: &str,
    rule: (usize, &str, Option<u32>, DiskFaultEffect),
    for_ms: Option<u64>,
) -> FaultDuration {
    let (fault, path_prefix, times, effect) = rule;
    if let Some(node) = world.find_node(node) {
        node.disk().faults().add(DiskFaultRule { fault, path_prefix: path_prefix.to_owned(), times, effect });
    }
    FaultDuration::ms_or_until_faults_end(for_ms)
}

/// Switches on what holds at a node's disk for a while.
pub(super) fn set_condition(
    world: &World,
    node: &str,
    for_ms: Option<u64>,
    begin: impl FnOnce(&Node),
) -> FaultDuration {
    if let Some(node) = world.find_node(node) {
        begin(&node);
    }
    FaultDuration::ms_or_until_faults_end(for_ms)
}

/// Whether what waited for operations at a node's disk has had them all.
pub(super) fn is_exhausted(world: &World, node: &str, fault: usize) -> bool {
    world.find_node(node).is_some_and(|node| !node.disk().faults().has_rule(fault))
}

/// Switches off what a fault switched on at a node's disk.
pub(super) fn remove_fault(world: &World, node: &str, fault: usize) {
    if let Some(node) = world.find_node(node) {
        node.disk().faults().remove_fault(fault);
    }
}

impl FaultBehavior for DiskError {
    fn nodes(&self) -> Vec<&str> {
        vec![&self.node]
    }

    fn begin(&self, world: &World, fault: usize) -> FaultDuration {
        let rule = (fault, self.path_prefix.as_str(), self.times, DiskFaultEffect::Error(self.op));
        add_rule(world, &self.node, rule, self.for_ms)
    }

    fn end(&self, world: &World, fault: usize) {
        remove_fault(world, &self.node, fault);
    }

    fn is_exhausted(&self, world: &World, fault: usize) -> bool {
        is_exhausted(world, &self.node, fault)
    }
}

impl FaultBehavior for SyncFailure {
    fn nodes(&self) -> Vec<&str> {
        vec![&self.node]
    }

    fn begin(&self, world: &World, fault: usize) -> FaultDuration {
        let rule =
            (fault, self.path_prefix.as_str(), Some(self.times), DiskFaultEffect::SyncFailure(self.shows));
        add_rule(world, &self.node, rule, None)
    }

    fn end(&self, world: &World, fault: usize) {
        remove_fault(world, &self.node, fault);
    }

    fn is_exhausted(&self, world: &World, fault: usize) -> bool {
        is_exhausted(world, &self.node, fault)
    }
}

impl FaultBehavior for DiskFull {
    fn nodes(&self) -> Vec<&str> {
        vec![&self.node]
    }

    fn begin(&self, world: &World, fault: usize) -> FaultDuration {
        set_condition(world, &self.node, self.for_ms, |node| {
            node.disk().limit_capacity(fault, self.room_bytes)
        })
    }

    fn end(&self, world: &World, fault: usize) {
        remove_fault(world, &self.node, fault);
    }
}

impl FaultBehavior for SlowDisk {
    fn nodes(&self) -> Vec<&str> {
        vec![&self.node]
    }

    fn begin(&self, world: &World, fault: usize) -> FaultDuration {
        set_condition(world, &self.node, self.for_ms, |node| {
            node.disk().faults().set_slowdown(fault, self.times)
        })
    }

    fn end(&self, world: &World, fault: usize) {
        remove_fault(world, &self.node, fault);
    }
}

impl FaultBehavior for ShortRead {
    fn nodes(&self) -> Vec<&str> {
        vec![&self.node]
    }

    fn begin(&self, world: &World, fault: usize) -> FaultDuration {
        let rule = (fault, self.path_prefix.as_str(), Some(self.times), DiskFaultEffect::ShortRead);
        add_rule(world, &self.node, rule, None)
    }

    fn end(&self, world: &World, fault: usize) {
        remove_fault(world, &self.node, fault);
    }

    fn is_exhausted(&self, world: &World, fault: usize) -> bool {
        is_exhausted(world, &self.node, fault)
    }
}
