//! I10: each data center alone holds every acknowledged event up to its stated position; that position is younger
//! than the interval plus slack; a restore equals by hash.
//!
//! An event that a backup lacks is gone if production lacks it too; otherwise the backup alone is at fault. A project
//! that a catalog says is behind is held to its own position, in what it must hold and in how old it may be. A catalog
//! that names an object that is not there promises what it does not have, at whatever time.

use super::{Moment, Tally, count, i1_readable};
use crate::backup::{Backup, Objects};
use crate::day::moment_text;
use crate::excused::Excused;
use crate::identity::ProjectDay;
use crate::ledger::{Identity, Ledger};
use crate::memo::Memo;
use crate::reader::{Flaw, ReadError};
use crate::sight::Sight;
use crate::view::DiskView;
use latent_verdict::Violation;
use std::collections::{BTreeMap, BTreeSet};

/// What a data center promises.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Promise {
    /// When backups were switched on, by the world's clock.
    pub since_ms: i64,
    /// How often a backup is taken.
    pub interval_ms: i64,
    /// How long taking one, and waiting for a bad link, may last on top of that.
    pub slack_ms: i64,
    /// When faults kept backups of this data center from being taken: no backup ages in that time.
    pub excused: Excused,
}

/// What a look at one data center gave.
#[derive(Debug, Default)]
pub struct Checked {
    /// What was found.
    pub violations: Vec<Violation>,
    /// The newest backup, if there is one.
    pub newest: Option<Backup>,
    /// How many catalogs there are.
    pub backups: usize,
}

/// Checks the newest backup of one data center's store.
pub fn check(
    memo: &mut Memo,
    ledger: &Ledger,
    store: &DiskView,
    production: &Sight,
    promise: &Promise,
    now: &Moment,
) -> Checked {
    let objects = Objects::of(store);
    let (catalogs, unreadable) = objects.catalogs();
    let newest = catalogs.last().map(|catalog| Backup::read(memo, &objects, catalog));
    let mut checked = Checked { backups: catalogs.len(), ..Checked::default() };
    checked.violations.extend(unreadable.iter().filter_map(|error| damage(store, None, error, now)));
    let position_ms = newest.as_ref().map(Backup::earliest_position_ms);
    checked.violations.extend(stale(store, position_ms, promise, now));
    if let Some(backup) = &newest {
        let damages = backup.problems.iter().filter_map(|(of, error)| damage(store, Some(*of), error, now));
        checked.violations.extend(damages);
        checked.violations.extend(missing(ledger, store, backup, production, now));
    }
    checked.newest = newest;
    checked
}

fn stale(store: &DiskView, position_ms: Option<i64>, promise: &Promise, now: &Moment) -> Option<Violation> {
    // A project that no backup has held yet is as old as the promise.
    let since_ms = position_ms.unwrap_or(i64::MIN).max(promise.since_ms);
    let age_ms = now.at_ms - since_ms;
    if promise.excused.available_ms(since_ms, now.at_ms) <= promise.interval_ms + promise.slack_ms {
        return None;
    }
    let kind = if position_ms.is_some() { "stale" } else { "none" };
    let detail = match position_ms {
        Some(position_ms) => {
            format!(
                "{}: the newest backup stands for {}, {} h ago",
                store.name,
                moment_text(position_ms),
                age_ms / 3_600_000
            )
        }
        None => format!("{}: there is no backup that can be read", store.name),
    };
    let found = Violation::new("I10", kind, now.stage.as_str()).of(store.name.as_str(), 0);
    Some(found.at(now.at_ms).because(detail))
}

fn damage(store: &DiskView, of: Option<ProjectDay>, error: &ReadError, now: &Moment) -> Option<Violation> {
    let kind = match error.flaw {
        Flaw::Missing => "object-missing",
        // A store's disk may rot like any other.
        _ if store.is_harmed(&error.path) => return None,
        _ => "object-damaged",
    };
    let found = Violation::new("I10", kind, now.stage.as_str()).of(store.name.as_str(), 1).at(now.at_ms);
    let found = found.keys([error.path.as_str()]).because(format!("{}: {error}", store.name));
    Some(match of {
        Some(of) => found.on(crate::day::day_text(of.day)),
        None => found,
    })
}

/// Acknowledged before the position by the edges' clocks: a client that had its answer the skew earlier is sure.
fn missing(
    ledger: &Ledger,
    store: &DiskView,
    backup: &Backup,
    production: &Sight,
    now: &Moment,
) -> Vec<Violation> {
    let skew_ms = ledger.settings().clock_skew_ms;
    let before = |project: u32| (backup.position_of(project) - skew_ms).min(now.settled_before_ms);
    let of_all = (backup.position_ms - skew_ms).min(now.settled_before_ms);
    let positions: BTreeSet<i64> =
        backup.behind.keys().map(|project| before(*project)).chain([of_all]).collect();
    // What the device took is no mistake of the backup: the other data center holds it, or a drill says what is gone.
    let taken = |of| backup.problems.iter().any(|(day, error)| *day == of && store.is_harmed(&error.path));
    let mut tally = Tally::new("I10", now);
    let held = Sight::of_one(&backup.days);
    for before_ms in positions {
        let gone = missing_from(ledger, production, before_ms);
        i1_readable::each_missing(ledger, &held, before_ms, |of, identity, items| {
            if before(of.project) != before_ms || taken(of) {
                return;
            }
            let gone = gone.get(&(of, identity)).copied().unwrap_or(0).min(items);
            tally.add(of, "missing", gone, identity);
            tally.add(of, "not-backed-up", items - gone, identity);
        });
    }
    tally.finish(|of, kind, items| {
        let whose = format!(
            "{of}: {} acknowledged before the backup of {}",
            count(items, "event", "events"),
            moment_text(backup.position_of(of.project))
        );
        match kind {
            "missing" => (true, format!("{whose}, neither in {} nor in production", store.name)),
            _ => (false, format!("{whose}, not in {}", store.name)),
        }
    })
}

/// How many of each event, acknowledged before `before_ms`, are in no place of the sight.
pub(crate) fn missing_from(
    ledger: &Ledger,
    sight: &Sight,
    before_ms: i64,
) -> BTreeMap<(ProjectDay, Identity), u64> {
    let mut missing = BTreeMap::new();
    i1_readable::each_missing(ledger, sight, before_ms, |of, identity, items| {
        *missing.entry((of, identity)).or_insert(0) += items;
    });
    missing
}

/// Objects that no catalog names: `segments/` keys, for the account of what a store holds (I16).
#[must_use]
pub fn unreferenced(store: &DiskView) -> Vec<String> {
    let objects = Objects::of(store);
    let (catalogs, _) = objects.catalogs();
    let named: BTreeSet<&str> = catalogs
        .iter()
        .flat_map(|c| &c.days)
        .flat_map(|day| &day.segments)
        .map(|s| s.hash.as_str())
        .collect();
    let segments = objects.under("segments/");
    segments
        .map(|(key, _)| key)
        .filter(|key| !named.contains(&key["segments/".len()..]))
        .map(Into::into)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::invariants::noon_after;
    use crate::testing::{self, Clients, DAY, Disk, NOON_MS, Rec, Store, sight};

    const OF: ProjectDay = ProjectDay { project: 17, day: DAY };
    const HOUR_MS: i64 = 3_600_000;

    fn daily() -> Promise {
        let (interval_ms, slack_ms) = (24 * HOUR_MS, HOUR_MS);
        Promise { since_ms: NOON_MS, interval_ms, slack_ms, excused: Excused::default() }
    }

    fn recs(ids: &[&str]) -> Vec<Rec> {
        ids.iter().map(|id| Rec::new("a", id, NOON_MS)).collect()
    }

    fn store(position_ms: i64, ids: &[&str]) -> Store {
        let file = testing::compacted(OF, 3, recs(ids));
        Store::default().with_backup(position_ms, &[(OF, vec![(file, ids.len() as u64)])])
    }

    fn found(store: &Store, production: &[&str], now: &Moment) -> Vec<(String, u64, bool)> {
        found_of(store, production, &daily(), now)
    }

    fn found_of(
        store: &Store,
        production: &[&str],
        promise: &Promise,
        now: &Moment,
    ) -> Vec<(String, u64, bool)> {
        let ledger = Clients::new().acked(17, &recs(&["i1", "i2"])).ledger;
        let production = sight(&[Disk::default().with_day(OF, &recs(production))]);
        let checked = check(&mut Memo::default(), &ledger, &store.view("dc-1"), &production, promise, now);
        checked.violations.into_iter().map(|v| (v.kind, v.items, v.loses_items)).collect()
    }

    #[test]
    fn a_backup_that_holds_what_its_position_says_passes() {
        let all = ["i1", "i2"];
        assert_eq!(found(&store(NOON_MS + HOUR_MS, &all), &all, &noon_after()), []);
        assert_eq!(found(&store(NOON_MS, &[]), &all, &noon_after()), [], "acknowledged after its position");
    }

    #[test]
    fn a_backup_that_lacks_an_event_is_found_and_it_is_loss_if_production_lacks_it_too() {
        let store = store(NOON_MS + HOUR_MS, &["i1"]);
        assert_eq!(found(&store, &["i1", "i2"], &noon_after()), [("not-backed-up".into(), 1, false)]);
        assert_eq!(found(&store, &["i1"], &noon_after()), [("missing".into(), 1, true)]);
    }

    #[test]
    fn a_backup_grows_stale_and_a_missing_one_is_found() {
        let all = ["i1", "i2"];
        let later = Moment { at_ms: NOON_MS + 27 * HOUR_MS, ..noon_after() };
        assert_eq!(found(&store(NOON_MS + HOUR_MS, &all), &all, &later), [("stale".into(), 0, false)]);
        assert_eq!(found(&Store::default(), &all, &later), [("none".into(), 0, false)]);
        assert_eq!(found(&Store::default(), &all, &noon_after()), []);
    }

    #[test]
    fn a_project_that_is_behind_is_held_to_its_own_position() {
        let all = ["i1", "i2"];
        let behind = |position_ms: i64| {
            let file = testing::compacted(OF, 3, recs(&["i1"]));
            let days = [(OF, vec![(file, 1)])];
            Store::default().with_backup_behind(NOON_MS + HOUR_MS, &[(17, position_ms)], &days)
        };
        assert_eq!(found(&behind(NOON_MS), &all, &noon_after()), [], "acknowledged after its position");
        let late = found(&behind(NOON_MS + HOUR_MS - 1), &all, &noon_after());
        assert_eq!(late, [("not-backed-up".into(), 1, false)]);
        let now = Moment { at_ms: NOON_MS + 26 * HOUR_MS, ..noon_after() };
        assert_eq!(found(&behind(NOON_MS), &all, &now), [("stale".into(), 0, false)]);
        assert_eq!(found(&behind(NOON_MS), &all, &Moment { at_ms: NOON_MS + 25 * HOUR_MS, ..now }), []);
    }

    #[test]
    fn a_catalog_that_names_a_missing_object_is_found_while_faults_are_at_work_too() {
        let mut store = store(NOON_MS + HOUR_MS, &["i1", "i2"]);
        store.files.retain(|key, _| !key.contains("segments/"));
        let now = Moment { faults_active: true, damaged: ["dc-1".to_owned()].into(), ..noon_after() };
        let found = found(&store, &["i1", "i2"], &now);
        assert_eq!(found, [("object-missing".into(), 1, false), ("not-backed-up".into(), 2, false)]);
    }

    #[test]
    fn no_backup_ages_while_its_data_center_is_cut_off_and_each_does_before_and_after() {
        let all = ["i1", "i2"];
        let stale = |excused_h: &[(i64, i64)], later_ms: i64| {
            let now = Moment { at_ms: NOON_MS + later_ms, ..noon_after() };
            let spans = excused_h.iter().map(|(from, to)| (NOON_MS + from * HOUR_MS, NOON_MS + to * HOUR_MS));
            let promise = Promise { excused: Excused::of(spans), ..daily() };
            found_of(&store(NOON_MS + HOUR_MS, &all), &all, &promise, &now).len()
        };
        let due_ms = 26 * HOUR_MS;
        assert_eq!((stale(&[], due_ms), stale(&[], due_ms + 1)), (0, 1));
        assert_eq!((stale(&[(20, 30)], due_ms + 1), stale(&[(20, 30)], due_ms + 10 * HOUR_MS)), (0, 0));
        assert_eq!(stale(&[(20, 30)], due_ms + 10 * HOUR_MS + 1), 1, "an excuse ends with its fault");
        assert_eq!(stale(&[(-9, 1)], due_ms + 1), 1, "what was over before the backup excuses nothing");
    }

    #[test]
    fn what_a_planned_fault_took_from_a_store_is_not_held_against_its_backups() {
        let good = store(NOON_MS + HOUR_MS, &["i1", "i2"]);
        let key = good.files.keys().find(|key| key.contains("segments/")).unwrap().clone();
        let mut rotten = good.clone();
        let mut bytes = rotten.files[&key].to_vec();
        bytes[50] ^= 1;
        rotten.files.insert(key.clone(), bytes.into());
        let now = Moment { damaged: ["dc-1".to_owned()].into(), ..noon_after() };
        let kinds = |store: &Store| found(store, &["i1", "i2"], &now).len();
        rotten.harmed.insert("objects/segments/another".into());
        assert_eq!(kinds(&rotten), 2, "another object was struck");
        rotten.harmed.insert(key.clone());
        assert_eq!(kinds(&rotten), 0);
        let mut gone = good;
        gone.files.remove(&key);
        assert_eq!(kinds(&gone), 2, "rot takes no names");
    }

    #[test]
    fn a_missing_object_is_found_and_rot_only_when_no_fault_explains_it() {
        let good = store(NOON_MS + HOUR_MS, &["i1", "i2"]);
        let key = good.files.keys().find(|key| key.contains("segments/")).unwrap().clone();
        let mut gone = good.clone();
        gone.files.remove(&key);
        let kinds = |store: &Store, now: &Moment| {
            found(store, &["i1", "i2"], now).into_iter().map(|found| found.0).collect::<Vec<_>>()
        };
        assert_eq!(kinds(&gone, &noon_after()), ["object-missing", "not-backed-up"]);
        let mut rotten = good;
        let mut bytes = rotten.files[&key].to_vec();
        bytes[50] ^= 1;
        rotten.files.insert(key, bytes.into());
        assert_eq!(kinds(&rotten, &noon_after()), ["object-damaged", "not-backed-up"]);
        let trouble = Moment { faults_active: true, ..noon_after() };
        assert_eq!(kinds(&rotten, &trouble), ["object-damaged", "not-backed-up"], "of other faults");
    }

    #[test]
    fn objects_that_no_catalog_names_are_listed() {
        let mut store = store(NOON_MS, &["i1"]);
        assert_eq!(unreferenced(&store.view("dc-1")), [""; 0]);
        store.files.insert("objects/segments/abc".into(), "x".into());
        assert_eq!(unreferenced(&store.view("dc-1")), ["segments/abc"]);
    }
}
