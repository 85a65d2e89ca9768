//! Loss accounting: how much was lost, where, since when, and whether it can be recovered.
//!
//! A loss is an acknowledged event that production lacked at some check, or holds with altered content. The tracker
//! keeps, for each project-day, the peak loss and the time at which it was first seen. A drill determines which of the
//! current losses are in no backup and no tee either. Before a drill that is unknown.

use crate::day::format_day;
use crate::identity::{DedupKey, ProjectDay};
use crate::invariants::i10_backup::count_missing;
use crate::invariants::{CheckContext, i1_readable, i5_content};
use crate::ledger::{EventIdentity, Ledger};
use crate::read_view::ReadView;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};

/// Loss state of one project-day.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct DayLossState {
    missing: u64,
    altered: u64,
    worst: u64,
    first_at_ms: i64,
    /// Unrecoverable part of the current loss; `None` before a drill.
    unrecoverable: Option<u64>,
    /// Time of the last check that found the day complete.
    whole_at_ms: Option<i64>,
    episodes: Vec<LossEpisode>,
    /// Whether the last episode is ongoing.
    is_open: bool,
}

impl DayLossState {
    fn current_loss(&self) -> u64 {
        self.missing + self.altered
    }

    /// Returns the number of events that no restore brings back: 0 if there is no current loss.
    fn unrecoverable(&self) -> Option<u64> {
        if self.current_loss() == 0 { Some(0) } else { self.unrecoverable }
    }

    fn record_check(&mut self, at_ms: i64) {
        let is_short = self.current_loss() > 0;
        if is_short && !self.is_open {
            self.episodes.push(LossEpisode {
                after_ms: self.whole_at_ms,
                first_seen_at_ms: at_ms,
                restored_at_ms: None,
            });
        }
        if let Some(last) = self.episodes.last_mut().filter(|_| self.is_open && !is_short) {
            last.restored_at_ms = Some(at_ms);
        }
        if !is_short {
            self.whole_at_ms = Some(at_ms);
        }
        self.is_open = is_short;
    }
}

/// A period in which a project-day lacked events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LossEpisode {
    /// Last check that found the day complete after an earlier loss; `None` if there was no earlier one.
    pub after_ms: Option<i64>,
    /// First check that found the loss.
    pub first_seen_at_ms: i64,
    /// First check that found the day complete again; `None`: the loss is not restored.
    pub restored_at_ms: Option<i64>,
}

/// Tracks the losses of a run.
#[derive(Clone, Debug, Default)]
pub struct LossTracker {
    days: BTreeMap<ProjectDay, DayLossState>,
}

/// Losses of a run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct LossSummary {
    /// Acknowledged events missing from production: sum of each day's peak.
    pub events_lost_from_production: u64,
    /// Events of the current loss, at the last check, that no restore brings back; `None` if no drill determined them.
    pub events_unrecoverable: Option<u64>,
    /// Acknowledged events missing from production at the last check.
    pub events_missing_at_end: u64,
    /// Events with altered content in production at the last check.
    pub events_altered_at_end: u64,
    /// Projects with acknowledged events.
    pub projects: u64,
    /// Projects that lost events.
    pub projects_hit: u64,
    /// Of these, projects whose worst day lost less than 1% of its events.
    pub projects_hit_under_one_percent: u64,
    /// Of these, projects whose worst day lost more than 90% of its events.
    pub projects_hit_over_ninety_percent: u64,
    /// Every day that lost events, by project and day.
    pub days: Vec<DayLossSummary>,
}

/// Losses of one project-day.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct DayLossSummary {
    /// Project number.
    pub project: u32,
    /// Day, such as `2016-02-22`.
    pub day: String,
    /// Acknowledged events of the day.
    pub acked: u64,
    /// Peak number of lost events.
    pub lost: u64,
    /// Lost events in millionths of the acknowledged ones.
    pub lost_ppm: u64,
    /// Events of the current loss, at the last check, that no restore brings back; `None` if unknown.
    pub unrecoverable: Option<u64>,
    /// Time of the first check that found the loss, in milliseconds since 1970.
    pub first_seen_at_ms: i64,
}

impl LossTracker {
    /// Records a check of production, or of some of its project-days: others are unchanged. `altered` are the events
    /// with altered content.
    pub fn record_check(
        &mut self,
        ledger: &Ledger,
        production: &ReadView,
        altered: &BTreeSet<(ProjectDay, DedupKey)>,
        context: &CheckContext,
    ) {
        for (_, day) in self.days.iter_mut().filter(|(project_day, _)| production.covers(**project_day)) {
            (day.missing, day.altered, day.unrecoverable) = (0, 0, None);
        }
        let new = || DayLossState { first_at_ms: context.at_ms, ..DayLossState::default() };
        i1_readable::for_each_missing(
            ledger,
            production,
            context.settled_before_ms,
            |project_day, _, items| {
                let day = self.days.entry(project_day).or_insert_with(new);
                day.missing += items;
                day.worst = day.worst.max(day.missing);
            },
        );
        for (project_day, _) in altered {
            self.days.entry(*project_day).or_insert_with(new).altered += 1;
        }
        for (_, day) in self.days.iter_mut().filter(|(project_day, _)| production.covers(**project_day)) {
            day.record_check(context.at_ms);
        }
    }

    /// Records a loss that only a reader saw: the next check that covers the day shows whether it lasts.
    pub fn record_seen_by_reader(&mut self, project_day: ProjectDay, at_ms: i64) {
        let day = self.days.entry(project_day).or_default();
        if !day.is_open {
            day.episodes.push(LossEpisode {
                after_ms: day.whole_at_ms,
                first_seen_at_ms: at_ms,
                restored_at_ms: None,
            });
            day.is_open = true;
        }
    }

    /// Records a drill: what production and `restored` both lack is unrecoverable. `None`: the drill did not end, and
    /// shows nothing.
    pub fn record_drill(
        &mut self,
        ledger: &Ledger,
        production: &ReadView,
        restored: Option<&ReadView>,
        context: &CheckContext,
    ) {
        self.days.values_mut().for_each(|day| day.unrecoverable = restored.map(|_| 0));
        let Some(restored) = restored else { return };
        let current_loss = losses_in(ledger, production, context);
        for ((project_day, identity), items) in losses_in(ledger, restored, context) {
            let gone = current_loss.get(&(project_day, identity)).copied().unwrap_or(0).min(items);
            if let Some(known) = self.days.get_mut(&project_day).and_then(|day| day.unrecoverable.as_mut()) {
                *known += gone;
            }
        }
    }

    /// Whether the last check found missing or altered events in production.
    #[must_use]
    pub fn has_current_loss(&self) -> bool {
        self.days.values().any(|day| day.current_loss() > 0)
    }

    /// Returns the days with missing events at the last check of production.
    #[must_use]
    pub fn days_with_missing_events(&self) -> BTreeSet<ProjectDay> {
        self.days.iter().filter(|(_, day)| day.missing > 0).map(|(project_day, _)| *project_day).collect()
    }

    /// Returns each loss episode, by project-day.
    pub fn episodes(&self) -> impl Iterator<Item = (ProjectDay, LossEpisode)> {
        self.days
            .iter()
            .flat_map(|(project_day, day)| day.episodes.iter().map(|episode| (*project_day, *episode)))
    }

    /// Returns the summary; shares are relative to the events acknowledged so far.
    #[must_use]
    pub fn summary(&self, ledger: &Ledger) -> LossSummary {
        let acked = ledger.acked_by_day();
        let projects: BTreeSet<u32> = acked.keys().map(|project_day| project_day.project).collect();
        let mut summary = LossSummary { projects: projects.len() as u64, ..LossSummary::default() };
        let mut worst: BTreeMap<u32, u64> = BTreeMap::new();
        for (project_day, day) in self.days.iter().filter(|(_, day)| day.worst > 0) {
            let acked = acked.get(project_day).copied().unwrap_or(0).max(day.worst);
            let lost_ppm =
                u64::try_from(u128::from(day.worst) * 1_000_000 / u128::from(acked)).unwrap_or(1_000_000);
            summary.events_lost_from_production += day.worst;
            summary.events_missing_at_end += day.missing;
            let share = worst.entry(project_day.project).or_default();
            *share = (*share).max(lost_ppm);
            summary.days.push(DayLossSummary {
                project: project_day.project,
                day: format_day(project_day.day),
                acked,
                lost: day.worst,
                lost_ppm,
                unrecoverable: day.unrecoverable(),
                first_seen_at_ms: day.first_at_ms,
            });
        }
        summary.events_altered_at_end = self.days.values().map(|day| day.altered).sum();
        summary.events_unrecoverable = self.days.values().map(DayLossState::unrecoverable).sum();
        summary.projects_hit = worst.len() as u64;
        summary.projects_hit_under_one_percent = worst.values().filter(|ppm| **ppm < 10_000).count() as u64;
        summary.projects_hit_over_ninety_percent =
            worst.values().filter(|ppm| **ppm > 900_000).count() as u64;
        summary
    }
}

/// Returns the losses in a read view: acknowledged events in no replica, or in some replica with a content that no
/// client sent.
fn losses_in(
    ledger: &Ledger,
    read_view: &ReadView,
    context: &CheckContext,
) -> BTreeMap<(ProjectDay, EventIdentity), u64> {
    let mut current_loss = count_missing(ledger, read_view, context.settled_before_ms);
    for (project_day, key) in i5_content::altered(ledger, read_view) {
        current_loss.insert((project_day, EventIdentity::Keyed(key)), 1);
    }
    current_loss
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::invariants::noon_context;
    use crate::test_support::{DAY, NOON_MS, TestClients, TestDisk, TestRecord, read_view};

    const PROJECT_DAY: ProjectDay = ProjectDay { project: 17, day: DAY };

    fn recs(count: usize) -> Vec<TestRecord> {
        (0..count).map(|at| TestRecord::new("a", &format!("i{at}"), NOON_MS)).collect()
    }

    #[test]
    fn a_check_of_one_day_does_not_change_others() {
        let all = recs(2);
        let ledger = TestClients::new().acked(17, &all).ledger;
        let mut tracker = LossTracker::default();
        tracker.record_check(&ledger, &read_view(&[TestDisk::default()]), &BTreeSet::new(), &noon_context());
        let elsewhere = BTreeSet::from([ProjectDay { project: 18, ..PROJECT_DAY }]);
        tracker.record_check(
            &ledger,
            &read_view(&[TestDisk::default()]).with_scope(elsewhere),
            &BTreeSet::new(),
            &noon_context(),
        );
        assert_eq!(tracker.summary(&ledger).events_missing_at_end, 2);
        assert_eq!(tracker.days_with_missing_events(), BTreeSet::from([PROJECT_DAY]));
        let disk = TestDisk::default().with_day(PROJECT_DAY, &all);
        tracker.record_check(
            &ledger,
            &read_view(&[disk]).with_scope(BTreeSet::from([PROJECT_DAY])),
            &BTreeSet::new(),
            &noon_context(),
        );
        assert!(!tracker.has_current_loss());
    }

    #[test]
    fn losses_are_summed_at_their_peak_and_by_share() {
        let all = recs(200);
        let ledger = TestClients::new().acked(17, &all).acked(18, &all[..10]).ledger;
        let west = ProjectDay { project: 18, ..PROJECT_DAY };
        let held = |first: usize, second: usize| {
            read_view(&[TestDisk::default()
                .with_day(PROJECT_DAY, &all[..first])
                .with_day(west, &all[..second])])
        };
        let none = BTreeSet::new();
        let mut tracker = LossTracker::default();
        tracker.record_check(&ledger, &held(200, 10), &none, &noon_context());
        let nothing = LossSummary { projects: 2, events_unrecoverable: Some(0), ..LossSummary::default() };
        assert_eq!(tracker.summary(&ledger), nothing);
        tracker.record_check(&ledger, &held(199, 0), &none, &noon_context());
        assert!(tracker.has_current_loss());
        tracker.record_check(&ledger, &held(200, 5), &none, &noon_context());
        tracker.record_drill(&ledger, &held(200, 5), Some(&held(150, 8)), &noon_context());
        let summary = tracker.summary(&ledger);
        let totals = (
            summary.events_lost_from_production,
            summary.events_unrecoverable,
            summary.events_missing_at_end,
            summary.projects_hit,
            summary.projects_hit_under_one_percent,
            summary.projects_hit_over_ninety_percent,
        );
        assert_eq!(totals, (11, Some(2), 5, 2, 1, 1));
        let days: Vec<_> = summary.days.iter().map(|day| (day.project, day.lost, day.lost_ppm)).collect();
        assert_eq!(days, [(17, 1, 5_000), (18, 10, 1_000_000)]);
        assert_eq!(summary.days[0].day, "2016-02-22");
    }

    #[test]
    fn a_loss_that_a_reader_saw_ends_with_the_next_check_that_finds_the_day_whole() {
        let all = recs(2);
        let ledger = TestClients::new().acked(17, &all).ledger;
        let mut tracker = LossTracker::default();
        tracker.record_seen_by_reader(PROJECT_DAY, 3);
        tracker.record_seen_by_reader(PROJECT_DAY, 4);
        let held = read_view(&[TestDisk::default().with_day(PROJECT_DAY, &all)]);
        let context = CheckContext { at_ms: 7, ..noon_context() };
        tracker.record_check(&ledger, &held, &BTreeSet::new(), &context);
        let episode = LossEpisode { after_ms: None, first_seen_at_ms: 3, restored_at_ms: Some(7) };
        assert_eq!(tracker.episodes().collect::<Vec<_>>(), [(PROJECT_DAY, episode)]);
        assert!(!tracker.has_current_loss() && tracker.summary(&ledger).days.is_empty());
    }

    /// A drill determines the unrecoverable events only if it ends.
    #[test]
    fn losses_without_a_drill_are_unknown() {
        let all = recs(3);
        let ledger = TestClients::new().acked(17, &all).ledger;
        let held = |count: usize| read_view(&[TestDisk::default().with_day(PROJECT_DAY, &all[..count])]);
        let none = BTreeSet::new();
        let mut tracker = LossTracker::default();
        tracker.record_check(&ledger, &held(1), &none, &noon_context());
        let gone = |tracker: &LossTracker| {
            let summary = tracker.summary(&ledger);
            (summary.events_unrecoverable, summary.days[0].unrecoverable)
        };
        assert_eq!(gone(&tracker), (None, None), "no drill");
        tracker.record_drill(&ledger, &held(1), None, &noon_context());
        assert_eq!(gone(&tracker), (None, None), "a drill that did not end");
        tracker.record_drill(&ledger, &held(1), Some(&held(2)), &noon_context());
        assert_eq!(gone(&tracker), (Some(1), Some(1)));
        tracker.record_check(&ledger, &held(0), &none, &noon_context());
        assert_eq!(gone(&tracker), (None, None), "lost since the drill");
        tracker.record_check(&ledger, &held(3), &none, &noon_context());
        assert_eq!(gone(&tracker), (Some(0), Some(0)), "everything is restored");
    }

    #[test]
    fn an_altered_event_is_a_loss_until_its_content_is_restored() {
        let all = recs(2);
        let ledger = TestClients::new().acked(17, &all).ledger;
        let bad = TestRecord { note: "altered".into(), ..all[1].clone() };
        let (whole, altered) = (
            read_view(&[TestDisk::default().with_day(PROJECT_DAY, &all)]),
            read_view(&[TestDisk::default().with_day(PROJECT_DAY, &[all[0].clone(), bad])]),
        );
        let mut tracker = LossTracker::default();
        let check = |tracker: &mut LossTracker, view: &ReadView| {
            tracker.record_check(&ledger, view, &i5_content::altered(&ledger, view), &noon_context());
        };
        check(&mut tracker, &altered);
        assert!(tracker.has_current_loss());
        tracker.record_drill(&ledger, &altered, Some(&altered), &noon_context());
        let summary = tracker.summary(&ledger);
        assert_eq!((summary.events_altered_at_end, summary.events_unrecoverable), (1, Some(1)));
        tracker.record_drill(&ledger, &altered, Some(&whole), &noon_context());
        assert_eq!(tracker.summary(&ledger).events_unrecoverable, Some(0), "the drill has the sent content");
        check(&mut tracker, &whole);
        assert!(!tracker.has_current_loss());
    }

    #[test]
    fn each_new_loss_of_a_day_is_an_episode() {
        let all = recs(2);
        let ledger = TestClients::new().acked(17, &all).ledger;
        let mut tracker = LossTracker::default();
        for (hour, count) in [(0, 2), (1, 1), (2, 0), (3, 2), (4, 2), (5, 1)] {
            let context = CheckContext { at_ms: hour, ..noon_context() };
            let held = read_view(&[TestDisk::default().with_day(PROJECT_DAY, &all[..count])]);
            tracker.record_check(&ledger, &held, &BTreeSet::new(), &context);
        }
        let episode = |after_ms, first_seen_at_ms, restored_at_ms| {
            (PROJECT_DAY, LossEpisode { after_ms, first_seen_at_ms, restored_at_ms })
        };
        let expected = [episode(None, 1, Some(3)), episode(Some(4), 5, None)];
        assert_eq!(tracker.episodes().collect::<Vec<_>>(), expected);
    }
}
