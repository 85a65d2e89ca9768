//! I6: replicas at the same position have equal digests.
//!
//! The position is a cut in arrival time: what came in later may have reached one replica and not yet the next, and
//! is left out. Digests are over de-duplication keys, since of two contents of one key either replica may hold
//! either until both hold both. A copy that does not read because planned faults struck its files is none.

use super::{Moment, violation};
use crate::content::{DayContent, Multiset};
use crate::identity::{Key, ProjectDay};
use crate::snapshot::{DiskSnapshot, Snapshot};
use latent_verdict::Violation;
use std::collections::{BTreeMap, BTreeSet};

/// Digest of the keys that came in before `cut_ms`.
#[must_use]
pub fn digest_at(day: &DayContent, cut_ms: i64) -> Multiset {
    let mut digest = Multiset::default();
    day.kept.iter().filter(|kept| kept.arrived_ms < cut_ms).for_each(|kept| digest.add(kept.key.0));
    digest
}

/// Compares all disks of the snapshot, which must be replicas of each other.
#[must_use]
pub fn check(snapshot: &Snapshot, cut_ms: i64, now: &Moment) -> Vec<Violation> {
    let days: BTreeSet<ProjectDay> =
        snapshot.disks.iter().flat_map(|disk| disk.days.keys().copied()).collect();
    days.into_iter().filter_map(|of| compare(snapshot, of, cut_ms, now)).collect()
}

/// The days whose copies differ in what came in before `cut_ms`.
pub(super) fn differing(snapshot: &Snapshot, cut_ms: i64, now: &Moment) -> BTreeSet<ProjectDay> {
    let days: BTreeSet<ProjectDay> =
        snapshot.disks.iter().flat_map(|disk| disk.days.keys().copied()).collect();
    days.into_iter().filter(|of| compare(snapshot, *of, cut_ms, now).is_some()).collect()
}

fn compare(snapshot: &Snapshot, of: ProjectDay, cut_ms: i64, now: &Moment) -> Option<Violation> {
    let nothing = DayContent::default();
    let mut digests: BTreeMap<u64, Multiset> = BTreeMap::new();
    let mut groups: BTreeMap<(u64, u128), (Vec<&str>, &DayContent)> = BTreeMap::new();
    let is_lost = |disk: &DiskSnapshot| {
        disk.problems.iter().any(|problem| problem.of == of && disk.excuses(problem, now))
    };
    for disk in snapshot.disks.iter().filter(|disk| !is_lost(disk)) {
        let content = disk.days.get(&of).map_or(&nothing, |day| &*day.content);
        let digest = *digests.entry(content.id).or_insert_with(|| digest_at(content, cut_ms));
        groups.entry((digest.count, digest.sum)).or_insert((Vec::new(), content)).0.push(&disk.name);
    }
    if groups.len() < 2 {
        return None;
    }
    let unequal = unequal(groups.values().map(|(_, content)| *content), cut_ms);
    let sides: Vec<String> =
        groups.iter().map(|((count, _), (disks, _))| format!("{count} on {}", disks.join(" "))).collect();
    let found = violation("I6", "differ", now, of, unequal.len() as u64);
    let detail = format!("replicas of {of} differ in what came in before {cut_ms}: {}", sides.join("; "));
    Some(found.keys(unequal.iter().map(Key::to_string)).because(detail))
}

/// Keys that some have and some have not.
fn unequal<'a>(contents: impl Iterator<Item = &'a DayContent>, cut_ms: i64) -> BTreeSet<Key> {
    let sets: Vec<BTreeSet<Key>> = contents
        .map(|day| day.kept.iter().filter(|kept| kept.arrived_ms < cut_ms).map(|kept| kept.key).collect())
        .collect();
    let all: BTreeSet<Key> = sets.iter().flatten().copied().collect();
    all.into_iter().filter(|key| !sets.iter().all(|set| set.contains(key))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::invariants::{noon_after, short};
    use crate::testing::{DAY, Disk, NOON_MS, Rec, snapshot};

    const OF: ProjectDay = ProjectDay { project: 17, day: DAY };

    fn rec(id: &str, arrived_ms: i64) -> Rec {
        Rec { arrived_ms, ..Rec::new("a", id, NOON_MS) }
    }

    #[test]
    fn replicas_may_differ_after_the_cut_and_not_before() {
        let (one, two) = (rec("i1", NOON_MS), rec("i2", NOON_MS + 60_000));
        let whole = Disk::default().with_day(OF, &[one.clone(), two]);
        let part = Disk::default().with_day(OF, &[one]);
        let snapshot = snapshot(&[whole.clone(), whole, part]);
        assert_eq!(check(&snapshot, NOON_MS + 60_000, &noon_after()), []);
        let found = check(&snapshot, NOON_MS + 60_001, &noon_after());
        assert_eq!(short(&found), [("differ".into(), "p17".into(), 1, false)]);
        assert!(found[0].detail.ends_with("1 on disk-2; 2 on disk-0 disk-1"), "{}", found[0].detail);
    }

    #[test]
    fn a_replica_without_the_day_differs() {
        let snapshot = snapshot(&[Disk::default().with_day(OF, &[rec("i1", NOON_MS)]), Disk::default()]);
        assert_eq!(check(&snapshot, NOON_MS + 1, &noon_after()).len(), 1);
        assert_eq!(check(&snapshot, NOON_MS, &noon_after()), []);
    }

    #[test]
    fn a_copy_that_planned_faults_made_unreadable_is_none_and_one_that_they_did_not_is() {
        let one = [rec("i1", NOON_MS)];
        let whole = Disk::default().with_day(OF, &one);
        let mut rotten = whole.clone();
        rotten.put(OF, "1.seg", bytes::Bytes::from_static(&[7; 40]));
        let now = |disk: &str| Moment { damaged: [disk.to_owned()].into(), ..noon_after() };
        let found =
            |copy: &Disk| check(&snapshot(&[whole.clone(), copy.clone()]), NOON_MS + 1, &now("disk-1")).len();
        rotten.harm(ProjectDay { day: DAY + 1, ..OF }, "1.seg");
        assert_eq!(found(&rotten), 1, "another day of its was struck");
        rotten.harm(OF, "1.seg");
        assert_eq!(found(&rotten), 0);
        // Damage elsewhere on the disk is no excuse for what it lacks here.
        let lacks = check(&snapshot(&[whole.clone(), Disk::default()]), NOON_MS + 1, &now("disk-1"));
        assert_eq!(lacks.len(), 1);
    }

    #[test]
    fn raw_copies_and_later_duplicates_make_no_difference() {
        let (one, again) = (rec("i1", NOON_MS), Rec { sequence: 2, ..rec("i1", NOON_MS + 5) });
        let both = Disk::default().with_day(OF, &[one.clone(), again]);
        assert_eq!(
            check(&snapshot(&[both, Disk::default().with_day(OF, &[one])]), NOON_MS + 9, &noon_after()),
            []
        );
    }
}
