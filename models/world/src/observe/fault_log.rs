//! The fault log: faults, boots, quarantined days and created files that the checker must know.
//!
//! An observer records it from the trace and does nothing else. Faults come from the plan, so using them does not
//! trust the system; of files, the names and times of creation are recorded, and the bytes decide. Conditions without
//! effect on bytes or time are recorded like any fault. Excuses of jobs follow from the plan's faults, not from this
//! log.

use super::without_marks::WithoutMarks;
use crate::mutex::lock;
use crate::plan::streams::WARM_UP_MS;
use latent_engine::sim::{Event, FaultAction, Observer, Record, World};
use latent_oracle::ProjectDay;
use latent_oracle::reader::arb_path::parse_segment_path;
use latent_ports::{DiskOp, NodeId};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

/// Time after a boot or a fault during which every acknowledgement is checked: durability is then at risk.
const CHECK_ALL_FOR_MS: i64 = 5 * 60_000;
/// Longest time from the first attempt of a request to its last.
const MAX_RETRIES_MS: i64 = 2 * 3_600_000;

/// An event that changes the expectations of a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum FaultLogEntry {
    /// A process started at this time.
    Booted(NodeId, i64),
    /// The node with this name has an empty disk.
    DiskReplaced(String),
    /// A tee file was stored under this path at this time.
    TeeFileCreated(NodeId, String, i64),
    /// A segment of a day, with this id, was created on an Arb disk at this time.
    SegmentCreated(NodeId, ProjectDay, u64, i64),
    /// A hint was created under this path at this time.
    HintCreated(NodeId, String, i64),
    /// An Arb directory was quarantined to this path.
    Quarantined(NodeId, String),
}

/// The recorded events and the state derived from them.
#[derive(Debug, Default)]
pub(crate) struct FaultLog {
    happened: Vec<FaultLogEntry>,
    /// Nodes whose disks lost or changed some durable bytes through planned faults.
    pub damaged: BTreeSet<String>,
    /// Nodes whose disks may lack confirmed bytes, and since when: damaged, replaced, or run by a hostile release.
    pub unsound: BTreeMap<String, i64>,
    /// Nodes that run, or ran, a hostile release.
    pub compromised: BTreeSet<String>,
    /// Time of the last start or end of a fault.
    last_fault_ms: Option<i64>,
    /// Start times of processes, in milliseconds since 1970, in order.
    boots: BTreeMap<NodeId, Vec<i64>>,
    /// Time of the first damage to each node's disk, by name.
    first_damages_ms: BTreeMap<String, i64>,
    /// Time of the last boot of each node, by name.
    last_boots_ms: BTreeMap<String, i64>,
    /// Last time at which a directory was removed under each node's process, by name.
    removed_dirs_ms: BTreeMap<String, i64>,
    /// Last time at which each node received a new disk, by name.
    new_disks_ms: BTreeMap<String, i64>,
    /// Nodes whose disks confirm writes and lose them.
    lost_writes: BTreeSet<String>,
    /// Time at which the faults ended.
    pub faults_ended_ms: Option<i64>,
    check_all_until_ms: i64,
}

impl FaultLog {
    /// Removes and returns the events since the last call, in order.
    pub fn take(&mut self) -> Vec<FaultLogEntry> {
        std::mem::take(&mut self.happened)
    }

    /// Returns the time of the last start or end of a fault, in milliseconds since 1970.
    pub fn last_fault_ms(&self) -> Option<i64> {
        self.last_fault_ms
    }

    /// Returns true if a fault has triggered and faults have not ended.
    pub fn has_active_faults(&self) -> bool {
        self.last_fault_ms.is_some() && self.faults_ended_ms.is_none()
    }

    /// Returns the first boot of the node with this name after a time.
    pub fn first_boot_ms(&self, world: &World, name: &str, since_ms: i64) -> Option<i64> {
        let boots = self.boots.get(&world.node_named(name)?)?;
        boots.get(boots.partition_point(|at_ms| *at_ms < since_ms)).copied()
    }

    /// Returns true if the disk of the node with this name was replaced, or lost a directory.
    pub fn is_emptied(&self, name: &str) -> bool {
        self.removed_dirs_ms.contains_key(name) || self.new_disks_ms.contains_key(name)
    }

    /// Returns the last boot of a node.
    pub fn last_boot_ms(&self, node: NodeId) -> Option<i64> {
        self.last_boot_before_ms(node, i64::MAX)
    }

    /// Returns the last boot of a node before a time.
    pub fn last_boot_before_ms(&self, node: NodeId, before_ms: i64) -> Option<i64> {
        let boots = self.boots.get(&node)?;
        boots[..boots.partition_point(|at_ms| *at_ms < before_ms)].last().copied()
    }

    /// Returns true if the node with this name has booted from a damaged disk at a time or later.
    pub fn has_booted_damaged(&self, name: &str, since_ms: i64) -> bool {
        let damaged_ms = self.first_damages_ms.get(name).copied().unwrap_or(i64::MAX);
        self.last_boots_ms.get(name).is_some_and(|at_ms| *at_ms >= since_ms.max(damaged_ms))
    }

    /// Returns true if a planned fault may have cost a node what it confirmed lately: a lost write or a removed directory
    /// until the next boot, a new disk for the time of a request's retries.
    pub fn loses_new_writes(&self, name: &str, now_ms: i64) -> bool {
        let booted_ms = self.last_boots_ms.get(name).copied().unwrap_or(i64::MIN);
        let has_removed_dirs = self.removed_dirs_ms.get(name).is_some_and(|at_ms| booted_ms <= *at_ms);
        let is_new = self.new_disks_ms.get(name).is_some_and(|at_ms| now_ms - at_ms < MAX_RETRIES_MS);
        has_removed_dirs || is_new || self.lost_writes.contains(name) || self.compromised.contains(name)
    }

    /// Returns true within some minutes after a fault or a boot.
    pub fn is_recently_disturbed(&self, now_ms: i64) -> bool {
        now_ms < self.check_all_until_ms
    }

    fn fault(&mut self, action: &FaultAction, at_ms: i64) {
        self.last_fault_ms = Some(at_ms);
        self.check_all_until_ms = at_ms + CHECK_ALL_FOR_MS;
        let damaged = match action {
            FaultAction::BitRot(it) => &it.node,
            FaultAction::LatentSector(it) => &it.node,
            FaultAction::MisdirectedWrite(it) => &it.node,
            FaultAction::LostWrite(it) => {
                self.lost_writes.insert(it.node.clone());
                &it.node
            }
            FaultAction::RemoveDirectory(it) => {
                self.removed_dirs_ms.insert(it.node.clone(), at_ms);
                // Previous contents of the directory imply nothing about later contents.
                self.happened.push(FaultLogEntry::DiskReplaced(it.node.clone()));
                &it.node
            }
            FaultAction::NewDisk(it) => {
                self.new_disks_ms.insert(it.node.clone(), at_ms);
                self.unsound.insert(it.node.clone(), at_ms);
                // The state of the old disk implies nothing about the new one, damage included.
                self.damaged.remove(&it.node);
                self.first_damages_ms.remove(&it.node);
                self.happened.push(FaultLogEntry::DiskReplaced(it.node.clone()));
                return;
            }
            _ => return,
        };
        self.damaged.insert(damaged.clone());
        self.first_damages_ms.entry(damaged.clone()).or_insert(at_ms);
        self.unsound.insert(damaged.clone(), at_ms);
    }
}

/// Registers the observer and returns its log.
pub(crate) fn attach(world: &World) -> Arc<Mutex<FaultLog>> {
    let check_all_until_ms = world.start().0 + WARM_UP_MS + CHECK_ALL_FOR_MS;
    let fault_log = Arc::new(Mutex::new(FaultLog { check_all_until_ms, ..FaultLog::default() }));
    world.observe(Box::new(WithoutMarks(FaultLogObserver { fault_log: fault_log.clone() })));
    fault_log
}

struct FaultLogObserver {
    fault_log: Arc<Mutex<FaultLog>>,
}

impl Observer for FaultLogObserver {
    fn on_record(&mut self, record: &Record<'_>, world: &World) {
        let at_ms = || world.now().0;
        match record.event {
            Event::Boot => {
                let mut fault_log = lock(&self.fault_log);
                fault_log.check_all_until_ms = fault_log.check_all_until_ms.max(at_ms() + CHECK_ALL_FOR_MS);
                fault_log.happened.push(FaultLogEntry::Booted(record.node, at_ms()));
                fault_log.boots.entry(record.node).or_default().push(at_ms());
                fault_log.last_boots_ms.insert(world.node_name(record.node).to_string(), at_ms());
            }
            // The disk was replaced when the fault began; the boot at its end may come long after.
            Event::Fault { action: FaultAction::NewDisk(_), ends: true } => {
                lock(&self.fault_log).last_fault_ms = Some(at_ms());
            }
            Event::Disk { op: DiskOp::Rename, to, outcome: Ok(()), .. } if to.starts_with("objects/tee/") => {
                let came = FaultLogEntry::TeeFileCreated(record.node, to.to_owned(), at_ms());
                lock(&self.fault_log).happened.push(came);
            }
            Event::Disk { op: DiskOp::Append, path, offset: 0, outcome: Ok(()), .. } => {
                let came = match parse_segment_path(path) {
                    Some((project_day, id)) => {
                        FaultLogEntry::SegmentCreated(record.node, project_day, id, at_ms())
                    }
                    None if path.starts_with("hints/") => {
                        FaultLogEntry::HintCreated(record.node, path.to_owned(), at_ms())
                    }
                    None => return,
                };
                lock(&self.fault_log).happened.push(came);
            }
            // A day's directory is renamed, or an empty one is created for a directory that is missing.
            Event::Disk { op: DiskOp::Rename, to: target, outcome: Ok(()), .. }
            | Event::Disk { op: DiskOp::CreateDir, path: target, outcome: Ok(()), .. }
                if is_quarantine_dir(target) =>
            {
                let quarantined = FaultLogEntry::Quarantined(record.node, target.to_owned());
                lock(&self.fault_log).happened.push(quarantined);
            }
            Event::Fault { action, .. } => lock(&self.fault_log).fault(action, at_ms()),
            _ => {}
        }
    }
}

/// Whether this is the directory of a quarantined day: `arb/17/2016-02-22.corrupt-5`.
fn is_quarantine_dir(path: &str) -> bool {
    path.starts_with("arb/") && path.contains(".corrupt-") && path.matches('/').count() == 2
}

#[cfg(test)]
mod tests {
    use super::*;
    use latent_engine::sim::{BitRot, Condition, Kill, NewDisk};

    #[test]
    fn a_new_disk_is_undamaged_and_a_rotten_one_is_damaged() {
        let mut fault_log = FaultLog::default();
        assert!(!fault_log.has_active_faults());
        fault_log.fault(&FaultAction::Condition(Condition::default()), 3);
        let node = || "disk-1".to_owned();
        fault_log.fault(&FaultAction::BitRot(BitRot { node: node(), ..BitRot::default() }), 7);
        assert!(fault_log.damaged.contains("disk-1") && fault_log.unsound.get("disk-1") == Some(&7));
        fault_log.last_boots_ms.insert(node(), 8);
        assert!(fault_log.has_booted_damaged("disk-1", 2) && !fault_log.has_booted_damaged("disk-1", 9));
        fault_log.last_boots_ms.insert(node(), 6);
        assert!(!fault_log.has_booted_damaged("disk-1", 2), "it was sound when it booted");
        assert!(!fault_log.loses_new_writes("disk-1", 8), "rot of what is there costs no later write");
        fault_log.fault(&FaultAction::NewDisk(NewDisk { node: node(), restart_after_ms: 1 }), 9);
        assert!(!fault_log.damaged.contains("disk-1") && fault_log.unsound.get("disk-1") == Some(&9));
        assert!(fault_log.loses_new_writes("disk-1", 9 + MAX_RETRIES_MS - 1));
        assert!(!fault_log.loses_new_writes("disk-1", 9 + MAX_RETRIES_MS));
        assert_eq!(fault_log.take(), [FaultLogEntry::DiskReplaced(node())]);
        assert!(fault_log.has_active_faults());
        fault_log.faults_ended_ms = Some(20);
        assert!(!fault_log.has_active_faults());
    }

    #[test]
    fn a_killed_process_damages_nothing() {
        let mut fault_log = FaultLog::default();
        fault_log.fault(&FaultAction::Kill(Kill { node: "disk-1".into(), ..Kill::default() }), 7);
        assert!(
            fault_log.damaged.is_empty()
                && fault_log.unsound.is_empty()
                && fault_log.is_recently_disturbed(8)
        );
    }
}
