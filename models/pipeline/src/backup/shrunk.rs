//! What a backup does not let go of, whatever production says. Pure.
//!
//! Events are never removed by design, so a day of which production lacks keys that the last backup has was damaged: by
//! a bug, by a disaster that is not noticed yet, or because its disks lie. Such a day keeps the segments of the last
//! backup besides those of now, and an alarm is raised. Otherwise the newest backup, which a recovery tries first, would
//! hold less than the one before, and of days that the tee no longer covers no audit could tell.
//!
//! A day whose files are not those of the last backup is compared key by key, from what both backups have of it: a count
//! would not do, because what came since hides what is gone. What cannot be compared now is kept until it can.
//!
//! What the last backups hold is learned, after a restart, from the newest catalog of each data center that can be asked;
//! where they differ, each of them counts.
//!
//! A project that could not be copied keeps its days and its position.

use super::catalog::{Behind, Catalog, CatalogDay, CatalogSegment};
use crate::alarms::Alarm;
use crate::zone::Day;
use std::collections::{BTreeMap, BTreeSet};

/// What the last backups hold, by project and day.
#[derive(Clone, Debug, Default)]
pub struct Kept {
    days: BTreeMap<(u32, Day), KeptDay>,
    /// Up to where each project is held, ms.
    positions: BTreeMap<u32, i64>,
}

#[derive(Clone, Debug, Default)]
struct KeptDay {
    /// The segments of it that a backup holds: one list, or several where data centers have different backups.
    bases: Vec<Vec<CatalogSegment>>,
    /// An alarm was raised, and the day has not been whole since.
    is_alarmed: bool,
}

/// What was found in production of the projects that could be copied: their days, sorted.
pub type Found = BTreeMap<u32, Vec<CatalogDay>>;

/// A day as a backup has it, and as it was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Changed {
    /// In a backup.
    pub before: CatalogDay,
    /// As it was found; without segments where it was not.
    pub now: CatalogDay,
}

/// How many keys of a backup's day were not found, by the day as the backup has it. A day that could not be compared is
/// left out.
pub type Lacking = BTreeMap<CatalogDay, u64>;

/// What a backup is to hold.
#[derive(Debug, Default)]
pub struct Plan {
    /// Sorted by project and day.
    pub days: Vec<CatalogDay>,
    /// Projects that stay at an earlier position.
    pub behind: Vec<Behind>,
    /// An [`Alarm::ProductionShrank`] for each day that shrank, once.
    pub alarms: Vec<Alarm>,
    /// What is kept once the backup is durable.
    pub kept: Kept,
}

fn is_part_of(base: &[CatalogSegment], segments: &[CatalogSegment]) -> bool {
    base.iter().all(|segment| segments.contains(segment))
}

impl Kept {
    /// Adds what the newest backup of one data center holds.
    pub fn learn(&mut self, newest: Catalog, projects: impl Iterator<Item = u32>) {
        let known = newest.days.iter().map(|day| day.project).collect::<BTreeSet<u32>>();
        for project in projects.chain(known) {
            let position = self.positions.entry(project).or_default();
            *position = newest.position_of(project).max(*position);
        }
        for day in newest.days {
            let kept = self.days.entry((day.project, day.day)).or_default();
            if !kept.bases.contains(&day.segments) {
                kept.bases.push(day.segments);
            }
        }
    }

    /// Up to where a project is held; 0 if no backup holds anything of it.
    #[must_use]
    pub fn position_of(&self, project: u32) -> i64 {
        self.positions.get(&project).copied().unwrap_or(0)
    }

    /// The projects of which backups hold anything.
    pub fn projects(&self) -> impl Iterator<Item = u32> {
        self.days.keys().map(|(project, _)| *project)
    }

    /// Takes in projects that a backup should hold. Of one that no backup has held yet, nothing is promised.
    pub fn expect(&mut self, projects: impl IntoIterator<Item = u32>) {
        for project in projects {
            self.positions.entry(project).or_insert(0);
        }
    }

    /// The days that have to be compared before [`Kept::plan`]: those that were found without all the segments that a
    /// backup has of them.
    #[must_use]
    pub fn changed(&self, found: &Found) -> Vec<Changed> {
        let mut changed = Vec::new();
        for ((project, day), kept) in &self.days {
            let Some(found) = found.get(project) else { continue };
            let now = found.binary_search_by_key(day, |now| now.day);
            let now = now.map_or(&[][..], |index| &found[index].segments);
            let of = |segments: &[CatalogSegment]| CatalogDay {
                project: *project,
                day: *day,
                segments: segments.to_vec(),
            };
            let bases = kept.bases.iter().filter(|base| !is_part_of(base, now));
            changed.extend(bases.map(|base| Changed { before: of(base), now: of(now) }));
        }
        changed
    }

    /// Plans a backup of this position from what was `found` in production. Days that lack something, or may lack it,
    /// and days of projects that were not found keep what they had, as far as it `may_be_had` from a data center.
    #[must_use]
    pub fn plan(
        &self,
        position_ms: i64,
        found: &Found,
        lacking: &Lacking,
        may_be_had: impl Fn(&str) -> bool,
    ) -> Plan {
        let mut plan = Plan { kept: self.clone(), ..Plan::default() };
        plan.kept.positions.extend(found.keys().map(|project| (*project, position_ms)));
        let found_days = found.values().flatten().map(|day| ((day.project, day.day), &day.segments));
        let mut all: BTreeMap<(u32, Day), Vec<CatalogSegment>> =
            self.days.keys().map(|of| (*of, Vec::new())).collect();
        all.extend(found_days.map(|(of, segments)| (of, segments.clone())));
        for ((project, day), now) in all {
            let now = CatalogDay { project, day, segments: now };
            let kept = plan.kept.days.entry((project, day)).or_default();
            let day = match found.contains_key(&project) {
                true => {
                    let (day, keys) = kept.carry_over(now, lacking, &may_be_had);
                    let alarm = |keys| Alarm::ProductionShrank { project, day: day.day, keys };
                    plan.alarms.extend(keys.map(alarm));
                    day
                }
                false => with(now, kept.bases.iter().flatten(), &may_be_had),
            };
            plan.days.extend((!day.segments.is_empty()).then_some(day));
        }
        let behind = plan.kept.positions.iter().filter(|(_, held_ms)| **held_ms < position_ms);
        let behind = behind.map(|(project, held_ms)| Behind { project: *project, position_ms: *held_ms });
        plan.behind = behind.collect();
        plan
    }
}

/// A day with these segments besides, as far as they may be had.
fn with<'a>(
    day: CatalogDay,
    besides: impl Iterator<Item = &'a CatalogSegment>,
    may_be_had: impl Fn(&str) -> bool,
) -> CatalogDay {
    let besides = besides.filter(|segment| may_be_had(&segment.hash)).cloned();
    let segments: BTreeSet<CatalogSegment> = day.segments.into_iter().chain(besides).collect();
    CatalogDay { segments: segments.into_iter().collect(), ..day }
}

impl KeptDay {
    /// What was found of a day, with the bases that it lacks something of. Also how many keys it lacks, where that is
    /// news.
    fn carry_over(
        &mut self,
        now: CatalogDay,
        lacking: &Lacking,
        may_be_had: impl Fn(&str) -> bool,
    ) -> (CatalogDay, Option<u64>) {
        let (mut fewer, mut is_known, mut besides) = (0, true, Vec::new());
        for base in self.bases.drain(..).filter(|base| !is_part_of(base, &now.segments)) {
            let before = CatalogDay { segments: base, ..now };
            let lacks = lacking.get(&before).copied();
            fewer = fewer.max(lacks.unwrap_or(0));
            is_known &= lacks.is_some();
            if lacks != Some(0) {
                besides.extend(before.segments);
            }
        }
        let day = with(now, besides.iter(), may_be_had);
        self.bases.push(day.segments.clone());
        let is_news = fewer > 0 && !self.is_alarmed;
        self.is_alarmed = fewer > 0 || (self.is_alarmed && !is_known);
        (day, is_news.then_some(fewer))
    }
}

impl Plan {
    /// Lets go of segments that no data center has any more. A project that was not found and loses some promises
    /// nothing from here on. Returns the days that lost segments.
    pub fn let_go(&mut self, gone: &BTreeSet<String>, found: &Found) -> Vec<(u32, Day)> {
        let mut lost = Vec::new();
        let is_gone = |segment: &CatalogSegment| gone.contains(&segment.hash);
        for day in &mut self.days {
            if !day.segments.iter().any(is_gone) {
                continue;
            }
            lost.push((day.project, day.day));
            day.segments.retain(|segment| !is_gone(segment));
            let kept = self.kept.days.get_mut(&(day.project, day.day));
            for base in kept.into_iter().flat_map(|kept| &mut kept.bases) {
                base.retain(|segment| !is_gone(segment));
            }
        }
        self.days.retain(|day| !day.segments.is_empty());
        for project in lost.iter().map(|(project, _)| *project).filter(|of| !found.contains_key(of)) {
            self.kept.positions.insert(project, 0);
            self.behind.retain(|behind| behind.project != project);
            self.behind.push(Behind { project, position_ms: 0 });
        }
        self.behind.sort_by_key(|behind| behind.project);
        lost
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PROJECT: u32 = 1;

    /// A name of a segment has a letter for each key in it.
    fn segments(names: &[&str]) -> Vec<CatalogSegment> {
        let segment = |name: &&str| CatalogSegment { hash: (*name).to_owned(), bytes: 1, records: 1 };
        names.iter().map(segment).collect()
    }

    fn day(number: i32, names: &[&str]) -> CatalogDay {
        CatalogDay { project: PROJECT, day: Day(number), segments: segments(names) }
    }

    fn found(days: &[CatalogDay]) -> Found {
        Found::from([(PROJECT, days.to_vec())])
    }

    fn catalog(position_ms: i64, days: Vec<CatalogDay>) -> Catalog {
        Catalog { format: 2, position_ms, taken_ms: 0, behind: Vec::new(), days }
    }

    fn names(days: &[CatalogDay]) -> Vec<Vec<&str>> {
        days.iter().map(|day| day.segments.iter().map(|segment| segment.hash.as_str()).collect()).collect()
    }

    fn keys(day: &CatalogDay) -> BTreeSet<char> {
        day.segments.iter().flat_map(|segment| segment.hash.chars()).collect()
    }

    fn compared(kept: &Kept, found: &Found) -> Lacking {
        let lacks = |it: &Changed| keys(&it.before).difference(&keys(&it.now)).count() as u64;
        kept.changed(found).into_iter().map(|it| (it.before.clone(), lacks(&it))).collect()
    }

    /// Plans a backup that becomes durable.
    fn backup(kept: &mut Kept, days: &[CatalogDay]) -> Plan {
        let found = found(days);
        let mut plan = kept.plan(100, &found, &compared(kept, &found), |_| true);
        *kept = std::mem::take(&mut plan.kept);
        plan
    }

    fn shrank(number: i32, keys: u64) -> Alarm {
        Alarm::ProductionShrank { project: PROJECT, day: Day(number), keys }
    }

    #[test]
    fn a_day_that_grows_or_is_compacted_is_taken_as_production_has_it() {
        let mut kept = Kept::default();
        backup(&mut kept, &[day(1, &["ab", "c"])]);
        let plan = backup(&mut kept, &[day(1, &["abcd"])]);
        assert_eq!((names(&plan.days), plan.alarms), (vec![vec!["abcd"]], vec![]));
    }

    #[test]
    fn a_day_that_shrank_or_vanished_keeps_what_it_had_and_raises_an_alarm_once() {
        let mut kept = Kept::default();
        backup(&mut kept, &[day(1, &["abc"]), day(2, &["xy"])]);
        for round in 0..2 {
            let plan = backup(&mut kept, &[day(1, &["a"])]);
            assert_eq!(names(&plan.days), [vec!["a", "abc"], vec!["xy"]]);
            assert_eq!(plan.alarms.len(), if round == 0 { 2 } else { 0 });
        }
        let plan = backup(&mut kept, &[day(1, &["cba"]), day(2, &["yx"])]);
        assert_eq!((names(&plan.days), plan.alarms), (vec![vec!["cba"], vec!["yx"]], vec![]), "recovered");
        assert_eq!(backup(&mut kept, &[day(1, &["cba"])]).alarms, [shrank(2, 2)], "and lost again");
    }

    #[test]
    fn what_came_since_does_not_hide_what_is_gone() {
        let mut kept = Kept::default();
        backup(&mut kept, &[day(1, &["abc"])]);
        let plan = backup(&mut kept, &[day(1, &["adefg"])]);
        assert_eq!((names(&plan.days), plan.alarms), (vec![vec!["abc", "adefg"]], vec![shrank(1, 2)]));
        let plan = backup(&mut kept, &[day(1, &["adefgh"])]);
        assert_eq!(names(&plan.days), [["abc", "adefg", "adefgh"]], "it stays while production lacks it");
    }

    #[test]
    fn a_backup_that_did_not_become_durable_changes_nothing() {
        let mut kept = Kept::default();
        backup(&mut kept, &[day(1, &["ab"])]);
        drop(kept.plan(200, &found(&[day(1, &["ba"])]), &Lacking::new(), |_| true));
        let plan = backup(&mut kept, &[day(1, &["a"])]);
        assert_eq!(names(&plan.days), [["a", "ab"]], "no data center has a catalog that names the other");
    }

    #[test]
    fn what_a_newest_catalog_holds_is_kept_by_a_process_that_did_not_take_it() {
        let mut kept = Kept::default();
        kept.learn(catalog(50, vec![day(1, &["a"]), day(2, &["bc"]), day(3, &["c"])]), [PROJECT].into_iter());
        let now = [day(1, &["a", "d"]), day(2, &["b"])];
        let changed: Vec<i32> = kept.changed(&found(&now)).iter().map(|it| it.before.day.0).collect();
        assert_eq!(changed, [2, 3], "a day that has all its old segments is not compared");
        let plan = backup(&mut kept, &now);
        assert_eq!(names(&plan.days), [vec!["a", "d"], vec!["b", "bc"], vec!["c"]]);
        assert_eq!(plan.alarms, [shrank(2, 1), shrank(3, 1)]);
    }

    #[test]
    fn what_cannot_be_compared_is_kept_until_it_can_without_an_alarm() {
        let mut kept = Kept::default();
        backup(&mut kept, &[day(1, &["ab"])]);
        let now = found(&[day(1, &["ba"])]);
        let plan = kept.plan(100, &now, &Lacking::new(), |_| true);
        assert_eq!((names(&plan.days), plan.alarms), (vec![vec!["ab", "ba"]], vec![]));
        let mut kept = plan.kept;
        assert_eq!(names(&backup(&mut kept, &[day(1, &["ba"])]).days), [["ba"]]);
    }

    #[test]
    fn where_data_centers_have_different_backups_each_of_them_counts() {
        let mut kept = Kept::default();
        kept.learn(catalog(50, vec![day(1, &["a"]), day(2, &["c"])]), [PROJECT].into_iter());
        kept.learn(catalog(70, vec![day(1, &["abe"]), day(2, &["c"])]), [PROJECT].into_iter());
        assert_eq!(kept.position_of(PROJECT), 70);
        let plan = backup(&mut kept, &[day(1, &["ab"]), day(2, &["c"])]);
        assert_eq!(names(&plan.days), [vec!["ab", "abe"], vec!["c"]]);
    }

    #[test]
    fn a_project_that_could_not_be_copied_into_its_first_backup_is_behind_with_nothing_promised() {
        let mut kept = Kept::default();
        kept.expect([2, PROJECT]);
        let plan = kept.plan(100, &Found::from([(2, vec![])]), &Lacking::new(), |_| true);
        assert_eq!(plan.behind, [Behind { project: PROJECT, position_ms: 0 }]);
        assert_eq!((plan.kept.position_of(PROJECT), plan.kept.position_of(2)), (0, 100));
    }

    #[test]
    fn a_project_that_was_not_found_keeps_its_days_and_its_position() {
        let mut kept = Kept::default();
        kept.learn(catalog(50, vec![day(1, &["a"])]), [PROJECT, 2].into_iter());
        let plan = kept.plan(100, &Found::from([(2, vec![])]), &Lacking::new(), |_| true);
        assert_eq!(plan.behind, [Behind { project: PROJECT, position_ms: 50 }]);
        assert_eq!((names(&plan.days), plan.alarms.len()), (vec![vec!["a"]], 0));
        let mut kept = plan.kept;
        let plan = backup(&mut kept, &[day(1, &["ab"])]);
        assert_eq!((plan.behind, kept.position_of(PROJECT)), (vec![], 100), "it caught up");
    }

    #[test]
    fn what_no_data_center_has_any_more_is_not_promised() {
        let mut kept = Kept::default();
        backup(&mut kept, &[day(1, &["a", "b"])]);
        let plan = kept.plan(200, &found(&[]), &Lacking::new(), |hash| hash == "b");
        assert_eq!(names(&plan.days), [["b"]]);
        let mut plan = kept.plan(200, &Found::from([(2, vec![])]), &Lacking::new(), |_| true);
        let gone = BTreeSet::from(["a".to_owned()]);
        assert_eq!(plan.let_go(&gone, &Found::new()), [(PROJECT, Day(1))]);
        assert_eq!(names(&plan.days), [["b"]]);
        assert_eq!(plan.behind, [Behind { project: PROJECT, position_ms: 0 }]);
    }
}
