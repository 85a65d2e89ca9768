//! What readers of several places that should hold the same are sure to see.

use crate::content::{DayContent, Days, Kept};
use crate::identity::{Content, Key, ProjectDay};
use crate::ledger::Identity;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// One event, and in how many places it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Held {
    /// Its key.
    pub key: Key,
    /// The content of the record that arrived first, over all places.
    pub content: Content,
    /// Places that hold it.
    pub places: u32,
    /// It has no `$insert_id`.
    pub anonymous: bool,
}

/// One project's day over several places.
#[derive(Clone, Debug, Default)]
pub struct SeenDay {
    /// The distinct contents of the places.
    pub contents: Vec<Arc<DayContent>>,
    /// In how many places each of `contents` is.
    pub shares: Vec<u32>,
    /// Every event that any place holds, by key.
    pub held: Vec<Held>,
}

impl SeenDay {
    pub(crate) fn holds(&self, identity: Identity) -> bool {
        match identity {
            Identity::Keyed(key) => self.held.binary_search_by_key(&key, |held| held.key).is_ok(),
            Identity::Anonymous(content) => {
                self.held.iter().any(|held| held.anonymous && held.content == content)
            }
        }
    }

    /// How many events without identity have each content in at least `least_places`.
    pub(crate) fn anonymous(&self, least_places: u32) -> BTreeMap<Content, u32> {
        let mut counts = BTreeMap::new();
        for held in self.held.iter().filter(|held| held.anonymous && held.places >= least_places) {
            *counts.entry(held.content).or_insert(0) += 1;
        }
        counts
    }
}

/// What is seen over several places that should all hold the same.
#[derive(Clone, Debug, Default)]
pub struct Sight {
    /// In how many places an event must be for every reader to see it.
    pub sure: u32,
    /// How many places there are.
    pub places: u32,
    /// By project and day.
    pub days: BTreeMap<ProjectDay, SeenDay>,
    /// The project-days that were looked at; `None`: all. What lies elsewhere is not missing.
    pub scope: Option<BTreeSet<ProjectDay>>,
}

impl Sight {
    /// Puts places together; an event in `sure` of them or more is surely seen.
    #[must_use]
    pub fn of(places: &[&Days], sure: usize) -> Sight {
        let mut by_day: BTreeMap<ProjectDay, Vec<&Arc<DayContent>>> = BTreeMap::new();
        for (of, content) in places.iter().flat_map(|days| days.iter()) {
            by_day.entry(*of).or_default().push(content);
        }
        let days = by_day.into_iter().map(|(of, contents)| (of, merge(contents))).collect();
        Sight { sure: sure as u32, places: places.len() as u32, days, scope: None }
    }

    /// The same, where only these project-days were looked at.
    #[must_use]
    pub fn only(self, scope: BTreeSet<ProjectDay>) -> Sight {
        Sight { scope: Some(scope), ..self }
    }

    /// Whether this project-day was looked at.
    #[must_use]
    pub fn covers(&self, of: ProjectDay) -> bool {
        self.scope.as_ref().is_none_or(|scope| scope.contains(&of))
    }

    /// What one place alone holds.
    #[must_use]
    pub fn of_one(place: &Days) -> Sight {
        Sight::of(&[place], 1)
    }
}

fn merge(mut contents: Vec<&Arc<DayContent>>) -> SeenDay {
    contents.sort_unstable_by_key(|content| content.id);
    let groups: Vec<(&Arc<DayContent>, u32)> =
        contents.chunk_by(|one, next| one.id == next.id).map(|same| (same[0], same.len() as u32)).collect();
    let held = match groups.as_slice() {
        [(only, places)] => only.kept.iter().map(|kept| held(kept, *places)).collect(),
        _ => merge_groups(&groups),
    };
    let (contents, shares) = groups.into_iter().map(|(content, places)| (content.clone(), places)).unzip();
    SeenDay { contents, shares, held }
}

fn held(kept: &Kept, places: u32) -> Held {
    Held { key: kept.key, content: kept.content, places, anonymous: kept.anonymous }
}

fn merge_groups(groups: &[(&Arc<DayContent>, u32)]) -> Vec<Held> {
    let mut rest: Vec<(&[Kept], u32)> = groups.iter().map(|(day, places)| (&day.kept[..], *places)).collect();
    let mut merged = Vec::with_capacity(rest.iter().map(|(kept, _)| kept.len()).max().unwrap_or(0));
    while let Some(key) = rest.iter().filter_map(|(kept, _)| kept.first()).map(|kept| kept.key).min() {
        let mut first: Option<&Kept> = None;
        let mut total = 0;
        for (kept, places) in &mut rest {
            let Some((head, tail)) = kept.split_first().filter(|(head, _)| head.key == key) else { continue };
            if first.is_none_or(|first| head.arrived_ms < first.arrived_ms) {
                first = Some(head);
            }
            (*kept, total) = (tail, total + *places);
        }
        merged.extend(first.map(|first| held(first, total)));
    }
    merged
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{DAY, Disk, NOON_MS, Rec, snapshot};

    const OF: ProjectDay = ProjectDay { project: 17, day: DAY };

    fn recs(ids: &[&str]) -> Vec<Rec> {
        ids.iter().map(|id| Rec::new("a", id, NOON_MS)).collect()
    }

    #[test]
    fn eight_disks_show_where_each_event_is() {
        let whole = Disk::default().with_day(OF, &recs(&["i1", "i2"]));
        let part = Disk::default().with_day(OF, &recs(&["i2"]));
        let disks: Vec<Disk> = (0..8).map(|at| if at < 3 { whole.clone() } else { part.clone() }).collect();
        let snapshot = snapshot(&disks);
        assert_eq!(snapshot.problems().count(), 0);
        let sight = snapshot.seen_by(5);
        assert_eq!((sight.sure, sight.days[&OF].contents.len()), (4, 2));
        let places: BTreeMap<Key, u32> =
            sight.days[&OF].held.iter().map(|held| (held.key, held.places)).collect();
        assert_eq!(places, BTreeMap::from([(recs(&["i1"])[0].key(), 3), (recs(&["i2"])[0].key(), 8)]));
    }

    #[test]
    fn over_all_places_the_first_to_arrive_is_shown() {
        let first = Rec::new("a", "i1", NOON_MS);
        let later = Rec { sequence: 2, arrived_ms: NOON_MS + 9_000, note: "edited".into(), ..first.clone() };
        let disks = [&first, &later].map(|rec| Disk::default().with_day(OF, std::slice::from_ref(rec)));
        for disks in [disks.to_vec(), disks.iter().rev().cloned().collect()] {
            let sight = snapshot(&disks).seen_by(2);
            let held = &sight.days[&OF].held;
            assert_eq!((held.len(), held[0].places), (1, 2));
            assert_eq!(held[0].content, Content::of(first.json().as_bytes()));
        }
    }
}
