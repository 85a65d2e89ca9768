//! I1: every acknowledged event, and every accepted item of a partial answer, can be read.
//!
//! An event in no place is lost. One in too few places for every reader to see it is endangered: no breach while
//! faults are at work, since acknowledged on four of eight disks is on one when three of the four are down.
//! An event that a reader surely saw counts like an acknowledged one: it may not vanish.

use super::{Moment, Tally, join};
use crate::identity::ProjectDay;
use crate::ledger::{Identity, Ledger, LedgerDay};
use crate::snapshot::{SeenDay, Sight};
use latent_verdict::Violation;
use std::collections::BTreeMap;

/// Checks every project and day of the sight's scope.
#[must_use]
pub fn check(ledger: &Ledger, sight: &Sight, now: &Moment) -> Vec<Violation> {
    let mut tally = Tally::new("I1", now);
    let nothing = SeenDay::default();
    for (of, day) in ledger.days.iter().filter(|(of, _)| sight.covers(**of)) {
        let seen = sight.days.get(of).unwrap_or(&nothing);
        keyed(*of, day, seen, sight.sure, now, &mut tally);
        anonymous(*of, day, seen, sight.sure, now, &mut tally);
    }
    floating(ledger, sight, now, &mut tally);
    tally.finish(|of, kind, items| match kind {
        "missing" => {
            (true, format!("{items} acknowledged events of {of} are in none of {} places", sight.places))
        }
        "vanished" => (true, format!("{items} events of {of} were read before and are in no place now")),
        _ => (false, format!("{items} acknowledged events of {of} are in fewer than {} places", sight.sure)),
    })
}

fn keyed(of: ProjectDay, day: &LedgerDay, seen: &SeenDay, sure: u32, now: &Moment, tally: &mut Tally<'_>) {
    join(Some(day), &seen.held, |key, entry, held| {
        let Some(entry) = entry else { return };
        let acked = entry.acked_before(now.settled_before_ms);
        match held.map_or(0, |held| held.places) {
            0 if acked => tally.add(of, "missing", 1, key),
            0 if entry.seen => tally.add(of, "vanished", 1, key),
            places if places < sure && acked && !now.faults_active => tally.add(of, "endangered", 1, key),
            _ => {}
        }
    });
}

fn anonymous(
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
    let (anywhere, surely) = (seen.anonymous(1), seen.anonymous(sure));
    let count = |counts: &BTreeMap<_, u32>, content| counts.get(&content).copied().unwrap_or(0);
    for (content, entry) in &day.anonymous {
        if !entry.acked_before(now.settled_before_ms) {
            continue;
        }
        let content = crate::identity::Content(*content);
        let owed = u32::from(entry.acks);
        let missing = owed.saturating_sub(count(&anywhere, content));
        tally.add(of, "missing", u64::from(missing), content);
        if !now.faults_active {
            let endangered = owed.saturating_sub(count(&surely, content)) - missing;
            tally.add(of, "endangered", u64::from(endangered), content);
        }
    }
}

/// A floating event must be on one of its days; of several sends of one identity, one is asked for.
fn floating(ledger: &Ledger, sight: &Sight, now: &Moment, tally: &mut Tally<'_>) {
    for ((project, identity), sends) in &ledger.floating {
        for send in sends.iter().filter(|send| send.acked_at_ms < now.settled_before_ms) {
            let mut days =
                (send.days.0..=send.days.1).map(|day| ProjectDay { project: *project, day }).peekable();
            let first = days.peek().copied();
            if !days.clone().all(|of| sight.covers(of)) {
                continue;
            }
            let is_there = days.any(|of| sight.days.get(&of).is_some_and(|day| day.holds(*identity)));
            if let (false, Some(of)) = (is_there, first) {
                match identity {
                    Identity::Keyed(key) => tally.add(of, "missing", 1, key),
                    Identity::Anonymous(content) => tally.add(of, "missing", 1, content),
                }
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
