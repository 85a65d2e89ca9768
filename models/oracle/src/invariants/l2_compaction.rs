//! L2: once faults stop, each dirty day that has ended is compacted on every disk.
//!
//! A segment is dirty until a compaction has merged it. Files carry no dates: a segment's time counts from the first
//! check after the end of its day that found it dirty, and from the end of faults. Repairs also write to old days:
//! that makes new segments, with their own time. A replica whose manifest is unreadable, or was corrupted by a planned
//! fault, is not checked here.
//!
//! Documented in docs/invariants.md#l2.

use super::liveness_violation::LivenessViolation;
use crate::day::ProjectZones;
use crate::identity::ProjectDay;
use crate::reader::segment::Tier;
use crate::snapshot::ClusterSnapshot;
use std::collections::{BTreeMap, BTreeSet};

/// The project's next midnight is at most 25 h away (where clocks are set back), its job starts within minutes and is
/// retried for an hour by either worker: three hours after midnight it has ended.
pub const WITHIN_MS: i64 = 27 * 3_600_000;

/// Tracks dirty segments of ended days from check to check.
#[derive(Clone, Debug, Default)]
pub struct DirtySegmentChecker {
    since_ms: BTreeMap<(String, ProjectDay), BTreeMap<u64, i64>>,
}

impl DirtySegmentChecker {
    /// Drops the state of a disk that is not checked any more.
    pub fn forget(&mut self, disk: &str) {
        self.since_ms.retain(|(name, _), _| name != disk);
    }

    /// Records the dirty segments of the days that `snapshot` covers.
    pub fn update(&mut self, snapshot: &ClusterSnapshot, zones: &ProjectZones, now_ms: i64) {
        let covers = |project_day: &ProjectDay| {
            snapshot.scope.as_ref().is_none_or(|scope| scope.contains(project_day))
        };
        let mut before = BTreeMap::new();
        self.since_ms.retain(|(disk, project_day), since_ms| {
            let was_checked =
                covers(project_day) && snapshot.disks.iter().any(|was_checked| was_checked.name == *disk);
            if was_checked {
                before.insert((disk.clone(), *project_day), std::mem::take(since_ms));
            }
            !was_checked
        });
        for disk in &snapshot.disks {
            for project_day in disk.days.keys() {
                let Some(manifest) = disk.intact_manifest(*project_day) else { continue };
                let mut dirty =
                    manifest.live.iter().filter(|(_, entry)| entry.tier != Tier::Compacted).peekable();
                let has_ended = || {
                    zones.day(project_day.project, now_ms, now_ms).is_ok_and(|today| today > project_day.day)
                };
                if dirty.peek().is_none() || !has_ended() {
                    continue;
                }
                let key = (disk.name.clone(), *project_day);
                let known = before.remove(&key).unwrap_or_default();
                let since = dirty.map(|(id, _)| (*id, known.get(id).copied().unwrap_or(now_ms)));
                self.since_ms.insert(key, since.collect());
            }
        }
    }

    /// Returns the days of [`DirtySegmentChecker::waiting`], which must be read again before they are reported.
    #[must_use]
    pub fn late_days(&self, faults_ended_ms: i64, now_ms: i64) -> BTreeSet<ProjectDay> {
        let is_late = |segments: &BTreeMap<u64, i64>| {
            let first_ms = segments.values().min();
            first_ms.is_some_and(|first| {
                LivenessViolation::if_overdue("L2", (*first).max(faults_ended_ms), WITHIN_MS, now_ms)
                    .is_some()
            })
        };
        self.since_ms
            .iter()
            .filter(|(_, segments)| is_late(segments))
            .map(|((_, project_day), _)| *project_day)
            .collect()
    }

    /// Returns the days that were dirty for too long, as of the last update.
    #[must_use]
    pub fn waiting(&self, faults_ended_ms: i64, now_ms: i64) -> Vec<LivenessViolation> {
        let late = |((disk, project_day), segments): (&(String, ProjectDay), &BTreeMap<u64, i64>)| {
            let (id, first_ms) = segments.iter().min_by_key(|(id, since_ms)| (**since_ms, **id))?;
            let late =
                LivenessViolation::if_overdue("L2", (*first_ms).max(faults_ended_ms), WITHIN_MS, now_ms)?;
            Some(late.at(disk).of(*project_day).file(&format!("{id}.seg")).what("is not compacted"))
        };
        self.since_ms.iter().filter_map(late).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_support::{
        self, DAY, NOON_MS, TestDisk, TestRecord, edit, manifest, open_entry, sealed_entry, snapshot,
    };

    const PROJECT_DAY: ProjectDay = ProjectDay { project: 17, day: DAY };
    const MIDNIGHT_MS: i64 = NOON_MS + 12 * 3_600_000;

    fn zones() -> ProjectZones {
        let mut zones = ProjectZones::default();
        zones.set(17, i64::MIN, "UTC").unwrap();
        zones
    }

    fn open(ids: &[u64]) -> TestDisk {
        let mut disk = TestDisk::default();
        let entries: Vec<String> = ids.iter().map(|id| open_entry(*id, "late")).collect();
        disk.put(PROJECT_DAY, "manifest", manifest(&[edit(1, &entries, &[], 9, 0)]));
        for id in ids {
            disk.put(
                PROJECT_DAY,
                &format!("{id}.seg"),
                test_support::segment(0, PROJECT_DAY, *id, &[vec![TestRecord::new("a", "i1", NOON_MS)]]),
            );
        }
        disk
    }

    fn compacted() -> TestDisk {
        let mut disk = TestDisk::default();
        let file = test_support::compacted(PROJECT_DAY, 3, vec![TestRecord::new("a", "i1", NOON_MS)]);
        disk.put(
            PROJECT_DAY,
            "manifest",
            manifest(&[edit(1, &[sealed_entry(3, "compacted", &file, 1)], &[], 4, 1)]),
        );
        disk.put(PROJECT_DAY, "3.seg", file);
        disk
    }

    fn update(checker: &mut DirtySegmentChecker, disk: &TestDisk, now_ms: i64) -> Vec<String> {
        checker.update(&snapshot(std::slice::from_ref(disk)), &zones(), now_ms);
        checker.waiting(MIDNIGHT_MS, now_ms).iter().map(LivenessViolation::to_string).collect()
    }

    #[test]
    fn an_ended_day_that_stays_dirty_is_reported_until_it_is_compacted() {
        let mut checker = DirtySegmentChecker::default();
        assert_eq!(update(&mut checker, &open(&[1]), MIDNIGHT_MS - 1), [""; 0], "the day has not ended");
        assert_eq!(update(&mut checker, &open(&[1]), MIDNIGHT_MS), [""; 0]);
        assert_eq!(update(&mut checker, &open(&[1]), MIDNIGHT_MS + WITHIN_MS), [""; 0]);
        let late = update(&mut checker, &open(&[1]), MIDNIGHT_MS + WITHIN_MS + 1);
        assert_eq!(late, ["L2 p17 2016-02-22 disk-0 1.seg is not compacted"]);
        assert_eq!(update(&mut checker, &compacted(), MIDNIGHT_MS + WITHIN_MS + 2), [""; 0]);
    }

    #[test]
    fn a_replica_with_a_corrupted_manifest_is_not_checked() {
        let mut corrupt = open(&[1]);
        corrupt.mark_corrupted(PROJECT_DAY, "manifest");
        let mut checker = DirtySegmentChecker::default();
        update(&mut checker, &corrupt, MIDNIGHT_MS);
        assert_eq!(update(&mut checker, &corrupt, MIDNIGHT_MS + WITHIN_MS + 1), [""; 0]);
    }

    #[test]
    fn the_end_of_faults_and_new_segments_restart_the_deadline() {
        let mut checker = DirtySegmentChecker::default();
        let begin_ms = MIDNIGHT_MS - 86_400_000;
        let earlier = ProjectDay { day: DAY - 3, ..PROJECT_DAY };
        checker.since_ms.insert(("disk-0".into(), earlier), BTreeMap::from([(1, begin_ms)]));
        assert_eq!(checker.waiting(MIDNIGHT_MS, MIDNIGHT_MS + WITHIN_MS), [], "faults ended at midnight");
        let mut checker = DirtySegmentChecker::default();
        update(&mut checker, &open(&[1]), MIDNIGHT_MS);
        assert_eq!(
            update(&mut checker, &open(&[2]), MIDNIGHT_MS + WITHIN_MS + 1),
            [""; 0],
            "another segment"
        );
    }
}
