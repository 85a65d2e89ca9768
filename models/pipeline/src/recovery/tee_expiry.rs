//! Retention of the tee store: removes files that are old enough, and runs the scrub of the others (see
//! `tee_scrub`).
//!
//! A file is removed seven days after the arrival of its last request. A configured retention below the cluster's
//! minimum is not applied: removed data cannot be restored, while data kept too long only costs space.
//!
//! The name of a file contains the hour of its requests by the clock of the edge that received them. Files of an edge
//! that is a day behind would expire a day too early, so this job records when it first saw each file, and uses that
//! time if the two do not match. Files of an edge that is ahead are kept longer. All objects of a file are removed
//! together. A file that a hold covers is kept until the hold is released or ends; see `hold`.

use super::tee_reader::TEE;
use super::tee_scrub::TeeScrub;
use crate::alarms::{Alarm, AlarmSender, RetentionTarget, report_refused_retention};
use crate::config::BootConfig;
use crate::hold::{HOLDS, Hold, MAX_HELD_BYTES, active_holds};
use crate::marks;
use crate::median_clock::median_time;
use crate::release::{Bug, Release};
use latent_edge::tee::{TeeName, TeeObject};
use latent_ports::{Clock, Disk, DiskError, DiskErrorKind, Env, File, Mark, OpenMode, UnixMs, read_full};
use latent_storekit::object_store::{ObjectInfo, ObjectStore, StoreError, StoreRetryPolicy};
use latent_storekit::replace_file::{Leftover, NameSync, replace_file};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// Interval between checks. A file stays at most this much longer than its retention.
pub const CHECK_INTERVAL: Duration = Duration::from_secs(6 * 3600);
/// Delay from boot to the first check, and after a failed check.
const CHECK_RETRY: Duration = Duration::from_secs(600);
const CALL_TIMEOUT: Duration = Duration::from_secs(30);

/// Time when each file was first seen: JSON, file key to Unix milliseconds.
const FIRST_SEEN: &str = "tee-first-seen";
/// Maximum delay between the end of a file's hour and its first sighting for which its name is trusted. A file is
/// uploaded within two hours of its hour and seen within six hours of that. A later file came from an edge whose clock
/// was behind or that could not upload, so its name does not tell when its requests arrived.
const MAX_NAME_LAG_MS: i64 = 12 * 3_600_000;

/// Runs beside the tee store, on its node, until the node dies.
pub async fn run<E: Env>(env: E, boot: BootConfig) {
    let Some(tee) = boot.cluster.tee.clone() else { return };
    let alarms = AlarmSender::new(&env, &boot.cluster);
    report_refused_retention(&env, &alarms, RetentionTarget::Tee, tee.retention, tee.effective_retention());
    let store = ObjectStore::new(env.clone(), tee.store, CALL_TIMEOUT);
    let mut scrub = TeeScrub::new(&env, store.clone().with_retries(StoreRetryPolicy::SHORT), alarms.clone());
    let store = store.with_retries(StoreRetryPolicy::LONG);
    let mut wait = CHECK_RETRY;
    loop {
        env.clock().sleep(wait).await;
        wait = CHECK_RETRY;
        let mut listed = match store.list(TEE).await {
            Ok(listed) => listed,
            Err(error) => {
                env.mark(Mark { name: marks::TEE_LIST_FAILED, subject: &error.to_string() });
                continue;
            }
        };
        let mut missing = BTreeSet::new();
        // Nothing is removed based on this node's clock alone, since it may be wrong.
        let is_expired = match median_time(&env, &boot.cluster).await {
            Ok(common) => {
                let now = env.clock().wall().min(common);
                match expire(
                    &env,
                    &boot.release,
                    &alarms,
                    &store,
                    &mut listed,
                    now,
                    tee.effective_retention(),
                )
                .await
                {
                    Ok(found) => {
                        missing = found;
                        true
                    }
                    Err(error) => {
                        env.mark(Mark { name: marks::TEE_EXPIRE_FAILED, subject: &error.to_string() });
                        false
                    }
                }
            }
            Err(_) => false,
        };
        if scrub.run(&listed, &missing).await && is_expired {
            wait = CHECK_INTERVAL;
        }
    }
}

/// Error of a check that removed nothing, or not everything.
#[derive(Debug, thiserror::Error)]
enum TeeExpiryError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Disk(#[from] DiskError),
}

/// Removes objects older than `retention`, also from `listed`. Returns the files that were seen before, are not expired, and
/// have no object left.
async fn expire<E: Env>(
    env: &E,
    release: &Release,
    alarms: &AlarmSender<E>,
    store: &ObjectStore<E>,
    listed: &mut Vec<ObjectInfo>,
    now: UnixMs,
    retention: Duration,
) -> Result<BTreeSet<TeeName>, TeeExpiryError> {
    let oldest = now - if release.has(Bug::RetentionUnit) { retention / 24 } else { retention };
    let before = first_seen(env.disk()).await?;
    let mut seen = before.clone();
    for info in listed.iter() {
        seen.entry(info.key.clone()).or_insert(now.0);
    }
    let first_of_file = first_of_file(&seen);
    // Objects whose names are not tee object names are never removed.
    let is_old =
        |key: &str| file_of(key).is_some_and(|file| is_expired_file(file, first_of_file[&file], oldest));
    let aged = listed.iter().filter(|info| is_old(&info.key));
    let aged: Vec<(TeeName, u64)> = aged.filter_map(|info| Some((file_of(&info.key)?, info.bytes))).collect();
    let holds = current_holds(env, alarms, store, &aged, now).await?;
    let is_held = |file: TeeName| holds.iter().any(|hold| hold.keeps_tee_file(file));
    let is_removable = |key: &str| is_old(key) && !file_of(key).is_some_and(is_held);
    let (old, kept): (Vec<_>, Vec<_>) =
        std::mem::take(listed).into_iter().partition(|info| is_removable(&info.key));
    *listed = kept;
    let is_promised = |info: &ObjectInfo| {
        file_of(&info.key).is_some_and(|file| !is_expired_file(file, first_of_file[&file], now - retention))
    };
    if release.has(Bug::RetentionUnit) && old.iter().any(is_promised) {
        release.reached(env, Bug::RetentionUnit);
    }
    let is_there: BTreeSet<&String> = listed.iter().chain(&old).map(|info| &info.key).collect();
    seen.retain(|key, _| is_there.contains(key) || (file_of(key).is_some() && !is_old(key)));
    // Recorded before anything is removed: an unrecorded file would be new again after a crash, and be kept for another
    // full period.
    if seen != before {
        write_first_seen(env.disk(), &seen).await?;
    }
    // Also if nothing is new: an earlier check may have failed here, after the rename.
    env.disk().sync_dir("").await?;
    for info in &old {
        store.delete(&info.key).await?;
        seen.remove(&info.key);
        env.mark(Mark { name: marks::TEE_EXPIRED, subject: &info.key });
    }
    if !old.is_empty() {
        write_first_seen(env.disk(), &seen).await?;
    }
    let mut missing: BTreeSet<TeeName> = seen.keys().filter_map(|key| file_of(key)).collect();
    for file in listed.iter().filter_map(|info| file_of(&info.key)) {
        missing.remove(&file);
    }
    Ok(missing)
}

/// Returns the file whose records this key's object holds.
fn file_of(key: &str) -> Option<TeeName> {
    TeeObject::from_key(key).ok().map(|object| object.file)
}

/// Whether all objects of a file have expired. Pure.
fn is_expired_file(file: TeeName, first_seen_ms: i64, oldest: UnixMs) -> bool {
    last_arrival_ms(file, first_seen_ms) < oldest.0
}

/// Returns the time when the first object of each file was seen.
fn first_of_file(seen: &BTreeMap<String, i64>) -> BTreeMap<TeeName, i64> {
    let mut first = BTreeMap::new();
    for (key, seen_ms) in seen {
        if let Some(file) = file_of(key) {
            let known = first.entry(file).or_insert(*seen_ms);
            *known = (*known).min(*seen_ms);
        }
    }
    first
}

/// Returns the active holds. Reports those that end now, and removes obsolete objects.
async fn current_holds<E: Env>(
    env: &E,
    alarms: &AlarmSender<E>,
    store: &ObjectStore<E>,
    aged: &[(TeeName, u64)],
    now: UnixMs,
) -> Result<BTreeSet<Hold>, TeeExpiryError> {
    let mut active = active_holds(&store.list(HOLDS).await?, now);
    for hold in evict_oldest_holds(&mut active.holds, aged, MAX_HELD_BYTES) {
        active.obsolete.push(hold.key());
        active.ended.insert(hold);
    }
    for hold in &active.ended {
        alarms.raise(Alarm::HoldEnded { project: hold.project, day: hold.day });
        env.mark(Mark { name: marks::HOLD_EXPIRED, subject: &hold.key() });
    }
    for key in &active.obsolete {
        store.delete(key).await?;
    }
    Ok(active.holds)
}

/// Removes the oldest holds until the rest keep at most `most` bytes of `aged` files. Pure.
fn evict_oldest_holds(holds: &mut BTreeSet<Hold>, aged: &[(TeeName, u64)], most: u64) -> Vec<Hold> {
    let mut gone = Vec::new();
    let kept = |holds: &BTreeSet<Hold>| -> u64 {
        let is_kept = |name: TeeName| holds.iter().any(|hold| hold.keeps_tee_file(name));
        aged.iter().filter(|(name, _)| is_kept(*name)).map(|(_, bytes)| bytes).sum()
    };
    while kept(holds) > most {
        gone.extend(holds.pop_first());
    }
    gone
}

/// Returns the latest possible arrival of a file's last request, in Unix milliseconds. Pure.
fn last_arrival_ms(name: TeeName, first_seen_ms: i64) -> i64 {
    let ends_ms = name.hour_end_ms();
    if first_seen_ms - ends_ms > MAX_NAME_LAG_MS { first_seen_ms } else { ends_ms }
}

/// Reads the recorded times. An unreadable record counts as empty: files are then kept longer, and none expires too
/// early.
async fn first_seen<D: Disk>(disk: &D) -> Result<BTreeMap<String, i64>, DiskError> {
    let file = match disk.open(FIRST_SEEN, OpenMode::Read).await {
        Err(error) if error.kind == DiskErrorKind::NotFound => return Ok(BTreeMap::new()),
        opened => opened?,
    };
    let size = file.size_bytes().await?;
    let text = read_full(&file, 0, size).await?;
    Ok(serde_json::from_slice(&text).unwrap_or_default())
}

/// Writes the recorded times. The caller syncs the directory.
async fn write_first_seen<D: Disk>(disk: &D, seen: &BTreeMap<String, i64>) -> Result<(), DiskError> {
    let text = serde_json::to_vec(seen).expect("a map from strings to numbers is JSON");
    replace_file(disk, FIRST_SEEN, text.into(), Leftover::Remove, NameSync::ByCaller).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR_MS: i64 = 3_600_000;

    #[test]
    fn the_oldest_hold_is_evicted_when_holds_keep_too_much() {
        let hold = |since_ms: i64, hour: i64| {
            let day = crate::zone::Day(1);
            Hold { since_ms, project: 1, day, first_hour: hour, last_hour: hour }
        };
        let aged = [7, 8].map(|hour| (TeeName { hour, edge: 1, boot: 1 }, 60));
        let mut holds = BTreeSet::from([hold(1, 7), hold(2, 8), hold(3, 9)]);
        assert_eq!(evict_oldest_holds(&mut holds.clone(), &aged, 120), []);
        assert_eq!(evict_oldest_holds(&mut holds, &aged, 119), [hold(1, 7)]);
        assert_eq!(holds.len(), 2);
    }

    #[test]
    fn a_file_name_is_trusted_unless_the_file_was_first_seen_long_after_its_hour() {
        let name = TeeName { hour: 403_000, edge: 1, boot: 1 };
        let ends_ms = 403_001 * HOUR_MS;
        assert_eq!(last_arrival_ms(name, ends_ms + 8 * HOUR_MS), ends_ms);
        assert_eq!(last_arrival_ms(name, ends_ms + 24 * HOUR_MS), ends_ms + 24 * HOUR_MS);
        assert_eq!(last_arrival_ms(name, ends_ms - 24 * HOUR_MS), ends_ms, "an edge that is ahead");
    }
}
