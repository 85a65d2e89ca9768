//! Deadlines that hold for all nodes that are not affected by a fault, also while faults are active elsewhere: a hint
//! is handed off within an hour, events that arrived before midnight are compacted two hours later, and copies are
//! equal after their comparison.
//!
//! The fault log names the files that were created, so a check costs only what changed. The bytes decide whether the
//! work was done. Each hourly check applies the oracle's law with the excuses of the nodes.

use super::OracleChecker;
use crate::cluster::node_ids::NodeIds;
use crate::judge::disk_views::{disk_of_hint, views_of_days};
use crate::mutex::lock;
use latent_engine::sim::World;
use latent_oracle::invariants::l1_backlogs::late_hint;
use latent_oracle::invariants::l2_nightly_compaction::NightlyCompactionChecker;
use latent_oracle::invariants::l5_nightly_comparison::ComparisonChecker;
use latent_oracle::{CheckContext, ClusterSnapshot, ProjectDay};
use latent_ports::NodeId;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// Work with a deadline.
pub(super) struct Deadlines {
    /// Creation time of each hint, by node and path.
    hints: BTreeMap<(NodeId, String), i64>,
    pub nightly: NightlyCompactionChecker,
    comparisons: ComparisonChecker,
}

impl Deadlines {
    pub fn new(compared_after_midnight: Duration) -> Deadlines {
        let comparisons = ComparisonChecker::new(compared_after_midnight.as_millis() as i64);
        Deadlines { hints: BTreeMap::new(), nightly: NightlyCompactionChecker::default(), comparisons }
    }

    /// Records a hint that was created. The last creation counts: numbers of hints are used again after a boot.
    pub fn hint_created(&mut self, node: NodeId, path: String, at_ms: i64) {
        self.hints.insert((node, path), at_ms);
    }
}

impl OracleChecker {
    /// Records a segment that was created on a disk.
    pub(super) fn segment_created(&mut self, disk: &str, project_day: ProjectDay, id: u64, at_ms: i64) {
        let client_state = self.client_state.clone();
        let ledger = lock(&client_state.ledger);
        self.deadlines.nightly.record_segment(disk, project_day, id, ledger.zones(), at_ms);
        self.deadlines.comparisons.record_write(project_day, ledger.zones(), at_ms);
    }

    /// Checks all deadlines that have passed.
    pub fn check_deadlines(&mut self, world: &World, nodes: &NodeIds) {
        self.apply_fault_log(world, nodes);
        self.corrupt_days.scan(world, &nodes.disks, &lock(&self.fault_log).damaged);
        let now = self.check_context(world, "hourly", false);
        self.check_hints(world, nodes, &now);
        self.check_nightly_jobs(world, nodes, &now);
        self.check_copies(world, nodes, &now);
        self.check_reports(world, nodes, &now);
    }

    /// Checks hints as their processes see them: a hint whose removal is not durable returns only after a crash.
    fn check_hints(&mut self, world: &World, nodes: &NodeIds, now: &CheckContext) {
        let mut found = Vec::new();
        for node in &nodes.ingest {
            if !self.deadlines.hints.keys().any(|(at, _)| at == node) {
                continue;
            }
            let image = world.disk_image_under(*node, std::iter::once("hints"));
            let there: BTreeSet<&str> = image.files().map(|(path, _)| path).collect();
            self.deadlines.hints.retain(|(at, path), _| at != node || there.contains(path.as_str()));
            let name = world.node_name(*node);
            for ((_, path), kept_ms) in self.deadlines.hints.iter().filter(|((at, _), _)| at == node) {
                let Some(disk) = disk_of_hint(path).filter(|disk| nodes.disks.contains(disk)) else {
                    continue;
                };
                let disk = world.node_name(disk);
                if self.compromised.contains(&*disk) {
                    continue;
                }
                let excused = self.excuses.for_job(&self.job_dependencies.hint(&name, &disk));
                found.extend(late_hint(&name, path, *kept_ms, &excused, now));
            }
        }
        self.report(found);
    }

    /// Checks uncompacted segments in the durable bytes and as the disk's process sees them: an edit that was
    /// confirmed and lost is visible to the process until it dies.
    fn check_nightly_jobs(&mut self, world: &World, nodes: &NodeIds, now: &CheckContext) {
        for is_durable in [true, false] {
            let client_state = self.client_state.clone();
            let due = self.deadlines.nightly.due(lock(&client_state.ledger).zones(), now.at_ms);
            if due.is_empty() {
                return;
            }
            let views = views_of_days(world, &nodes.disks, &due, is_durable);
            let snapshot = ClusterSnapshot::of_days(&mut self.decode_cache, &views, due);
            self.deadlines.nightly.update(&snapshot, lock(&client_state.ledger).zones(), now.at_ms);
        }
        let client_state = self.client_state.clone();
        let ledger = lock(&client_state.ledger);
        let (needs, compromised) = (&self.job_dependencies, &self.compromised);
        let mut excused = |disk: &str, project_day| match compromised.contains(disk) {
            true => latent_oracle::ExcusedPeriods::of([(i64::MIN / 2, i64::MAX)]),
            false => {
                let excused = self.excuses.for_job(&needs.compaction(disk));
                excused.union(&self.corrupt_days.excused(disk, project_day))
            }
        };
        let found = self.deadlines.nightly.late(ledger.zones(), &mut excused, now);
        drop(ledger);
        self.report(found);
    }

    fn check_copies(&mut self, world: &World, nodes: &NodeIds, now: &CheckContext) {
        if self.operator.is_recovering {
            return;
        }
        let client_state = self.client_state.clone();
        let due = self.deadlines.comparisons.due(lock(&client_state.ledger).zones(), now.at_ms);
        for (compared_ms, days) in due {
            let in_place: Vec<NodeId> = {
                let is_in_place = |node: &&NodeId| {
                    let name = world.node_name(**node);
                    let excused = self.excuses.for_job(&self.job_dependencies.copy(&name));
                    excused.covers_none_of(compared_ms, now.at_ms) && !self.compromised.contains(&*name)
                };
                nodes.disks.iter().filter(is_in_place).copied().collect()
            };
            if in_place.len() < self.read_disks {
                continue;
            }
            let views = views_of_days(world, &in_place, &days, true);
            let snapshot = ClusterSnapshot::of_days(&mut self.decode_cache, &views, days);
            let found = self.deadlines.comparisons.check(&snapshot, compared_ms, now);
            self.report(found);
        }
    }
}
