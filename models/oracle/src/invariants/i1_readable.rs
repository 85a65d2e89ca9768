//! I1: every acknowledged event, and every accepted item of a partial answer, can be read.
//!
//! An event in no place is lost. One in too few places for every reader to see it is endangered: no breach while
//! faults are at work, since acknowledged on four of eight disks is on one when three of the four are down.
//! An event that a reader surely saw counts like an acknowledged one: it may not vanish.

use super::{Moment, Tally, count, join};
use crate::identity::{Content, ProjectDay};
use crate::ledger::{Identity, Ledger, LedgerDay};
use crate::sight::{SeenDay, Sight};
use latent_verdict::Violation;
use std::collections::BTreeMap;

/// Checks every project and day of the sight's scope.
#[must_use]
pub fn check(ledger: &Ledger, sight: &Sight, now: &Moment) -> Vec<Violation> {
    let mut tally = Tally::new("I1", now);
    each_missing(ledger, sight, now.settled_before_ms, |of, identity, items| {
        tally.add(of, "missing", items, identity);
    });
    for (of, day, seen) in days(ledger, sight) {
        join(Some(day), &seen.held, |key, entry, held| {
            let Some(entry) = entry else { return };
            let (places, acked) =
                (held.map_or(0, |held| held.places), entry.acked_before(now.settled_before_ms));
            if places == 0 && entry.seen && !acked {
                tally.add(of, "vanished", 1, key);
            } else if (1..sight.sure).contains(&places) && acked && !now.faults_active {
                tally.add(of, "endangered", 1, key);
            }
        });
        if !now.faults_active {
            endangered_anonymous(of, day, seen, sight.sure, now, &mut tally);
        }
    }
    for (of, identity) in ledger.seen_floating().filter(|(of, _)| sight.covers(*of)) {
        if !sight.days.get(&of).is_some_and(|seen| seen.holds(identity)) {
            tally.add(of, "vanished", 1, identity);
        }
    }
    tally.finish(|of, kind, items| match kind {
        "missing" => (
            true,
            format!(
                "{of}: {} in none of {} places",
                count(items, "acknowledged event is", "acknowledged events are"),
                sight.places
            ),
        ),
        "vanished" => (
            true,
            format!("{of}: {} read before and in no place now", count(items, "event was", "events were")),
        ),
        _ => (
            false,
            format!(
                "{of}: {} in fewer than {} places",
                count(items, "acknowledged event is", "acknowledged events are"),
                sight.sure
            ),
        ),
    })
}

/// There, but not so often where every reader sees them.
fn endangered_anonymous(
    of: ProjectDay,
    day: &LedgerDay,
    seen: &SeenDay,
    sure: u32,
    now: &Moment,
    tally: &mut Tally<'_>,
) {
    if day.anonymous.is_empty() {
        return;
    }
    let mut missing = BTreeMap::new();
    owed_anonymous(day, &seen.anonymous(1), now.settled_before_ms, |content, count| {
        missing.insert(content, count);
    });
    owed_anonymous(day, &seen.anonymous(sure), now.settled_before_ms, |content, unsure| {
        let missing = missing.get(&content).copied().unwrap_or(0);
        tally.add(of, "endangered", u64::from(unsure - missing), content);
    });
}

/// Acknowledged before `before_ms`, and in no place of the sight: the day, who it is, and how many of it.
pub(crate) fn each_missing(
    ledger: &Ledger,
    sight: &Sight,
    before_ms: i64,
    mut each: impl FnMut(ProjectDay, Identity, u64),
) {
    for (of, day, seen) in days(ledger, sight) {
        join(Some(day), &seen.held, |key, entry, held| {
            if held.is_none() && entry.is_some_and(|entry| entry.acked_before(before_ms)) {
                each(of, Identity::Keyed(key), 1);
            }
        });
        owed_anonymous(day, &seen.anonymous(1), before_ms, |content, missing| {
            each(of, Identity::Anonymous(content), u64::from(missing));
        });
    }
    floating_missing(ledger, sight, before_ms, &mut each);
}

fn days<'a>(
    ledger: &'a Ledger,
    sight: &'a Sight,
) -> impl Iterator<Item = (ProjectDay, &'a LedgerDay, &'a SeenDay)> {
    static NOTHING: SeenDay = SeenDay { contents: Vec::new(), shares: Vec::new(), held: Vec::new() };
    // A look at a few days costs what they cost, however many there are by then.
    let of_scope = sight.scope.iter().flatten().filter_map(|of| ledger.days.get_key_value(of));
    let all = sight.scope.is_none().then_some(&ledger.days).into_iter().flatten();
    of_scope.chain(all).map(|(of, day)| (*of, day, sight.days.get(of).unwrap_or(&NOTHING)))
}

/// Events without identity that were acknowledged oftener than `there` says they are there.
fn owed_anonymous(
    day: &LedgerDay,
    there: &BTreeMap<Content, u32>,
    before_ms: i64,
    mut each: impl FnMut(Content, u32),
) {
    for (content, entry) in day.anonymous.iter().filter(|(_, entry)| entry.acked_before(before_ms)) {
        let content = Content(*content);
        let lacking = u32::from(entry.acks).saturating_sub(there.get(&content).copied().unwrap_or(0));
        if lacking > 0 {
            each(content, lacking);
        }
    }
}

/// A floating event must be on one of its days; of several sends of one identity, one is asked for.
fn floating_missing(
    ledger: &Ledger,
    sight: &Sight,
    before_ms: i64,
    each: &mut impl FnMut(ProjectDay, Identity, u64),
) {
    for ((project, identity), sends) in &ledger.floating {
        for send in sends.iter().filter(|send| send.acked_at_ms < before_ms) {
            let of = |day| ProjectDay { project: *project, day };
            let mut days = send.acked_days().map(of);
            let is_there = |of| sight.days.get(&of).is_some_and(|day| day.holds(*identity));
            if days.clone().all(|of| sight.covers(of)) && !days.any(is_there) {
                each(of(send.days.0), *identity, 1);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::invariants::{noon_after, short};
    use crate::testing::{Answer, Clients, DAY, Disk, NOON_MS, Rec, sight};

    const OF: ProjectDay = ProjectDay { project: 17, day: DAY };

    fn rec(id: &str) -> Rec {
        Rec::new("a", id, NOON_MS)
    }

    /// `i1` to `i3` in one request, of which `i3` was refused; `i4` without an answer.
    fn clients() -> Clients {
        let answered = [rec("i1"), rec("i2"), rec("i3")];
        Clients::new().send(17, &answered, Answer::Acked(&[2])).send(17, &[rec("i4")], Answer::Unknown)
    }

    #[test]
    fn what_was_acknowledged_and_is_there_passes() {
        let disk = Disk::default().with_day(OF, &[rec("i1"), rec("i2")]);
        assert_eq!(check(&clients().ledger, &sight(&vec![disk; 8]), &noon_after()), []);
    }

    #[test]
    fn an_acknowledged_event_in_no_place_is_lost() {
        let disk = Disk::default().with_day(OF, &[rec("i2"), rec("i4")]);
        let found = check(&clients().ledger, &sight(&vec![disk; 8]), &noon_after());
        assert_eq!(short(&found), [("missing".into(), "p17".into(), 1, true)]);
        assert_eq!(
            (found[0].day.as_deref(), &found[0].keys),
            (Some("2016-02-22"), &vec![rec("i1").key().to_string()])
        );
        let found = check(&clients().ledger, &sight(&vec![Disk::default(); 8]), &noon_after());
        assert_eq!(found[0].items, 2);
    }

    #[test]
    fn an_event_on_three_of_eight_disks_is_endangered_unless_faults_are_at_work() {
        let (whole, part) = (
            Disk::default().with_day(OF, &[rec("i1"), rec("i2")]),
            Disk::default().with_day(OF, &[rec("i2")]),
        );
        let disks: Vec<Disk> = (0..8).map(|at| if at < 3 { whole.clone() } else { part.clone() }).collect();
        let found = check(&clients().ledger, &sight(&disks), &noon_after());
        assert_eq!(short(&found), [("endangered".into(), "p17".into(), 1, false)]);
        let now = Moment { faults_active: true, ..noon_after() };
        assert_eq!(check(&clients().ledger, &sight(&disks), &now), []);
    }

    #[test]
    fn what_is_not_settled_is_not_judged() {
        let now = Moment { settled_before_ms: NOON_MS, ..noon_after() };
        assert_eq!(check(&clients().ledger, &sight(&vec![Disk::default(); 8]), &now), []);
    }

    #[test]
    fn an_unknown_event_may_be_missing_until_it_was_seen() {
        let mut ledger = Clients::new().send(17, &[rec("i4")], Answer::Unknown).ledger;
        let (with, without) = (Disk::default().with_day(OF, &[rec("i4")]), Disk::default());
        assert_eq!(check(&ledger, &sight(&vec![without.clone(); 8]), &noon_after()), []);
        let few: Vec<Disk> = (0..8).map(|at| if at < 3 { with.clone() } else { without.clone() }).collect();
        ledger.note_seen(&sight(&few));
        assert_eq!(check(&ledger, &sight(&vec![without.clone(); 8]), &noon_after()), []);
        ledger.note_seen(&sight(&vec![with; 8]));
        let found = check(&ledger, &sight(&vec![without; 8]), &noon_after());
        assert_eq!(short(&found), [("vanished".into(), "p17".into(), 1, true)]);
    }

    #[test]
    fn a_floating_event_that_was_surely_seen_may_not_vanish() {
        let rec = Rec { time_ms: None, ..rec("i4") };
        let mut ledger = Clients::new().send(17, std::slice::from_ref(&rec), Answer::Unknown).ledger;
        let of = ProjectDay { day: DAY + 1, ..OF };
        let (with, without) = (Disk::default().with_day(of, &[rec]), Disk::default());
        ledger.note_seen(&sight(&vec![with.clone(); 8]));
        assert_eq!(check(&ledger, &sight(&vec![with; 8]), &noon_after()), []);
        let found = check(&ledger, &sight(&vec![without; 8]), &noon_after());
        assert_eq!(short(&found), [("vanished".into(), "p17".into(), 1, true)]);
        assert_eq!(found[0].day.as_deref(), Some("2016-02-23"));
    }

    #[test]
    fn events_without_identity_are_owed_by_number() {
        let one = Rec { insert_id: None, ..rec("") };
        let twin = Rec { sequence: 2, ..one.clone() };
        let ledger = Clients::new()
            .acked(17, std::slice::from_ref(&one))
            .acked(17, std::slice::from_ref(&twin))
            .ledger;
        let both = Disk::default().with_day(OF, &[one.clone(), twin]);
        assert_eq!(check(&ledger, &sight(&vec![both; 8]), &noon_after()), []);
        let found = check(&ledger, &sight(&vec![Disk::default().with_day(OF, &[one]); 8]), &noon_after());
        assert_eq!(short(&found), [("missing".into(), "p17".into(), 1, true)]);
    }

    #[test]
    fn a_floating_event_is_asked_for_on_any_of_its_days() {
        let midnight_ms = NOON_MS + 12 * 3_600_000;
        let rec = Rec { time_ms: None, arrived_ms: midnight_ms - 100, ..rec("i1") };
        let ledger = Clients::new().acked(17, std::slice::from_ref(&rec)).ledger;
        for day in [DAY, DAY + 1] {
            let disk = Disk::default().with_day(ProjectDay { day, ..OF }, std::slice::from_ref(&rec));
            assert_eq!(check(&ledger, &sight(&vec![disk; 8]), &noon_after()), []);
        }
        let found = check(&ledger, &sight(&vec![Disk::default(); 8]), &noon_after());
        assert_eq!(short(&found), [("missing".into(), "p17".into(), 1, true)]);
    }
}
