//! Keeps data of earlier backups that production has lost. Pure.
//!
//! Events are never removed by design, so a day that lacks keys of the last backup was damaged: by a bug, by a disaster
//! that has not been noticed yet, or because its disks return false data. Such a day keeps the segments of the last
//! backup in addition to the current ones, and an alarm is raised. Otherwise the newest backup, which a recovery tries
//! first, would hold less than the one before, and for days that the tee no longer covers no audit could detect it.
//!
//! A day whose files differ from those of the last backup is compared key by key, from both backups. A count is not
//! enough, because new events would hide lost ones. What cannot be compared now is kept until it can.
//!
//! After a restart, the contents of the last backups are read from the newest catalog of each reachable data center;
//! where they differ, each of them counts.
//!
//! A project that could not be copied keeps its days and its position.
//!
//! Segments that only a data center has that does not respond are left out after some attempts: otherwise one that lost
//! its objects would have no backup for as long as the other is away.

use super::catalog::{Catalog, CatalogDay, CatalogSegment, LaggingProject};
use crate::alarms::Alarm;
use crate::zone::Day;
use std::collections::{BTreeMap, BTreeSet};

/// Contents of the last backups, by project and day.
#[derive(Clone, Debug, Default)]
pub struct BackupBaseline {
    days: BTreeMap<(u32, Day), BaselineDay>,
    /// Position up to which each project is held, in ms.
    positions: BTreeMap<u32, i64>,
}

#[derive(Clone, Debug, Default)]
struct BaselineDay {
    /// Segments of the day in a backup: one list, or several where data centers have different backups.
    bases: Vec<Vec<CatalogSegment>>,
    /// Whether an alarm was raised and the day has not been intact since.
    is_alarmed: bool,
}

/// Days found in production, by project that could be copied; sorted.
pub type ProductionDays = BTreeMap<u32, Vec<CatalogDay>>;

/// A day in a backup, and as found in production.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChangedDay {
    /// In a backup.
    pub before: CatalogDay,
    /// As found; without segments where it was not found.
    pub now: CatalogDay,
}

/// Number of keys of a backup's day that were not found, by the day in the backup. Days that could not be compared are
/// absent.
pub type MissingKeys = BTreeMap<CatalogDay, u64>;

/// Planned contents of a backup.
#[derive(Debug, Default)]
pub struct BackupPlan {
    /// Sorted by project and day.
    pub days: Vec<CatalogDay>,
    /// Projects that stay at an earlier position.
    pub behind: Vec<LaggingProject>,
    /// An [`Alarm::ProductionShrank`] for each day that shrank, once.
    pub alarms: Vec<Alarm>,
    /// Baseline once the backup is durable.
    pub baseline: BackupBaseline,
}

fn is_part_of(base: &[CatalogSegment], segments: &[CatalogSegment]) -> bool {
    base.iter().all(|segment| segments.contains(segment))
}

impl BackupBaseline {
    /// Adds the newest catalog of one data center.
    pub fn add_catalog(&mut self, newest: Catalog, projects: impl Iterator<Item = u32>) {
        let known = newest.days.iter().map(|day| day.project).collect::<BTreeSet<u32>>();
        for project in projects.chain(known) {
            let position = self.positions.entry(project).or_default();
            *position = newest.position_of(project).max(*position);
        }
        for day in newest.days {
            let baseline = self.days.entry((day.project, day.day)).or_default();
            if !baseline.bases.contains(&day.segments) {
                baseline.bases.push(day.segments);
            }
        }
    }

    /// Returns the position up to which a project is held; 0 if no backup holds it.
    #[must_use]
    pub fn position_of(&self, project: u32) -> i64 {
        self.positions.get(&project).copied().unwrap_or(0)
    }

    /// Returns a project's days in the last backups, in order.
    pub(super) fn days_of(&self, project: u32) -> Vec<CatalogDay> {
        let days = self.days.range((project, Day(i32::MIN))..=(project, Day(i32::MAX)));
        let held = |(of, held): (&(u32, Day), &BaselineDay)| {
            with_segments(CatalogDay::empty(*of), held.bases.iter().flatten(), |_| true)
        };
        days.map(held).collect()
    }

    /// Returns the projects that backups hold.
    pub fn projects(&self) -> impl Iterator<Item = u32> {
        self.days.keys().map(|(project, _)| *project)
    }

    /// Adds projects that a backup should hold. Nothing is guaranteed for a project that no backup has held yet.
    pub fn add_projects(&mut self, projects: impl IntoIterator<Item = u32>) {
        for project in projects {
            self.positions.entry(project).or_insert(0);
        }
    }

    /// Returns the days that must be compared before [`BackupBaseline::plan`]: those found without all the segments
    /// that a backup has of them.
    #[must_use]
    pub fn changed(&self, found: &ProductionDays) -> Vec<ChangedDay> {
        let mut changed = Vec::new();
        for ((project, day), baseline) in &self.days {
            let Some(found) = found.get(project) else { continue };
            let now = found.binary_search_by_key(day, |now| now.day);
            let now = now.map_or(&[][..], |index| &found[index].segments);
            let of = |segments: &[CatalogSegment]| CatalogDay {
                project: *project,
                day: *day,
                segments: segments.to_vec(),
            };
            let bases = baseline.bases.iter().filter(|base| !is_part_of(base, now));
            changed.extend(bases.map(|base| ChangedDay { before: of(base), now: of(now) }));
        }
        changed
    }

    /// Plans a backup of this position from the days `found` in production. Days that lack keys, or may lack some, and
    /// days of projects that were not found keep their earlier segments, as far as those are obtainable from a data
    /// center.
    #[must_use]
    pub fn plan(
        &self,
        position_ms: i64,
        found: &ProductionDays,
        lacking: &MissingKeys,
        is_obtainable: impl Fn(&str) -> bool,
    ) -> BackupPlan {
        let mut plan = BackupPlan { baseline: self.clone(), ..BackupPlan::default() };
        plan.baseline.positions.extend(found.keys().map(|project| (*project, position_ms)));
        let found_days = found.values().flatten().map(|day| ((day.project, day.day), &day.segments));
        let mut all: BTreeMap<(u32, Day), Vec<CatalogSegment>> =
            self.days.keys().map(|of| (*of, Vec::new())).collect();
        all.extend(found_days.map(|(of, segments)| (of, segments.clone())));
        for ((project, day), now) in all {
            let now = CatalogDay { project, day, segments: now };
            let baseline = plan.baseline.days.entry((project, day)).or_default();
            let day = match found.contains_key(&project) {
                true => {
                    let (day, keys) = baseline.merge_with_baseline(now, lacking, &is_obtainable);
                    let alarm = |keys| Alarm::ProductionShrank { project, day: day.day, keys };
                    plan.alarms.extend(keys.map(alarm));
                    day
                }
                false => with_segments(now, baseline.bases.iter().flatten(), &is_obtainable),
            };
            plan.days.extend((!day.segments.is_empty()).then_some(day));
        }
        let behind = plan.baseline.positions.iter().filter(|(_, held_ms)| **held_ms < position_ms);
        let behind =
            behind.map(|(project, held_ms)| LaggingProject { project: *project, position_ms: *held_ms });
        plan.behind = behind.collect();
        plan
    }
}

/// Adds segments to a day, as far as they are obtainable.
fn with_segments<'a>(
    day: CatalogDay,
    extra: impl Iterator<Item = &'a CatalogSegment>,
    is_obtainable: impl Fn(&str) -> bool,
) -> CatalogDay {
    let extra = extra.filter(|segment| is_obtainable(&segment.hash)).cloned();
    let segments: BTreeSet<CatalogSegment> = day.segments.into_iter().chain(extra).collect();
    CatalogDay { segments: segments.into_iter().collect(), ..day }
}

impl BaselineDay {
    /// Returns the day as found, with the earlier segments that hold keys it lacks. Also returns the number of missing
    /// keys, if that is new.
    fn merge_with_baseline(
        &mut self,
        now: CatalogDay,
        lacking: &MissingKeys,
        is_obtainable: impl Fn(&str) -> bool,
    ) -> (CatalogDay, Option<u64>) {
        let (mut missing, mut is_known, mut extra) = (0, true, Vec::new());
        for base in self.bases.drain(..).filter(|base| !is_part_of(base, &now.segments)) {
            let before = CatalogDay { segments: base, ..now };
            let lacks = lacking.get(&before).copied();
            missing = missing.max(lacks.unwrap_or(0));
            is_known &= lacks.is_some();
            if lacks != Some(0) {
                extra.extend(before.segments);
            }
        }
        let day = with_segments(now, extra.iter(), is_obtainable);
        self.bases.push(day.segments.clone());
        let is_new = missing > 0 && !self.is_alarmed;
        self.is_alarmed = missing > 0 || (self.is_alarmed && !is_known);
        (day, is_new.then_some(missing))
    }
}

impl BackupPlan {
    /// Drops segments that no data center has any more. For a project that was not found and loses segments, nothing is
    /// guaranteed from now on. Returns the days that lost segments.
    pub fn drop_segments(&mut self, gone: &BTreeSet<String>, found: &ProductionDays) -> Vec<(u32, Day)> {
        let mut lost = Vec::new();
        let is_gone = |segment: &CatalogSegment| gone.contains(&segment.hash);
        for day in &mut self.days {
            if !day.segments.iter().any(is_gone) {
                continue;
            }
            lost.push((day.project, day.day));
            day.segments.retain(|segment| !is_gone(segment));
            let baseline = self.baseline.days.get_mut(&(day.project, day.day));
            for base in baseline.into_iter().flat_map(|baseline| &mut baseline.bases) {
                base.retain(|segment| !is_gone(segment));
            }
        }
        self.days.retain(|day| !day.segments.is_empty());
        for project in lost.iter().map(|(project, _)| *project).filter(|of| !found.contains_key(of)) {
            self.baseline.positions.insert(project, 0);
            self.behind.retain(|behind| behind.project != project);
            self.behind.push(LaggingProject { project, position_ms: 0 });
        }
        self.behind.sort_by_key(|behind| behind.project);
        lost
    }

    /// Leaves segments out of this backup that no data center that responds has. The baseline keeps them: a later backup
    /// carries them over. For a project that was not found, this backup guarantees nothing. Returns the projects whose
    /// segments wait.
    pub fn postpone_segments(&mut self, waiting: &BTreeSet<String>, found: &ProductionDays) -> BTreeSet<u32> {
        let mut projects = BTreeSet::new();
        for day in &mut self.days {
            let before = day.segments.len();
            day.segments.retain(|segment| !waiting.contains(&segment.hash));
            if day.segments.len() < before {
                projects.insert(day.project);
            }
        }
        self.days.retain(|day| !day.segments.is_empty());
        for project in projects.iter().filter(|of| !found.contains_key(of)) {
            self.behind.retain(|behind| behind.project != *project);
            self.behind.push(LaggingProject { project: *project, position_ms: 0 });
        }
        self.behind.sort_by_key(|behind| behind.project);
        projects
    }
}

#[cfg(test)]
mod tests;
