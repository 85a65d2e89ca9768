//! Deadlines that hold whenever nothing is in the way of the nodes concerned, while trouble goes on elsewhere and while it
//! does not: a hint is handed off within an hour, what had come in at midnight is compacted two hours later, copies are
//! equal once they were compared.
//!
//! What has to be looked at is heard from the trace (which files were begun), so that a look costs what changed since.
//! Whether it was done, the bytes say. Each is judged by its oracle's law at the hourly looks, with the excuses of its
//! nodes.

use super::{OracleChecker, view_of};
use crate::lock;
use crate::topology::NodeIds;
use latent_engine::sim::World;
use latent_oracle::invariants::l1_backlogs::late_hint;
use latent_oracle::invariants::l2_nightly::NightlyWatch;
use latent_oracle::invariants::l5_compared::ComparisonWatch;
use latent_oracle::{DiskView, Moment, ProjectDay, Snapshot, day};
use latent_ports::NodeId;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// What is to be done by when.
pub(super) struct Deadlines {
    /// When each hint was begun, by its node and path.
    hints: BTreeMap<(NodeId, String), i64>,
    pub nightly: NightlyWatch,
    comparisons: ComparisonWatch,
}

impl Deadlines {
    pub fn new(compared_after_midnight: Duration) -> Deadlines {
        let comparisons = ComparisonWatch::new(compared_after_midnight.as_millis() as i64);
        Deadlines { hints: BTreeMap::new(), nightly: NightlyWatch::default(), comparisons }
    }

    pub fn hint_created(&mut self, node: NodeId, path: String, at_ms: i64) {
        self.hints.entry((node, path)).or_insert(at_ms);
    }
}

impl OracleChecker {
    /// A segment was begun on a disk.
    pub(super) fn segment_created(&mut self, disk: &str, project_day: ProjectDay, id: u64, at_ms: i64) {
        let client_state = self.client_state.clone();
        let ledger = lock(&client_state.ledger);
        self.deadlines.nightly.came(disk, project_day, id, ledger.zones(), at_ms);
        self.deadlines.comparisons.written(project_day, ledger.zones(), at_ms);
    }

    /// Judges what should be done by now.
    pub fn check_deadlines(&mut self, world: &World, nodes: &NodeIds) {
        self.apply_fault_log(world, nodes);
        let now = self.check_context(world, "hourly", false);
        self.check_hints(world, nodes, &now);
        self.check_nightly_jobs(world, nodes, &now);
        self.check_copies(world, nodes, &now);
    }

    /// Hints as their processes see them: one whose removal is not yet durable comes back after a crash alone.
    fn check_hints(&mut self, world: &World, nodes: &NodeIds, now: &Moment) {
        let mut found = Vec::new();
        for node in &nodes.ingest {
            if !self.deadlines.hints.keys().any(|(at, _)| at == node) {
                continue;
            }
            let image = world.disk_image_below(*node, std::iter::once("hints"));
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
                let excused = lock(&self.fault_log).excuses.of(&self.needs.hint(&name, &disk));
                found.extend(late_hint(&name, path, *kept_ms, &excused, now));
            }
        }
        self.report(found);
    }

    /// What is dirty by what is durable, and as the disk's process sees it: an edit that was confirmed and lost is there for
    /// the process until it dies.
    fn check_nightly_jobs(&mut self, world: &World, nodes: &NodeIds, now: &Moment) {
        for is_durable in [true, false] {
            let client_state = self.client_state.clone();
            let due = self.deadlines.nightly.due(lock(&client_state.ledger).zones(), now.at_ms);
            if due.is_empty() {
                return;
            }
            let views = views_of_days(world, nodes.disks.iter(), &due, is_durable);
            let snapshot = Snapshot::of_days(&mut self.decode_cache, &views, due);
            self.deadlines.nightly.look(&snapshot, lock(&client_state.ledger).zones(), now.at_ms);
        }
        let client_state = self.client_state.clone();
        let ledger = lock(&client_state.ledger);
        let fault_log = lock(&self.fault_log);
        let (needs, compromised) = (&self.needs, &self.compromised);
        let mut excused = |disk: &str| match compromised.contains(disk) {
            true => latent_oracle::Excused::of([(i64::MIN / 2, i64::MAX)]),
            false => fault_log.excuses.of(&needs.compaction(disk)),
        };
        let found = self.deadlines.nightly.late(ledger.zones(), &mut excused, now);
        drop(fault_log);
        drop(ledger);
        self.report(found);
    }

    fn check_copies(&mut self, world: &World, nodes: &NodeIds, now: &Moment) {
        if lock(&self.fault_log).is_recovering() {
            return;
        }
        let client_state = self.client_state.clone();
        let due = self.deadlines.comparisons.due(lock(&client_state.ledger).zones(), now.at_ms);
        for (compared_ms, days) in due {
            let in_place: Vec<NodeId> = {
                let fault_log = lock(&self.fault_log);
                let is_in_place = |node: &&NodeId| {
                    let name = world.node_name(**node);
                    let excused = fault_log.excuses.of(&self.needs.copy(&name));
                    excused.is_free(compared_ms, now.at_ms) && !self.compromised.contains(&*name)
                };
                nodes.disks.iter().filter(is_in_place).copied().collect()
            };
            if in_place.len() < self.read_disks {
                continue;
            }
            let views = views_of_days(world, in_place.iter(), &days, true);
            let snapshot = Snapshot::of_days(&mut self.decode_cache, &views, days);
            let found = self.deadlines.comparisons.check(&snapshot, compared_ms, now);
            self.report(found);
        }
    }
}

fn views_of_days<'n>(
    world: &World,
    disks: impl Iterator<Item = &'n NodeId>,
    days: &BTreeSet<ProjectDay>,
    is_durable: bool,
) -> Vec<DiskView> {
    let dirs: Vec<String> = days
        .iter()
        .map(|project_day| format!("arb/{}/{}", project_day.project, day::day_text(project_day.day)))
        .collect();
    let view = |node: &NodeId| {
        let dirs = dirs.iter().map(String::as_str);
        let image = match is_durable {
            true => world.durable_image_below(*node, dirs),
            false => world.disk_image_below(*node, dirs),
        };
        view_of(&world.node_name(*node), image.files())
    };
    disks.map(view).collect()
}

/// The disk that a hint is for: `hints/3-7` is the seventh for node 3.
fn disk_of_hint(path: &str) -> Option<NodeId> {
    path.strip_prefix("hints/")?.split_once('-')?.0.parse().ok().map(NodeId)
}
