//! I17: each copy alone keeps what it holds. An event that a disk holds durably leaves it only with its whole day, when
//! the day is quarantined.
//!
//! Repair fills in what one copy lost, so a look at all copies together does not see the loss, and the number of copies
//! that an acknowledgement promises has fallen meanwhile. The checker compares each copy of a day with the same copy in
//! the last snapshot, whatever edits lie between. A sealed segment counts with the bytes that were sealed, also where
//! planned faults corrupted it since: a reader can tell, and must not go on without its events. Events that no disk
//! holds any more are left to I1 and I8.
//!
//! A boot cannot tell the end of a corrupted open segment from a write that a crash cut short. So in a day with a
//! corrupted file, only sealed segments are compared over a boot. Not compared: a copy with a corrupted open segment or
//! manifest, while it has one; a copy with files that cannot be read without such a cause, which I9 reports.
//!
//! Documented in docs/invariants.md#i17.

use super::quarantine::QuarantineTracker;
use super::{CheckContext, pluralize, violation};
use crate::content::DayContent;
use crate::decode_cache::DecodeCache;
use crate::identity::{DedupKey, ProjectDay};
use crate::reader::arb_path::manifest_path;
use crate::reader::segment::Segment;
use crate::snapshot::{ClusterSnapshot, DayReplica, DiskSnapshot};
use latent_verdict::Violation;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

#[derive(Debug)]
struct ObservedCopy {
    at_ms: i64,
    all: Arc<DayContent>,
    /// Contents of its sealed segments.
    sealed: Arc<DayContent>,
}

/// Compares copies from snapshot to snapshot.
#[derive(Debug, Default)]
pub struct CopyChecker {
    /// Contents of each copy in the last snapshot in which it could be compared.
    last: BTreeMap<(String, ProjectDay), ObservedCopy>,
    quarantines: QuarantineTracker,
}

impl CopyChecker {
    /// Drops the state of a disk that was replaced or emptied.
    pub fn forget(&mut self, disk: &str) {
        self.last.retain(|(name, _), _| name != disk);
        self.quarantines.forget(disk);
    }

    /// Compares every copy of the snapshot with its last state. `has_booted` tells whether a disk has booted since a
    /// time, and after it was damaged.
    pub fn check(
        &mut self,
        cache: &mut DecodeCache,
        snapshot: &ClusterSnapshot,
        has_booted: impl Fn(&str, i64) -> bool,
        context: &CheckContext,
    ) -> Vec<Violation> {
        let mut dropped: BTreeMap<ProjectDay, (BTreeSet<DedupKey>, BTreeSet<String>)> = BTreeMap::new();
        for disk in &snapshot.disks {
            for (project_day, day) in &disk.days {
                if self.quarantines.has_new(&disk.name, *project_day, &day.quarantined) {
                    self.last.remove(&(disk.name.clone(), *project_day));
                }
                let copy = (disk.name.clone(), *project_day);
                let Some((all, sealed)) = content(cache, disk, *project_day, day) else {
                    // What it holds now is unknown, and so is what it may lose until it is known again.
                    self.last.remove(&copy);
                    continue;
                };
                let observed = ObservedCopy { at_ms: context.at_ms, all: all.clone(), sealed };
                if let Some(before) = self.last.insert(copy, observed) {
                    let may_be_cut = disk.is_corrupted(*project_day) && has_booted(&disk.name, before.at_ms);
                    let mut missing =
                        keys_missing(if may_be_cut { &before.sealed } else { &before.all }, &all);
                    missing.retain(|key| snapshot.holds(*project_day, *key));
                    if !missing.is_empty() {
                        let (keys, disks) = dropped.entry(*project_day).or_default();
                        keys.extend(missing);
                        disks.insert(disk.name.clone());
                    }
                }
            }
        }
        let report = |(project_day, (keys, disks)): (ProjectDay, (BTreeSet<DedupKey>, BTreeSet<String>))| {
            let detail = format!(
                "{} no longer on {}, without a quarantine of {project_day}",
                pluralize(keys.len() as u64, "event is", "events are"),
                disks.into_iter().collect::<Vec<_>>().join(", ")
            );
            violation("I17", "dropped", context, project_day, keys.len() as u64)
                .keys(keys.iter().map(DedupKey::to_string))
                .because(detail)
        };
        dropped.into_iter().map(report).collect()
    }
}

/// Returns the events of a copy, and those in its sealed segments; `None` if it cannot be compared.
fn content(
    cache: &mut DecodeCache,
    disk: &DiskSnapshot,
    project_day: ProjectDay,
    day: &DayReplica,
) -> Option<(Arc<DayContent>, Arc<DayContent>)> {
    if disk.corrupted.contains(&manifest_path(project_day)) {
        return None;
    }
    let manifest = day.manifest.as_ref()?;
    let mut segments: Vec<Arc<Segment>> = Vec::with_capacity(manifest.live.len());
    let mut sealed: Vec<Arc<Segment>> = Vec::new();
    for (id, entry) in &manifest.live {
        let segment = match day.corrupted_files.get(id) {
            None => day.live.get(id)?.clone(),
            Some(file) if entry.sealed => {
                let written = cache.segment(&file.as_written, true).ok()?;
                Some(written).filter(|segment| segment.hash.as_deref() == Some(entry.hash.as_str()))?
            }
            Some(_) => return None,
        };
        sealed.extend(entry.sealed.then(|| segment.clone()));
        segments.push(segment);
    }
    Some((cache.day(segments.iter()), cache.day(sealed.iter())))
}

fn keys_missing(before: &DayContent, now: &DayContent) -> Vec<DedupKey> {
    if before.id == now.id {
        return Vec::new();
    }
    let mut present = now.events.iter().map(|event| event.key).peekable();
    let mut missing = Vec::new();
    for event in &before.events {
        while present.next_if(|key| *key < event.key).is_some() {}
        if present.peek() != Some(&event.key) {
            missing.push(event.key);
        }
    }
    missing
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::invariants::{noon_context, summaries};
    use crate::test_support::{DAY, NOON_MS, TestDisk, TestRecord, compacted, edit, manifest, sealed_entry};
    use bytes::Bytes;

    const PROJECT_DAY: ProjectDay = ProjectDay { project: 17, day: DAY };

    fn recs(ids: &[&str]) -> Vec<TestRecord> {
        ids.iter().map(|id| TestRecord::new("a", id, NOON_MS)).collect()
    }

    /// A copy with one sealed segment.
    fn sealed(id: u64, ids: &[&str]) -> (TestDisk, Bytes) {
        let file = compacted(PROJECT_DAY, id, recs(ids));
        let entry = sealed_entry(id, "compacted", &file, ids.len());
        let mut disk = TestDisk::default();
        disk.put(PROJECT_DAY, &format!("{id}.seg"), file.clone());
        disk.put(PROJECT_DAY, "manifest", manifest(&[edit(1, &[entry], &[], id + 1, 0)]));
        (disk, file)
    }

    type Looks = (DecodeCache, CopyChecker);

    fn check((cache, checker): &mut Looks, disks: &[&TestDisk]) -> Vec<(String, String, u64, bool)> {
        let views: Vec<_> =
            disks.iter().enumerate().map(|(at, disk)| disk.view(&format!("disk-{at}"))).collect();
        let snapshot = ClusterSnapshot::of(cache, &views);
        summaries(&checker.check(cache, &snapshot, |_, _| false, &noon_context()))
    }

    fn dropped(items: u64) -> Vec<(String, String, u64, bool)> {
        vec![("dropped".into(), "p17".into(), items, false)]
    }

    #[test]
    fn a_copy_that_only_grows_passes() {
        let mut looks = Looks::default();
        for ids in [&["i1"][..], &["i1", "i2"], &["i1", "i2", "i3"]] {
            assert_eq!(check(&mut looks, &[&sealed(1, ids).0]), []);
        }
    }

    #[test]
    fn an_event_that_leaves_one_copy_is_reported_although_others_hold_it() {
        let (both, one) = (sealed(1, &["i1", "i2"]).0, sealed(2, &["i1"]).0);
        let mut looks = Looks::default();
        assert_eq!(check(&mut looks, &[&both, &both]), []);
        assert_eq!(check(&mut looks, &[&both, &one]), dropped(1));
        assert_eq!(check(&mut looks, &[&one, &one]), [], "no disk holds it any more, which I1 and I8 report");
        looks.1.forget("disk-0");
        let empty = sealed(3, &[]).0;
        assert_eq!(check(&mut looks, &[&empty, &one]), [], "a replaced disk starts over");
    }

    #[test]
    fn a_quarantined_day_starts_over() {
        let mut looks = Looks::default();
        check(&mut looks, &[&sealed(1, &["i1", "i2"]).0]);
        let (mut empty, _) = sealed(9, &[]);
        empty.files.insert("arb/17/2016-02-22.corrupt-6/1.seg".into(), Bytes::from_static(b"x"));
        assert_eq!(check(&mut looks, &[&empty]), []);
    }

    #[test]
    fn a_corrupted_sealed_segment_still_counts_with_the_bytes_that_were_sealed() {
        let (good, file) = sealed(1, &["i1", "i2"]);
        let views = |disk: &TestDisk, as_written: &Bytes| {
            let mut view = disk.view("disk-0");
            for file in view.files.iter_mut().filter(|file| file.path.ends_with("1.seg")) {
                (file.corrupted, file.unreadable) = (true, true);
                file.as_written = vec![as_written.clone()];
            }
            view
        };
        let (after, other) = (sealed(2, &["i1"]).0, good.view("disk-1"));
        for (as_written, expected) in [(file, dropped(1)), (Bytes::from_static(b"lost"), vec![])] {
            let (mut cache, mut checker) = (DecodeCache::default(), CopyChecker::default());
            let mut look = |view| {
                let snapshot = ClusterSnapshot::of(&mut cache, &[view, other.clone()]);
                summaries(&checker.check(&mut cache, &snapshot, |_, _| true, &noon_context()))
            };
            assert_eq!(look(views(&good, &as_written)), []);
            assert_eq!(look(after.view("disk-0")), expected);
        }
    }
}
