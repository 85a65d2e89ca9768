//! I13: a node that says that a day is intact has read it. A file that a planned fault corrupted is noticed, and its
//! day is quarantined or rewritten, within the time that scrubs take.
//!
//! A planned fault excuses an unreadable file, but not without end: the excuse ends with the time for repairs, which
//! the caller states. A process that skips files when it verifies a day keeps such a file live.
//!
//! Documented in docs/invariants.md#i13.

use super::{CheckContext, violation};
use crate::identity::ProjectDay;
use crate::snapshot::ClusterSnapshot;
use latent_verdict::Violation;
use std::collections::{BTreeMap, BTreeSet};

/// Follows corrupted live files from snapshot to snapshot.
#[derive(Clone, Debug, Default)]
pub struct CorruptionChecker {
    /// Time of the first snapshot that showed the file, by disk and path.
    since_ms: BTreeMap<(String, String), i64>,
    reported: BTreeSet<(String, String)>,
}

impl CorruptionChecker {
    /// Drops the state of a disk that was replaced or emptied.
    pub fn forget(&mut self, disk: &str) {
        self.since_ms.retain(|(name, _), _| name != disk);
    }

    /// Checks a snapshot of all days. `is_excused` tells whether a fault may have kept the disk from being repaired by
    /// now; one that was seen in an earlier snapshot is reported otherwise.
    pub fn check(
        &mut self,
        snapshot: &ClusterSnapshot,
        mut is_excused: impl FnMut(&str) -> bool,
        context: &CheckContext,
    ) -> Vec<Violation> {
        let mut present: BTreeMap<(String, String), i64> = BTreeMap::new();
        let mut late: BTreeMap<ProjectDay, Vec<String>> = BTreeMap::new();
        for disk in &snapshot.disks {
            for problem in disk.problems.iter().filter(|problem| disk.excuses(problem, context)) {
                let file = (disk.name.clone(), problem.error.path.clone());
                let since_ms = self.since_ms.get(&file).copied().unwrap_or(context.at_ms);
                present.insert(file.clone(), since_ms);
                if since_ms < context.at_ms && !is_excused(&disk.name) && self.reported.insert(file) {
                    late.entry(problem.project_day)
                        .or_default()
                        .push(format!("{}: {}", disk.name, problem.error));
                }
            }
        }
        self.since_ms = present;
        let report = |(project_day, files): (ProjectDay, Vec<String>)| {
            let detail = format!("still live after the time for repairs: {}", files[0]);
            violation("I13", "corruption-unnoticed", context, project_day, files.len() as u64)
                .keys(files)
                .because(detail)
        };
        late.into_iter().map(report).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::invariants::{noon_context, summaries};
    use crate::test_support::{DAY, NOON_MS, TestDisk, TestRecord, snapshot};
    use bytes::Bytes;

    const PROJECT_DAY: ProjectDay = ProjectDay { project: 17, day: DAY };

    fn corrupted() -> TestDisk {
        let mut disk = TestDisk::default().with_day(PROJECT_DAY, &[TestRecord::new("a", "i1", NOON_MS)]);
        disk.put(PROJECT_DAY, "1.seg", Bytes::from_static(b"rotten"));
        disk.mark_corrupted(PROJECT_DAY, "1.seg");
        disk
    }

    #[test]
    fn a_corrupted_file_is_reported_once_when_its_excuse_has_ended() {
        let mut checker = CorruptionChecker::default();
        let mut check = |disk: TestDisk, hours: i64, is_excused: bool| {
            let mut context = noon_context();
            context.at_ms += hours * 3_600_000;
            summaries(&checker.check(&snapshot(&[disk]), |_| is_excused, &context))
        };
        assert_eq!(check(corrupted(), 0, false), [], "seen for the first time");
        assert_eq!(check(corrupted(), 24, true), []);
        let found = [("corruption-unnoticed".to_owned(), "p17".to_owned(), 1, false)];
        assert_eq!(check(corrupted(), 96, false), found);
        assert_eq!(check(corrupted(), 97, false), []);
        let sound = TestDisk::default().with_day(PROJECT_DAY, &[TestRecord::new("a", "i1", NOON_MS)]);
        assert_eq!(check(sound, 98, false), []);
        assert_eq!(check(corrupted(), 99, false), [], "another corruption of the same file");
    }
}
