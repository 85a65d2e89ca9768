//! L5, night by night: once copies were compared, they are equal.
//!
//! Each project's copies are compared some hours after its midnight and brought together where they differ. An hour
//! later what had come in ten minutes before the comparison is on all of them. Judged are the disks that nothing was in
//! the way of, and only if they are enough to hold every acknowledged event; days whose copies were written to since
//! they were last found equal. Only keys are compared: see I6.

use super::{Moment, i6_replicas};
use crate::day::{Zones, day_text};
use crate::identity::ProjectDay;
use crate::snapshot::Snapshot;
use latent_verdict::Violation;
use std::collections::{BTreeMap, BTreeSet};

/// Comparing, and bringing together, takes minutes.
pub const WITHIN_MS: i64 = 3_600_000;
/// What was under way when copies were compared belongs to none yet.
const CUT_SLACK_MS: i64 = 10 * 60_000;

/// Days that were written to, and when their copies are compared next.
#[derive(Clone, Debug)]
pub struct ComparisonWatch {
    /// How long after midnight copies are compared.
    after_midnight_ms: i64,
    written: BTreeMap<u32, BTreeSet<i32>>,
    next_ms: BTreeMap<u32, i64>,
}

impl ComparisonWatch {
    /// Copies are compared so long after each midnight of their project.
    #[must_use]
    pub fn new(after_midnight_ms: i64) -> ComparisonWatch {
        ComparisonWatch { after_midnight_ms, written: BTreeMap::new(), next_ms: BTreeMap::new() }
    }

    /// A day was written to.
    pub fn written(&mut self, of: ProjectDay, zones: &Zones, at_ms: i64) {
        self.written.entry(of.project).or_default().insert(of.day);
        if !self.next_ms.contains_key(&of.project) {
            self.next_ms.insert(of.project, self.after(of.project, zones, at_ms));
        }
    }

    fn after(&self, project: u32, zones: &Zones, at_ms: i64) -> i64 {
        let midnight = zones.day_ends_ms(project, at_ms - self.after_midnight_ms);
        midnight.map_or(i64::MAX / 2, |midnight_ms| midnight_ms + self.after_midnight_ms)
    }

    /// Projects whose comparison should be through, when it began, and the days to look at. Each is due once.
    #[must_use]
    pub fn due(&mut self, zones: &Zones, now_ms: i64) -> Vec<(i64, BTreeSet<ProjectDay>)> {
        let projects: Vec<(u32, i64)> =
            self.next_ms.iter().map(|(project, at_ms)| (*project, *at_ms)).collect();
        let mut due = Vec::new();
        for (project, at_ms) in projects.into_iter().filter(|(_, at_ms)| at_ms + WITHIN_MS < now_ms) {
            self.next_ms.insert(project, self.after(project, zones, now_ms));
            let days = self.written.get(&project).into_iter().flatten();
            let days: BTreeSet<ProjectDay> = days.map(|day| ProjectDay { project, day: *day }).collect();
            if !days.is_empty() {
                due.push((at_ms, days));
            }
        }
        due
    }

    /// Compares the copies of `snapshot`, which has the disks that are judged, all of them. What is equal needs no
    /// look until it is written to again.
    #[must_use]
    pub fn check(&mut self, snapshot: &Snapshot, compared_ms: i64, now: &Moment) -> Vec<Violation> {
        let cut_ms = compared_ms - CUT_SLACK_MS;
        let differ = i6_replicas::check(snapshot, cut_ms, now);
        let is_told = |of: &ProjectDay| {
            let (subject, day) = (format!("p{}", of.project), day_text(of.day));
            differ.iter().any(|found| found.subject == subject && found.day.as_ref() == Some(&day))
        };
        // What came after the cut is for the next comparison.
        let is_over = |of: &ProjectDay| {
            let days = snapshot.disks.iter().filter_map(|disk| disk.days.get(of));
            days.flat_map(|day| &day.content.kept).all(|kept| kept.arrived_ms < cut_ms)
        };
        for of in snapshot.scope.iter().flatten().filter(|of| is_over(of) && !is_told(of)) {
            if let Some(days) = self.written.get_mut(&of.project) {
                days.remove(&of.day);
            }
        }
        let told = |found: Violation| Violation {
            invariant: "L5".into(),
            kind: "not-brought-together".into(),
            detail: format!("{}, though they were compared since", found.detail),
            ..found
        };
        differ.into_iter().map(told).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::invariants::noon_after;
    use crate::testing::{DAY, Disk, NOON_MS, Rec, snapshot};

    const HOUR_MS: i64 = 3_600_000;
    const OF: ProjectDay = ProjectDay { project: 17, day: DAY };
    /// Six hours after the midnight after noon.
    const COMPARED_MS: i64 = NOON_MS + 18 * HOUR_MS;

    fn zones() -> Zones {
        let mut zones = Zones::default();
        zones.set(17, i64::MIN, "UTC").unwrap();
        zones
    }

    fn written(at_ms: i64) -> ComparisonWatch {
        let mut watch = ComparisonWatch::new(6 * HOUR_MS);
        watch.written(OF, &zones(), at_ms);
        watch
    }

    fn two(first: &[&str], second: &[&str], arrived_ms: i64) -> Snapshot {
        let recs = |ids: &[&str]| -> Vec<Rec> {
            ids.iter().map(|id| Rec { arrived_ms, ..Rec::new("a", id, NOON_MS) }).collect()
        };
        let mut two = snapshot(&[first, second].map(|ids| Disk::default().with_day(OF, &recs(ids))));
        two.scope = Some([OF].into());
        two
    }

    fn found(watch: &mut ComparisonWatch, snapshot: &Snapshot, now_ms: i64) -> Vec<String> {
        let now = Moment { at_ms: now_ms, ..noon_after() };
        let due = watch.due(&zones(), now_ms);
        due.into_iter()
            .flat_map(|(at_ms, _)| watch.check(snapshot, at_ms, &now))
            .map(|v| format!("{} {} {}", v.invariant, v.kind, v.items))
            .collect()
    }

    #[test]
    fn copies_that_differ_after_they_were_compared_are_named_each_night_until_they_are_equal() {
        let (differ, equal) = (two(&["i1", "i2"], &["i1"], NOON_MS), two(&["i1"], &["i1"], NOON_MS));
        let late = COMPARED_MS + WITHIN_MS + 1;
        let mut watch = written(NOON_MS);
        assert_eq!(found(&mut watch, &differ, late - 1), [""; 0], "it is being compared");
        assert_eq!(found(&mut watch.clone(), &equal, late), [""; 0]);
        assert_eq!(found(&mut watch, &differ, late), ["L5 not-brought-together 1"]);
        assert_eq!(found(&mut watch, &differ, late + HOUR_MS), [""; 0], "there is one comparison a night");
        let mut late_in_the_night = written(COMPARED_MS + 1);
        assert_eq!(found(&mut late_in_the_night, &differ, late), [""; 0], "the next one is for it");
    }

    #[test]
    fn what_came_after_the_comparison_is_for_the_next_one() {
        let differ = two(&["i1", "i2"], &["i1"], COMPARED_MS);
        let late = COMPARED_MS + WITHIN_MS + 1;
        let mut watch = written(NOON_MS);
        assert_eq!(found(&mut watch, &differ, late), [""; 0]);
        assert_eq!(found(&mut watch, &differ, late + 24 * HOUR_MS), ["L5 not-brought-together 1"]);
    }
}
