//! L2, night by night: what a day's copy has that no compaction has taken in is taken in by the next nightly job.
//!
//! A job starts some minutes after its project's midnight and is through two hours later, for each ended day and all
//! that had come in for it before midnight: the day that just ended, and late events of older ones. It is held to a
//! night only if nothing was in its way from midnight until then; else to the next one. When a segment came is heard
//! from outside; whether it is compacted, the manifest says. A copy whose manifest does not read, or
//! was changed by a planned fault, is not judged.

use super::{Moment, violation};
use crate::day::{Zones, day_text, moment_text};
use crate::excused::Excused;
use crate::identity::ProjectDay;
use crate::reader::segment::Tier;
use crate::snapshot::Snapshot;
use latent_verdict::Violation;
use std::collections::{BTreeMap, BTreeSet};

/// A job starts up to seven minutes after midnight, and may be tried again for an hour, by either worker.
pub const WITHIN_MS: i64 = 7 * 60_000 + 2 * 3_600_000;
/// What comes in the last moment before midnight may be missed by a worker whose clock is ahead by as much.
const SKEW_MS: i64 = 1_000;

/// Segments that no compaction is known to have taken in, and the midnight of the job that should.
#[derive(Clone, Debug, Default)]
pub struct NightlyWatch {
    waiting: BTreeMap<(String, ProjectDay), BTreeMap<u64, i64>>,
}

impl NightlyWatch {
    /// A segment was begun on a disk.
    pub fn came(&mut self, disk: &str, of: ProjectDay, id: u64, zones: &Zones, at_ms: i64) {
        if let Ok(midnight_ms) = zones.day_ends_ms(of.project, at_ms + SKEW_MS) {
            self.waiting.entry((disk.to_owned(), of)).or_default().entry(id).or_insert(midnight_ms);
        }
    }

    /// Drops what was noted of a disk whose files are gone, or are not judged any more.
    pub fn forget(&mut self, disk: &str) {
        self.waiting.retain(|(name, _), _| name != disk);
    }

    /// Takes off what `snapshot` shows to be compacted, or gone. Before its midnight a segment may be too new to be seen.
    /// What is of a copy that is not judged is held to the next night.
    pub fn look(&mut self, snapshot: &Snapshot, zones: &Zones, now_ms: i64) {
        let covers = |of: &ProjectDay| snapshot.scope.as_ref().is_none_or(|scope| scope.contains(of));
        self.waiting.retain(|(name, of), segments| {
            let disk = snapshot.disks.iter().find(|disk| disk.name == *name).filter(|_| covers(of));
            let Some(disk) = disk else { return true };
            let manifest = disk.sound_manifest(*of);
            if disk.days.contains_key(of) && manifest.is_none() {
                for midnight_ms in segments.values_mut().filter(|midnight_ms| **midnight_ms <= now_ms) {
                    *midnight_ms = zones.day_ends_ms(of.project, now_ms).unwrap_or(i64::MAX / 2);
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
    }

    /// Days whose job should be through: they want a look before they are judged. What is of a day that had not ended
    /// then waits for the next midnight.
    #[must_use]
    pub fn due(&mut self, zones: &Zones, now_ms: i64) -> BTreeSet<ProjectDay> {
        let mut due = BTreeSet::new();
        for ((_, of), segments) in &mut self.waiting {
            for midnight_ms in segments.values_mut() {
                while *midnight_ms + WITHIN_MS < now_ms && !has_ended(zones, *of, *midnight_ms) {
                    let next = zones.day_ends_ms(of.project, *midnight_ms);
                    *midnight_ms = next.unwrap_or(i64::MAX / 2);
                }
                if *midnight_ms + WITHIN_MS < now_ms {
                    due.insert(*of);
                }
            }
        }
        due
    }

    /// What still waits of the nights that are over, after the looks at them. Each is told once; what was excused is
    /// held to the next night.
    #[must_use]
    pub fn late(
        &mut self,
        zones: &Zones,
        mut excused: impl FnMut(&str) -> Excused,
        now: &Moment,
    ) -> Vec<Violation> {
        let mut late: BTreeMap<ProjectDay, Vec<String>> = BTreeMap::new();
        for ((disk, of), segments) in &mut self.waiting {
            let is_due = |midnight_ms: i64| midnight_ms + WITHIN_MS < now.at_ms;
            if !segments.values().any(|midnight_ms| is_due(*midnight_ms)) {
                continue;
            }
            let excused = excused(disk);
            segments.retain(|id, midnight_ms| {
                while is_due(*midnight_ms) {
                    if excused.is_free(*midnight_ms, *midnight_ms + WITHIN_MS) {
                        let night = moment_text(*midnight_ms);
                        late.entry(*of)
                            .or_default()
                            .push(format!("{disk} {id}.seg since the night of {night}"));
                        return false;
                    }
                    *midnight_ms = zones.day_ends_ms(of.project, *midnight_ms).unwrap_or(i64::MAX / 2);
                }
                true
            });
        }
        self.waiting.retain(|_, segments| !segments.is_empty());
        let one = |(of, segments): (ProjectDay, Vec<String>)| {
            let detail = format!(
                "{} segments of p{} {} are not compacted, such as {}",
                segments.len(),
                of.project,
                day_text(of.day),
                segments[0]
            );
            violation("L2", "late", now, of, segments.len() as u64).keys(segments).because(detail)
        };
        late.into_iter().map(one).collect()
    }
}

fn has_ended(zones: &Zones, of: ProjectDay, at_ms: i64) -> bool {
    zones.day(of.project, at_ms, at_ms).is_ok_and(|today| today > of.day)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::invariants::noon_after;
    use crate::testing::{self, DAY, Disk, NOON_MS, Rec, edit, manifest, open_entry, sealed_entry, snapshot};

    const OF: ProjectDay = ProjectDay { project: 17, day: DAY };
    const MIDNIGHT_MS: i64 = NOON_MS + 12 * 3_600_000;
    const DAY_MS: i64 = 86_400_000;

    fn zones() -> Zones {
        let mut zones = Zones::default();
        zones.set(17, i64::MIN, "UTC").unwrap();
        zones
    }

    fn open(id: u64) -> Disk {
        let mut disk = Disk::default();
        disk.put(OF, "manifest", manifest(&[edit(1, &[open_entry(id, "late")], &[], 9, 0)]));
        let file = testing::segment(0, OF, id, &[vec![Rec::new("a", "i1", NOON_MS)]]);
        disk.put(OF, &format!("{id}.seg"), file);
        disk
    }

    fn compacted() -> Disk {
        let mut disk = Disk::default();
        let file = testing::compacted(OF, 3, vec![Rec::new("a", "i1", NOON_MS)]);
        disk.put(OF, "manifest", manifest(&[edit(1, &[sealed_entry(3, "compacted", &file, 1)], &[], 4, 1)]));
        disk.put(OF, "3.seg", file);
        disk
    }

    fn came(at_ms: i64) -> NightlyWatch {
        let mut watch = NightlyWatch::default();
        watch.came("disk-0", OF, 1, &zones(), at_ms);
        watch
    }

    /// Looks at a disk at a time as the judge does, and says what is late.
    fn late(watch: &mut NightlyWatch, disk: &Disk, excused: &[(i64, i64)], at_ms: i64) -> Vec<String> {
        if watch.due(&zones(), at_ms).is_empty() {
            return Vec::new();
        }
        watch.look(&snapshot(std::slice::from_ref(disk)), &zones(), at_ms);
        let now = Moment { at_ms, ..noon_after() };
        let found = watch.late(&zones(), |_| Excused::of(excused.iter().copied()), &now);
        found.into_iter().map(|late| late.detail).collect()
    }

    #[test]
    fn an_ended_day_is_compacted_two_hours_after_its_midnight() {
        let due_ms = MIDNIGHT_MS + WITHIN_MS;
        let mut watch = came(NOON_MS);
        assert_eq!(late(&mut watch, &open(1), &[], due_ms), [""; 0], "there is time left");
        assert_eq!(late(&mut watch.clone(), &compacted(), &[], due_ms + 1), [""; 0]);
        let said = "1 segments of p17 2016-02-22 are not compacted, such as \
                    disk-0 1.seg since the night of 2016-02-23 00:00:00Z";
        assert_eq!(late(&mut watch, &open(1), &[], due_ms + 1), [said]);
        assert_eq!(late(&mut watch, &open(1), &[], due_ms + DAY_MS), [""; 0], "it is told once");
    }

    #[test]
    fn what_comes_for_a_day_that_is_over_waits_for_the_next_night() {
        let (mut just_before, mut after) = (came(MIDNIGHT_MS - 1), came(MIDNIGHT_MS + 1));
        for watch in [&mut just_before, &mut after] {
            assert_eq!(late(watch, &open(1), &[], MIDNIGHT_MS + WITHIN_MS + 1), [""; 0]);
            assert_eq!(late(watch, &open(1), &[], MIDNIGHT_MS + DAY_MS + WITHIN_MS + 1).len(), 1);
        }
        let mut ahead = came(NOON_MS - DAY_MS);
        assert_eq!(late(&mut ahead, &open(1), &[], MIDNIGHT_MS - 1), [""; 0], "its day has not ended");
        assert_eq!(late(&mut ahead, &open(1), &[], MIDNIGHT_MS + WITHIN_MS + 1).len(), 1);
    }

    #[test]
    fn a_copy_whose_manifest_a_planned_fault_changed_is_held_to_a_night_after_it_was_repaired() {
        let due_ms = MIDNIGHT_MS + WITHIN_MS + 1;
        let mut struck = open(1);
        struck.harm(OF, "manifest");
        let mut watch = came(NOON_MS);
        assert_eq!(late(&mut watch, &struck, &[], due_ms), [""; 0], "its disk knows better");
        assert_eq!(late(&mut watch, &open(1), &[], due_ms), [""; 0], "the next night is not over");
        assert_eq!(late(&mut watch, &open(1), &[], due_ms + DAY_MS).len(), 1);
    }

    #[test]
    fn a_night_on_which_something_was_in_the_way_is_not_judged() {
        let mut watch = came(NOON_MS);
        let excused = [(MIDNIGHT_MS - 1, MIDNIGHT_MS + 1)];
        assert_eq!(late(&mut watch, &open(1), &excused, MIDNIGHT_MS + WITHIN_MS + 1), [""; 0]);
        assert_eq!(
            late(&mut watch.clone(), &compacted(), &excused, MIDNIGHT_MS + DAY_MS + WITHIN_MS + 1),
            [""; 0]
        );
        assert_eq!(late(&mut watch, &open(1), &excused, MIDNIGHT_MS + DAY_MS + WITHIN_MS + 1).len(), 1);
        let mut watch = came(NOON_MS);
        watch.forget("disk-0");
        assert_eq!(late(&mut watch, &open(1), &[], MIDNIGHT_MS + DAY_MS), [""; 0]);
    }
}
