//! I3: an export shows one event per de-duplication key; raw copies are at most 1 + retries + replays.
//!
//! Raw copies are counted by arrivals: a disk that was handed one arrival twice (by a hint, after the first hand-over
//! was thought to have failed) holds one copy of it, however often it wrote it down. Events without `$insert_id` may double with each retry, by the API's own rule, and with nothing else.

use super::{Moment, Tally, count};
use crate::content::{DayContent, Days};
use crate::identity::ProjectDay;
use crate::ledger::{Identity, Ledger};
use crate::sight::{SeenDay, Sight};
use latent_verdict::Violation;
use std::collections::BTreeMap;

/// Checks raw copies, place by place, and events without identity over all places.
#[must_use]
pub fn check(ledger: &Ledger, sight: &Sight, now: &Moment) -> Vec<Violation> {
    let mut tally = Tally::new("I3", now);
    for (of, seen) in &sight.days {
        for content in &seen.contents {
            raw_copies(ledger, *of, content, now.replays, &mut tally);
        }
        for (content, count) in seen.anonymous(1) {
            let identity = Identity::Anonymous(content);
            if !ledger.is_floating(of.project, identity) {
                tally.add(*of, "doubled", excess(ledger, *of, identity, count, 0), content);
            }
        }
    }
    floating(ledger, sight, now.replays, &mut tally);
    tally.finish(|of, kind, items| {
        (
            false,
            match kind {
                "doubled" => format!(
                    "{of}: {} without $insert_id and stored oftener than sent",
                    count(items, "event is", "events are")
                ),
                _ => format!(
                    "{of}: {} more than sends and replays account for",
                    count(items, "record", "records")
                ),
            },
        )
    })
}

fn raw_copies(ledger: &Ledger, of: ProjectDay, day: &DayContent, replays: u32, tally: &mut Tally<'_>) {
    for kept in day.kept.iter().filter(|kept| kept.arrivals > 1) {
        let identity = Identity::Keyed(kept.key);
        // Nothing can be said here of what was never sent or was refused: that is I2's matter.
        let is_sent = ledger.entry(of, identity).is_some_and(|entry| !entry.is_rejected());
        let copies = u32::from(kept.arrivals);
        if is_sent && !ledger.is_floating(of.project, identity) {
            tally.add(of, "raw-copies", excess(ledger, of, identity, copies, replays), kept.key);
        }
    }
}

/// Floating events: over all their days together no more copies than sends account for.
fn floating(ledger: &Ledger, sight: &Sight, replays: u32, tally: &mut Tally<'_>) {
    for (project, identity) in ledger.floating.keys().copied() {
        let copies = |seen: &SeenDay| match identity {
            Identity::Keyed(key) => {
                let of_place = |day: &DayContent| {
                    let at = day.kept.binary_search_by_key(&key, |kept| kept.key).ok()?;
                    Some(u32::from(day.kept[at].arrivals))
                };
                seen.contents.iter().filter_map(|day| of_place(day)).max()
            }
            Identity::Anonymous(content) => seen.anonymous(1).get(&content).copied(),
        };
        let (kind, spare) = match identity {
            Identity::Keyed(_) => ("raw-copies", replays),
            Identity::Anonymous(_) => ("doubled", 0),
        };
        let found = ledger.found_floating(sight, (project, identity), copies);
        for (day, excess) in ledger.unaccounted((project, identity), &found, spare) {
            tally.add(ProjectDay { project, day }, kind, u64::from(excess), identity);
        }
    }
}

/// How many of `found` copies on one day are more than sends for that day, and `spare` more, account for.
fn excess(ledger: &Ledger, of: ProjectDay, identity: Identity, found: u32, spare: u32) -> u64 {
    let found = BTreeMap::from([(of.day, found)]);
    ledger.unaccounted((of.project, identity), &found, spare).into_values().map(u64::from).sum()
}

/// Checks what an export (or a drill's export) shows: each key once.
#[must_use]
pub fn check_export(days: &Days, now: &Moment) -> Vec<Violation> {
    let mut tally = Tally::new("I3", now);
    for (of, day) in days {
        for kept in day.kept.iter().filter(|kept| !kept.anonymous) {
            tally.add(*of, "shown-twice", u64::from(kept.copies.saturating_sub(1)), kept.key);
        }
    }
    tally.finish(|of, _, items| {
        (
            false,
            format!("an export of {of} shows again what it has shown: {}", count(items, "event", "events")),
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::invariants::{noon_after, short};
    use crate::ledger::Settings;
    use crate::testing::{Answer, Clients, DAY, Disk, NOON_MS, Rec, sight};

    const OF: ProjectDay = ProjectDay { project: 17, day: DAY };

    fn times(rec: &Rec, count: u64) -> Vec<Rec> {
        (0..count).map(|sequence| Rec { sequence, ..rec.clone() }).collect()
    }

    #[test]
    fn a_retry_may_leave_a_second_raw_copy_and_a_replay_a_third() {
        let rec = Rec::new("a", "i1", NOON_MS);
        let one = std::slice::from_ref(&rec);
        let ledger = Clients::new().send(17, one, Answer::Unknown).acked(17, one).ledger;
        let held = |count| sight(&[Disk::default().with_day(OF, &times(&rec, count))]);
        assert_eq!(check(&ledger, &held(2), &noon_after()), []);
        let found = check(&ledger, &held(3), &noon_after());
        assert_eq!(short(&found), [("raw-copies".into(), "p17".into(), 1, false)]);
        assert_eq!(check(&ledger, &held(3), &Moment { replays: 1, ..noon_after() }), []);
    }

    #[test]
    fn an_event_without_identity_may_double_with_a_retry_only() {
        let rec = Rec { insert_id: None, ..Rec::new("a", "", NOON_MS) };
        let one = std::slice::from_ref(&rec);
        let ledger = Clients::new().send(17, one, Answer::Unknown).acked(17, one).ledger;
        let held = |count| sight(&[Disk::default().with_day(OF, &times(&rec, count))]);
        assert_eq!(check(&ledger, &held(2), &noon_after()), []);
        let now = Moment { replays: 1, ..noon_after() };
        assert_eq!(short(&check(&ledger, &held(3), &now)), [("doubled".into(), "p17".into(), 1, false)]);
    }

    #[test]
    fn a_request_that_the_network_doubles_may_be_stored_twice_and_not_three_times() {
        let rec = Rec { insert_id: None, ..Rec::new("a", "", NOON_MS) };
        let one = std::slice::from_ref(&rec);
        let held = |count| sight(&[Disk::default().with_day(OF, &times(&rec, count))]);
        let doubling = Settings { deliveries_per_send: 2, ..Settings::default() };
        let ledger = Clients::with(doubling).acked(17, one).ledger;
        assert_eq!(check(&ledger, &held(2), &noon_after()), []);
        assert_eq!(
            short(&check(&ledger, &held(3), &noon_after())),
            [("doubled".into(), "p17".into(), 1, false)]
        );
        let ledger = Clients::new().acked(17, one).ledger;
        assert_eq!(
            short(&check(&ledger, &held(2), &noon_after())),
            [("doubled".into(), "p17".into(), 1, false)]
        );
    }

    /// Without a time, one send unanswered and one answered: two copies in all, whichever days they are on.
    #[test]
    fn copies_of_a_floating_event_are_counted_over_all_its_days() {
        let days = [OF, ProjectDay { day: DAY + 1, ..OF }, ProjectDay { day: DAY + 2, ..OF }];
        for insert_id in [Some("i1".to_owned()), None] {
            let rec = Rec { time_ms: None, insert_id, ..Rec::new("a", "i1", NOON_MS) };
            let one = std::slice::from_ref(&rec);
            let ledger = Clients::new().send(17, one, Answer::Unknown).acked(17, one).ledger;
            let on = |later: &[usize]| {
                let days_ms = |later: usize| later as i64 * 24 * 3_600_000;
                let copy = |(sequence, later): (u64, &usize)| Rec {
                    sequence,
                    arrived_ms: NOON_MS + days_ms(*later),
                    ..rec.clone()
                };
                let disk = (0u64..).zip(later).fold(Disk::default(), |disk, (sequence, later)| {
                    disk.with_day(days[*later], &[copy((sequence, later))])
                });
                check(&ledger, &sight(&[disk]), &noon_after()).iter().map(|found| found.items).sum::<u64>()
            };
            assert_eq!((on(&[0]), on(&[0, 2]), on(&[0, 1, 2])), (0, 0, 1), "{rec:?}");
        }
    }

    #[test]
    fn an_export_shows_each_key_once() {
        let rec = Rec::new("a", "i1", NOON_MS);
        let shown = |count| {
            let disk = Disk::default().with_day(OF, &times(&rec, count));
            crate::testing::snapshot(&[disk]).disks[0].content()
        };
        assert_eq!(check_export(&shown(1), &noon_after()), []);
        assert_eq!(
            short(&check_export(&shown(2), &noon_after())),
            [("shown-twice".into(), "p17".into(), 1, false)]
        );
    }
}
