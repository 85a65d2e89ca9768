//! I1: every acknowledged event, and every accepted item of a partial answer, is readable.
//!
//! An event in no replica is lost. An event in too few replicas for every reader to see it is endangered. That is not
//! a violation while faults are active: an event acknowledged on four of eight disks is on one when three of the four
//! are down. An event that every reader saw counts like an acknowledged one: it must not vanish.
//!
//! Documented in docs/invariants.md#i1.

use super::{CheckContext, ViolationAccumulator, merge_join, pluralize};
use crate::identity::{EventDigest, ProjectDay};
use crate::ledger::{EventIdentity, Ledger, LedgerDay};
use crate::read_view::{DayView, ReadView};
use latent_verdict::Violation;
use std::collections::BTreeMap;

/// Checks every project-day in the read view's scope.
#[must_use]
pub fn check(ledger: &Ledger, read_view: &ReadView, context: &CheckContext) -> Vec<Violation> {
    let mut accumulator = ViolationAccumulator::new("I1", context);
    for_each_missing(ledger, read_view, context.settled_before_ms, |project_day, identity, items| {
        accumulator.add(project_day, "missing", items, identity);
    });
    for (project_day, day, day_view) in days(ledger, read_view) {
        merge_join(Some(day), &day_view.events, |key, entry, event| {
            let Some(entry) = entry else { return };
            let (replicas, acked) =
                (event.map_or(0, |event| event.replicas), entry.is_acked_before(context.settled_before_ms));
            if replicas == 0 && entry.observed && !acked {
                accumulator.add(project_day, "vanished", 1, key);
            } else if (1..read_view.min_replicas).contains(&replicas) && acked && !context.faults_active {
                accumulator.add(project_day, "under-replicated", 1, key);
            }
        });
        if !context.faults_active {
            under_replicated_anonymous(
                project_day,
                day,
                day_view,
                read_view.min_replicas,
                context,
                &mut accumulator,
            );
        }
    }
    for (project_day, identity) in
        ledger.observed_floating().filter(|(project_day, _)| read_view.covers(*project_day))
    {
        if !read_view.days.get(&project_day).is_some_and(|day_view| day_view.holds(identity)) {
            accumulator.add(project_day, "vanished", 1, identity);
        }
    }
    accumulator.finish(|project_day, kind, items| match kind {
        "missing" => (
            true,
            format!(
                "{project_day}: {} on 0 of {} replicas",
                pluralize(items, "acknowledged event is", "acknowledged events are"),
                read_view.replicas
            ),
        ),
        "vanished" => (
            true,
            format!(
                "{project_day}: {} read before and in no replica now",
                pluralize(items, "event was", "events were")
            ),
        ),
        _ => (
            false,
            format!(
                "{project_day}: {} on fewer than {} replicas",
                pluralize(items, "acknowledged event is", "acknowledged events are"),
                read_view.min_replicas
            ),
        ),
    })
}

/// Reports events without identity that are present, but in too few copies on enough replicas.
fn under_replicated_anonymous(
    project_day: ProjectDay,
    day: &LedgerDay,
    day_view: &DayView,
    min_replicas: u32,
    context: &CheckContext,
    accumulator: &mut ViolationAccumulator<'_>,
) {
    if day.anonymous.is_empty() {
        return;
    }
    let mut missing = BTreeMap::new();
    missing_anonymous(day, &day_view.anonymous(1), context.settled_before_ms, |content, count| {
        missing.insert(content, count);
    });
    missing_anonymous(
        day,
        &day_view.anonymous(min_replicas),
        context.settled_before_ms,
        |content, unsure| {
            let missing = missing.get(&content).copied().unwrap_or(0);
            accumulator.add(project_day, "under-replicated", u64::from(unsure - missing), content);
        },
    );
}

/// Calls `each` for every event acknowledged before `before_ms` that is in no replica of the read view, with its day,
/// identity and number of missing copies.
pub(crate) fn for_each_missing(
    ledger: &Ledger,
    read_view: &ReadView,
    before_ms: i64,
    mut each: impl FnMut(ProjectDay, EventIdentity, u64),
) {
    for (project_day, day, day_view) in days(ledger, read_view) {
        merge_join(Some(day), &day_view.events, |key, entry, event| {
            if event.is_none() && entry.is_some_and(|entry| entry.is_acked_before(before_ms)) {
                each(project_day, EventIdentity::Keyed(key), 1);
            }
        });
        missing_anonymous(day, &day_view.anonymous(1), before_ms, |content, missing| {
            each(project_day, EventIdentity::Anonymous(content), u64::from(missing));
        });
    }
    floating_missing(ledger, read_view, before_ms, &mut each);
}

fn days<'a>(
    ledger: &'a Ledger,
    read_view: &'a ReadView,
) -> impl Iterator<Item = (ProjectDay, &'a LedgerDay, &'a DayView)> {
    static NOTHING: DayView =
        DayView { contents: Vec::new(), replica_counts: Vec::new(), events: Vec::new() };
    // Iterate over the scope only, so that the cost does not depend on the number of known days.
    let of_scope =
        read_view.scope.iter().flatten().filter_map(|project_day| ledger.days.get_key_value(project_day));
    let all = read_view.scope.is_none().then_some(&ledger.days).into_iter().flatten();
    of_scope
        .chain(all)
        .map(|(project_day, day)| (*project_day, day, read_view.days.get(project_day).unwrap_or(&NOTHING)))
}

/// Calls `each` for events without identity that were acknowledged more often than they are in `there`.
fn missing_anonymous(
    day: &LedgerDay,
    there: &BTreeMap<EventDigest, u32>,
    before_ms: i64,
    mut each: impl FnMut(EventDigest, u32),
) {
    for (content, entry) in day.anonymous.iter().filter(|(_, entry)| entry.is_acked_before(before_ms)) {
        let content = EventDigest(*content);
        let lacking = u32::from(entry.acks).saturating_sub(there.get(&content).copied().unwrap_or(0));
        if lacking > 0 {
            each(content, lacking);
        }
    }
}

/// A floating event must be on one of its days; several sends with one identity require one copy.
fn floating_missing(
    ledger: &Ledger,
    read_view: &ReadView,
    before_ms: i64,
    each: &mut impl FnMut(ProjectDay, EventIdentity, u64),
) {
    for ((project, identity), sends) in &ledger.floating {
        for send in sends.iter().filter(|send| send.acked_at_ms < before_ms) {
            let on_day = |day| ProjectDay { project: *project, day };
            let mut days = send.acked_days().map(on_day);
            let is_there =
                |project_day| read_view.days.get(&project_day).is_some_and(|day| day.holds(*identity));
            if days.clone().all(|project_day| read_view.covers(project_day)) && !days.any(is_there) {
                each(on_day(send.days.0), *identity, 1);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::invariants::{noon_context, summaries};
    use crate::test_support::{DAY, NOON_MS, TestAnswer, TestClients, TestDisk, TestRecord, read_view};

    const PROJECT_DAY: ProjectDay = ProjectDay { project: 17, day: DAY };

    fn rec(id: &str) -> TestRecord {
        TestRecord::new("a", id, NOON_MS)
    }

    /// Sends `i1` to `i3` in one request, of which `i3` is refused, and `i4` without an answer.
    fn clients() -> TestClients {
        let answered = [rec("i1"), rec("i2"), rec("i3")];
        TestClients::new().send(17, &answered, TestAnswer::Acked(&[2])).send(
            17,
            &[rec("i4")],
            TestAnswer::Unknown,
        )
    }

    #[test]
    fn stored_acknowledged_events_pass() {
        let disk = TestDisk::default().with_day(PROJECT_DAY, &[rec("i1"), rec("i2")]);
        assert_eq!(check(&clients().ledger, &read_view(&vec![disk; 8]), &noon_context()), []);
    }

    #[test]
    fn an_acknowledged_event_in_no_replica_is_lost() {
        let disk = TestDisk::default().with_day(PROJECT_DAY, &[rec("i2"), rec("i4")]);
        let found = check(&clients().ledger, &read_view(&vec![disk; 8]), &noon_context());
        assert_eq!(summaries(&found), [("missing".into(), "p17".into(), 1, true)]);
        assert_eq!(
            (found[0].label(crate::day::DAY_LABEL), &found[0].keys),
            (Some("2016-02-22"), &vec![rec("i1").key().to_string()])
        );
        let found = check(&clients().ledger, &read_view(&vec![TestDisk::default(); 8]), &noon_context());
        assert_eq!(found[0].items, 2);
    }

    #[test]
    fn an_event_on_three_of_eight_disks_is_endangered_unless_faults_are_active() {
        let (whole, part) = (
            TestDisk::default().with_day(PROJECT_DAY, &[rec("i1"), rec("i2")]),
            TestDisk::default().with_day(PROJECT_DAY, &[rec("i2")]),
        );
        let disks: Vec<TestDisk> =
            (0..8).map(|at| if at < 3 { whole.clone() } else { part.clone() }).collect();
        let found = check(&clients().ledger, &read_view(&disks), &noon_context());
        assert_eq!(summaries(&found), [("under-replicated".into(), "p17".into(), 1, false)]);
        let context = CheckContext { faults_active: true, ..noon_context() };
        assert_eq!(check(&clients().ledger, &read_view(&disks), &context), []);
    }

    #[test]
    fn unsettled_events_are_not_checked() {
        let context = CheckContext { settled_before_ms: NOON_MS, ..noon_context() };
        assert_eq!(check(&clients().ledger, &read_view(&vec![TestDisk::default(); 8]), &context), []);
    }

    #[test]
    fn an_unknown_event_may_be_missing_until_every_reader_saw_it() {
        let mut ledger = TestClients::new().send(17, &[rec("i4")], TestAnswer::Unknown).ledger;
        let (with, without) = (TestDisk::default().with_day(PROJECT_DAY, &[rec("i4")]), TestDisk::default());
        assert_eq!(check(&ledger, &read_view(&vec![without.clone(); 8]), &noon_context()), []);
        let few: Vec<TestDisk> =
            (0..8).map(|at| if at < 3 { with.clone() } else { without.clone() }).collect();
        ledger.record_observed(&read_view(&few));
        assert_eq!(check(&ledger, &read_view(&vec![without.clone(); 8]), &noon_context()), []);
        ledger.record_observed(&read_view(&vec![with; 8]));
        let found = check(&ledger, &read_view(&vec![without; 8]), &noon_context());
        assert_eq!(summaries(&found), [("vanished".into(), "p17".into(), 1, true)]);
    }

    #[test]
    fn a_floating_event_seen_by_every_reader_must_not_vanish() {
        let rec = TestRecord { time_ms: None, ..rec("i4") };
        let mut ledger = TestClients::new().send(17, std::slice::from_ref(&rec), TestAnswer::Unknown).ledger;
        let project_day = ProjectDay { day: DAY + 1, ..PROJECT_DAY };
        let (with, without) = (TestDisk::default().with_day(project_day, &[rec]), TestDisk::default());
        ledger.record_observed(&read_view(&vec![with.clone(); 8]));
        assert_eq!(check(&ledger, &read_view(&vec![with; 8]), &noon_context()), []);
        let found = check(&ledger, &read_view(&vec![without; 8]), &noon_context());
        assert_eq!(summaries(&found), [("vanished".into(), "p17".into(), 1, true)]);
        assert_eq!(found[0].label(crate::day::DAY_LABEL), Some("2016-02-23"));
    }

    #[test]
    fn events_without_identity_are_counted() {
        let one = TestRecord { insert_id: None, ..rec("") };
        let twin = TestRecord { sequence: 2, ..one.clone() };
        let ledger = TestClients::new()
            .acked(17, std::slice::from_ref(&one))
            .acked(17, std::slice::from_ref(&twin))
            .ledger;
        let both = TestDisk::default().with_day(PROJECT_DAY, &[one.clone(), twin]);
        assert_eq!(check(&ledger, &read_view(&vec![both; 8]), &noon_context()), []);
        let found = check(
            &ledger,
            &read_view(&vec![TestDisk::default().with_day(PROJECT_DAY, &[one]); 8]),
            &noon_context(),
        );
        assert_eq!(summaries(&found), [("missing".into(), "p17".into(), 1, true)]);
    }

    #[test]
    fn a_floating_event_may_be_on_any_of_its_days() {
        let midnight_ms = NOON_MS + 12 * 3_600_000;
        let rec = TestRecord { time_ms: None, arrived_ms: midnight_ms - 100, ..rec("i1") };
        let ledger = TestClients::new().acked(17, std::slice::from_ref(&rec)).ledger;
        for day in [DAY, DAY + 1] {
            let disk =
                TestDisk::default().with_day(ProjectDay { day, ..PROJECT_DAY }, std::slice::from_ref(&rec));
            assert_eq!(check(&ledger, &read_view(&vec![disk; 8]), &noon_context()), []);
        }
        let found = check(&ledger, &read_view(&vec![TestDisk::default(); 8]), &noon_context());
        assert_eq!(summaries(&found), [("missing".into(), "p17".into(), 1, true)]);
    }
}
