//! L5: a divergence of replicas that existed when faults ended is alarmed or gone within its time.
//!
//! Replicas are compared at the cut of that moment, so that later arrivals do not matter; an unreadable replica
//! differs too. Only alarms after the end of faults count: the nightly comparison repeats its alarm while the
//! divergence lasts. Files with bytes destroyed by a planned fault that no process has read since are excluded:
//! replicas are compared by digests cached on their disks, so such damage is found at the next read of the file, at
//! any later time.
//!
//! Documented in docs/invariants.md#l5.

use super::liveness_violation::LivenessViolation;
use super::{CheckContext, i6_replicas};
use crate::identity::ProjectDay;
use crate::snapshot::ClusterSnapshot;
use std::collections::BTreeSet;

/// Replicas are compared six hours after each midnight of their project, which is at most 25 h away; the alarm arrives
/// at the first or second try.
pub const WITHIN_MS: i64 = 26 * 3_600_000;
/// Requests in flight when faults ended are in no replica yet.
const CUT_SLACK_MS: i64 = 10 * 60_000;

/// Days whose replicas differed when faults ended.
#[derive(Clone, Debug, Default)]
pub struct ReplicaDivergence {
    at_ms: i64,
    days: BTreeSet<ProjectDay>,
}

impl ReplicaDivergence {
    /// Compares the replicas at the end of faults.
    #[must_use]
    pub fn at_end_of_faults(snapshot: &ClusterSnapshot, context: &CheckContext) -> ReplicaDivergence {
        let days = differing(snapshot, context.at_ms - CUT_SLACK_MS, context);
        ReplicaDivergence { at_ms: context.at_ms, days }
    }

    /// Returns the days that still differ without an alarm; `alarmed` are the days of alarms since faults ended.
    #[must_use]
    pub fn waiting(
        &self,
        alarmed: &BTreeSet<ProjectDay>,
        snapshot: &ClusterSnapshot,
        context: &CheckContext,
    ) -> Vec<LivenessViolation> {
        let Some(late) = LivenessViolation::if_overdue("L5", self.at_ms, WITHIN_MS, context.at_ms) else {
            return Vec::new();
        };
        // Both cuts must differ: an event that one replica holds only from a later retry is in all of them.
        let still = differing(snapshot, self.at_ms - CUT_SLACK_MS, context);
        let today = differing(snapshot, context.at_ms - CUT_SLACK_MS, context);
        let still: BTreeSet<ProjectDay> = still.intersection(&today).copied().collect();
        let unalarmed = self.days.intersection(&still).filter(|project_day| !alarmed.contains(project_day));
        unalarmed
            .map(|project_day| {
                late.clone().of(*project_day).what("has replicas that differ without an alarm")
            })
            .collect()
    }
}

fn differing(snapshot: &ClusterSnapshot, cut_ms: i64, context: &CheckContext) -> BTreeSet<ProjectDay> {
    let unread = snapshot.unexcused_problems(context).map(|problem| problem.project_day);
    i6_replicas::differing(snapshot, cut_ms, context).into_iter().chain(unread).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::invariants::noon_context;
    use crate::test_support::{DAY, NOON_MS, TestDisk, TestRecord, snapshot};

    const PROJECT_DAY: ProjectDay = ProjectDay { project: 17, day: DAY };

    fn recs(ids: &[&str]) -> Vec<TestRecord> {
        ids.iter().map(|id| TestRecord::new("a", id, NOON_MS)).collect()
    }

    fn two(first: &[&str], second: &[&str]) -> ClusterSnapshot {
        snapshot(&[first, second].map(|ids| TestDisk::default().with_day(PROJECT_DAY, &recs(ids))))
    }

    fn messages(
        then: &ClusterSnapshot,
        after: &ClusterSnapshot,
        alarmed: &[ProjectDay],
        later_ms: i64,
    ) -> Vec<String> {
        let ended = noon_context();
        let context = CheckContext { at_ms: ended.at_ms + later_ms, ..noon_context() };
        let divergence = ReplicaDivergence::at_end_of_faults(then, &ended);
        let waiting = divergence.waiting(&alarmed.iter().copied().collect(), after, &context);
        waiting.iter().map(LivenessViolation::to_string).collect()
    }

    #[test]
    fn differing_replicas_without_an_alarm_are_reported() {
        let (differ, equal) = (two(&["i1", "i2"], &["i1"]), two(&["i1", "i2"], &["i1", "i2"]));
        let late = messages(&differ, &differ, &[], WITHIN_MS + 1);
        assert_eq!(late, ["L5 p17 2016-02-22 has replicas that differ without an alarm"]);
        assert_eq!(messages(&differ, &differ, &[], WITHIN_MS), [""; 0], "there is time left");
        assert_eq!(messages(&differ, &differ, &[PROJECT_DAY], WITHIN_MS + 1), [""; 0], "an alarm was raised");
        assert_eq!(messages(&differ, &equal, &[], WITHIN_MS + 1), [""; 0], "it is gone");
        assert_eq!(messages(&equal, &differ, &[], WITHIN_MS + 1), [""; 0], "it diverged later");
    }

    #[test]
    fn a_replica_that_holds_an_event_only_from_a_later_retry_does_not_differ() {
        let ended = noon_context();
        let first = TestDisk::default().with_day(PROJECT_DAY, &[TestRecord::new("a", "i1", NOON_MS)]);
        let again = TestRecord { arrived_ms: ended.at_ms + 1_000, ..TestRecord::new("a", "i1", NOON_MS) };
        let then = snapshot(&[first.clone(), TestDisk::default().with_day(PROJECT_DAY, &[])]);
        let after = snapshot(&[first, TestDisk::default().with_day(PROJECT_DAY, &[again])]);
        assert_eq!(messages(&then, &after, &[], WITHIN_MS + 1), [""; 0]);
    }

    #[test]
    fn an_unreadable_replica_differs_unless_a_planned_fault_destroyed_its_bytes() {
        let whole = TestDisk::default().with_day(PROJECT_DAY, &recs(&["i1"]));
        let mut corrupt = whole.clone();
        corrupt.put(PROJECT_DAY, "1.seg", bytes::Bytes::from_static(&[7; 40]));
        let late = |copy: &TestDisk| {
            let snapshot = snapshot(&[whole.clone(), copy.clone()]);
            let ended = CheckContext { damaged_disks: ["disk-1".to_owned()].into(), ..noon_context() };
            let context = CheckContext { at_ms: ended.at_ms + WITHIN_MS + 1, ..ended.clone() };
            let divergence = ReplicaDivergence::at_end_of_faults(&snapshot, &ended);
            divergence.waiting(&BTreeSet::new(), &snapshot, &context).len()
        };
        assert_eq!(late(&corrupt), 1, "no fault corrupted this file");
        corrupt.mark_corrupted(PROJECT_DAY, "1.seg");
        assert_eq!(late(&corrupt), 0);
    }
}
