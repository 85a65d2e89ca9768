//! I4: set equality per (project, local day); each event is in exactly one day.
//!
//! The set of a day is what was acknowledged for it, plus any unknown events that are stored. Missing events are also
//! reported by I1; here they count against the day's set. Events that were never sent are reported by I2.
//!
//! Documented in docs/invariants.md#i4.

use super::{CheckContext, ViolationAccumulator, i1_readable, i2_provenance, pluralize};
use crate::content::DayContent;
use crate::identity::ProjectDay;
use crate::ledger::{EventIdentity, Ledger, Provenance};
use crate::read_view::{DayView, ReadView};
use latent_verdict::Violation;

/// Checks every project-day in the read view's scope.
#[must_use]
pub fn check(ledger: &Ledger, read_view: &ReadView, context: &CheckContext) -> Vec<Violation> {
    let mut accumulator = ViolationAccumulator::new("I4", context);
    i1_readable::for_each_missing(
        ledger,
        read_view,
        context.settled_before_ms,
        |project_day, identity, items| {
            accumulator.add(project_day, "missing", items, identity);
        },
    );
    for (project_day, day_view) in &read_view.days {
        i2_provenance::for_each_invalid(ledger, *project_day, &day_view.events, |provenance, event| {
            if matches!(provenance, Provenance::OtherDay(_)) {
                accumulator.add(*project_day, "wrong-day", 1, event.key);
            }
        });
        for content in &day_view.contents {
            misfiled(ledger, *project_day, content, &mut accumulator);
        }
    }
    in_several_days(ledger, read_view, &mut accumulator);
    accumulator.finish(|project_day, kind, items| match kind {
        "missing" => (
            true,
            format!(
                "{project_day}: {} missing",
                pluralize(items, "acknowledged event of the day is", "acknowledged events of the day are")
            ),
        ),
        "wrong-day" => (
            false,
            format!("{project_day}: {} sent for another day", pluralize(items, "event was", "events were")),
        ),
        "misfiled" => (
            false,
            format!(
                "{project_day}: {} the time of another day in the project's zone",
                pluralize(items, "record has", "records have")
            ),
        ),
        _ => (
            false,
            format!("{project_day}: {} in other days too", pluralize(items, "event is", "events are")),
        ),
    })
}

/// Checks that each record is stored in the day of its time, in the project's zone at its arrival.
fn misfiled(
    ledger: &Ledger,
    project_day: ProjectDay,
    day: &DayContent,
    accumulator: &mut ViolationAccumulator<'_>,
) {
    let skew_ms = ledger.config().clock_skew_ms;
    for record in day.records() {
        let (from_ms, to_ms) = (record.arrived_ms - skew_ms, record.arrived_ms + skew_ms);
        let days = ledger.zones().days_within(project_day.project, Some(record.time_ms), from_ms, to_ms);
        if !days.is_ok_and(|(first, last)| (first..=last).contains(&project_day.day)) {
            accumulator.add(project_day, "misfiled", 1, record.key);
        }
    }
}

/// Checks that a floating event is on no more days than its sends account for.
fn in_several_days(ledger: &Ledger, read_view: &ReadView, accumulator: &mut ViolationAccumulator<'_>) {
    for (project, identity) in ledger.floating.keys().copied() {
        let EventIdentity::Keyed(key) = identity else { continue };
        let is_there = |day_view: &DayView| day_view.holds(identity).then_some(1);
        let found = ledger.days_with_floating(read_view, (project, identity), is_there);
        for (day, days) in ledger.unaccounted_copies((project, identity), &found, 0) {
            accumulator.add(ProjectDay { project, day }, "in-several-days", u64::from(days), key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::invariants::{noon_context, summaries};
    use crate::test_support::{DAY, NOON_MS, TestAnswer, TestClients, TestDisk, TestRecord, read_view};

    const PROJECT_DAY: ProjectDay = ProjectDay { project: 17, day: DAY };
    const NEXT: ProjectDay = ProjectDay { project: 17, day: DAY + 1 };

    fn found(ledger: &Ledger, disk: TestDisk) -> Vec<(String, u64, bool)> {
        let found = check(ledger, &read_view(&vec![disk; 8]), &noon_context());
        found.into_iter().map(|v| (v.kind, v.items, v.loses_items)).collect()
    }

    #[test]
    fn equal_sets_pass_and_a_missing_event_is_loss() {
        let [one, two] = ["i1", "i2"].map(|id| TestRecord::new("a", id, NOON_MS));
        let ledger = TestClients::new().acked(17, &[one.clone(), two.clone()]).ledger;
        assert_eq!(found(&ledger, TestDisk::default().with_day(PROJECT_DAY, &[one.clone(), two])), []);
        assert_eq!(
            found(&ledger, TestDisk::default().with_day(PROJECT_DAY, &[one])),
            [("missing".into(), 1, true)]
        );
    }

    #[test]
    fn an_event_in_two_days_is_reported_for_the_wrong_day() {
        let rec = TestRecord::new("a", "i1", NOON_MS);
        let one = std::slice::from_ref(&rec);
        let ledger = TestClients::new().acked(17, one).ledger;
        let disk = TestDisk::default().with_day(PROJECT_DAY, one).with_day(NEXT, one);
        assert_eq!(found(&ledger, disk), [("misfiled".into(), 1, false), ("wrong-day".into(), 1, false)]);
    }

    #[test]
    fn days_follow_the_projects_zone() {
        let rec = TestRecord::new("a", "i1", NOON_MS - 6 * 3_600_000);
        let one = std::slice::from_ref(&rec);
        let ledger = TestClients::new().acked(18, one).ledger;
        let eve = ProjectDay { project: 18, day: DAY - 1 };
        assert_eq!(found(&ledger, TestDisk::default().with_day(eve, one)), []);
        let kinds: Vec<String> =
            found(&ledger, TestDisk::default().with_day(ProjectDay { day: DAY, ..eve }, one))
                .into_iter()
                .map(|f| f.0)
                .collect();
        assert_eq!(kinds, ["missing", "misfiled", "wrong-day"]);
    }

    #[test]
    fn an_event_without_time_in_a_request_without_answer_may_be_on_a_later_day() {
        let rec = TestRecord { time_ms: None, ..TestRecord::new("a", "i1", NOON_MS) };
        let late = TestRecord { arrived_ms: NOON_MS + 24 * 3_600_000, sequence: 2, ..rec.clone() };
        let one = std::slice::from_ref(&rec);
        let both = TestDisk::default().with_day(PROJECT_DAY, one).with_day(NEXT, std::slice::from_ref(&late));
        let retried = TestClients::new().send(17, one, TestAnswer::Unknown).acked(17, one);
        assert_eq!(found(&retried.ledger, both.clone()), []);
        let answered = TestClients::new().acked(17, one).acked(17, one);
        assert_eq!(
            found(&answered.ledger, both),
            [("wrong-day".into(), 1, false)],
            "an event answered on the day before cannot arrive later"
        );
    }

    #[test]
    fn a_floating_event_is_on_at_most_one_day_per_send() {
        let midnight_ms = NOON_MS + 12 * 3_600_000;
        let rec = TestRecord {
            time_ms: None,
            arrived_ms: midnight_ms - 100,
            ..TestRecord::new("a", "i1", NOON_MS)
        };
        let after = TestRecord { arrived_ms: midnight_ms + 100, ..rec.clone() };
        let one = std::slice::from_ref(&rec);
        let both =
            TestDisk::default().with_day(PROJECT_DAY, one).with_day(NEXT, std::slice::from_ref(&after));
        let once = TestClients::new().acked(17, one);
        assert_eq!(found(&once.ledger, both.clone()), [("in-several-days".into(), 1, false)]);
        let twice = once.acked(17, std::slice::from_ref(&after));
        assert_eq!(found(&twice.ledger, both), []);
        let found = check(
            &twice.ledger,
            &read_view(&[TestDisk::default().with_day(PROJECT_DAY, one)]),
            &noon_context(),
        );
        assert_eq!(summaries(&found), []);
    }
}
