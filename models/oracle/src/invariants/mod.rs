//! The invariants, one file each.
//!
//! Every check returns all violations that it finds: it never stops at the first one, and never repairs. A violation
//! covers one project-day and one kind, with the number of affected events.

pub mod i10_backup;
pub mod i10_retained;
pub mod i11_tee;
pub mod i12_drill;
pub mod i13_corruption;
pub mod i13_holds;
pub mod i13_read_back;
pub mod i13_reports;
pub mod i13_scrub;
pub mod i13_tee_scrub;
pub mod i14_answers;
pub mod i16_space;
pub mod i17_copies;
pub mod i1_readable;
pub mod i2_provenance;
pub mod i3_duplicates;
pub mod i4_day_sets;
pub mod i5_content;
pub mod i6_replicas;
pub mod i7_durability;
pub mod i8_compaction;
pub mod i9_manifests;
pub mod incremental;
pub mod l1_backlogs;
pub mod l2_compaction;
pub mod l2_nightly_compaction;
pub mod l3_backup;
pub mod l4_recovery;
pub mod l5_divergence;
pub mod l5_nightly_comparison;
pub mod liveness_violation;
mod quarantine;
pub mod removals;

use crate::content::DedupedEvent;
use crate::day::{DAY_LABEL, format_day};
use crate::identity::{DedupKey, EventDigest, ProjectDay};
use crate::ledger::{LedgerDay, LedgerEntry};
use crate::read_view::ReplicatedEvent;
use latent_verdict::Violation;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;

/// Time and circumstances of a check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckContext {
    /// Current time, by the world's clock.
    pub at_ms: i64,
    /// Stage of the run: a fixed word such as `day-end` or `after-healing`, part of fingerprints.
    pub stage: String,
    /// Requests acknowledged before this time are checked; later ones may still be in flight.
    pub settled_before_ms: i64,
    /// Faults are active or not yet repaired: they may explain events on too few disks.
    pub faults_active: bool,
    /// Number of replays started so far: each may add one raw copy of an event.
    pub replays: u32,
    /// Disks with durable bytes corrupted or destroyed by planned faults. Data that is missing or moved back there is
    /// the device's fault, before healing and after it. An unreadable file is excused only if a fault corrupted that
    /// file ([`crate::FileView::corrupted`]).
    pub damaged_disks: BTreeSet<String>,
}

impl CheckContext {
    /// Whether planned faults destroyed durable bytes of this disk.
    #[must_use]
    pub fn is_damaged(&self, disk: &str) -> bool {
        self.damaged_disks.contains(disk)
    }
}

/// Violations of one invariant, grouped by project-day and kind.
pub(crate) struct ViolationAccumulator<'a> {
    invariant: &'static str,
    context: &'a CheckContext,
    found: BTreeMap<(ProjectDay, &'static str), (u64, Vec<String>)>,
}

impl<'a> ViolationAccumulator<'a> {
    pub(crate) fn new(invariant: &'static str, context: &'a CheckContext) -> ViolationAccumulator<'a> {
        ViolationAccumulator { invariant, context, found: BTreeMap::new() }
    }

    /// Adds `items` of a kind; `key` names one of them.
    pub(crate) fn add(&mut self, project_day: ProjectDay, kind: &'static str, items: u64, key: impl Display) {
        if items == 0 {
            return;
        }
        let (count, keys) = self.found.entry((project_day, kind)).or_default();
        *count += items;
        if keys.len() < Violation::KEYS {
            keys.push(key.to_string());
        }
    }

    /// Returns the violations. For each kind, `explain` returns whether its items are lost, and a description.
    pub(crate) fn finish(
        self,
        explain: impl Fn(ProjectDay, &'static str, u64) -> (bool, String),
    ) -> Vec<Violation> {
        let ViolationAccumulator { invariant, context, found } = self;
        let violation =
            |((project_day, kind), (items, keys)): ((ProjectDay, &'static str), (u64, Vec<String>))| {
                let (loses, detail) = explain(project_day, kind, items);
                Violation { loses_items: loses, ..violation(invariant, kind, context, project_day, items) }
                    .keys(keys)
                    .because(detail)
            };
        found.into_iter().map(violation).collect()
    }
}

/// Formats `1 event` or `3 events`.
pub(crate) fn pluralize(items: u64, one: &str, many: &str) -> String {
    format!("{items} {}", if items == 1 { one } else { many })
}

pub(crate) fn violation(
    invariant: &'static str,
    kind: &str,
    context: &CheckContext,
    project_day: ProjectDay,
    items: u64,
) -> Violation {
    Violation::new(invariant, kind, context.stage.as_str())
        .of(format!("p{}", project_day.project), items)
        .labelled(DAY_LABEL, format_day(project_day.day))
        .at(context.at_ms)
}

/// An event that is identified by its key, or by its content alone.
pub(crate) trait IdentifiedEvent {
    fn key(&self) -> DedupKey;
    fn content(&self) -> EventDigest;
    fn is_anonymous(&self) -> bool;
}

impl IdentifiedEvent for ReplicatedEvent {
    fn key(&self) -> DedupKey {
        self.key
    }
    fn content(&self) -> EventDigest {
        self.content
    }
    fn is_anonymous(&self) -> bool {
        self.anonymous
    }
}

impl IdentifiedEvent for DedupedEvent {
    fn key(&self) -> DedupKey {
        self.key
    }
    fn content(&self) -> EventDigest {
        self.content
    }
    fn is_anonymous(&self) -> bool {
        self.anonymous
    }
}

/// Merge-joins a day's sent events with its stored events, in order of their keys.
pub(crate) fn merge_join<'a, T: IdentifiedEvent>(
    day: Option<&'a LedgerDay>,
    stored: &'a [T],
    mut each: impl FnMut(DedupKey, Option<&'a LedgerEntry>, Option<&'a T>),
) {
    let mut sent = day.into_iter().flat_map(|day| &day.keyed).peekable();
    for one in stored.iter().filter(|one| !one.is_anonymous()) {
        while let Some((key, entry)) = sent.next_if(|(key, _)| **key < one.key().0) {
            each(DedupKey(*key), Some(entry), None);
        }
        let entry = sent.next_if(|(key, _)| **key == one.key().0).map(|(_, entry)| entry);
        each(one.key(), entry, Some(one));
    }
    sent.for_each(|(key, entry)| each(DedupKey(*key), Some(entry), None));
}

#[cfg(test)]
pub(crate) fn noon_context() -> CheckContext {
    let at_ms = crate::test_support::NOON_MS + 86_400_000;
    let (stage, damaged_disks) = ("test".into(), BTreeSet::new());
    CheckContext { at_ms, stage, settled_before_ms: at_ms, faults_active: false, replays: 0, damaged_disks }
}

/// Returns kind, subject, item count and loss of each violation.
#[cfg(test)]
pub(crate) fn summaries(violations: &[Violation]) -> Vec<(String, String, u64, bool)> {
    violations.iter().map(|v| (v.kind.clone(), v.subject.clone(), v.items, v.loses_items)).collect()
}
