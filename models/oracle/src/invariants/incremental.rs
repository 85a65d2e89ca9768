//! I1 to I5 together, check after check, restricted to what changed since the last clean check.
//!
//! A project-day is skipped if clients did nothing new, every replica holds the same contents, and the context is the
//! same. Days that share a floating event are checked together. A violation is reported at every check until it is
//! gone.

use super::{CheckContext, i1_readable, i2_provenance, i3_duplicates, i4_day_sets, i5_content};
use crate::day::{DAY_LABEL, format_day};
use crate::identity::ProjectDay;
use crate::ledger::Ledger;
use crate::read_view::ReadView;
use latent_verdict::Violation;
use std::collections::{BTreeMap, BTreeSet};

/// All inputs of the verdict on one project-day.
#[derive(Clone, Debug, PartialEq, Eq)]
struct CheckInputs {
    revision: u64,
    contents: Vec<(u64, u32)>,
    replicas: (u32, u32),
    faults_active: bool,
    replays: u32,
}

/// Checks successive read views of the same replicas.
#[derive(Clone, Debug, Default)]
pub struct IncrementalChecker {
    clean: BTreeMap<ProjectDay, CheckInputs>,
}

impl IncrementalChecker {
    /// Checks I1 to I5.
    pub fn check(&mut self, ledger: &Ledger, read_view: &ReadView, context: &CheckContext) -> Vec<Violation> {
        let mut changed_inputs = BTreeMap::new();
        let all: BTreeSet<ProjectDay> = ledger.days.keys().chain(read_view.days.keys()).copied().collect();
        for project_day in all.iter().copied().filter(|project_day| read_view.covers(*project_day)) {
            let inputs = inputs(ledger, read_view, project_day, context);
            if inputs.is_none() || self.clean.get(&project_day) != inputs.as_ref() {
                changed_inputs.insert(project_day, inputs);
            }
        }
        let changed = with_floating(ledger, &all, changed_inputs.keys().copied().collect());
        let days = changed
            .iter()
            .filter_map(|project_day| Some((*project_day, read_view.days.get(project_day)?.clone())))
            .collect();
        let scope = Some(changed.into_iter().filter(|project_day| read_view.covers(*project_day)).collect());
        let part =
            ReadView { min_replicas: read_view.min_replicas, replicas: read_view.replicas, days, scope };
        let checks = [
            i1_readable::check,
            i2_provenance::check,
            i3_duplicates::check,
            i4_day_sets::check,
            i5_content::check,
        ];
        let found: Vec<Violation> = checks.iter().flat_map(|check| check(ledger, &part, context)).collect();
        self.record_clean(changed_inputs, &found);
        found
    }

    fn record_clean(
        &mut self,
        changed_inputs: BTreeMap<ProjectDay, Option<CheckInputs>>,
        found: &[Violation],
    ) {
        let wrong: BTreeSet<(&str, Option<&str>)> =
            found.iter().map(|violation| (violation.subject.as_str(), violation.label(DAY_LABEL))).collect();
        for (project_day, inputs) in changed_inputs {
            let (subject, day) = (format!("p{}", project_day.project), format_day(project_day.day));
            match inputs.filter(|_| !wrong.contains(&(subject.as_str(), Some(day.as_str())))) {
                Some(inputs) => drop(self.clean.insert(project_day, inputs)),
                None => drop(self.clean.remove(&project_day)),
            }
        }
    }
}

/// Returns `None` if the day must be checked again in any case: something in it was not settled yet.
fn inputs(
    ledger: &Ledger,
    read_view: &ReadView,
    project_day: ProjectDay,
    context: &CheckContext,
) -> Option<CheckInputs> {
    let day = ledger.days.get(&project_day);
    if day.and_then(|day| day.last_acked_ms).is_some_and(|last_ms| last_ms >= context.settled_before_ms) {
        return None;
    }
    let day_view = read_view.days.get(&project_day);
    let contents = day_view.map(|day_view| {
        day_view.contents.iter().map(|content| content.id).zip(day_view.replica_counts.clone()).collect()
    });
    Some(CheckInputs {
        revision: day.map_or(0, |day| day.revision),
        contents: contents.unwrap_or_default(),
        replicas: (read_view.min_replicas, read_view.replicas),
        faults_active: context.faults_active,
        replays: context.replays,
    })
}

/// Adds the days of floating events, which are few and always checked.
fn with_floating(
    ledger: &Ledger,
    all: &BTreeSet<ProjectDay>,
    mut days: BTreeSet<ProjectDay>,
) -> BTreeSet<ProjectDay> {
    for ((project, _), sends) in &ledger.floating {
        let on_day = |day| ProjectDay { project: *project, day };
        for send in sends {
            days.extend(send.acked_days().map(on_day));
            days.extend(all.range(on_day(send.days.0)..=on_day(send.last_day)));
        }
    }
    days.extend(ledger.observed_floating().map(|(project_day, _)| project_day));
    days
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_support::{DAY, NOON_MS, TestAnswer, TestClients, TestDisk, TestRecord, read_view_with};
    use crate::{DecodeCache, invariants::noon_context};
    use proptest::prelude::*;

    /// One step of a generated history: the events sent, and the events that a disk loses or regains (disk 4: all
    /// disks).
    #[derive(Clone, Debug)]
    struct HistoryStep {
        sends: Vec<(u8, u8, u8)>,
        turns: Vec<(u8, u8)>,
        later_ms: i64,
        faults_active: bool,
    }

    fn step() -> impl Strategy<Value = HistoryStep> {
        let sends = prop::collection::vec((0u8..3, 0u8..6, 0u8..4), 0..4);
        let turns = prop::collection::vec((0u8..5, 0u8..18), 0..3);
        (sends, turns, 0i64..3, any::<bool>()).prop_map(|(sends, turns, later, faults_active)| HistoryStep {
            sends,
            turns,
            later_ms: later * 43_200_000,
            faults_active,
        })
    }

    /// Event `number` of a day: some events have no identity, some have no time just before midnight and are therefore
    /// floating.
    fn rec(day: u8, number: u8) -> TestRecord {
        let noon_ms = NOON_MS + i64::from(day) * 86_400_000;
        let rec = TestRecord::new("a", &format!("{day}-{number}"), noon_ms);
        match number {
            4 => TestRecord { insert_id: None, note: format!("{day}"), ..rec },
            5 => TestRecord { time_ms: None, arrived_ms: noon_ms + 43_199_000, ..rec },
            _ => rec,
        }
    }

    /// Four disks with everything sent so far except what is hidden.
    fn disks(sent: &[(u8, u8)], hidden: &BTreeSet<(u8, u8)>) -> Vec<TestDisk> {
        let disk = |number: u8| {
            let mut days: BTreeMap<u8, Vec<TestRecord>> = BTreeMap::new();
            for (day, event) in sent {
                if ![number, 4].iter().any(|disk| hidden.contains(&(*disk, day * 6 + event))) {
                    days.entry(*day).or_default().push(rec(*day, *event));
                }
            }
            let on_day = |day: u8| ProjectDay { project: 17, day: DAY + i32::from(day) };
            days.into_iter().fold(TestDisk::default(), |disk, (day, recs)| disk.with_day(on_day(day), &recs))
        };
        (0..4).map(disk).collect()
    }

    fn directly(ledger: &Ledger, read_view: &ReadView, context: &CheckContext) -> Vec<Violation> {
        let checks = [
            i1_readable::check,
            i2_provenance::check,
            i3_duplicates::check,
            i4_day_sets::check,
            i5_content::check,
        ];
        checks.iter().flat_map(|check| check(ledger, read_view, context)).collect()
    }

    proptest! {
        #[test]
        fn incremental_checks_report_the_same_as_full_checks(steps in prop::collection::vec(step(), 1..10)) {
            let (mut clients, mut checker, mut cache) = (TestClients::new(), IncrementalChecker::default(), DecodeCache::default());
            let (mut sent, mut hidden) = (Vec::new(), BTreeSet::new());
            for (number, step) in steps.iter().enumerate() {
                for (day, event, answer) in &step.sends {
                    let answer = match answer {
                        0 => TestAnswer::Unknown,
                        1 => TestAnswer::Rejected,
                        _ => TestAnswer::Acked(&[]),
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
                let read_view = read_view_with(&mut cache, &disks(&sent, &hidden));
                clients.ledger.record_observed(&read_view);
                let at_ms = NOON_MS + number as i64 * 86_400_000;
                let context = CheckContext { at_ms, settled_before_ms: at_ms + step.later_ms, faults_active: step.faults_active, ..noon_context() };
                prop_assert_eq!(checker.check(&clients.ledger, &read_view, &context), directly(&clients.ledger, &read_view, &context));
            }
        }
    }

    #[test]
    fn a_violation_is_reported_at_each_check_until_it_is_gone() {
        let both = [rec(0, 0), rec(0, 1)];
        let ledger = TestClients::new().acked(17, &both).ledger;
        let project_day = ProjectDay { project: 17, day: DAY };
        let (mut checker, mut cache) = (IncrementalChecker::default(), DecodeCache::default());
        let mut found = |disk: &TestDisk| {
            let read_view = read_view_with(&mut cache, std::slice::from_ref(disk));
            checker.check(&ledger, &read_view, &noon_context()).len()
        };
        let (whole, part) = (
            TestDisk::default().with_day(project_day, &both),
            TestDisk::default().with_day(project_day, &both[..1]),
        );
        assert_eq!([&whole, &whole, &part, &part, &whole].map(&mut found), [0, 0, 2, 2, 0]);
    }

    /// One event on one of four disks is endangered once faults are over, and lost when it is on no disk.
    fn on_one_disk_or_none(first: &CheckContext, second: &CheckContext, on_one: bool) -> [usize; 2] {
        let rec = rec(0, 0);
        let ledger = TestClients::new().acked(17, std::slice::from_ref(&rec)).ledger;
        let project_day = ProjectDay { project: 17, day: DAY };
        let mut disks = vec![TestDisk::default(); 4];
        if on_one {
            disks[0] = TestDisk::default().with_day(project_day, &[rec]);
        }
        let (mut checker, mut cache) = (IncrementalChecker::default(), DecodeCache::default());
        let read_view = read_view_with(&mut cache, &disks);
        [first, second].map(|context| checker.check(&ledger, &read_view, context).len())
    }

    #[test]
    fn an_excused_day_is_checked_once_faults_are_over() {
        let faults = CheckContext { faults_active: true, ..noon_context() };
        assert_eq!(on_one_disk_or_none(&faults, &noon_context(), true), [0, 1]);
    }

    #[test]
    fn an_unsettled_day_is_checked_once_it_is_settled() {
        let early = CheckContext { settled_before_ms: NOON_MS, ..noon_context() };
        assert_eq!(on_one_disk_or_none(&early, &noon_context(), false), [0, 2]);
    }
}
