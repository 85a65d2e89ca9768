//! I3: an export shows one event per de-duplication key; raw copies are at most 1 + retries + replays.
//!
//! Raw copies are counted by arrivals. A disk that received one arrival twice (by a hint, after the first hand-off was
//! believed to have failed) holds one copy of it, however often it wrote it. Events without `$insert_id` may be
//! duplicated by retries, as the API specifies, and by nothing else.
//!
//! Documented in docs/invariants.md#i3.

use super::{CheckContext, ViolationAccumulator, pluralize};
use crate::content::{DayContent, DayContents};
use crate::identity::ProjectDay;
use crate::ledger::{EventIdentity, Ledger};
use crate::read_view::{DayView, ReadView};
use latent_verdict::Violation;
use std::collections::BTreeMap;

/// Checks raw copies for each replica, and events without identity over all replicas.
#[must_use]
pub fn check(ledger: &Ledger, read_view: &ReadView, context: &CheckContext) -> Vec<Violation> {
    let mut accumulator = ViolationAccumulator::new("I3", context);
    for (project_day, day_view) in &read_view.days {
        for content in &day_view.contents {
            raw_copies(ledger, *project_day, content, context.replays, &mut accumulator);
        }
        for (content, count) in day_view.anonymous(1) {
            let identity = EventIdentity::Anonymous(content);
            if !ledger.is_floating(project_day.project, identity) {
                accumulator.add(
                    *project_day,
                    "duplicate",
                    excess(ledger, *project_day, identity, count, 0),
                    content,
                );
            }
        }
    }
    floating(ledger, read_view, context.replays, &mut accumulator);
    accumulator.finish(|project_day, kind, items| {
        (
            false,
            match kind {
                "duplicate" => format!(
                    "{project_day}: {} without $insert_id and stored more often than sent",
                    pluralize(items, "event is", "events are")
                ),
                _ => format!(
                    "{project_day}: {} more than sends and replays account for",
                    pluralize(items, "record", "records")
                ),
            },
        )
    })
}

fn raw_copies(
    ledger: &Ledger,
    project_day: ProjectDay,
    day: &DayContent,
    replays: u32,
    accumulator: &mut ViolationAccumulator<'_>,
) {
    for event in day.events.iter().filter(|event| event.arrivals > 1) {
        let identity = EventIdentity::Keyed(event.key);
        // Events that were never sent or were refused are reported by I2.
        let is_sent = ledger.entry(project_day, identity).is_some_and(|entry| !entry.is_rejected());
        let copies = u32::from(event.arrivals);
        if is_sent && !ledger.is_floating(project_day.project, identity) {
            accumulator.add(
                project_day,
                "excess-copies",
                excess(ledger, project_day, identity, copies, replays),
                event.key,
            );
        }
    }
}

/// Checks floating events: over all their days, no more copies than sends account for.
fn floating(ledger: &Ledger, read_view: &ReadView, replays: u32, accumulator: &mut ViolationAccumulator<'_>) {
    for (project, identity) in ledger.floating.keys().copied() {
        let copies = |day_view: &DayView| match identity {
            EventIdentity::Keyed(key) => {
                let of_place = |day: &DayContent| {
                    let at = day.events.binary_search_by_key(&key, |event| event.key).ok()?;
                    Some(u32::from(day.events[at].arrivals))
                };
                day_view.contents.iter().filter_map(|day| of_place(day)).max()
            }
            EventIdentity::Anonymous(content) => day_view.anonymous(1).get(&content).copied(),
        };
        let (kind, spare) = match identity {
            EventIdentity::Keyed(_) => ("excess-copies", replays),
            EventIdentity::Anonymous(_) => ("duplicate", 0),
        };
        let found = ledger.days_with_floating(read_view, (project, identity), copies);
        for (day, excess) in ledger.unaccounted_copies((project, identity), &found, spare) {
            accumulator.add(ProjectDay { project, day }, kind, u64::from(excess), identity);
        }
    }
}

/// Returns how many of `found` copies on one day exceed the sends for that day plus `spare`.
fn excess(ledger: &Ledger, project_day: ProjectDay, identity: EventIdentity, found: u32, spare: u32) -> u64 {
    let found = BTreeMap::from([(project_day.day, found)]);
    ledger
        .unaccounted_copies((project_day.project, identity), &found, spare)
        .into_values()
        .map(u64::from)
        .sum()
}

/// Checks that an export (or a drill's export) shows each key once.
#[must_use]
pub fn check_export(days: &DayContents, context: &CheckContext) -> Vec<Violation> {
    let mut accumulator = ViolationAccumulator::new("I3", context);
    for (project_day, day) in days {
        for event in day.events.iter().filter(|event| !event.anonymous) {
            accumulator.add(
                *project_day,
                "duplicate-in-export",
                u64::from(event.copies.saturating_sub(1)),
                event.key,
            );
        }
    }
    accumulator.finish(|project_day, _, items| {
        (
            false,
            format!(
                "an export of {project_day} shows {} more than once",
                pluralize(items, "event", "events")
            ),
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::invariants::{noon_context, summaries};
    use crate::ledger::LedgerConfig;
    use crate::test_support::{DAY, NOON_MS, TestAnswer, TestClients, TestDisk, TestRecord, read_view};

    const PROJECT_DAY: ProjectDay = ProjectDay { project: 17, day: DAY };

    fn times(rec: &TestRecord, count: u64) -> Vec<TestRecord> {
        (0..count).map(|sequence| TestRecord { sequence, ..rec.clone() }).collect()
    }

    #[test]
    fn a_retry_allows_a_second_raw_copy_and_a_replay_a_third() {
        let rec = TestRecord::new("a", "i1", NOON_MS);
        let one = std::slice::from_ref(&rec);
        let ledger = TestClients::new().send(17, one, TestAnswer::Unknown).acked(17, one).ledger;
        let stored = |count| read_view(&[TestDisk::default().with_day(PROJECT_DAY, &times(&rec, count))]);
        assert_eq!(check(&ledger, &stored(2), &noon_context()), []);
        let found = check(&ledger, &stored(3), &noon_context());
        assert_eq!(summaries(&found), [("excess-copies".into(), "p17".into(), 1, false)]);
        assert_eq!(check(&ledger, &stored(3), &CheckContext { replays: 1, ..noon_context() }), []);
    }

    #[test]
    fn only_a_retry_may_duplicate_an_event_without_identity() {
        let rec = TestRecord { insert_id: None, ..TestRecord::new("a", "", NOON_MS) };
        let one = std::slice::from_ref(&rec);
        let ledger = TestClients::new().send(17, one, TestAnswer::Unknown).acked(17, one).ledger;
        let stored = |count| read_view(&[TestDisk::default().with_day(PROJECT_DAY, &times(&rec, count))]);
        assert_eq!(check(&ledger, &stored(2), &noon_context()), []);
        let context = CheckContext { replays: 1, ..noon_context() };
        assert_eq!(
            summaries(&check(&ledger, &stored(3), &context)),
            [("duplicate".into(), "p17".into(), 1, false)]
        );
    }

    #[test]
    fn a_request_duplicated_by_the_network_may_be_stored_twice_but_not_three_times() {
        let rec = TestRecord { insert_id: None, ..TestRecord::new("a", "", NOON_MS) };
        let one = std::slice::from_ref(&rec);
        let stored = |count| read_view(&[TestDisk::default().with_day(PROJECT_DAY, &times(&rec, count))]);
        let doubling = LedgerConfig { deliveries_per_send: 2, ..LedgerConfig::default() };
        let ledger = TestClients::with(doubling).acked(17, one).ledger;
        assert_eq!(check(&ledger, &stored(2), &noon_context()), []);
        assert_eq!(
            summaries(&check(&ledger, &stored(3), &noon_context())),
            [("duplicate".into(), "p17".into(), 1, false)]
        );
        let ledger = TestClients::new().acked(17, one).ledger;
        assert_eq!(
            summaries(&check(&ledger, &stored(2), &noon_context())),
            [("duplicate".into(), "p17".into(), 1, false)]
        );
    }

    /// Without a time, one unanswered and one answered send allow two copies in total, on any days.
    #[test]
    fn copies_of_a_floating_event_are_counted_over_all_its_days() {
        let days = [
            PROJECT_DAY,
            ProjectDay { day: DAY + 1, ..PROJECT_DAY },
            ProjectDay { day: DAY + 2, ..PROJECT_DAY },
        ];
        for insert_id in [Some("i1".to_owned()), None] {
            let rec = TestRecord { time_ms: None, insert_id, ..TestRecord::new("a", "i1", NOON_MS) };
            let one = std::slice::from_ref(&rec);
            let ledger = TestClients::new().send(17, one, TestAnswer::Unknown).acked(17, one).ledger;
            let on = |later: &[usize]| {
                let days_ms = |later: usize| later as i64 * 24 * 3_600_000;
                let copy = |(sequence, later): (u64, &usize)| TestRecord {
                    sequence,
                    arrived_ms: NOON_MS + days_ms(*later),
                    ..rec.clone()
                };
                let disk = (0u64..).zip(later).fold(TestDisk::default(), |disk, (sequence, later)| {
                    disk.with_day(days[*later], &[copy((sequence, later))])
                });
                check(&ledger, &read_view(&[disk]), &noon_context())
                    .iter()
                    .map(|found| found.items)
                    .sum::<u64>()
            };
            assert_eq!((on(&[0]), on(&[0, 2]), on(&[0, 1, 2])), (0, 0, 1), "{rec:?}");
        }
    }

    #[test]
    fn an_export_shows_each_key_once() {
        let rec = TestRecord::new("a", "i1", NOON_MS);
        let shown = |count| {
            let disk = TestDisk::default().with_day(PROJECT_DAY, &times(&rec, count));
            crate::test_support::snapshot(&[disk]).disks[0].content()
        };
        assert_eq!(check_export(&shown(1), &noon_context()), []);
        assert_eq!(
            summaries(&check_export(&shown(2), &noon_context())),
            [("duplicate-in-export".into(), "p17".into(), 1, false)]
        );
    }
}
