//! Watches removals of files as they happen: segments, hints and quarantined days.
//!
//! The oracle's laws of removals ([`latent_oracle::invariants::removals`]) hold at the instant of each removal. The
//! watcher is called at each disk operation and reads the disks: no task, no timer and no draw. What needs the ledger
//! is checked by the hourly check, from images taken at the removal.

use crate::judge::disk_views::{HINTS, day_dir, day_of, disk_of_hint, view_of, views_of_days};
use crate::mutex::lock;
use crate::observe::fault_log::FaultLog;
use crate::observe::without_marks::WithoutMarks;
use latent_engine::sim::{Event, FaultAction, FileImage, Observer, Record, World};
use latent_engine::verdict::Violation;
use latent_oracle::invariants::removals::{RemovedQuarantine, check_hint, check_quarantine, check_segment};
use latent_oracle::reader::arb_path::{manifest_path, parse_segment_path};
use latent_oracle::reader::hint::{self, HintedEvents};
use latent_oracle::{CheckContext, ClusterSnapshot, DecodeCache, DiskView, FileView, Ledger, ProjectDay};
use latent_ports::{DiskOp, NodeId};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

/// Number of checks after which the decode cache drops unused entries.
const CHECKS_PER_CACHE_ROUND: u64 = 64;
/// Disk errors of the plan excuse a hint that could not be read for this long.
const READ_ATTEMPTS_MS: i64 = 3 * 3_600_000;

/// A quarantined day that was removed, with the other copies at that time.
struct QuarantineRemoval {
    disk: NodeId,
    project_day: ProjectDay,
    number: u64,
    since_ms: i64,
    removed_ms: i64,
    views: Vec<DiskView>,
}

/// The watcher of one run.
pub(crate) struct RemovalWatcher {
    disks: Vec<NodeId>,
    ingest: Vec<NodeId>,
    fault_log: Arc<Mutex<FaultLog>>,
    decode_cache: DecodeCache,
    /// Events of each hint that was synced.
    hints: BTreeMap<(NodeId, String), HintedEvents>,
    /// Time of each quarantine, by disk and directory.
    quarantined_ms: BTreeMap<(NodeId, String), i64>,
    removed_quarantines: Vec<QuarantineRemoval>,
    checked: u64,
    found: Vec<Violation>,
}

impl RemovalWatcher {
    /// Registers the watcher and returns it.
    pub fn attach(
        world: &World,
        disks: Vec<NodeId>,
        ingest: Vec<NodeId>,
        fault_log: Arc<Mutex<FaultLog>>,
    ) -> Arc<Mutex<RemovalWatcher>> {
        let watcher = Arc::new(Mutex::new(RemovalWatcher {
            disks,
            ingest,
            fault_log,
            decode_cache: DecodeCache::default(),
            hints: BTreeMap::new(),
            quarantined_ms: BTreeMap::new(),
            removed_quarantines: Vec::new(),
            checked: 0,
            found: Vec::new(),
        }));
        world.observe(Box::new(WithoutMarks(WatcherObserver(watcher.clone()))));
        watcher
    }

    /// Moves the violations out. Checks the quarantined days that were removed since the last call.
    pub fn take_found(&mut self, ledger: &Ledger, min_disks: usize, world: &World) -> Vec<Violation> {
        for removed in std::mem::take(&mut self.removed_quarantines) {
            let QuarantineRemoval { disk, project_day, number, since_ms, removed_ms, views } = removed;
            let days = BTreeSet::from([project_day]);
            let snapshot = ClusterSnapshot::of_days(&mut self.decode_cache, &views, days);
            let disk = world.node_name(disk);
            let quarantine = RemovedQuarantine { disk: &disk, project_day, number, since_ms };
            let context = context(removed_ms);
            self.found.extend(check_quarantine(ledger, &snapshot, quarantine, min_disks, &context));
        }
        std::mem::take(&mut self.found)
    }

    fn count_check(&mut self) {
        self.checked += 1;
        if self.checked.is_multiple_of(CHECKS_PER_CACHE_ROUND) {
            self.decode_cache.next_round();
        }
    }

    fn on_disk_op(&mut self, world: &World, node: NodeId, op: DiskOp, (path, to): (&str, &str)) {
        let is_hint = path.starts_with(HINTS) && self.ingest.contains(&node);
        match op {
            DiskOp::Sync if is_hint => self.hint_synced(world, node, path),
            DiskOp::Rename if is_hint => {
                if let Some(events) = self.hints.remove(&(node, path.to_owned())) {
                    self.hints.insert((node, to.to_owned()), events);
                }
            }
            DiskOp::Remove if is_hint => self.hint_removed(world, node, path),
            _ if !self.disks.contains(&node) => {}
            DiskOp::Rename | DiskOp::CreateDir => {
                let target = if op == DiskOp::Rename { to } else { path };
                if let Some(dir) = quarantine_dir(target) {
                    self.quarantined_ms.insert((node, dir.to_owned()), world.now().0);
                }
            }
            DiskOp::Remove | DiskOp::RemoveDir => self.removed_from_disk(world, node, path),
            _ => {}
        }
    }

    fn hint_synced(&mut self, world: &World, node: NodeId, path: &str) {
        let hint = (node, path.to_owned());
        let file = world.file(node, path);
        let events = file.and_then(|file| hint::read(&mut self.decode_cache, file.chunks()));
        // After a crash that took a hint, its number may be given to another one.
        match events {
            Some(events) => drop(self.hints.insert(hint, events)),
            None => drop(self.hints.remove(&hint)),
        }
    }

    fn hint_removed(&mut self, world: &World, node: NodeId, path: &str) {
        let Some(events) = self.hints.remove(&(node, path.to_owned())) else { return };
        let Some(disk) = disk_of_hint(path).filter(|disk| self.disks.contains(disk)) else { return };
        let at_ms = world.now().0;
        if !self.is_accountable(world, disk) || self.was_unreadable(world, node, path, at_ms) {
            return;
        }
        self.count_check();
        let days: BTreeSet<ProjectDay> = events.keys().copied().collect();
        let views = views_of_days(world, [&disk], &days, true);
        let snapshot = ClusterSnapshot::of_days(&mut self.decode_cache, &views, days);
        let name = format!("{path} of {}", world.node_name(node));
        self.found.extend(check_hint(&name, &events, &snapshot.disks[0], &context(at_ms)));
    }

    /// Whether faults of the plan may have kept the node from reading the hint: it is then left to anti-entropy.
    fn was_unreadable(&self, world: &World, node: NodeId, path: &str, at_ms: i64) -> bool {
        let durable = world.durable_image_under(node, std::iter::once("hints"));
        if durable.file(path).is_some_and(|file| file.is_corrupted()) {
            return true;
        }
        let name = world.node_name(node);
        world.fault_outcomes().iter().any(|outcome| {
            let FaultAction::DiskError(error) = &outcome.fault.action else { return false };
            let was_active = outcome.triggered_at.is_some()
                && outcome.ended_at.is_none_or(|ended| ended.0 > at_ms - READ_ATTEMPTS_MS);
            *error.node == *name && was_active
        })
    }

    /// Whether the system answers for what a disk does: not while it runs a hostile release.
    fn is_accountable(&self, world: &World, disk: NodeId) -> bool {
        !lock(&self.fault_log).compromised.contains(&*world.node_name(disk))
    }

    fn removed_from_disk(&mut self, world: &World, node: NodeId, path: &str) {
        if !self.is_accountable(world, node) {
            return;
        }
        if let Some((project_day, id)) = parse_segment_path(path) {
            self.count_check();
            let manifests = manifests(world, node, project_day);
            let name = world.node_name(node);
            let place = (&*name, project_day, id);
            let found = check_segment(&mut self.decode_cache, &manifests, place, &context(world.now().0));
            self.found.extend(found);
        } else if let Some(dir) = quarantine_dir(path)
            && let Some(since_ms) = self.quarantined_ms.remove(&(node, dir.to_owned()))
            && let Some((project_day, number)) = quarantined_day(dir)
        {
            let views = views_of_days(world, &self.disks, &BTreeSet::from([project_day]), true);
            let removed_ms = world.now().0;
            let removal = QuarantineRemoval { disk: node, project_day, number, since_ms, removed_ms, views };
            self.removed_quarantines.push(removal);
        }
    }
}

/// Returns the manifest of a day as a power cut would leave it, and as reads see it.
fn manifests(world: &World, node: NodeId, project_day: ProjectDay) -> Vec<FileView> {
    let path = manifest_path(project_day);
    let dir = day_dir(project_day);
    let durable = world.durable_image_under(node, std::iter::once(dir.as_str())).file(&path);
    let files: Vec<FileImage> = durable.into_iter().chain(world.file(node, &path)).collect();
    let named = files.into_iter().map(|file| (path.as_str(), file));
    view_of("", named).files
}

fn context(at_ms: i64) -> CheckContext {
    CheckContext {
        at_ms,
        stage: "removal".to_owned(),
        settled_before_ms: at_ms,
        faults_active: false,
        replays: 0,
        damaged_disks: BTreeSet::new(),
    }
}

/// Returns the directory of a quarantined day that contains the path or equals it: `arb/17/2016-02-22.corrupt-5`.
fn quarantine_dir(path: &str) -> Option<&str> {
    let rest = path.strip_prefix("arb/")?;
    let project_len = rest.find('/')? + 1;
    let dir = rest[project_len..].split('/').next()?;
    dir.contains(".corrupt-").then(|| &path[.."arb/".len() + project_len + dir.len()])
}

/// Returns the day and the number of a quarantine directory.
fn quarantined_day(dir: &str) -> Option<(ProjectDay, u64)> {
    let (day, number) = dir.split_once(".corrupt-")?;
    Some((day_of(day)?, number.parse().ok()?))
}

struct WatcherObserver(Arc<Mutex<RemovalWatcher>>);

impl Observer for WatcherObserver {
    fn on_record(&mut self, record: &Record<'_>, world: &World) {
        match record.event {
            Event::Disk { op, path, to, outcome: Ok(()), .. } => {
                let is_watched =
                    matches!(op, DiskOp::Remove | DiskOp::RemoveDir | DiskOp::Rename | DiskOp::CreateDir)
                        || (op == DiskOp::Sync && path.starts_with(HINTS));
                if is_watched {
                    lock(&self.0).on_disk_op(world, record.node, op, (path, to));
                }
            }
            // What the old disk held is gone, not removed.
            Event::Fault { action: FaultAction::NewDisk(new_disk), .. } => {
                let Some(node) = world.node_named(&new_disk.node) else { return };
                let mut watcher = lock(&self.0);
                watcher.hints.retain(|(of, _), _| *of != node);
                watcher.quarantined_ms.retain(|(of, _), _| *of != node);
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_of_quarantined_days() {
        let dir = "arb/17/2016-02-22.corrupt-5";
        for path in [dir, "arb/17/2016-02-22.corrupt-5/1.seg"] {
            assert_eq!(quarantine_dir(path), Some(dir));
        }
        assert_eq!(quarantined_day(dir), Some((ProjectDay { project: 17, day: 16_853 }, 5)));
        assert_eq!(quarantined_day("arb/17/lease.corrupt-5"), None);
        assert_eq!(quarantine_dir("arb/17/2016-02-22/1.seg"), None);
        assert_eq!(quarantine_dir("arb/17"), None);
        assert_eq!(quarantine_dir("hints/3-7"), None);
    }
}
