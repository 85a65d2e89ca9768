//! I13: a node that says that a day is intact has read it. Every sealed segment is read again, by a scrub or by anybody
//! else, within the time that scrubs take.
//!
//! A digest in memory does not show what has rotted since. So a scrub that skips files, or that never gets to some, is a
//! mistake before anything rots.
//!
//! A read of the first bytes counts as one of the whole file. Not covered: a scrub that stops half-way in a file.
//!
//! Documented in docs/invariants.md#i13.

use super::{CheckContext, violation};
use crate::excused_periods::ExcusedPeriods;
use crate::identity::ProjectDay;
use crate::reader::arb_path::segment_path;
use crate::snapshot::ClusterSnapshot;
use latent_verdict::Violation;
use std::collections::{BTreeMap, BTreeSet};

const HOUR_MS: i64 = 3_600_000;
/// Age of a day at which it is due to be read again.
const DUE_MS: i64 = 60 * HOUR_MS;
/// Number of a project's days that are read again each night.
pub const DAYS_PER_NIGHT: usize = 6;
/// Nights beyond those that all days need: one may have begun before a day was due.
const SPARE_NIGHTS: usize = 2;

/// Follows which segments were reported.
#[derive(Clone, Debug, Default)]
pub struct ScrubChecker {
    reported: BTreeSet<(String, String)>,
}

impl ScrubChecker {
    /// Checks a snapshot of all days. `read_ms` returns when a segment was read or written last, or its process booted,
    /// and `None` if the process never booted. `excused` returns the times at which faults kept the disk from its
    /// nightly comparison.
    pub fn check(
        &mut self,
        snapshot: &ClusterSnapshot,
        read_ms: impl Fn(&str, ProjectDay, u64) -> Option<i64>,
        mut excused: impl FnMut(&str) -> ExcusedPeriods,
        context: &CheckContext,
    ) -> Vec<Violation> {
        let mut found = Vec::new();
        for disk in &snapshot.disks {
            let mut days: BTreeMap<u32, usize> = BTreeMap::new();
            disk.days.keys().for_each(|project_day| *days.entry(project_day.project).or_default() += 1);
            let mut excused_periods = None;
            for (project_day, day) in &disk.days {
                let nights = days[&project_day.project].div_ceil(DAYS_PER_NIGHT) + SPARE_NIGHTS;
                let within_ms = DUE_MS + 24 * HOUR_MS * nights as i64;
                let live = day.manifest.iter().flat_map(|manifest| manifest.live.values());
                for entry in live.filter(|entry| entry.sealed) {
                    let Some(read_ms) = read_ms(&disk.name, *project_day, entry.id) else { continue };
                    if context.at_ms - read_ms <= within_ms {
                        continue;
                    }
                    let periods = excused_periods.get_or_insert_with(|| excused(&disk.name));
                    let waits_ms = periods.available_ms(read_ms, context.at_ms);
                    let file = (disk.name.clone(), segment_path(*project_day, entry.id));
                    if waits_ms > within_ms && self.reported.insert(file.clone()) {
                        let (name, path) = file;
                        let detail = format!("{name}: {path} was read last {} h ago", waits_ms / HOUR_MS);
                        let late = violation("I13", "scrub-overdue", context, *project_day, 1);
                        found.push(late.keys([path]).because(detail));
                    }
                }
            }
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::invariants::{noon_context, summaries};
    use crate::test_support::{
        DAY, NOON_MS, TestDisk, TestRecord, compacted, edit, manifest, sealed_entry, snapshot,
    };

    const PROJECT_DAY: ProjectDay = ProjectDay { project: 17, day: DAY };

    fn sealed() -> TestDisk {
        let mut disk = TestDisk::default();
        let file = compacted(PROJECT_DAY, 1, vec![TestRecord::new("a", "i1", NOON_MS)]);
        disk.put(PROJECT_DAY, "1.seg", file.clone());
        disk.put(
            PROJECT_DAY,
            "manifest",
            manifest(&[edit(1, &[sealed_entry(1, "compacted", &file, 1)], &[], 2, 1)]),
        );
        disk
    }

    fn found(hours: i64, excused: &ExcusedPeriods) -> usize {
        let context = noon_context();
        let read_ms = |_: &str, _, _| Some(context.at_ms - hours * HOUR_MS);
        let found =
            ScrubChecker::default().check(&snapshot(&[sealed()]), read_ms, |_| excused.clone(), &context);
        summaries(&found).len()
    }

    #[test]
    fn a_sealed_segment_is_read_again_within_the_time_of_a_scrub() {
        let none = ExcusedPeriods::default();
        let within = 60 + 24 * 3;
        assert_eq!((found(within, &none), found(within + 1, &none)), (0, 1));
        let now_ms = noon_context().at_ms;
        let excused = ExcusedPeriods::of([(now_ms - 30 * HOUR_MS, now_ms - 20 * HOUR_MS)]);
        assert_eq!((found(within + 10, &excused), found(within + 11, &excused)), (0, 1));
    }

    #[test]
    fn a_segment_that_is_late_is_reported_once() {
        let context = noon_context();
        let mut checker = ScrubChecker::default();
        let mut check = || {
            let none = |_: &str| ExcusedPeriods::default();
            checker.check(&snapshot(&[sealed()]), |_, _, _| Some(0), none, &context).len()
        };
        assert_eq!((check(), check()), (1, 0));
    }
}
