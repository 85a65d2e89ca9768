//! The events that readers of several replicas see.

use crate::content::{DayContent, DayContents, DedupedEvent};
use crate::identity::{DedupKey, EventDigest, ProjectDay};
use crate::ledger::EventIdentity;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// One event, and the number of replicas that hold it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReplicatedEvent {
    /// De-duplication key.
    pub key: DedupKey,
    /// Content of the record that arrived first, over all replicas.
    pub content: EventDigest,
    /// Number of replicas that hold it.
    pub replicas: u32,
    /// The event has no `$insert_id`.
    pub anonymous: bool,
}

/// One project-day over several replicas.
#[derive(Clone, Debug, Default)]
pub struct DayView {
    /// Distinct contents of the replicas.
    pub contents: Vec<Arc<DayContent>>,
    /// Number of replicas with each of `contents`.
    pub replica_counts: Vec<u32>,
    /// Every event that any replica holds, by key.
    pub events: Vec<ReplicatedEvent>,
}

impl DayView {
    pub(crate) fn holds(&self, identity: EventIdentity) -> bool {
        match identity {
            EventIdentity::Keyed(key) => self.events.binary_search_by_key(&key, |event| event.key).is_ok(),
            EventIdentity::Anonymous(content) => {
                self.events.iter().any(|event| event.anonymous && event.content == content)
            }
        }
    }

    /// Returns the number of events without identity that are in at least `min_replicas` replicas, by content.
    pub(crate) fn anonymous(&self, min_replicas: u32) -> BTreeMap<EventDigest, u32> {
        let mut counts = BTreeMap::new();
        for event in self.events.iter().filter(|event| event.anonymous && event.replicas >= min_replicas) {
            *counts.entry(event.content).or_insert(0) += 1;
        }
        counts
    }
}

/// A merged view of several replicas that should be equal.
#[derive(Clone, Debug, Default)]
pub struct ReadView {
    /// Number of replicas that must hold an event so that every reader sees it.
    pub min_replicas: u32,
    /// Number of replicas.
    pub replicas: u32,
    /// Merged contents, by project-day.
    pub days: BTreeMap<ProjectDay, DayView>,
    /// Project-days that were read; `None`: all. Events outside the scope are not missing.
    pub scope: Option<BTreeSet<ProjectDay>>,
}

impl ReadView {
    /// Merges replicas; every reader sees an event that is in at least `min_replicas` of them.
    #[must_use]
    pub fn of(replicas: &[&DayContents], min_replicas: usize) -> ReadView {
        let mut by_day: BTreeMap<ProjectDay, Vec<&Arc<DayContent>>> = BTreeMap::new();
        for (project_day, content) in replicas.iter().flat_map(|days| days.iter()) {
            by_day.entry(*project_day).or_default().push(content);
        }
        let days = by_day.into_iter().map(|(project_day, contents)| (project_day, merge(contents))).collect();
        ReadView { min_replicas: min_replicas as u32, replicas: replicas.len() as u32, days, scope: None }
    }

    /// Restricts the scope to these project-days.
    #[must_use]
    pub fn with_scope(self, scope: BTreeSet<ProjectDay>) -> ReadView {
        ReadView { scope: Some(scope), ..self }
    }

    /// Whether this project-day is in scope.
    #[must_use]
    pub fn covers(&self, project_day: ProjectDay) -> bool {
        self.scope.as_ref().is_none_or(|scope| scope.contains(&project_day))
    }

    /// Returns the view of a single replica.
    #[must_use]
    pub fn of_single(replica: &DayContents) -> ReadView {
        ReadView::of(&[replica], 1)
    }
}

fn merge(mut contents: Vec<&Arc<DayContent>>) -> DayView {
    contents.sort_unstable_by_key(|content| content.id);
    let groups: Vec<(&Arc<DayContent>, u32)> =
        contents.chunk_by(|one, next| one.id == next.id).map(|same| (same[0], same.len() as u32)).collect();
    let events = match groups.as_slice() {
        [(only, replicas)] => only.events.iter().map(|event| replicated_event(event, *replicas)).collect(),
        _ => merge_groups(&groups),
    };
    let (contents, replica_counts) =
        groups.into_iter().map(|(content, replicas)| (content.clone(), replicas)).unzip();
    DayView { contents, replica_counts, events }
}

fn replicated_event(event: &DedupedEvent, replicas: u32) -> ReplicatedEvent {
    ReplicatedEvent { key: event.key, content: event.content, replicas, anonymous: event.anonymous }
}

fn merge_groups(groups: &[(&Arc<DayContent>, u32)]) -> Vec<ReplicatedEvent> {
    let mut rest: Vec<(&[DedupedEvent], u32)> =
        groups.iter().map(|(day, replicas)| (&day.events[..], *replicas)).collect();
    let mut merged = Vec::with_capacity(rest.iter().map(|(events, _)| events.len()).max().unwrap_or(0));
    while let Some(key) = rest.iter().filter_map(|(events, _)| events.first()).map(|event| event.key).min() {
        let mut first: Option<&DedupedEvent> = None;
        let mut total = 0;
        for (events, replicas) in &mut rest {
            let Some((head, tail)) = events.split_first().filter(|(head, _)| head.key == key) else {
                continue;
            };
            if first.is_none_or(|first| head.arrived_ms < first.arrived_ms) {
                first = Some(head);
            }
            (*events, total) = (tail, total + *replicas);
        }
        merged.extend(first.map(|first| replicated_event(first, total)));
    }
    merged
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_support::{DAY, NOON_MS, TestDisk, TestRecord, snapshot};

    const PROJECT_DAY: ProjectDay = ProjectDay { project: 17, day: DAY };

    fn recs(ids: &[&str]) -> Vec<TestRecord> {
        ids.iter().map(|id| TestRecord::new("a", id, NOON_MS)).collect()
    }

    #[test]
    fn a_view_counts_the_replicas_of_each_event() {
        let whole = TestDisk::default().with_day(PROJECT_DAY, &recs(&["i1", "i2"]));
        let part = TestDisk::default().with_day(PROJECT_DAY, &recs(&["i2"]));
        let disks: Vec<TestDisk> =
            (0..8).map(|at| if at < 3 { whole.clone() } else { part.clone() }).collect();
        let snapshot = snapshot(&disks);
        assert_eq!(snapshot.problems().count(), 0);
        let read_view = snapshot.read_view(5);
        assert_eq!((read_view.min_replicas, read_view.days[&PROJECT_DAY].contents.len()), (4, 2));
        let replicas: BTreeMap<DedupKey, u32> =
            read_view.days[&PROJECT_DAY].events.iter().map(|event| (event.key, event.replicas)).collect();
        assert_eq!(replicas, BTreeMap::from([(recs(&["i1"])[0].key(), 3), (recs(&["i2"])[0].key(), 8)]));
    }

    #[test]
    fn the_first_arrival_wins_over_all_replicas() {
        let first = TestRecord::new("a", "i1", NOON_MS);
        let later =
            TestRecord { sequence: 2, arrived_ms: NOON_MS + 9_000, note: "edited".into(), ..first.clone() };
        let disks =
            [&first, &later].map(|rec| TestDisk::default().with_day(PROJECT_DAY, std::slice::from_ref(rec)));
        for disks in [disks.to_vec(), disks.iter().rev().cloned().collect()] {
            let read_view = snapshot(&disks).read_view(2);
            let events = &read_view.days[&PROJECT_DAY].events;
            assert_eq!((events.len(), events[0].replicas), (1, 2));
            assert_eq!(events[0].content, EventDigest::of(first.json().as_bytes()));
        }
    }
}
