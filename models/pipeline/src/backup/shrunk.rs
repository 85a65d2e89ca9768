//! What a backup does not let go of, whatever production says.
//!
//! Events are never removed by design, so a day of which production has fewer distinct keys than at the last backup
//! has lost some: by a bug, by a disaster that is not noticed yet, or because its disks lie. Such a day keeps the
//! segments of the last backup besides those of now, and the operator is told. Otherwise the newest backup, which a
//! recovery tries first, would hold less than the one before, and of days that the tee no longer covers no audit
//! could tell.
//!
//! After a restart the newest backup is taken from the stores. How many keys its days have is not written down there:
//! a day that changed since is read back and counted.

use super::catalog::{Catalog, CatalogDay, CatalogSegment};
use crate::alarms::Alarm;
use crate::zone::Day;
use std::collections::{BTreeMap, BTreeSet};

/// What the last backup holds, by project and day.
#[derive(Debug, Default)]
pub struct Kept {
    days: BTreeMap<(u32, Day), KeptDay>,
}

#[derive(Debug)]
struct KeptDay {
    segments: Vec<CatalogSegment>,
    /// The most distinct keys that any backup is sure to have found; `None`: not known by this process.
    keys: Option<u64>,
    told: bool,
}

/// How many distinct keys production has of a day, as far as is known without reading them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Keys {
    /// At least so many.
    pub least: u64,
    /// At most so many.
    pub most: u64,
}

impl Kept {
    /// What an earlier process left.
    #[must_use]
    pub fn of(newest: Catalog) -> Kept {
        let day = |day: CatalogDay| {
            ((day.project, day.day), KeptDay { segments: day.segments, keys: None, told: false })
        };
        Kept { days: newest.days.into_iter().map(day).collect() }
    }

    /// The days that have to be counted before [`Kept::carry_over`]: those that are not in what was found as they
    /// were before.
    #[must_use]
    pub fn to_be_counted(&self, found: &[(CatalogDay, Keys)]) -> Vec<CatalogDay> {
        let still_there = |project: u32, day: Day, kept: &KeptDay| {
            let now = found.iter().find(|(now, _)| (now.project, now.day) == (project, day));
            now.is_some_and(|(now, _)| kept.segments.iter().all(|segment| now.segments.contains(segment)))
        };
        self.days
            .iter()
            .filter(|((project, day), kept)| kept.keys.is_none() && !still_there(*project, *day, kept))
            .map(|((project, day), kept)| CatalogDay {
                project: *project,
                day: *day,
                segments: kept.segments.clone(),
            })
            .collect()
    }

    /// A day of the last backup has so many distinct keys.
    pub fn counted(&mut self, project: u32, day: Day, keys: u64) {
        if let Some(kept) = self.days.get_mut(&(project, day)) {
            kept.keys = Some(keys);
        }
    }

    /// What a backup is to hold: `found` in production, each day with the number of its distinct keys, and what
    /// surely shrank as it was before, as far as it is `in_store`. An alarm for each day that shrank, once.
    pub fn carry_over(
        &mut self,
        found: Vec<(CatalogDay, Keys)>,
        in_store: impl Fn(&str) -> bool,
    ) -> (Vec<CatalogDay>, Vec<Alarm>) {
        let mut now: BTreeMap<(u32, Day), (Vec<CatalogSegment>, Keys)> =
            found.into_iter().map(|(day, keys)| ((day.project, day.day), (day.segments, keys))).collect();
        let mut alarms = Vec::new();
        for ((project, day), kept) in &mut self.days {
            let (segments, keys) = now.entry((*project, *day)).or_default();
            let before = kept.keys.unwrap_or(0);
            let fewer = before.saturating_sub(keys.most);
            keys.least = keys.least.max(before);
            if fewer == 0 {
                kept.told = false;
                continue;
            }
            if !std::mem::replace(&mut kept.told, true) {
                let keys = fewer;
                alarms.push(Alarm::ProductionShrank { project: *project, day: *day, keys });
            }
            let before = kept.segments.iter().filter(|segment| in_store(&segment.hash)).cloned();
            *segments = before.chain(segments.drain(..)).collect::<BTreeSet<_>>().into_iter().collect();
        }
        for (of, (segments, keys)) in &now {
            let told = self.days.get(of).is_some_and(|kept| kept.told);
            self.days.insert(*of, KeptDay { segments: segments.clone(), keys: Some(keys.least), told });
        }
        let day = |((project, day), (segments, _))| CatalogDay { project, day, segments };
        (now.into_iter().map(day).filter(|day| !day.segments.is_empty()).collect(), alarms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(number: i32, hashes: &[&str], keys: u64) -> (CatalogDay, Keys) {
        let keys = Keys { least: keys, most: keys };
        let segment = |hash: &&str| CatalogSegment { hash: (*hash).to_owned(), bytes: 1, records: 1 };
        let segments = hashes.iter().map(segment).collect();
        (CatalogDay { project: 1, day: Day(number), segments }, keys)
    }

    fn hashes(days: &[CatalogDay]) -> Vec<Vec<&str>> {
        days.iter().map(|day| day.segments.iter().map(|segment| segment.hash.as_str()).collect()).collect()
    }

    #[test]
    fn a_day_that_grows_or_is_compacted_is_taken_as_production_has_it() {
        let mut kept = Kept::default();
        kept.carry_over(vec![day(1, &["a", "b"], 9)], |_| true);
        let (days, alarms) = kept.carry_over(vec![day(1, &["c"], 9)], |_| true);
        assert_eq!((hashes(&days), alarms), (vec![vec!["c"]], vec![]));
    }

    #[test]
    fn a_day_that_shrank_or_vanished_keeps_what_it_had_and_the_operator_is_told_once() {
        let mut kept = Kept::default();
        kept.carry_over(vec![day(1, &["a"], 9), day(2, &["b"], 5)], |_| true);
        for round in 0..2 {
            let (days, alarms) = kept.carry_over(vec![day(1, &["z"], 1)], |_| true);
            assert_eq!(hashes(&days), [vec!["a", "z"], vec!["b"]]);
            assert_eq!(alarms.len(), if round == 0 { 2 } else { 0 });
        }
        let (days, alarms) = kept.carry_over(vec![day(1, &["y"], 10), day(2, &["x"], 5)], |_| true);
        assert_eq!((hashes(&days), alarms), (vec![vec!["y"], vec!["x"]], vec![]), "recovered");
        let (_, alarms) = kept.carry_over(vec![day(1, &["y"], 10)], |_| true);
        assert_eq!(alarms, [Alarm::ProductionShrank { project: 1, day: Day(2), keys: 5 }], "and lost again");
    }

    #[test]
    fn after_a_restart_what_changed_is_counted_and_what_did_not_is_not() {
        let days = vec![day(1, &["a"], 0).0, day(2, &["b"], 0).0, day(3, &["c"], 0).0];
        let mut kept = Kept::of(Catalog { format: 1, position_ms: 0, taken_ms: 0, days });
        let found = vec![day(1, &["a", "d"], 4), day(2, &["e"], 1)];
        let to_be_counted = kept.to_be_counted(&found);
        assert_eq!(to_be_counted.iter().map(|day| day.day.0).collect::<Vec<_>>(), [2, 3]);
        to_be_counted.iter().for_each(|day| kept.counted(1, day.day, 7));
        let (days, alarms) = kept.carry_over(found, |_| true);
        assert_eq!(hashes(&days), [vec!["a", "d"], vec!["b", "e"], vec!["c"]]);
        assert_eq!(alarms.len(), 2);
        assert_eq!(kept.to_be_counted(&[]), []);
    }

    #[test]
    fn disks_that_differ_are_not_taken_for_a_loss() {
        let mut kept = Kept::default();
        kept.carry_over(vec![day(1, &["a"], 9)], |_| true);
        let (copies, _) = day(1, &["b", "c"], 0);
        let (_, alarms) = kept.carry_over(vec![(copies, Keys { least: 6, most: 11 })], |_| true);
        assert_eq!(alarms, []);
        let (_, alarms) = kept.carry_over(vec![day(1, &["d"], 9)], |_| true);
        assert_eq!(alarms, [], "a bound is not a count");
    }

    #[test]
    fn what_no_data_center_has_any_more_is_not_promised() {
        let mut kept = Kept::default();
        kept.carry_over(vec![day(1, &["a", "b"], 9)], |_| true);
        let (days, _) = kept.carry_over(vec![], |hash| hash == "b");
        assert_eq!(hashes(&days), [vec!["b"]]);
    }
}
