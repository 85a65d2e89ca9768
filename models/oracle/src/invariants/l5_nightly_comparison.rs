//! L5 per night: after a comparison, replicas are equal.
//!
//! Each project's replicas are compared some hours after its midnight and repaired where they differ. An hour later,
//! everything that arrived ten minutes before the comparison is on all of them. Only disks without an excuse are
//! checked, and only if they are enough to hold every acknowledged event; only days written to since they were last
//! found equal are checked. Only keys are compared: see I6.
//!
//! Documented in docs/invariants.md#l5.

use super::{CheckContext, i6_replicas};
use crate::day::{DAY_LABEL, ProjectZones, format_day};
use crate::identity::ProjectDay;
use crate::snapshot::ClusterSnapshot;
use latent_verdict::Violation;
use std::collections::{BTreeMap, BTreeSet};

/// Comparison and repair take minutes.
pub const WITHIN_MS: i64 = 3_600_000;
/// Requests in flight at the comparison are in no replica yet.
const CUT_SLACK_MS: i64 = 10 * 60_000;

/// Days that were written to, and the time of their next comparison.
#[derive(Clone, Debug)]
pub struct ComparisonChecker {
    /// Time after midnight at which replicas are compared.
    after_midnight_ms: i64,
    written_days: BTreeMap<u32, BTreeSet<i32>>,
    next_ms: BTreeMap<u32, i64>,
}

impl ComparisonChecker {
    /// Creates a checker for comparisons at this time after each midnight of a project.
    #[must_use]
    pub fn new(after_midnight_ms: i64) -> ComparisonChecker {
        ComparisonChecker { after_midnight_ms, written_days: BTreeMap::new(), next_ms: BTreeMap::new() }
    }

    /// Records a write to a day.
    pub fn record_write(&mut self, project_day: ProjectDay, zones: &ProjectZones, at_ms: i64) {
        self.written_days.entry(project_day.project).or_default().insert(project_day.day);
        if !self.next_ms.contains_key(&project_day.project) {
            self.next_ms.insert(project_day.project, self.after(project_day.project, zones, at_ms));
        }
    }

    fn after(&self, project: u32, zones: &ProjectZones, at_ms: i64) -> i64 {
        let midnight = zones.next_midnight_ms(project, at_ms - self.after_midnight_ms);
        midnight.map_or(i64::MAX / 2, |midnight_ms| midnight_ms + self.after_midnight_ms)
    }

    /// Returns the projects whose comparison must have ended, with its start and the days to check. Each comparison is
    /// returned once.
    #[must_use]
    pub fn due(&mut self, zones: &ProjectZones, now_ms: i64) -> Vec<(i64, BTreeSet<ProjectDay>)> {
        let projects: Vec<(u32, i64)> =
            self.next_ms.iter().map(|(project, at_ms)| (*project, *at_ms)).collect();
        let mut due = Vec::new();
        for (project, at_ms) in projects.into_iter().filter(|(_, at_ms)| at_ms + WITHIN_MS < now_ms) {
            self.next_ms.insert(project, self.after(project, zones, now_ms));
            let days = self.written_days.get(&project).into_iter().flatten();
            let days: BTreeSet<ProjectDay> = days.map(|day| ProjectDay { project, day: *day }).collect();
            if !days.is_empty() {
                due.push((at_ms, days));
            }
        }
        due
    }

    /// Compares the replicas of `snapshot`, which holds exactly the checked disks. Equal days are not checked again
    /// until they are written to.
    #[must_use]
    pub fn check(
        &mut self,
        snapshot: &ClusterSnapshot,
        compared_ms: i64,
        context: &CheckContext,
    ) -> Vec<Violation> {
        let cut_ms = compared_ms - CUT_SLACK_MS;
        let differ = i6_replicas::check(snapshot, cut_ms, context);
        let is_reported = |project_day: &ProjectDay| {
            let (subject, day) = (format!("p{}", project_day.project), format_day(project_day.day));
            differ.iter().any(|found| found.subject == subject && found.label(DAY_LABEL) == Some(&day))
        };
        // Arrivals after the cut belong to the next comparison.
        let is_over = |project_day: &ProjectDay| {
            let days = snapshot.disks.iter().filter_map(|disk| disk.days.get(project_day));
            days.flat_map(|day| &day.content.events).all(|event| event.arrived_ms < cut_ms)
        };
        for project_day in snapshot
            .scope
            .iter()
            .flatten()
            .filter(|project_day| is_over(project_day) && !is_reported(project_day))
        {
            if let Some(days) = self.written_days.get_mut(&project_day.project) {
                days.remove(&project_day.day);
            }
        }
        let as_l5 = |found: Violation| Violation {
            invariant: "L5".into(),
            kind: "not-converged".into(),
            detail: format!("{}, even after their comparison", found.detail),
            ..found
        };
        differ.into_iter().map(as_l5).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::invariants::noon_context;
    use crate::test_support::{DAY, NOON_MS, TestDisk, TestRecord, snapshot};

    const HOUR_MS: i64 = 3_600_000;
    const PROJECT_DAY: ProjectDay = ProjectDay { project: 17, day: DAY };
    /// Six hours after the midnight that follows noon.
    const COMPARED_MS: i64 = NOON_MS + 18 * HOUR_MS;

    fn zones() -> ProjectZones {
        let mut zones = ProjectZones::default();
        zones.set(17, i64::MIN, "UTC").unwrap();
        zones
    }

    fn checker_with_write(at_ms: i64) -> ComparisonChecker {
        let mut checker = ComparisonChecker::new(6 * HOUR_MS);
        checker.record_write(PROJECT_DAY, &zones(), at_ms);
        checker
    }

    fn two(first: &[&str], second: &[&str], arrived_ms: i64) -> ClusterSnapshot {
        let recs = |ids: &[&str]| -> Vec<TestRecord> {
            ids.iter().map(|id| TestRecord { arrived_ms, ..TestRecord::new("a", id, NOON_MS) }).collect()
        };
        let mut two =
            snapshot(&[first, second].map(|ids| TestDisk::default().with_day(PROJECT_DAY, &recs(ids))));
        two.scope = Some([PROJECT_DAY].into());
        two
    }

    fn found(checker: &mut ComparisonChecker, snapshot: &ClusterSnapshot, now_ms: i64) -> Vec<String> {
        let context = CheckContext { at_ms: now_ms, ..noon_context() };
        let due = checker.due(&zones(), now_ms);
        due.into_iter()
            .flat_map(|(at_ms, _)| checker.check(snapshot, at_ms, &context))
            .map(|v| format!("{} {} {}", v.invariant, v.kind, v.items))
            .collect()
    }

    #[test]
    fn replicas_that_differ_after_a_comparison_are_reported_each_night_until_they_are_equal() {
        let (differ, equal) = (two(&["i1", "i2"], &["i1"], NOON_MS), two(&["i1"], &["i1"], NOON_MS));
        let late = COMPARED_MS + WITHIN_MS + 1;
        let mut checker = checker_with_write(NOON_MS);
        assert_eq!(found(&mut checker, &differ, late - 1), [""; 0], "the comparison is running");
        assert_eq!(found(&mut checker.clone(), &equal, late), [""; 0]);
        assert_eq!(found(&mut checker, &differ, late), ["L5 not-converged 1"]);
        assert_eq!(found(&mut checker, &differ, late + HOUR_MS), [""; 0], "there is one comparison a night");
        let mut late_in_the_night = checker_with_write(COMPARED_MS + 1);
        assert_eq!(found(&mut late_in_the_night, &differ, late), [""; 0], "the next comparison covers it");
    }

    #[test]
    fn arrivals_after_a_comparison_belong_to_the_next_one() {
        let differ = two(&["i1", "i2"], &["i1"], COMPARED_MS);
        let late = COMPARED_MS + WITHIN_MS + 1;
        let mut checker = checker_with_write(NOON_MS);
        assert_eq!(found(&mut checker, &differ, late), [""; 0]);
        assert_eq!(found(&mut checker, &differ, late + 24 * HOUR_MS), ["L5 not-converged 1"]);
    }
}
