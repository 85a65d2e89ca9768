//! I10: each data center alone holds every acknowledged event up to its stated position; that position is younger than
//! the interval plus slack; a restore is equal by hash.
//!
//! An event missing from a backup is lost if production lacks it too; otherwise only the backup is at fault. A project
//! listed as behind in a catalog is held to its own position, both for completeness and for age. A catalog that names
//! a missing object is always a violation, even while faults are active.
//!
//! Documented in docs/invariants.md#i10.

use super::{CheckContext, ViolationAccumulator, i1_readable, pluralize};
use crate::backup::{DecodedBackup, ObjectStoreView};
use crate::day::{DAY_LABEL, format_utc};
use crate::decode_cache::DecodeCache;
use crate::excused_periods::ExcusedPeriods;
use crate::identity::ProjectDay;
use crate::ledger::{EventIdentity, Ledger};
use crate::read_view::ReadView;
use crate::reader::catalog::{Catalog, LaggingProject};
use crate::reader::{ReadError, ReadErrorKind};
use crate::view::DiskView;
use latent_verdict::Violation;
use std::collections::{BTreeMap, BTreeSet};

/// Backup policy of a data center.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BackupPolicy {
    /// Time at which backups were switched on, by the world's clock.
    pub since_ms: i64,
    /// Interval between backups.
    pub interval_ms: i64,
    /// Additional time for taking a backup and for waiting on a bad link.
    pub slack_ms: i64,
    /// Time for which a backup is retained.
    pub retention_ms: i64,
    /// Periods in which faults prevented backups of this data center: no backup ages in that time.
    pub excused: ExcusedPeriods,
    /// Last time at which a planned fault removed objects of this data center, by the world's clock. Backups that were
    /// begun before are not held to their contents.
    pub emptied_ms: Option<i64>,
}

/// Result of checking one data center.
#[derive(Debug, Default)]
pub struct BackupCheck {
    /// Violations found.
    pub violations: Vec<Violation>,
    /// Newest backup, if there is one.
    pub newest: Option<DecodedBackup>,
    /// Number of readable catalogs.
    pub backups: usize,
}

/// Checks the newest backup of one data center's store.
pub fn check(
    cache: &mut DecodeCache,
    ledger: &Ledger,
    store: &DiskView,
    production: &ReadView,
    policy: &BackupPolicy,
    context: &CheckContext,
) -> BackupCheck {
    let objects = ObjectStoreView::of(store);
    let (catalogs, unreadable) = objects.catalogs();
    let newest = catalogs.last().map(|catalog| DecodedBackup::read(cache, &objects, catalog));
    let mut checked = BackupCheck { backups: catalogs.len(), ..BackupCheck::default() };
    checked.violations.extend(unreadable.iter().filter_map(|error| damage(store, None, error, context)));
    let position_ms = position_held_ms(&catalogs, policy);
    checked.violations.extend(stale(store, position_ms, policy, context));
    let is_emptied =
        |backup: &&DecodedBackup| policy.emptied_ms.is_some_and(|at_ms| backup.position_ms < at_ms);
    if let Some(backup) = newest.as_ref().filter(|backup| !is_emptied(backup)) {
        let damages = backup
            .problems
            .iter()
            .filter_map(|(project_day, error)| damage(store, Some(*project_day), error, context));
        checked.violations.extend(damages);
        checked.violations.extend(missing(ledger, store, backup, production, context));
    }
    checked.newest = newest;
    checked
}

/// Returns the earliest position up to which any project is held. A project that the newest backup leaves behind is held
/// by an earlier one, unless a fault removed its objects since.
fn position_held_ms(catalogs: &[Catalog], policy: &BackupPolicy) -> Option<i64> {
    let (newest, earlier) = catalogs.split_last()?;
    let is_whole = |catalog: &&Catalog| policy.emptied_ms.is_none_or(|at_ms| catalog.position_ms >= at_ms);
    let earlier: Vec<&Catalog> = earlier.iter().filter(is_whole).collect();
    let held_ms = |behind: &LaggingProject| {
        let of_earlier = earlier.iter().map(|catalog| catalog.position_of(behind.project));
        of_earlier.fold(behind.position_ms, i64::max)
    };
    newest.behind.iter().map(held_ms).chain([newest.position_ms]).min()
}

fn stale(
    store: &DiskView,
    position_ms: Option<i64>,
    policy: &BackupPolicy,
    context: &CheckContext,
) -> Option<Violation> {
    // A project that is in no backup yet ages from the start of the policy, or since a fault removed its backups.
    let from_ms = policy.emptied_ms.filter(|_| position_ms.is_none());
    let since_ms = position_ms.or(from_ms).unwrap_or(i64::MIN).max(policy.since_ms);
    let age_ms = context.at_ms - since_ms;
    if policy.excused.available_ms(since_ms, context.at_ms) <= policy.interval_ms + policy.slack_ms {
        return None;
    }
    let kind = if position_ms.is_some() { "stale" } else { "no-backup" };
    let detail = match position_ms {
        Some(position_ms) => {
            format!(
                "{}: the newest backup has the position {}, {} h ago",
                store.name,
                format_utc(position_ms),
                age_ms / 3_600_000
            )
        }
        None => format!("{}: no backup is readable", store.name),
    };
    let found = Violation::new("I10", kind, context.stage.as_str()).of(store.name.as_str(), 0);
    Some(found.at(context.at_ms).because(detail))
}

pub(super) fn damage(
    store: &DiskView,
    project_day: Option<ProjectDay>,
    error: &ReadError,
    context: &CheckContext,
) -> Option<Violation> {
    let kind = match error.kind {
        ReadErrorKind::Missing => "object-missing",
        // A store's disk can be corrupted like any other.
        _ if store.is_corrupted(&error.path) => return None,
        _ => "object-damaged",
    };
    let found =
        Violation::new("I10", kind, context.stage.as_str()).of(store.name.as_str(), 1).at(context.at_ms);
    let found = found.keys([error.path.as_str()]).because(format!("{}: {error}", store.name));
    Some(match project_day {
        Some(project_day) => found.labelled(DAY_LABEL, crate::day::format_day(project_day.day)),
        None => found,
    })
}

/// Checks completeness. "Acknowledged before the position" is by the edges' clocks, so only answers that a client
/// received at least the clock skew earlier count.
fn missing(
    ledger: &Ledger,
    store: &DiskView,
    backup: &DecodedBackup,
    production: &ReadView,
    context: &CheckContext,
) -> Vec<Violation> {
    let skew_ms = ledger.config().clock_skew_ms;
    let before = |project: u32| (backup.position_of(project) - skew_ms).min(context.settled_before_ms);
    let of_all = (backup.position_ms - skew_ms).min(context.settled_before_ms);
    let positions: BTreeSet<i64> =
        backup.behind.keys().map(|project| before(*project)).chain([of_all]).collect();
    // Data lost to a device fault is not the backup's mistake: the other data center holds it, or a drill reports what
    // is lost.
    let is_lost_to_fault = |project_day| {
        backup.problems.iter().any(|(day, error)| *day == project_day && store.is_corrupted(&error.path))
    };
    let mut accumulator = ViolationAccumulator::new("I10", context);
    let held = ReadView::of_single(&backup.days);
    for before_ms in positions {
        let gone = count_missing(ledger, production, before_ms);
        i1_readable::for_each_missing(ledger, &held, before_ms, |project_day, identity, items| {
            if before(project_day.project) != before_ms || is_lost_to_fault(project_day) {
                return;
            }
            let gone = gone.get(&(project_day, identity)).copied().unwrap_or(0).min(items);
            accumulator.add(project_day, "missing", gone, identity);
            accumulator.add(project_day, "not-backed-up", items - gone, identity);
        });
    }
    accumulator.finish(|project_day, kind, items| {
        let whose = format!(
            "{project_day}: {} acknowledged before the backup of {}",
            pluralize(items, "event", "events"),
            format_utc(backup.position_of(project_day.project))
        );
        match kind {
            "missing" => (true, format!("{whose}, neither in {} nor in production", store.name)),
            _ => (false, format!("{whose}, not in {}", store.name)),
        }
    })
}

/// Returns how many copies of each event, acknowledged before `before_ms`, are in no replica of the read view.
pub(crate) fn count_missing(
    ledger: &Ledger,
    read_view: &ReadView,
    before_ms: i64,
) -> BTreeMap<(ProjectDay, EventIdentity), u64> {
    let mut missing = BTreeMap::new();
    i1_readable::for_each_missing(ledger, read_view, before_ms, |project_day, identity, items| {
        *missing.entry((project_day, identity)).or_insert(0) += items;
    });
    missing
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::invariants::noon_context;
    use crate::test_support::{self, DAY, NOON_MS, TestClients, TestDisk, TestRecord, TestStore, read_view};

    const PROJECT_DAY: ProjectDay = ProjectDay { project: 17, day: DAY };
    const HOUR_MS: i64 = 3_600_000;

    fn daily() -> BackupPolicy {
        let (interval_ms, slack_ms) = (24 * HOUR_MS, HOUR_MS);
        BackupPolicy {
            since_ms: NOON_MS,
            interval_ms,
            slack_ms,
            retention_ms: 72 * HOUR_MS,
            excused: ExcusedPeriods::default(),
            emptied_ms: None,
        }
    }

    fn recs(ids: &[&str]) -> Vec<TestRecord> {
        ids.iter().map(|id| TestRecord::new("a", id, NOON_MS)).collect()
    }

    fn store(position_ms: i64, ids: &[&str]) -> TestStore {
        let file = test_support::compacted(PROJECT_DAY, 3, recs(ids));
        TestStore::default().with_backup(position_ms, &[(PROJECT_DAY, vec![(file, ids.len() as u64)])])
    }

    fn found(store: &TestStore, production: &[&str], context: &CheckContext) -> Vec<(String, u64, bool)> {
        found_of(store, production, &daily(), context)
    }

    fn found_of(
        store: &TestStore,
        production: &[&str],
        policy: &BackupPolicy,
        context: &CheckContext,
    ) -> Vec<(String, u64, bool)> {
        let ledger = TestClients::new().acked(17, &recs(&["i1", "i2"])).ledger;
        let production = read_view(&[TestDisk::default().with_day(PROJECT_DAY, &recs(production))]);
        let checked =
            check(&mut DecodeCache::default(), &ledger, &store.view("dc-1"), &production, policy, context);
        checked.violations.into_iter().map(|v| (v.kind, v.items, v.loses_items)).collect()
    }

    #[test]
    fn a_backup_that_is_complete_up_to_its_position_passes() {
        let all = ["i1", "i2"];
        assert_eq!(found(&store(NOON_MS + HOUR_MS, &all), &all, &noon_context()), []);
        assert_eq!(found(&store(NOON_MS, &[]), &all, &noon_context()), [], "acknowledged after its position");
    }

    #[test]
    fn a_backup_is_not_held_to_objects_that_a_planned_fault_removed_after_it() {
        let (all, now) = (["i1", "i2"], noon_context());
        let lacking = store(NOON_MS + HOUR_MS, &["i1"]);
        let kinds = |store: &TestStore, emptied_ms: i64| {
            found_of(store, &all, &BackupPolicy { emptied_ms: Some(emptied_ms), ..daily() }, &now).len()
        };
        assert_eq!([kinds(&lacking, now.at_ms), kinds(&lacking, 0)], [0, 1]);
        assert_eq!(kinds(&TestStore::default(), now.at_ms), 0, "its catalogs are gone too");
    }

    #[test]
    fn a_backup_without_an_event_is_reported_as_loss_if_production_lacks_it_too() {
        let store = store(NOON_MS + HOUR_MS, &["i1"]);
        assert_eq!(found(&store, &["i1", "i2"], &noon_context()), [("not-backed-up".into(), 1, false)]);
        assert_eq!(found(&store, &["i1"], &noon_context()), [("missing".into(), 1, true)]);
    }

    #[test]
    fn a_stale_backup_and_a_missing_backup_are_reported() {
        let all = ["i1", "i2"];
        let later = CheckContext { at_ms: NOON_MS + 27 * HOUR_MS, ..noon_context() };
        assert_eq!(found(&store(NOON_MS + HOUR_MS, &all), &all, &later), [("stale".into(), 0, false)]);
        assert_eq!(found(&TestStore::default(), &all, &later), [("no-backup".into(), 0, false)]);
        assert_eq!(found(&TestStore::default(), &all, &noon_context()), []);
    }

    #[test]
    fn a_project_behind_is_checked_at_its_own_position() {
        let all = ["i1", "i2"];
        let behind = |position_ms: i64| {
            let file = test_support::compacted(PROJECT_DAY, 3, recs(&["i1"]));
            let days = [(PROJECT_DAY, vec![(file, 1)])];
            TestStore::default().with_backup_behind(NOON_MS + HOUR_MS, &[(17, position_ms)], &days)
        };
        assert_eq!(found(&behind(NOON_MS), &all, &noon_context()), [], "acknowledged after its position");
        let late = found(&behind(NOON_MS + HOUR_MS - 1), &all, &noon_context());
        assert_eq!(late, [("not-backed-up".into(), 1, false)]);
        let context = CheckContext { at_ms: NOON_MS + 26 * HOUR_MS, ..noon_context() };
        assert_eq!(found(&behind(NOON_MS), &all, &context), [("stale".into(), 0, false)]);
        assert_eq!(
            found(&behind(NOON_MS), &all, &CheckContext { at_ms: NOON_MS + 25 * HOUR_MS, ..context }),
            []
        );
    }

    #[test]
    fn a_project_that_the_newest_backup_leaves_behind_is_held_by_an_earlier_one() {
        let day = || {
            let file = test_support::compacted(PROJECT_DAY, 3, recs(&["i1", "i2"]));
            [(PROJECT_DAY, vec![(file, 2)])]
        };
        let earlier = TestStore::default().with_backup_behind(NOON_MS + HOUR_MS, &[], &day());
        let store = earlier.with_backup_behind(NOON_MS + 2 * HOUR_MS, &[(17, 0)], &day());
        let at = |hours: i64| CheckContext { at_ms: NOON_MS + hours * HOUR_MS, ..noon_context() };
        let emptied = BackupPolicy { emptied_ms: Some(NOON_MS + 2 * HOUR_MS), ..daily() };
        assert_eq!(found(&store, &["i1", "i2"], &at(26)), []);
        assert_eq!(found(&store, &["i1", "i2"], &at(27)), [("stale".into(), 0, false)]);
        assert_eq!(found_of(&store, &["i1", "i2"], &emptied, &at(26)), [("stale".into(), 0, false)]);
    }

    #[test]
    fn a_catalog_that_names_a_missing_object_is_reported_even_while_faults_are_active() {
        let mut store = store(NOON_MS + HOUR_MS, &["i1", "i2"]);
        store.files.retain(|key, _| !key.contains("segments/"));
        let context =
            CheckContext { faults_active: true, damaged_disks: ["dc-1".to_owned()].into(), ..noon_context() };
        let found = found(&store, &["i1", "i2"], &context);
        assert_eq!(found, [("object-missing".into(), 1, false), ("not-backed-up".into(), 2, false)]);
    }

    #[test]
    fn a_backup_ages_only_while_its_data_center_is_reachable() {
        let all = ["i1", "i2"];
        let stale = |excused_h: &[(i64, i64)], later_ms: i64| {
            let context = CheckContext { at_ms: NOON_MS + later_ms, ..noon_context() };
            let spans = excused_h.iter().map(|(from, to)| (NOON_MS + from * HOUR_MS, NOON_MS + to * HOUR_MS));
            let policy = BackupPolicy { excused: ExcusedPeriods::of(spans), ..daily() };
            found_of(&store(NOON_MS + HOUR_MS, &all), &all, &policy, &context).len()
        };
        let due_ms = 26 * HOUR_MS;
        assert_eq!((stale(&[], due_ms), stale(&[], due_ms + 1)), (0, 1));
        assert_eq!((stale(&[(20, 30)], due_ms + 1), stale(&[(20, 30)], due_ms + 10 * HOUR_MS)), (0, 0));
        assert_eq!(stale(&[(20, 30)], due_ms + 10 * HOUR_MS + 1), 1, "an excuse ends with its fault");
        assert_eq!(stale(&[(-9, 1)], due_ms + 1), 1, "an excuse before the backup does not count");
    }

    #[test]
    fn objects_corrupted_by_a_planned_fault_are_excused() {
        let good = store(NOON_MS + HOUR_MS, &["i1", "i2"]);
        let key = good.files.keys().find(|key| key.contains("segments/")).unwrap().clone();
        let mut corrupt = good.clone();
        let mut bytes = corrupt.files[&key].to_vec();
        bytes[50] ^= 1;
        corrupt.files.insert(key.clone(), bytes.into());
        let context = CheckContext { damaged_disks: ["dc-1".to_owned()].into(), ..noon_context() };
        let kinds = |store: &TestStore| found(store, &["i1", "i2"], &context).len();
        corrupt.corrupted.insert("objects/segments/another".into());
        assert_eq!(kinds(&corrupt), 2, "another object was corrupted");
        corrupt.corrupted.insert(key.clone());
        assert_eq!(kinds(&corrupt), 0);
        let mut gone = good;
        gone.files.remove(&key);
        assert_eq!(kinds(&gone), 2, "corruption does not remove files");
    }

    #[test]
    fn a_missing_object_is_reported_and_a_corrupt_one_only_without_a_fault() {
        let good = store(NOON_MS + HOUR_MS, &["i1", "i2"]);
        let key = good.files.keys().find(|key| key.contains("segments/")).unwrap().clone();
        let mut gone = good.clone();
        gone.files.remove(&key);
        let kinds = |store: &TestStore, context: &CheckContext| {
            found(store, &["i1", "i2"], context).into_iter().map(|found| found.0).collect::<Vec<_>>()
        };
        assert_eq!(kinds(&gone, &noon_context()), ["object-missing", "not-backed-up"]);
        let mut corrupt = good;
        let mut bytes = corrupt.files[&key].to_vec();
        bytes[50] ^= 1;
        corrupt.files.insert(key, bytes.into());
        assert_eq!(kinds(&corrupt, &noon_context()), ["object-damaged", "not-backed-up"]);
        let trouble = CheckContext { faults_active: true, ..noon_context() };
        assert_eq!(
            kinds(&corrupt, &trouble),
            ["object-damaged", "not-backed-up"],
            "other faults do not excuse it"
        );
    }
}
