//! I1 to I5 together, look after look, and only where something changed since a look that found nothing.
//!
//! A project's day is passed over when clients have done and heard nothing new about it, every place holds what it
//! held, and the circumstances are the same. Days that share a floating event are looked at together. What was found
//! once is looked for again each time, until it is gone.

use super::{Moment, i1_readable, i2_sent, i3_once, i4_right_day, i5_content};
use crate::day::day_text;
use crate::identity::ProjectDay;
use crate::ledger::Ledger;
use crate::sight::Sight;
use latent_verdict::Violation;
use std::collections::{BTreeMap, BTreeSet};

/// All that the verdict on one project's day depends on.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Mark {
    revision: u64,
    contents: Vec<(u64, u32)>,
    places: (u32, u32),
    faults_active: bool,
    replays: u32,
}

/// Judges looks at the same places, one after the other.
#[derive(Clone, Debug, Default)]
pub struct Judge {
    clean: BTreeMap<ProjectDay, Mark>,
}

impl Judge {
    /// Checks I1 to I5.
    pub fn check(&mut self, ledger: &Ledger, sight: &Sight, now: &Moment) -> Vec<Violation> {
        let mut marks = BTreeMap::new();
        let all: BTreeSet<ProjectDay> = ledger.days.keys().chain(sight.days.keys()).copied().collect();
        for of in all.iter().copied().filter(|of| sight.covers(*of)) {
            let mark = mark(ledger, sight, of, now);
            if mark.is_none() || self.clean.get(&of) != mark.as_ref() {
                marks.insert(of, mark);
            }
        }
        let changed = with_floating(ledger, &all, marks.keys().copied().collect());
        let days = changed.iter().filter_map(|of| Some((*of, sight.days.get(of)?.clone()))).collect();
        let scope = Some(changed.into_iter().filter(|of| sight.covers(*of)).collect());
        let part = Sight { sure: sight.sure, places: sight.places, days, scope };
        let checks =
            [i1_readable::check, i2_sent::check, i3_once::check, i4_right_day::check, i5_content::check];
        let found: Vec<Violation> = checks.iter().flat_map(|check| check(ledger, &part, now)).collect();
        self.note_clean(marks, &found);
        found
    }

    fn note_clean(&mut self, marks: BTreeMap<ProjectDay, Option<Mark>>, found: &[Violation]) {
        let wrong: BTreeSet<(&str, Option<&str>)> =
            found.iter().map(|violation| (violation.subject.as_str(), violation.day.as_deref())).collect();
        for (of, mark) in marks {
            let (subject, day) = (format!("p{}", of.project), day_text(of.day));
            match mark.filter(|_| !wrong.contains(&(subject.as_str(), Some(day.as_str())))) {
                Some(mark) => drop(self.clean.insert(of, mark)),
                None => drop(self.clean.remove(&of)),
            }
        }
    }
}

/// `None` if the day must be judged again whatever happens: something in it was not settled yet.
fn mark(ledger: &Ledger, sight: &Sight, of: ProjectDay, now: &Moment) -> Option<Mark> {
    let day = ledger.days.get(&of);
    if day.and_then(|day| day.last_acked_ms).is_some_and(|last_ms| last_ms >= now.settled_before_ms) {
        return None;
    }
    let seen = sight.days.get(&of);
    let contents =
        seen.map(|seen| seen.contents.iter().map(|content| content.id).zip(seen.shares.clone()).collect());
    Some(Mark {
        revision: day.map_or(0, |day| day.revision),
        contents: contents.unwrap_or_default(),
        places: (sight.sure, sight.places),
        faults_active: now.faults_active,
        replays: now.replays,
    })
}

/// Floating events are few, and asked for each time: their days are judged with whatever changed.
fn with_floating(
    ledger: &Ledger,
    all: &BTreeSet<ProjectDay>,
    mut days: BTreeSet<ProjectDay>,
) -> BTreeSet<ProjectDay> {
    for ((project, _), sends) in &ledger.floating {
        let of = |day| ProjectDay { project: *project, day };
        for send in sends {
            days.extend(send.acked_days().map(of));
            days.extend(all.range(of(send.days.0)..=of(send.last_day)));
        }
    }
    days.extend(ledger.seen_floating().map(|(of, _)| of));
    days
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Answer, Clients, DAY, Disk, NOON_MS, Rec, sight_by};
    use crate::{Memo, invariants::noon_after};
    use proptest::prelude::*;

    /// One step of a made-up history: what is sent, and what which disk loses or gains again (disk 4: all of them).
    #[derive(Clone, Debug)]
    struct Step {
        sends: Vec<(u8, u8, u8)>,
        turns: Vec<(u8, u8)>,
        later_ms: i64,
        faults_active: bool,
    }

    fn step() -> impl Strategy<Value = Step> {
        let sends = prop::collection::vec((0u8..3, 0u8..6, 0u8..4), 0..4);
        let turns = prop::collection::vec((0u8..5, 0u8..18), 0..3);
        (sends, turns, 0i64..3, any::<bool>()).prop_map(|(sends, turns, later, faults_active)| Step {
            sends,
            turns,
            later_ms: later * 43_200_000,
            faults_active,
        })
    }

    /// Event `number` of a day: some without identity, some without time just before midnight, and so floating.
    fn rec(day: u8, number: u8) -> Rec {
        let noon_ms = NOON_MS + i64::from(day) * 86_400_000;
        let rec = Rec::new("a", &format!("{day}-{number}"), noon_ms);
        match number {
            4 => Rec { insert_id: None, note: format!("{day}"), ..rec },
            5 => Rec { time_ms: None, arrived_ms: noon_ms + 43_199_000, ..rec },
            _ => rec,
        }
    }

    /// Four disks with all that was sent so far but what is hidden.
    fn disks(sent: &[(u8, u8)], hidden: &BTreeSet<(u8, u8)>) -> Vec<Disk> {
        let disk = |number: u8| {
            let mut days: BTreeMap<u8, Vec<Rec>> = BTreeMap::new();
            for (day, event) in sent {
                if ![number, 4].iter().any(|disk| hidden.contains(&(*disk, day * 6 + event))) {
                    days.entry(*day).or_default().push(rec(*day, *event));
                }
            }
            let of = |day: u8| ProjectDay { project: 17, day: DAY + i32::from(day) };
            days.into_iter().fold(Disk::default(), |disk, (day, recs)| disk.with_day(of(day), &recs))
        };
        (0..4).map(disk).collect()
    }

    fn directly(ledger: &Ledger, sight: &Sight, now: &Moment) -> Vec<Violation> {
        let checks =
            [i1_readable::check, i2_sent::check, i3_once::check, i4_right_day::check, i5_content::check];
        checks.iter().flat_map(|check| check(ledger, sight, now)).collect()
    }

    proptest! {
        #[test]
        fn a_judge_who_remembers_finds_what_one_who_does_not_finds(steps in prop::collection::vec(step(), 1..10)) {
            let (mut clients, mut judge, mut memo) = (Clients::new(), Judge::default(), Memo::default());
            let (mut sent, mut hidden) = (Vec::new(), BTreeSet::new());
            for (number, step) in steps.iter().enumerate() {
                for (day, event, answer) in &step.sends {
                    let answer = match answer {
                        0 => Answer::Unknown,
                        1 => Answer::Rejected,
                        _ => Answer::Acked(&[]),
                    };
                    clients = clients.send(17, &[rec(*day, *event)], answer);
                    if !sent.contains(&(*day, *event)) {
                        sent.push((*day, *event));
                    }
                }
                for turn in &step.turns {
                    if !hidden.remove(turn) {
                        hidden.insert(*turn);
                    }
                }
                let sight = sight_by(&mut memo, &disks(&sent, &hidden));
                clients.ledger.note_seen(&sight);
                let at_ms = NOON_MS + number as i64 * 86_400_000;
                let now = Moment { at_ms, settled_before_ms: at_ms + step.later_ms, faults_active: step.faults_active, ..noon_after() };
                prop_assert_eq!(judge.check(&clients.ledger, &sight, &now), directly(&clients.ledger, &sight, &now));
            }
        }
    }

    #[test]
    fn what_was_found_is_found_again_until_it_is_gone() {
        let both = [rec(0, 0), rec(0, 1)];
        let ledger = Clients::new().acked(17, &both).ledger;
        let of = ProjectDay { project: 17, day: DAY };
        let (mut judge, mut memo) = (Judge::default(), Memo::default());
        let mut found = |disk: &Disk| {
            let sight = sight_by(&mut memo, std::slice::from_ref(disk));
            judge.check(&ledger, &sight, &noon_after()).len()
        };
        let (whole, part) = (Disk::default().with_day(of, &both), Disk::default().with_day(of, &both[..1]));
        assert_eq!([&whole, &whole, &part, &part, &whole].map(&mut found), [0, 0, 2, 2, 0]);
    }

    /// One event on one of four disks: endangered once faults are over, and lost when it is not there at all.
    fn on_one_disk_or_none(first: &Moment, second: &Moment, on_one: bool) -> [usize; 2] {
        let rec = rec(0, 0);
        let ledger = Clients::new().acked(17, std::slice::from_ref(&rec)).ledger;
        let of = ProjectDay { project: 17, day: DAY };
        let mut disks = vec![Disk::default(); 4];
        if on_one {
            disks[0] = Disk::default().with_day(of, &[rec]);
        }
        let (mut judge, mut memo) = (Judge::default(), Memo::default());
        let sight = sight_by(&mut memo, &disks);
        [first, second].map(|now| judge.check(&ledger, &sight, now).len())
    }

    #[test]
    fn what_faults_excused_is_judged_when_they_are_over() {
        let faults = Moment { faults_active: true, ..noon_after() };
        assert_eq!(on_one_disk_or_none(&faults, &noon_after(), true), [0, 1]);
    }

    #[test]
    fn what_was_not_settled_is_judged_when_it_is() {
        let early = Moment { settled_before_ms: NOON_MS, ..noon_after() };
        assert_eq!(on_one_disk_or_none(&early, &noon_after(), false), [0, 2]);
    }
}
