//! I10, for every backup that is retained: a catalog stays for its retention, and each object that it names stays with
//! it, with the stated length and, in the oldest catalog and another one at each check, the stated bytes.
//!
//! Names of catalogs and segments are hashes of their contents, and the newest backup is compared with the ledger when it
//! is taken. A catalog with all its segments therefore restores what it restored then.
//!
//! Not judged here: how long old backups stay beyond their retention.
//!
//! Documented in docs/invariants.md#i10.

use super::CheckContext;
use super::i10_backup::{BackupPolicy, damage};
use crate::backup::{DecodedBackup, ObjectStoreView};
use crate::day::format_utc;
use crate::decode_cache::DecodeCache;
use crate::reader::catalog::{Catalog, CatalogSegment, position_of_key};
use crate::reader::{ReadError, ReadErrorKind};
use crate::view::DiskView;
use latent_verdict::Violation;
use std::collections::{BTreeMap, BTreeSet};

/// Tolerance for a catalog that goes early: the clock that decides is the median of several.
const EARLY_MS: i64 = 10 * 60_000;

/// Backups that were seen in each data center's store.
#[derive(Clone, Debug, Default)]
pub struct RetainedBackups {
    /// Catalogs by store and key; whether a planned fault had corrupted its object.
    catalogs: BTreeMap<String, BTreeMap<String, bool>>,
    /// Time since which a segment that a retained catalog names is missing, by store and hash.
    missing_ms: BTreeMap<(String, String), i64>,
    /// Number of checks, which selects the catalog whose bytes are read besides the oldest.
    checks: usize,
}

impl RetainedBackups {
    /// Checks the retained backups of one data center. `policy` is that of the newest backup.
    pub fn check(
        &mut self,
        cache: &mut DecodeCache,
        store: &DiskView,
        policy: &BackupPolicy,
        context: &CheckContext,
    ) -> Vec<Violation> {
        let objects = ObjectStoreView::of(store);
        let mut found = self.expired_early(store, &objects, policy, context);
        let (mut catalogs, _) = objects.catalogs();
        // The newest has its own check. What a planned fault emptied is not held to its contents.
        catalogs.pop();
        catalogs.retain(|catalog| policy.emptied_ms.is_none_or(|at_ms| catalog.position_ms >= at_ms));
        let named: BTreeSet<&CatalogSegment> =
            catalogs.iter().flat_map(|catalog| &catalog.days).flat_map(|day| &day.segments).collect();
        found.extend(self.missing_segments(store, &objects, &named, policy, context));
        self.checks += 1;
        let drawn = self.checks % catalogs.len().max(1);
        let read = [catalogs.first(), catalogs.get(drawn).filter(|_| drawn > 0)];
        found.extend(
            read.into_iter()
                .flatten()
                .flat_map(|catalog| unreadable(cache, store, &objects, catalog, context)),
        );
        found
    }

    /// Reports catalogs that are gone before their retention has ended, and remembers those that are there.
    fn expired_early(
        &mut self,
        store: &DiskView,
        objects: &ObjectStoreView<'_>,
        policy: &BackupPolicy,
        context: &CheckContext,
    ) -> Vec<Violation> {
        let there: BTreeMap<String, bool> =
            objects.under("catalogs/").map(|(key, file)| (key.to_owned(), file.corrupted)).collect();
        let oldest_ms = context.at_ms - policy.retention_ms + EARLY_MS;
        let known = self.catalogs.insert(store.name.clone(), there).unwrap_or_default();
        let there = &self.catalogs[&store.name];
        let is_early = |key: &String| {
            position_of_key(key).is_some_and(|position_ms| {
                position_ms >= oldest_ms && policy.emptied_ms.is_none_or(|at_ms| position_ms >= at_ms)
            })
        };
        // A corrupt catalog is deleted and put again, which may take until the next backup.
        let gone = known.into_iter().filter(|(key, corrupted)| !corrupted && !there.contains_key(key));
        gone.filter(|(key, _)| is_early(key))
            .map(|(key, _)| {
                let position = position_of_key(&key).map_or_else(String::new, format_utc);
                let detail = format!("{}: the backup of {position} is gone before its retention", store.name);
                let found = Violation::new("I10", "expired-early", context.stage.as_str());
                found.of(store.name.as_str(), 1).at(context.at_ms).keys([key]).because(detail)
            })
            .collect()
    }

    /// Reports named segments that are missing. A store that a planned fault damaged replaces a corrupt segment by
    /// deleting and putting it, so there it may be missing until the next backup.
    fn missing_segments(
        &mut self,
        store: &DiskView,
        objects: &ObjectStoreView<'_>,
        named: &BTreeSet<&CatalogSegment>,
        policy: &BackupPolicy,
        context: &CheckContext,
    ) -> Vec<Violation> {
        let is_damaged = context.damaged_disks.contains(&store.name);
        let mut missing = BTreeMap::new();
        let mut found = Vec::new();
        for segment in named {
            let key = format!("segments/{}", segment.hash);
            if objects.get(&key).is_some() {
                continue;
            }
            let place = (store.name.clone(), segment.hash.clone());
            let since_ms = self.missing_ms.get(&place).copied().unwrap_or(context.at_ms);
            let waited_ms = policy.excused.available_ms(since_ms, context.at_ms);
            if !is_damaged || waited_ms > policy.interval_ms + policy.slack_ms {
                let error =
                    ReadError { path: format!("objects/{key}"), offset: 0, kind: ReadErrorKind::Missing };
                found.extend(damage(store, None, &error, context));
            }
            missing.insert(place, since_ms);
        }
        self.missing_ms.retain(|(of, _), _| *of != store.name);
        self.missing_ms.extend(missing);
        found
    }
}

/// Reads all segments of a catalog and returns those with other contents than stated.
fn unreadable(
    cache: &mut DecodeCache,
    store: &DiskView,
    objects: &ObjectStoreView<'_>,
    catalog: &Catalog,
    context: &CheckContext,
) -> Vec<Violation> {
    let backup = DecodedBackup::read(cache, objects, catalog);
    let is_other = |error: &&ReadError| !matches!(error.kind, ReadErrorKind::Missing);
    let errors = backup.problems.iter().map(|(_, error)| error).filter(is_other);
    errors.filter_map(|error| damage(store, None, error, context)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::excused_periods::ExcusedPeriods;
    use crate::identity::ProjectDay;
    use crate::invariants::noon_context;
    use crate::test_support::{self, DAY, NOON_MS, TestRecord, TestStore};

    const PROJECT_DAY: ProjectDay = ProjectDay { project: 17, day: DAY };
    const HOUR_MS: i64 = 3_600_000;

    fn policy() -> BackupPolicy {
        BackupPolicy {
            since_ms: NOON_MS,
            interval_ms: 24 * HOUR_MS,
            slack_ms: HOUR_MS,
            retention_ms: 72 * HOUR_MS,
            excused: ExcusedPeriods::default(),
            emptied_ms: None,
        }
    }

    /// A store with three backups, a day apart, each with one more segment.
    fn store() -> TestStore {
        let segment = |id: u64| {
            test_support::compacted(PROJECT_DAY, id, vec![TestRecord::new("a", &format!("i{id}"), NOON_MS)])
        };
        (1..=3).fold(TestStore::default(), |store, backups| {
            let segments = (1..=backups).map(|id| (segment(id), 1)).collect();
            store.with_backup(NOON_MS + backups as i64 * 24 * HOUR_MS, &[(PROJECT_DAY, segments)])
        })
    }

    fn later(hours: i64) -> CheckContext {
        CheckContext { at_ms: NOON_MS + hours * HOUR_MS, ..noon_context() }
    }

    fn kinds(retained: &mut RetainedBackups, store: &TestStore, context: &CheckContext) -> Vec<String> {
        let found = retained.check(&mut DecodeCache::default(), &store.view("dc-1"), &policy(), context);
        found.into_iter().map(|violation| violation.kind).collect()
    }

    fn key_of(store: &TestStore, part: &str) -> String {
        store.files.keys().find(|key| key.contains(part)).unwrap().clone()
    }

    #[test]
    fn a_catalog_stays_for_its_retention_and_no_longer_is_demanded() {
        let mut less = store();
        let oldest = key_of(&less, "catalogs/");
        less.files.remove(&oldest);
        // The oldest position is 24 h after noon, the retention 72 h.
        for (hours, expected) in [(95, vec!["expired-early"]), (97, vec![])] {
            let mut retained = RetainedBackups::default();
            assert_eq!(kinds(&mut retained, &store(), &later(hours - 1)), [""; 0]);
            assert_eq!(kinds(&mut retained, &less, &later(hours)), expected, "after {hours} h");
        }
    }

    #[test]
    fn a_segment_that_an_older_backup_names_must_be_there_with_its_bytes() {
        let whole = store();
        let (mut gone, mut other) = (whole.clone(), whole.clone());
        let first = format!("segments/{}", {
            let file = test_support::compacted(PROJECT_DAY, 1, vec![TestRecord::new("a", "i1", NOON_MS)]);
            blake3::hash(&file).to_hex()
        });
        let key = key_of(&whole, &first);
        gone.files.remove(&key);
        let mut bytes = other.files[&key].to_vec();
        bytes[50] ^= 1;
        other.files.insert(key, bytes.into());
        let now = later(80);
        assert_eq!(kinds(&mut RetainedBackups::default(), &gone, &now), ["object-missing"]);
        assert_eq!(kinds(&mut RetainedBackups::default(), &other, &now)[0], "object-damaged");
        let damaged = CheckContext { damaged_disks: ["dc-1".to_owned()].into(), ..now.clone() };
        let mut retained = RetainedBackups::default();
        assert_eq!(kinds(&mut retained, &gone, &damaged), [""; 0], "a replacement may be on its way");
        let damaged = CheckContext { at_ms: damaged.at_ms + 25 * HOUR_MS + 1, ..damaged };
        assert_eq!(kinds(&mut retained, &gone, &damaged), ["object-missing"]);
    }
}
