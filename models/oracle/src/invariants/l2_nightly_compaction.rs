//! L2 per night: the next nightly job compacts every segment of a day's replica that is not yet compacted.
//!
//! A job starts some minutes after its project's midnight and ends within two hours. It covers each ended day and
//! everything that arrived for it before midnight: the day that just ended, and late events of older days. The job is
//! checked for a night only if no excuse overlaps the time from midnight until then; otherwise it is checked for the
//! next night. The caller reports new segments; the manifest shows whether they are compacted. A replica whose
//! manifest is unreadable, or was corrupted by a planned fault, is not checked.
//!
//! Documented in docs/invariants.md#l2.

use super::{CheckContext, violation};
use crate::day::{ProjectZones, format_day, format_utc};
use crate::excused_periods::ExcusedPeriods;
use crate::identity::ProjectDay;
use crate::reader::segment::Tier;
use crate::snapshot::ClusterSnapshot;
use latent_verdict::Violation;
use std::collections::{BTreeMap, BTreeSet};

/// A job starts up to seven minutes after midnight, and may be retried for an hour by either worker.
pub const WITHIN_MS: i64 = 7 * 60_000 + 2 * 3_600_000;
/// A worker whose clock is ahead by this much may miss arrivals just before midnight.
const SKEW_MS: i64 = 1_000;

/// Segments not known to be compacted, and the midnight of the job that must compact them.
#[derive(Clone, Debug, Default)]
pub struct NightlyCompactionChecker {
    waiting: BTreeMap<(String, ProjectDay), BTreeMap<u64, i64>>,
    /// The first midnight whose job was excused, for segments that wait for a later one.
    delayed: BTreeMap<(String, ProjectDay), BTreeMap<u64, i64>>,
}

impl NightlyCompactionChecker {
    /// Records that a segment was created on a disk. The last creation counts: the first one may have died with its
    /// process before it was synced, and its number is free again.
    pub fn record_segment(
        &mut self,
        disk: &str,
        project_day: ProjectDay,
        id: u64,
        zones: &ProjectZones,
        at_ms: i64,
    ) {
        if let Ok(midnight_ms) = zones.next_midnight_ms(project_day.project, at_ms + SKEW_MS) {
            let replica = (disk.to_owned(), project_day);
            if let Some(delayed) = self.delayed.get_mut(&replica) {
                delayed.remove(&id);
            }
            self.waiting.entry(replica).or_default().insert(id, midnight_ms);
        }
    }

    /// Drops the state of a disk whose files are gone, or that is not checked any more.
    pub fn forget(&mut self, disk: &str) {
        self.waiting.retain(|(name, _), _| name != disk);
        self.delayed.retain(|(name, _), _| name != disk);
    }

    /// Returns the replicas with segments that an excused job did not compact and none has since, each with the midnight
    /// of the first such job.
    pub fn delayed(&self) -> impl Iterator<Item = (&str, ProjectDay, i64)> {
        self.delayed.iter().filter_map(|((disk, project_day), segments)| {
            Some((disk.as_str(), *project_day, *segments.values().min()?))
        })
    }

    /// Removes the segments that `snapshot` shows to be compacted or gone. Before its midnight a segment may be too
    /// new to be in the snapshot. Segments of a replica that is not checked move to the next night.
    pub fn update(&mut self, snapshot: &ClusterSnapshot, zones: &ProjectZones, now_ms: i64) {
        let covers = |project_day: &ProjectDay| {
            snapshot.scope.as_ref().is_none_or(|scope| scope.contains(project_day))
        };
        self.waiting.retain(|(name, project_day), segments| {
            let disk = snapshot.disks.iter().find(|disk| disk.name == *name).filter(|_| covers(project_day));
            let Some(disk) = disk else { return true };
            let manifest = disk.intact_manifest(*project_day);
            if disk.days.contains_key(project_day) && manifest.is_none() {
                for midnight_ms in segments.values_mut().filter(|midnight_ms| **midnight_ms <= now_ms) {
                    *midnight_ms =
                        zones.next_midnight_ms(project_day.project, now_ms).unwrap_or(i64::MAX / 2);
                }
                return true;
            }
            let is_dirty = |id: &u64| {
                let entry = manifest.and_then(|manifest| manifest.live.get(id));
                entry.is_some_and(|entry| entry.tier != Tier::Compacted)
            };
            segments.retain(|id, midnight_ms| *midnight_ms > now_ms || is_dirty(id));
            !segments.is_empty()
        });
        let waiting = &self.waiting;
        self.delayed.retain(|replica, segments| {
            segments.retain(|id, _| waiting.get(replica).is_some_and(|waiting| waiting.contains_key(id)));
            !segments.is_empty()
        });
    }

    /// Returns the days whose job must have ended; they must be read again before they are reported. Segments of a day
    /// that had not ended at midnight move to the next one.
    #[must_use]
    pub fn due(&mut self, zones: &ProjectZones, now_ms: i64) -> BTreeSet<ProjectDay> {
        let mut due = BTreeSet::new();
        for ((_, project_day), segments) in &mut self.waiting {
            for midnight_ms in segments.values_mut() {
                while *midnight_ms + WITHIN_MS < now_ms && !has_ended(zones, *project_day, *midnight_ms) {
                    let next = zones.next_midnight_ms(project_day.project, *midnight_ms);
                    *midnight_ms = next.unwrap_or(i64::MAX / 2);
                }
                if *midnight_ms + WITHIN_MS < now_ms {
                    due.insert(*project_day);
                }
            }
        }
        due
    }

    /// Returns the segments that are still not compacted, after the update for [`NightlyCompactionChecker::due`]. Each
    /// is reported once; excused ones move to the next night.
    #[must_use]
    pub fn late(
        &mut self,
        zones: &ProjectZones,
        mut excused: impl FnMut(&str, ProjectDay) -> ExcusedPeriods,
        context: &CheckContext,
    ) -> Vec<Violation> {
        let mut late: BTreeMap<ProjectDay, Vec<String>> = BTreeMap::new();
        for ((disk, project_day), segments) in &mut self.waiting {
            let is_due = |midnight_ms: i64| midnight_ms + WITHIN_MS < context.at_ms;
            if !segments.values().any(|midnight_ms| is_due(*midnight_ms)) {
                continue;
            }
            let excused = excused(disk, *project_day);
            segments.retain(|id, midnight_ms| {
                while is_due(*midnight_ms) {
                    if excused.covers_none_of(*midnight_ms, *midnight_ms + WITHIN_MS) {
                        let night = format_utc(*midnight_ms);
                        late.entry(*project_day)
                            .or_default()
                            .push(format!("{disk} {id}.seg since the night of {night}"));
                        return false;
                    }
                    let delayed = self.delayed.entry((disk.clone(), *project_day)).or_default();
                    delayed.entry(*id).or_insert(*midnight_ms);
                    *midnight_ms =
                        zones.next_midnight_ms(project_day.project, *midnight_ms).unwrap_or(i64::MAX / 2);
                }
                true
            });
        }
        self.waiting.retain(|_, segments| !segments.is_empty());
        let one = |(project_day, segments): (ProjectDay, Vec<String>)| {
            let detail = format!(
                "{} segments of p{} {} are not compacted, such as {}",
                segments.len(),
                project_day.project,
                format_day(project_day.day),
                segments[0]
            );
            violation("L2", "compaction-overdue", context, project_day, segments.len() as u64)
                .keys(segments)
                .because(detail)
        };
        late.into_iter().map(one).collect()
    }
}

fn has_ended(zones: &ProjectZones, project_day: ProjectDay, at_ms: i64) -> bool {
    zones.day(project_day.project, at_ms, at_ms).is_ok_and(|today| today > project_day.day)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::invariants::noon_context;
    use crate::test_support::{
        self, DAY, NOON_MS, TestDisk, TestRecord, edit, manifest, open_entry, sealed_entry, snapshot,
    };

    const PROJECT_DAY: ProjectDay = ProjectDay { project: 17, day: DAY };
    const MIDNIGHT_MS: i64 = NOON_MS + 12 * 3_600_000;
    const DAY_MS: i64 = 86_400_000;

    fn zones() -> ProjectZones {
        let mut zones = ProjectZones::default();
        zones.set(17, i64::MIN, "UTC").unwrap();
        zones
    }

    fn open(id: u64) -> TestDisk {
        let mut disk = TestDisk::default();
        disk.put(PROJECT_DAY, "manifest", manifest(&[edit(1, &[open_entry(id, "late")], &[], 9, 0)]));
        let file = test_support::segment(0, PROJECT_DAY, id, &[vec![TestRecord::new("a", "i1", NOON_MS)]]);
        disk.put(PROJECT_DAY, &format!("{id}.seg"), file);
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

    fn record_segment(at_ms: i64) -> NightlyCompactionChecker {
        let mut checker = NightlyCompactionChecker::default();
        checker.record_segment("disk-0", PROJECT_DAY, 1, &zones(), at_ms);
        checker
    }

    /// Checks a disk at a time as the world does, and returns what is late.
    fn late(
        checker: &mut NightlyCompactionChecker,
        disk: &TestDisk,
        excused: &[(i64, i64)],
        at_ms: i64,
    ) -> Vec<String> {
        if checker.due(&zones(), at_ms).is_empty() {
            return Vec::new();
        }
        checker.update(&snapshot(std::slice::from_ref(disk)), &zones(), at_ms);
        let context = CheckContext { at_ms, ..noon_context() };
        let found = checker.late(&zones(), |_, _| ExcusedPeriods::of(excused.iter().copied()), &context);
        found.into_iter().map(|late| late.detail).collect()
    }

    #[test]
    fn an_ended_day_is_compacted_two_hours_after_its_midnight() {
        let due_ms = MIDNIGHT_MS + WITHIN_MS;
        let mut checker = record_segment(NOON_MS);
        assert_eq!(late(&mut checker, &open(1), &[], due_ms), [""; 0], "there is time left");
        assert_eq!(late(&mut checker.clone(), &compacted(), &[], due_ms + 1), [""; 0]);
        let expected = "1 segments of p17 2016-02-22 are not compacted, such as \
                    disk-0 1.seg since the night of 2016-02-23 00:00:00Z";
        assert_eq!(late(&mut checker, &open(1), &[], due_ms + 1), [expected]);
        assert_eq!(late(&mut checker, &open(1), &[], due_ms + DAY_MS), [""; 0], "it is reported once");
    }

    #[test]
    fn arrivals_for_an_ended_day_wait_for_the_next_night() {
        let (mut just_before, mut after) = (record_segment(MIDNIGHT_MS - 1), record_segment(MIDNIGHT_MS + 1));
        for checker in [&mut just_before, &mut after] {
            assert_eq!(late(checker, &open(1), &[], MIDNIGHT_MS + WITHIN_MS + 1), [""; 0]);
            assert_eq!(late(checker, &open(1), &[], MIDNIGHT_MS + DAY_MS + WITHIN_MS + 1).len(), 1);
        }
        let mut ahead = record_segment(NOON_MS - DAY_MS);
        assert_eq!(late(&mut ahead, &open(1), &[], MIDNIGHT_MS - 1), [""; 0], "its day has not ended");
        assert_eq!(late(&mut ahead, &open(1), &[], MIDNIGHT_MS + WITHIN_MS + 1).len(), 1);
    }

    #[test]
    fn a_segment_whose_number_was_used_before_a_crash_is_as_old_as_its_own_creation() {
        let mut checker = record_segment(NOON_MS);
        checker.record_segment("disk-0", PROJECT_DAY, 1, &zones(), MIDNIGHT_MS + 1);
        assert_eq!(late(&mut checker, &open(1), &[], MIDNIGHT_MS + WITHIN_MS + 1), [""; 0]);
        assert_eq!(late(&mut checker, &open(1), &[], MIDNIGHT_MS + DAY_MS + WITHIN_MS + 1).len(), 1);
    }

    #[test]
    fn a_replica_with_a_corrupted_manifest_is_checked_a_night_after_its_repair() {
        let due_ms = MIDNIGHT_MS + WITHIN_MS + 1;
        let mut corrupt = open(1);
        corrupt.mark_corrupted(PROJECT_DAY, "manifest");
        let mut checker = record_segment(NOON_MS);
        assert_eq!(late(&mut checker, &corrupt, &[], due_ms), [""; 0], "its manifest is not reliable");
        assert_eq!(late(&mut checker, &open(1), &[], due_ms), [""; 0], "the next night is not over");
        assert_eq!(late(&mut checker, &open(1), &[], due_ms + DAY_MS).len(), 1);
    }

    #[test]
    fn an_excused_night_is_not_checked() {
        let mut checker = record_segment(NOON_MS);
        let excused = [(MIDNIGHT_MS - 1, MIDNIGHT_MS + 1)];
        assert_eq!(late(&mut checker, &open(1), &excused, MIDNIGHT_MS + WITHIN_MS + 1), [""; 0]);
        assert_eq!(
            late(&mut checker.clone(), &compacted(), &excused, MIDNIGHT_MS + DAY_MS + WITHIN_MS + 1),
            [""; 0]
        );
        assert_eq!(late(&mut checker, &open(1), &excused, MIDNIGHT_MS + DAY_MS + WITHIN_MS + 1).len(), 1);
        let mut checker = record_segment(NOON_MS);
        assert_eq!(late(&mut checker, &open(1), &excused, MIDNIGHT_MS + WITHIN_MS + 1), [""; 0]);
        assert_eq!(checker.delayed().collect::<Vec<_>>(), [("disk-0", PROJECT_DAY, MIDNIGHT_MS)]);
        let _ = late(&mut checker, &compacted(), &[], MIDNIGHT_MS + DAY_MS + WITHIN_MS + 1);
        assert_eq!(checker.delayed().count(), 0);
        let mut checker = record_segment(NOON_MS);
        checker.forget("disk-0");
        assert_eq!(late(&mut checker, &open(1), &[], MIDNIGHT_MS + DAY_MS), [""; 0]);
    }
}
