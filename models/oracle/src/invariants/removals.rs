//! Removals of files, checked when they happen.
//!
//! - I9: a segment is removed only if no manifest names it as live: neither the durable one, which a power cut would
//!   leave, nor the one that reads see.
//! - I9: a quarantined day is removed only once its copy was filled again from the others.
//! - I17: a hint is removed only once its disk holds the events durably.
//!
//! Each of these mistakes is hidden within minutes: a further edit, repair or the next hint makes up for it.
//!
//! Documented in docs/invariants.md#i9 and docs/invariants.md#i17.

use super::{CheckContext, pluralize, violation};
use crate::decode_cache::DecodeCache;
use crate::identity::{DedupKey, ProjectDay};
use crate::ledger::Ledger;
use crate::reader::arb_path::segment_path;
use crate::reader::hint::HintedEvents;
use crate::snapshot::{ClusterSnapshot, DiskSnapshot};
use crate::view::FileView;
use latent_verdict::Violation;
use std::collections::BTreeSet;

/// Checks the removal of a segment against manifests of its day. A manifest that planned faults corrupted, or that is
/// unreadable, proves nothing.
#[must_use]
pub fn check_segment<'m>(
    cache: &mut DecodeCache,
    manifests: impl IntoIterator<Item = &'m FileView>,
    (disk, project_day, id): (&str, ProjectDay, u64),
    context: &CheckContext,
) -> Option<Violation> {
    let mut names_it = |file: &FileView| {
        let manifest = file.read().ok().and_then(|chunks| cache.manifest(chunks).ok());
        manifest.is_some_and(|manifest| manifest.live.contains_key(&id))
    };
    if !manifests.into_iter().any(|file| !file.corrupted && names_it(file)) {
        return None;
    }
    let path = segment_path(project_day, id);
    let detail = format!("{disk} removed {path}, which its manifest names as live");
    Some(violation("I9", "live-removed", context, project_day, 1).keys([path]).because(detail))
}

/// Checks the removal of a hint against the durable bytes of its disk. A day with corrupted files or a quarantine is
/// not compared: its events leave the disk with the day.
#[must_use]
pub fn check_hint(
    hint: &str,
    events: &HintedEvents,
    disk: &DiskSnapshot,
    context: &CheckContext,
) -> Vec<Violation> {
    let mut found = Vec::new();
    for (project_day, keys) in events {
        let day = disk.days.get(project_day);
        if disk.is_corrupted(*project_day) || day.is_some_and(|day| !day.quarantined.is_empty()) {
            continue;
        }
        let held: BTreeSet<DedupKey> =
            day.into_iter().flat_map(|day| &day.content.events).map(|event| event.key).collect();
        let missing: Vec<&DedupKey> = keys.difference(&held).collect();
        if missing.is_empty() {
            continue;
        }
        let count = missing.len() as u64;
        let detail = format!(
            "{hint} was removed although {} does not hold {} of it",
            disk.name,
            pluralize(count, "event", "events")
        );
        let found_one = violation("I17", "hint-dropped", context, *project_day, count);
        found.push(found_one.keys(missing.iter().map(ToString::to_string)).because(detail));
    }
    found
}

/// A directory of a quarantined day that was removed.
#[derive(Clone, Copy, Debug)]
pub struct RemovedQuarantine<'a> {
    /// The disk.
    pub disk: &'a str,
    /// The day.
    pub project_day: ProjectDay,
    /// Number in its name: no id that the day had used is greater.
    pub number: u64,
    /// Time of the quarantine.
    pub since_ms: i64,
}

/// Checks the removal of a quarantined day: events that were acknowledged before the quarantine and that `min_disks`
/// other disks hold must be in the refilled copy, and the manifest of that copy must record the ids that were used.
/// Returns no violation while the copy itself is corrupted or quarantined again.
#[must_use]
pub fn check_quarantine(
    ledger: &Ledger,
    snapshot: &ClusterSnapshot,
    removed: RemovedQuarantine<'_>,
    min_disks: usize,
    context: &CheckContext,
) -> Option<Violation> {
    let RemovedQuarantine { disk, project_day, number, since_ms } = removed;
    let (own, others): (Vec<&DiskSnapshot>, Vec<&DiskSnapshot>) =
        snapshot.disks.iter().partition(|one| one.name == disk);
    let own = own.first()?;
    let day = own.days.get(&project_day);
    if own.is_corrupted(project_day) || day.is_some_and(|day| !day.quarantined.is_empty()) {
        return None;
    }
    let last_edit = day.and_then(|day| day.manifest.as_ref()?.edits.last());
    if last_edit.is_none_or(|edit| edit.next_id <= number) {
        let detail = format!(
            "{disk} removed a quarantined copy of {project_day} before a manifest recorded the ids up to {number}"
        );
        return Some(violation("I9", "quarantine-dropped", context, project_day, 1).because(detail));
    }
    let holds = |disk: &DiskSnapshot, key: DedupKey| {
        let events = disk.days.get(&project_day).map(|day| &day.content.events);
        events.is_some_and(|events| events.binary_search_by_key(&key, |event| event.key).is_ok())
    };
    let acknowledged = ledger.acknowledged_before(project_day, since_ms);
    let is_lacking = |key: &DedupKey| {
        !holds(own, *key) && others.iter().filter(|other| holds(other, *key)).count() >= min_disks
    };
    let lacking: Vec<DedupKey> = acknowledged.filter(is_lacking).collect();
    if lacking.is_empty() {
        return None;
    }
    let count = lacking.len() as u64;
    let detail = format!(
        "{disk} removed a quarantined copy of {project_day} before the copy was filled again: it lacks {}",
        pluralize(count, "event", "events")
    );
    let found = violation("I9", "quarantine-dropped", context, project_day, count);
    Some(found.keys(lacking.iter().map(ToString::to_string)).because(detail))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::invariants::{noon_context, summaries};
    use crate::test_support::{
        DAY, NOON_MS, TestClients, TestDisk, TestRecord, edit, manifest, open_entry, snapshot,
    };

    const PROJECT_DAY: ProjectDay = ProjectDay { project: 17, day: DAY };

    fn recs(ids: &[&str]) -> Vec<TestRecord> {
        ids.iter().map(|id| TestRecord::new("a", id, NOON_MS)).collect()
    }

    fn copy(ids: &[&str]) -> TestDisk {
        TestDisk::default().with_day(PROJECT_DAY, &recs(ids))
    }

    #[test]
    fn a_removed_segment_must_not_be_live_in_any_manifest() {
        let file = |live: &[u64]| {
            let add: Vec<String> = live.iter().map(|id| open_entry(*id, "on-time")).collect();
            FileView::whole("arb/17/2016-02-22/manifest", manifest(&[edit(1, &add, &[], 9, 0)]))
        };
        let kind = |files: &[FileView]| {
            let place = ("disk-0", PROJECT_DAY, 4);
            check_segment(&mut DecodeCache::default(), files, place, &noon_context()).map(|found| found.kind)
        };
        assert_eq!(kind(&[file(&[5]), file(&[3, 5])]), None);
        assert_eq!(kind(&[file(&[5]), file(&[4])]).as_deref(), Some("live-removed"));
        assert_eq!(kind(&[FileView { corrupted: true, ..file(&[4]) }]), None);
        assert_eq!(kind(&[]), None);
    }

    #[test]
    fn a_removed_hint_must_be_held_by_its_disk() {
        let keys = recs(&["i1", "i2"]).iter().map(|record| record.key()).collect();
        let events = HintedEvents::from([(PROJECT_DAY, keys)]);
        let kinds = |disk: TestDisk| {
            let disk = &snapshot(&[disk]).disks[0];
            summaries(&check_hint("hints/1-7", &events, disk, &noon_context()))
        };
        assert_eq!(kinds(copy(&["i1", "i2", "i3"])), []);
        assert_eq!(kinds(copy(&["i1"])), [("hint-dropped".into(), "p17".into(), 1, false)]);
        assert_eq!(kinds(TestDisk::default())[0].2, 2);
        let mut corrupted = copy(&["i1"]);
        corrupted.mark_corrupted(PROJECT_DAY, "1.seg");
        assert_eq!(kinds(corrupted), []);
    }

    #[test]
    fn a_removed_quarantine_must_have_been_filled_again() {
        let ledger = TestClients::new().acked(17, &recs(&["i1", "i2"])).ledger;
        let (whole, empty) = (copy(&["i1", "i2"]), copy(&["i1"]));
        let kind = |disks: &[TestDisk], since_ms: i64| {
            let removed = RemovedQuarantine { disk: "disk-0", project_day: PROJECT_DAY, number: 1, since_ms };
            check_quarantine(&ledger, &snapshot(disks), removed, 2, &noon_context()).map(|found| found.items)
        };
        let later_ms = noon_context().at_ms;
        assert_eq!(kind(&[empty.clone(), whole.clone(), whole.clone()], later_ms), Some(1));
        assert_eq!(kind(&[whole.clone(), whole.clone(), whole.clone()], later_ms), None);
        assert_eq!(kind(&[empty.clone(), whole.clone(), empty.clone()], later_ms), None, "on one other disk");
        assert_eq!(kind(&[empty, whole.clone(), whole.clone()], i64::MIN), None, "acknowledged afterwards");
        let mut new = whole.clone();
        new.put(PROJECT_DAY, "manifest", manifest(&[]));
        assert_eq!(kind(&[new, whole.clone(), whole], i64::MIN), Some(1), "ids are not recorded");
    }
}
