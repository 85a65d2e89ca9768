//! I4: set equality per (project, local day); each event in exactly one day.
//!
//! The set of a day is what was acknowledged for it, with whatever of the unknown is there. What is missing is also
//! I1's; here it is counted against the day's set. What was never sent at all is I2's.

use super::{Moment, Tally, count, i1_readable, i2_sent};
use crate::content::DayContent;
use crate::identity::ProjectDay;
use crate::ledger::{Claim, Identity, Ledger};
use crate::sight::{SeenDay, Sight};
use latent_verdict::Violation;

/// Checks every project and day of the sight's scope.
#[must_use]
pub fn check(ledger: &Ledger, sight: &Sight, now: &Moment) -> Vec<Violation> {
    let mut tally = Tally::new("I4", now);
    i1_readable::each_missing(ledger, sight, now.settled_before_ms, |of, identity, items| {
        tally.add(of, "missing", items, identity);
    });
    for (of, seen) in &sight.days {
        i2_sent::strays(ledger, *of, &seen.held, |claim, held| {
            if matches!(claim, Claim::OtherDay(_)) {
                tally.add(*of, "other-day", 1, held.key);
            }
        });
        for content in &seen.contents {
            misfiled(ledger, *of, content, &mut tally);
        }
    }
    in_several_days(ledger, sight, &mut tally);
    tally.finish(|of, kind, items| match kind {
        "missing" => {
            (true, format!("{of}: {} from its set", count(items, "event is missing", "events are missing")))
        }
        "other-day" => {
            (false, format!("{of}: {} sent for another day", count(items, "event was", "events were")))
        }
        "misfiled" => (
            false,
            format!(
                "{of}: {} the time of another day in the project's zone",
                count(items, "record has", "records have")
            ),
        ),
        _ => (false, format!("{of}: {} in other days too", count(items, "event is", "events are"))),
    })
}

/// By its stored time, and the project's zone when it came in, a record belongs to the day that it lies in.
fn misfiled(ledger: &Ledger, of: ProjectDay, day: &DayContent, tally: &mut Tally<'_>) {
    let skew_ms = ledger.settings().clock_skew_ms;
    for record in day.records() {
        let (from_ms, to_ms) = (record.arrived_ms - skew_ms, record.arrived_ms + skew_ms);
        let days = ledger.zones().days_within(of.project, Some(record.time_ms), from_ms, to_ms);
        if !days.is_ok_and(|(first, last)| (first..=last).contains(&of.day)) {
            tally.add(of, "misfiled", 1, record.key);
        }
    }
}

/// A floating event is on no more days than its sends account for.
fn in_several_days(ledger: &Ledger, sight: &Sight, tally: &mut Tally<'_>) {
    for (project, identity) in ledger.floating.keys().copied() {
        let Identity::Keyed(key) = identity else { continue };
        let is_there = |seen: &SeenDay| seen.holds(identity).then_some(1);
        let found = ledger.found_floating(sight, (project, identity), is_there);
        for (day, days) in ledger.unaccounted((project, identity), &found, 0) {
            tally.add(ProjectDay { project, day }, "in-several-days", u64::from(days), key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::invariants::{noon_after, short};
    use crate::testing::{Answer, Clients, DAY, Disk, NOON_MS, Rec, sight};

    const OF: ProjectDay = ProjectDay { project: 17, day: DAY };
    const NEXT: ProjectDay = ProjectDay { project: 17, day: DAY + 1 };

    fn found(ledger: &Ledger, disk: Disk) -> Vec<(String, u64, bool)> {
        let found = check(ledger, &sight(&vec![disk; 8]), &noon_after());
        found.into_iter().map(|v| (v.kind, v.items, v.loses_items)).collect()
    }

    #[test]
    fn equal_sets_pass_and_a_smaller_one_is_loss() {
        let [one, two] = ["i1", "i2"].map(|id| Rec::new("a", id, NOON_MS));
        let ledger = Clients::new().acked(17, &[one.clone(), two.clone()]).ledger;
        assert_eq!(found(&ledger, Disk::default().with_day(OF, &[one.clone(), two])), []);
        assert_eq!(found(&ledger, Disk::default().with_day(OF, &[one])), [("missing".into(), 1, true)]);
    }

    #[test]
    fn an_event_in_two_days_is_found_in_the_wrong_one() {
        let rec = Rec::new("a", "i1", NOON_MS);
        let one = std::slice::from_ref(&rec);
        let ledger = Clients::new().acked(17, one).ledger;
        let disk = Disk::default().with_day(OF, one).with_day(NEXT, one);
        assert_eq!(found(&ledger, disk), [("misfiled".into(), 1, false), ("other-day".into(), 1, false)]);
    }

    #[test]
    fn days_go_by_the_projects_zone() {
        let rec = Rec::new("a", "i1", NOON_MS - 6 * 3_600_000);
        let one = std::slice::from_ref(&rec);
        let ledger = Clients::new().acked(18, one).ledger;
        let eve = ProjectDay { project: 18, day: DAY - 1 };
        assert_eq!(found(&ledger, Disk::default().with_day(eve, one)), []);
        let kinds: Vec<String> =
            found(&ledger, Disk::default().with_day(ProjectDay { day: DAY, ..eve }, one))
                .into_iter()
                .map(|f| f.0)
                .collect();
        assert_eq!(kinds, ["missing", "misfiled", "other-day"]);
    }

    #[test]
    fn an_event_without_time_in_a_request_without_answer_may_be_on_a_later_day() {
        let rec = Rec { time_ms: None, ..Rec::new("a", "i1", NOON_MS) };
        let late = Rec { arrived_ms: NOON_MS + 24 * 3_600_000, sequence: 2, ..rec.clone() };
        let one = std::slice::from_ref(&rec);
        let both = Disk::default().with_day(OF, one).with_day(NEXT, std::slice::from_ref(&late));
        let retried = Clients::new().send(17, one, Answer::Unknown).acked(17, one);
        assert_eq!(found(&retried.ledger, both.clone()), []);
        let answered = Clients::new().acked(17, one).acked(17, one);
        assert_eq!(
            found(&answered.ledger, both),
            [("other-day".into(), 1, false)],
            "what was answered on the day before cannot have come in later"
        );
    }

    #[test]
    fn a_floating_event_is_on_one_day_per_send() {
        let midnight_ms = NOON_MS + 12 * 3_600_000;
        let rec = Rec { time_ms: None, arrived_ms: midnight_ms - 100, ..Rec::new("a", "i1", NOON_MS) };
        let after = Rec { arrived_ms: midnight_ms + 100, ..rec.clone() };
        let one = std::slice::from_ref(&rec);
        let both = Disk::default().with_day(OF, one).with_day(NEXT, std::slice::from_ref(&after));
        let once = Clients::new().acked(17, one);
        assert_eq!(found(&once.ledger, both.clone()), [("in-several-days".into(), 1, false)]);
        let twice = once.acked(17, std::slice::from_ref(&after));
        assert_eq!(found(&twice.ledger, both), []);
        let found = check(&twice.ledger, &sight(&[Disk::default().with_day(OF, one)]), &noon_after());
        assert_eq!(short(&found), []);
    }
}
