//! I6: replicas at the same position have equal digests.
//!
//! The position is a cut in arrival time: later arrivals may have reached one replica and not yet the next, and are
//! excluded. Digests cover de-duplication keys: of two contents of one key, a replica may hold either until both
//! replicas hold both. A replica that is unreadable because of planned faults is excluded.
//!
//! Documented in docs/invariants.md#i6.

use super::{CheckContext, violation};
use crate::content::{DayContent, MultisetDigest};
use crate::identity::{DedupKey, ProjectDay};
use crate::snapshot::{ClusterSnapshot, DiskSnapshot};
use latent_verdict::Violation;
use std::collections::{BTreeMap, BTreeSet};

/// Returns the digest of the keys that arrived before `cut_ms`.
#[must_use]
pub fn digest_at(day: &DayContent, cut_ms: i64) -> MultisetDigest {
    let mut digest = MultisetDigest::default();
    day.events.iter().filter(|event| event.arrived_ms < cut_ms).for_each(|event| digest.add(event.key.0));
    digest
}

/// Compares all disks of the snapshot, which must be replicas of each other.
#[must_use]
pub fn check(snapshot: &ClusterSnapshot, cut_ms: i64, context: &CheckContext) -> Vec<Violation> {
    let days: BTreeSet<ProjectDay> =
        snapshot.disks.iter().flat_map(|disk| disk.days.keys().copied()).collect();
    days.into_iter().filter_map(|project_day| compare(snapshot, project_day, cut_ms, context)).collect()
}

/// Returns the days whose replicas differ in arrivals before `cut_ms`.
pub(super) fn differing(
    snapshot: &ClusterSnapshot,
    cut_ms: i64,
    context: &CheckContext,
) -> BTreeSet<ProjectDay> {
    let days: BTreeSet<ProjectDay> =
        snapshot.disks.iter().flat_map(|disk| disk.days.keys().copied()).collect();
    days.into_iter()
        .filter(|project_day| compare(snapshot, *project_day, cut_ms, context).is_some())
        .collect()
}

fn compare(
    snapshot: &ClusterSnapshot,
    project_day: ProjectDay,
    cut_ms: i64,
    context: &CheckContext,
) -> Option<Violation> {
    let nothing = DayContent::default();
    let mut digests: BTreeMap<u64, MultisetDigest> = BTreeMap::new();
    let mut groups: BTreeMap<(u64, u128), (Vec<&str>, &DayContent)> = BTreeMap::new();
    let is_lost = |disk: &DiskSnapshot| {
        disk.problems
            .iter()
            .any(|problem| problem.project_day == project_day && disk.excuses(problem, context))
    };
    for disk in snapshot.disks.iter().filter(|disk| !is_lost(disk)) {
        let content = disk.days.get(&project_day).map_or(&nothing, |day| &*day.content);
        let digest = *digests.entry(content.id).or_insert_with(|| digest_at(content, cut_ms));
        groups.entry((digest.count, digest.sum)).or_insert((Vec::new(), content)).0.push(&disk.name);
    }
    if groups.len() < 2 {
        return None;
    }
    let unequal = unequal(groups.values().map(|(_, content)| *content), cut_ms);
    let sides: Vec<String> =
        groups.iter().map(|((count, _), (disks, _))| format!("{count} on {}", disks.join(" "))).collect();
    let found = violation("I6", "replicas-differ", context, project_day, unequal.len() as u64);
    let detail =
        format!("replicas of {project_day} differ in arrivals before {cut_ms} ms: {}", sides.join("; "));
    Some(found.keys(unequal.iter().map(DedupKey::to_string)).because(detail))
}

/// Returns the keys that some replicas hold and others do not.
fn unequal<'a>(contents: impl Iterator<Item = &'a DayContent>, cut_ms: i64) -> BTreeSet<DedupKey> {
    let sets: Vec<BTreeSet<DedupKey>> = contents
        .map(|day| {
            day.events.iter().filter(|event| event.arrived_ms < cut_ms).map(|event| event.key).collect()
        })
        .collect();
    let all: BTreeSet<DedupKey> = sets.iter().flatten().copied().collect();
    all.into_iter().filter(|key| !sets.iter().all(|set| set.contains(key))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::invariants::{noon_context, summaries};
    use crate::test_support::{DAY, NOON_MS, TestDisk, TestRecord, snapshot};

    const PROJECT_DAY: ProjectDay = ProjectDay { project: 17, day: DAY };

    fn rec(id: &str, arrived_ms: i64) -> TestRecord {
        TestRecord { arrived_ms, ..TestRecord::new("a", id, NOON_MS) }
    }

    #[test]
    fn replicas_may_differ_after_the_cut_and_not_before() {
        let (one, two) = (rec("i1", NOON_MS), rec("i2", NOON_MS + 60_000));
        let whole = TestDisk::default().with_day(PROJECT_DAY, &[one.clone(), two]);
        let part = TestDisk::default().with_day(PROJECT_DAY, &[one]);
        let snapshot = snapshot(&[whole.clone(), whole, part]);
        assert_eq!(check(&snapshot, NOON_MS + 60_000, &noon_context()), []);
        let found = check(&snapshot, NOON_MS + 60_001, &noon_context());
        assert_eq!(summaries(&found), [("replicas-differ".into(), "p17".into(), 1, false)]);
        assert!(found[0].detail.ends_with("1 on disk-2; 2 on disk-0 disk-1"), "{}", found[0].detail);
    }

    #[test]
    fn a_replica_without_the_day_differs() {
        let snapshot = snapshot(&[
            TestDisk::default().with_day(PROJECT_DAY, &[rec("i1", NOON_MS)]),
            TestDisk::default(),
        ]);
        assert_eq!(check(&snapshot, NOON_MS + 1, &noon_context()).len(), 1);
        assert_eq!(check(&snapshot, NOON_MS, &noon_context()), []);
    }

    #[test]
    fn a_replica_is_excluded_only_if_planned_faults_made_it_unreadable() {
        let one = [rec("i1", NOON_MS)];
        let whole = TestDisk::default().with_day(PROJECT_DAY, &one);
        let mut corrupt = whole.clone();
        corrupt.put(PROJECT_DAY, "1.seg", bytes::Bytes::from_static(&[7; 40]));
        let context = |disk: &str| CheckContext { damaged_disks: [disk.to_owned()].into(), ..noon_context() };
        let found = |copy: &TestDisk| {
            check(&snapshot(&[whole.clone(), copy.clone()]), NOON_MS + 1, &context("disk-1")).len()
        };
        corrupt.mark_corrupted(ProjectDay { day: DAY + 1, ..PROJECT_DAY }, "1.seg");
        assert_eq!(found(&corrupt), 1, "another day was corrupted");
        corrupt.mark_corrupted(PROJECT_DAY, "1.seg");
        assert_eq!(found(&corrupt), 0);
        // Damage elsewhere on the disk does not excuse missing events here.
        let lacks = check(&snapshot(&[whole.clone(), TestDisk::default()]), NOON_MS + 1, &context("disk-1"));
        assert_eq!(lacks.len(), 1);
    }

    #[test]
    fn raw_copies_and_later_duplicates_do_not_change_the_digest() {
        let (one, again) = (rec("i1", NOON_MS), TestRecord { sequence: 2, ..rec("i1", NOON_MS + 5) });
        let both = TestDisk::default().with_day(PROJECT_DAY, &[one.clone(), again]);
        assert_eq!(
            check(
                &snapshot(&[both, TestDisk::default().with_day(PROJECT_DAY, &[one])]),
                NOON_MS + 9,
                &noon_context()
            ),
            []
        );
    }
}
