//! Deadlines that hold whenever nothing is in the way of the nodes concerned, while trouble goes on elsewhere and while it
//! does not: a hint is handed off within an hour, what had come in at midnight is compacted two hours later, copies are
//! equal once they were compared.
//!
//! What has to be looked at is heard from the trace (which files were begun), so that a look costs what changed since.
//! Whether it was done, the bytes say. Each is judged by its oracle's law at the hourly looks, with the excuses of its
//! nodes.

use super::{Judge, view_of};
use crate::lock;
use crate::topology::Nodes;
use latent_engine::sim::World;
use latent_oracle::invariants::l1_backlogs::late_hint;
use latent_oracle::invariants::l2_nightly_compaction::NightlyCompactionChecker;
use latent_oracle::invariants::l5_nightly_comparison::ComparisonChecker;
use latent_oracle::{CheckContext, ClusterSnapshot, DiskView, ProjectDay, day};
use latent_ports::NodeId;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// What is to be done by when.
pub(super) struct Deadlines {
    /// When each hint was begun, by its node and path.
    hints: BTreeMap<(NodeId, String), i64>,
    pub nights: NightlyCompactionChecker,
    comparisons: ComparisonChecker,
}

impl Deadlines {
    pub fn new(compared_after_midnight: Duration) -> Deadlines {
        let comparisons = ComparisonChecker::new(compared_after_midnight.as_millis() as i64);
        Deadlines { hints: BTreeMap::new(), nights: NightlyCompactionChecker::default(), comparisons }
    }

    pub fn hint_came(&mut self, node: NodeId, path: String, at_ms: i64) {
        self.hints.entry((node, path)).or_insert(at_ms);
    }
}

impl Judge {
    /// A segment was begun on a disk.
    pub(super) fn segment_came(&mut self, disk: &str, of: ProjectDay, id: u64, at_ms: i64) {
        let side = self.side.clone();
        let ledger = lock(&side.ledger);
        self.deadlines.nights.record_segment(disk, of, id, ledger.zones(), at_ms);
        self.deadlines.comparisons.record_write(of, ledger.zones(), at_ms);
    }

    /// Judges what should be done by now.
    pub fn look_at_deadlines(&mut self, world: &World, nodes: &Nodes) {
        self.hear(world, nodes);
        let now = self.moment(world, "hourly", false);
        self.hints_in_time(world, nodes, &now);
        self.nights_in_time(world, nodes, &now);
        self.copies_in_time(world, nodes, &now);
    }

    /// Hints as their processes see them: one whose removal is not yet durable comes back after a crash alone.
    fn hints_in_time(&mut self, world: &World, nodes: &Nodes, now: &CheckContext) {
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
                if self.destroyed.contains(&*disk) {
                    continue;
                }
                let excused = lock(&self.chronicle).excuses.of(&self.needs.hint(&name, &disk));
                found.extend(late_hint(&name, path, *kept_ms, &excused, now));
            }
        }
        self.note(found);
    }

    /// What is dirty by what is durable, and as the disk's process sees it: an edit that was confirmed and lost is there for
    /// the process until it dies.
    fn nights_in_time(&mut self, world: &World, nodes: &Nodes, now: &CheckContext) {
        for is_durable in [true, false] {
            let side = self.side.clone();
            let due = self.deadlines.nights.due(lock(&side.ledger).zones(), now.at_ms);
            if due.is_empty() {
                return;
            }
            let views = views_of_days(world, nodes.disks.iter(), &due, is_durable);
            let snapshot = ClusterSnapshot::of_days(&mut self.decode_cache, &views, due);
            self.deadlines.nights.update(&snapshot, lock(&side.ledger).zones(), now.at_ms);
        }
        let side = self.side.clone();
        let ledger = lock(&side.ledger);
        let chronicle = lock(&self.chronicle);
        let (needs, destroyed) = (&self.needs, &self.destroyed);
        let mut excused = |disk: &str| match destroyed.contains(disk) {
            true => latent_oracle::ExcusedPeriods::of([(i64::MIN / 2, i64::MAX)]),
            false => chronicle.excuses.of(&needs.compaction(disk)),
        };
        let found = self.deadlines.nights.late(ledger.zones(), &mut excused, now);
        drop(chronicle);
        drop(ledger);
        self.note(found);
    }

    fn copies_in_time(&mut self, world: &World, nodes: &Nodes, now: &CheckContext) {
        if lock(&self.chronicle).is_recovering() {
            return;
        }
        let side = self.side.clone();
        let due = self.deadlines.comparisons.due(lock(&side.ledger).zones(), now.at_ms);
        for (compared_ms, days) in due {
            let in_place: Vec<NodeId> = {
                let chronicle = lock(&self.chronicle);
                let is_in_place = |node: &&NodeId| {
                    let name = world.node_name(**node);
                    let excused = chronicle.excuses.of(&self.needs.copy(&name));
                    excused.covers_none_of(compared_ms, now.at_ms) && !self.destroyed.contains(&*name)
                };
                nodes.disks.iter().filter(is_in_place).copied().collect()
            };
            if in_place.len() < self.read_disks {
                continue;
            }
            let views = views_of_days(world, in_place.iter(), &days, true);
            let snapshot = ClusterSnapshot::of_days(&mut self.decode_cache, &views, days);
            let found = self.deadlines.comparisons.check(&snapshot, compared_ms, now);
            self.note(found);
        }
    }
}

fn views_of_days<'n>(
    world: &World,
    disks: impl Iterator<Item = &'n NodeId>,
    days: &BTreeSet<ProjectDay>,
    is_durable: bool,
) -> Vec<DiskView> {
    let dirs: Vec<String> =
        days.iter().map(|of| format!("arb/{}/{}", of.project, day::format_day(of.day))).collect();
    let view = |node: &NodeId| {
        let dirs = dirs.iter().map(String::as_str);
        let image = match is_durable {
            true => world.durable_image_under(*node, dirs),
            false => world.disk_image_under(*node, dirs),
        };
        view_of(&world.node_name(*node), image.files())
    };
    disks.map(view).collect()
}

/// The disk that a hint is for: `hints/3-7` is the seventh for node 3.
fn disk_of_hint(path: &str) -> Option<NodeId> {
    path.strip_prefix("hints/")?.split_once('-')?.0.parse().ok().map(NodeId)
}
