//! How much was lost, where, and whether it could be had back.
//!
//! A loss is an acknowledged event that production did not hold at some look. The book keeps, for each project's
//! day, the worst look; a drill says which of what is missing now is in no backup and no tee either.

use crate::day::day_text;
use crate::identity::ProjectDay;
use crate::invariants::i10_backup::missing_from;
use crate::invariants::{Moment, i1_readable};
use crate::ledger::Ledger;
use crate::sight::Sight;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};

/// One project's day that lost events.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct DayLoss {
    missing: u64,
    worst: u64,
    first_at_ms: i64,
    unrecoverable: u64,
}

/// The book of losses of a run.
#[derive(Clone, Debug, Default)]
pub struct LossBook {
    days: BTreeMap<ProjectDay, DayLoss>,
}

/// What a run lost.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct LossSummary {
    /// Acknowledged events that production lacked, each day at its worst look.
    pub events_lost_from_production: u64,
    /// Of these, events that no restore brought back.
    pub events_unrecoverable: u64,
    /// Acknowledged events that production lacked at the last look.
    pub events_missing_at_end: u64,
    /// Projects with acknowledged events.
    pub projects: u64,
    /// Projects that lost events.
    pub projects_hit: u64,
    /// Of these, projects whose worst day lost less than 1% of its events.
    pub projects_hit_under_one_percent: u64,
    /// Of these, projects whose worst day lost more than 90% of its events.
    pub projects_hit_over_ninety_percent: u64,
    /// Every day that lost events, by project and day.
    pub days: Vec<LostDay>,
}

/// What a project's day lost.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LostDay {
    /// The project.
    pub project: u32,
    /// The day, `2016-02-22`.
    pub day: String,
    /// Acknowledged events of the day.
    pub acked: u64,
    /// Lost at the worst look.
    pub lost: u64,
    /// Lost, in millionths of what was acknowledged.
    pub lost_ppm: u64,
    /// Lost, and in no restore.
    pub unrecoverable: u64,
    /// When the loss was there first, as far as the oracle looked; milliseconds since 1970.
    pub first_seen_at_ms: i64,
}

impl LossBook {
    /// A look at production, or at some project-days of it: of others nothing new is known.
    pub fn observe(&mut self, ledger: &Ledger, production: &Sight, now: &Moment) {
        let looked_at = self.days.iter_mut().filter(|(of, _)| production.covers(**of));
        looked_at.for_each(|(_, day)| day.missing = 0);
        i1_readable::each_missing(ledger, production, now.settled_before_ms, |of, _, items| {
            let day = self.days.entry(of).or_insert(DayLoss { first_at_ms: now.at_ms, ..DayLoss::default() });
            day.missing += items;
            day.worst = day.worst.max(day.missing);
        });
    }

    /// A drill: what production lacks now and `restored` lacks too could not be had back.
    pub fn drill(&mut self, ledger: &Ledger, production: &Sight, restored: &Sight, now: &Moment) {
        self.days.values_mut().for_each(|day| day.unrecoverable = 0);
        let gone = missing_from(ledger, production, now.settled_before_ms);
        i1_readable::each_missing(ledger, restored, now.settled_before_ms, |of, identity, items| {
            let gone = gone.get(&(of, identity)).copied().unwrap_or(0).min(items);
            if let Some(day) = self.days.get_mut(&of) {
                day.unrecoverable += gone;
            }
        });
    }

    /// Whether production lacked anything at the last look.
    #[must_use]
    pub fn is_missing_now(&self) -> bool {
        self.days.values().any(|day| day.missing > 0)
    }

    /// The days of which production lacked anything when it was looked at last.
    #[must_use]
    pub fn lacking(&self) -> BTreeSet<ProjectDay> {
        self.days.iter().filter(|(_, day)| day.missing > 0).map(|(of, _)| *of).collect()
    }

    /// The summary; shares are of what is acknowledged by now.
    #[must_use]
    pub fn summary(&self, ledger: &Ledger) -> LossSummary {
        let acked = ledger.acked_by_day();
        let projects: BTreeSet<u32> = acked.keys().map(|of| of.project).collect();
        let mut summary = LossSummary { projects: projects.len() as u64, ..LossSummary::default() };
        let mut worst: BTreeMap<u32, u64> = BTreeMap::new();
        for (of, day) in self.days.iter().filter(|(_, day)| day.worst > 0) {
            let acked = acked.get(of).copied().unwrap_or(0).max(day.worst);
            let lost_ppm =
                u64::try_from(u128::from(day.worst) * 1_000_000 / u128::from(acked)).unwrap_or(1_000_000);
            summary.events_lost_from_production += day.worst;
            summary.events_unrecoverable += day.unrecoverable;
            summary.events_missing_at_end += day.missing;
            let share = worst.entry(of.project).or_default();
            *share = (*share).max(lost_ppm);
            summary.days.push(LostDay {
                project: of.project,
                day: day_text(of.day),
                acked,
                lost: day.worst,
                lost_ppm,
                unrecoverable: day.unrecoverable,
                first_seen_at_ms: day.first_at_ms,
            });
        }
        summary.projects_hit = worst.len() as u64;
        summary.projects_hit_under_one_percent = worst.values().filter(|ppm| **ppm < 10_000).count() as u64;
        summary.projects_hit_over_ninety_percent =
            worst.values().filter(|ppm| **ppm > 900_000).count() as u64;
        summary
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::invariants::noon_after;
    use crate::testing::{Clients, DAY, Disk, NOON_MS, Rec, sight};

    const OF: ProjectDay = ProjectDay { project: 17, day: DAY };

    fn recs(count: usize) -> Vec<Rec> {
        (0..count).map(|at| Rec::new("a", &format!("i{at}"), NOON_MS)).collect()
    }

    #[test]
    fn a_look_at_one_day_says_nothing_of_others() {
        let all = recs(2);
        let ledger = Clients::new().acked(17, &all).ledger;
        let mut book = LossBook::default();
        book.observe(&ledger, &sight(&[Disk::default()]), &noon_after());
        let elsewhere = BTreeSet::from([ProjectDay { project: 18, ..OF }]);
        book.observe(&ledger, &sight(&[Disk::default()]).only(elsewhere), &noon_after());
        assert_eq!(book.summary(&ledger).events_missing_at_end, 2);
        assert_eq!(book.lacking(), BTreeSet::from([OF]));
        let disk = Disk::default().with_day(OF, &all);
        book.observe(&ledger, &sight(&[disk]).only(BTreeSet::from([OF])), &noon_after());
        assert!(!book.is_missing_now());
    }

    #[test]
    fn losses_are_summed_at_their_worst_and_by_share() {
        let all = recs(200);
        let ledger = Clients::new().acked(17, &all).acked(18, &all[..10]).ledger;
        let west = ProjectDay { project: 18, ..OF };
        let held = |first: usize, second: usize| {
            sight(&[Disk::default().with_day(OF, &all[..first]).with_day(west, &all[..second])])
        };
        let mut book = LossBook::default();
        book.observe(&ledger, &held(200, 10), &noon_after());
        assert_eq!(book.summary(&ledger), LossSummary { projects: 2, ..LossSummary::default() });
        book.observe(&ledger, &held(199, 0), &noon_after());
        assert!(book.is_missing_now());
        book.drill(&ledger, &held(199, 0), &held(150, 8), &noon_after());
        book.observe(&ledger, &held(200, 8), &noon_after());
        let summary = book.summary(&ledger);
        let totals = (
            summary.events_lost_from_production,
            summary.events_unrecoverable,
            summary.events_missing_at_end,
            summary.projects_hit,
            summary.projects_hit_under_one_percent,
            summary.projects_hit_over_ninety_percent,
        );
        assert_eq!(totals, (11, 3, 2, 2, 1, 1));
        let days: Vec<_> = summary.days.iter().map(|day| (day.project, day.lost, day.lost_ppm)).collect();
        assert_eq!(days, [(17, 1, 5_000), (18, 10, 1_000_000)]);
        assert_eq!(summary.days[0].day, "2016-02-22");
    }
}
