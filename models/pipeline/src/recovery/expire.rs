//! The tee store's keeper: it lets files go when they are old enough, and has the others read again (see [`super::scrub`]).
//!
//! A file goes seven days after the arrival of its last request. A shorter time than the cluster
//! promises is not followed: what is gone is gone, what is kept too long costs space.
//!
//! A file's name tells the hour of its requests by the clock of the edge that took them. An edge that is a day behind would
//! have its files go a day too early, so the keeper notes when it first saw each file, and goes by that where the two do
//! not fit together. An edge that is ahead has its files kept for longer. All objects of a file go together. A file that a
//! hold names stays until the hold is released or ends: see `hold`.

use super::scrub::Scrub;
use super::tee::TEE;
use crate::alarms::{Alarm, Alarms, Retained};
use crate::common_time::common_time;
use crate::config::Boot;
use crate::hold::{HOLDS, Hold, MOST_HELD_BYTES, standing};
use latent_edge::object_api::{ObjectInfo, ObjectStore, Patience, StoreError};
use latent_edge::tee::{TeeName, TeeObject};
use latent_ports::{Clock, Disk, DiskError, DiskErrorKind, Env, File, Mark, OpenMode, UnixMs, read_full};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// Between two looks. A file stays this much longer than its retention at most.
pub const LOOK_EVERY: Duration = Duration::from_secs(6 * 3600);
/// From a boot to its first look, and from a look that failed to the next.
const LOOK_SOON: Duration = Duration::from_secs(600);
const CALL_TIMEOUT: Duration = Duration::from_secs(30);

/// When the keeper saw each file for the first time: JSON, file key to Unix milliseconds.
const FIRST_SEEN: &str = "tee-first-seen";
/// A file is uploaded within two hours of its hour, and seen within six of that. One that is first seen later still
/// came from an edge whose clock was behind, or could not come for long: its name does not say when its requests came.
const NAME_BELIEVED_FOR_MS: i64 = 12 * 3_600_000;

/// Runs beside the tee store, on its node, until that dies.
pub async fn run<E: Env>(env: E, boot: Boot) {
    let Some(tee) = boot.cluster.tee.clone() else { return };
    let alarms = Alarms::new(&env, &boot.cluster);
    refuse(&env, &alarms, Retained::Tee, tee.retention, tee.kept());
    let store = ObjectStore::new(env.clone(), tee.store, CALL_TIMEOUT);
    let mut scrub = Scrub::new(&env, store.clone().patient(Patience::BRIEF), alarms.clone());
    let store = store.patient(Patience::LONG);
    let mut wait = LOOK_SOON;
    loop {
        env.clock().sleep(wait).await;
        wait = LOOK_SOON;
        let mut listed = match store.list(TEE).await {
            Ok(listed) => listed,
            Err(error) => {
                env.mark(Mark { name: "tee.look-failed", subject: &error.to_string() });
                continue;
            }
        };
        let mut vanished = BTreeSet::new();
        // Where nobody else says what time it is, nothing goes: this clock alone may be wrong.
        let is_expired = match common_time(&env, &boot.cluster).await {
            Ok(common) => {
                let now = env.clock().wall().min(common);
                match expire(&env, &alarms, &store, &mut listed, now, tee.kept()).await {
                    Ok(missing) => {
                        vanished = missing;
                        true
                    }
                    Err(error) => {
                        env.mark(Mark { name: "tee.expire-failed", subject: &error.to_string() });
                        false
                    }
                }
            }
            Err(_) => false,
        };
        if scrub.look(&listed, &vanished).await && is_expired {
            wait = LOOK_EVERY;
        }
    }
}

/// Reports a retention that is not followed.
pub(crate) fn refuse<E: Env>(env: &E, alarms: &Alarms<E>, of: Retained, asked: Duration, kept: Duration) {
    if asked >= kept {
        return;
    }
    env.mark(Mark { name: "retention.refused", subject: "" });
    let (asked_ms, kept_ms) = (asked.as_millis() as u64, kept.as_millis() as u64);
    alarms.raise(Alarm::RetentionRefused { of, asked_ms, kept_ms });
}

/// Why a look let nothing go, or not all.
#[derive(Debug, thiserror::Error)]
enum LookError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Disk(#[from] DiskError),
}

/// Lets go of what is older than `kept`, and takes it out of `listed`. Returns the files that were seen before, are not old
/// enough to have gone, and have no object left.
async fn expire<E: Env>(
    env: &E,
    alarms: &Alarms<E>,
    store: &ObjectStore<E>,
    listed: &mut Vec<ObjectInfo>,
    now: UnixMs,
    kept: Duration,
) -> Result<BTreeSet<TeeName>, LookError> {
    let oldest = now - kept;
    let before = first_seen(env.disk()).await?;
    let mut seen = before.clone();
    for info in listed.iter() {
        seen.entry(info.key.clone()).or_insert(now.0);
    }
    let first_of_file = first_of_file(&seen);
    // A file whose name says no hour is not the keeper's to remove.
    let is_old = |key: &str| file_of(key).is_some_and(|file| may_go(file, first_of_file[&file], oldest));
    let aged = listed.iter().filter(|info| is_old(&info.key));
    let aged: Vec<(TeeName, u64)> = aged.filter_map(|info| Some((file_of(&info.key)?, info.bytes))).collect();
    let holds = holds_that_stand(env, alarms, store, &aged, now).await?;
    let is_held = |file: TeeName| holds.iter().any(|hold| hold.keeps_tee_file(file));
    let goes = |key: &str| is_old(key) && !file_of(key).is_some_and(is_held);
    let (old, kept): (Vec<_>, Vec<_>) = std::mem::take(listed).into_iter().partition(|info| goes(&info.key));
    *listed = kept;
    let is_there: BTreeSet<&String> = listed.iter().chain(&old).map(|info| &info.key).collect();
    seen.retain(|key, _| is_there.contains(key) || (file_of(key).is_some() && !is_old(key)));
    // Before anything goes: what is not noted would be new again after a crash, and stay as long again.
    if seen != before {
        note_first_seen(env.disk(), &seen).await?;
    }
    // Also when nothing is new: an earlier look may have failed at this, after the rename.
    env.disk().sync_dir("").await?;
    for info in &old {
        store.delete(&info.key).await?;
        seen.remove(&info.key);
        env.mark(Mark { name: "tee.expired", subject: &info.key });
    }
    if !old.is_empty() {
        note_first_seen(env.disk(), &seen).await?;
    }
    let mut vanished: BTreeSet<TeeName> = seen.keys().filter_map(|key| file_of(key)).collect();
    for file in listed.iter().filter_map(|info| file_of(&info.key)) {
        vanished.remove(&file);
    }
    Ok(vanished)
}

/// The file of which this key's object holds records.
fn file_of(key: &str) -> Option<TeeName> {
    TeeObject::from_key(key).ok().map(|object| object.file)
}

/// Whether all objects of a file may go. Pure.
fn may_go(file: TeeName, first_seen_ms: i64, oldest: UnixMs) -> bool {
    came_until_ms(file, first_seen_ms) < oldest.0
}

/// When the first object of each file was seen.
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

/// The holds that stand. Those that end now are reported, and objects of no use are removed.
async fn holds_that_stand<E: Env>(
    env: &E,
    alarms: &Alarms<E>,
    store: &ObjectStore<E>,
    aged: &[(TeeName, u64)],
    now: UnixMs,
) -> Result<BTreeSet<Hold>, LookError> {
    let mut standing = standing(&store.list(HOLDS).await?, now);
    for hold in give_way(&mut standing.holds, aged, MOST_HELD_BYTES) {
        standing.spent.push(hold.key());
        standing.ended.insert(hold);
    }
    for hold in &standing.ended {
        alarms.raise(Alarm::HoldEnded { project: hold.project, day: hold.day });
        env.mark(Mark { name: "hold.ended", subject: &hold.key() });
    }
    for key in &standing.spent {
        store.delete(key).await?;
    }
    Ok(standing.holds)
}

/// Takes the oldest holds away until those that are left keep no more than `most` bytes of `aged` files. Pure.
fn give_way(holds: &mut BTreeSet<Hold>, aged: &[(TeeName, u64)], most: u64) -> Vec<Hold> {
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

/// When the last request of a file had come, at the latest, in Unix milliseconds. Pure.
fn came_until_ms(name: TeeName, first_seen_ms: i64) -> i64 {
    let ends_ms = name.ends_ms();
    if first_seen_ms - ends_ms > NAME_BELIEVED_FOR_MS { first_seen_ms } else { ends_ms }
}

/// What was noted. Notes that cannot be read are none: files then stay for longer, and none goes too early.
async fn first_seen<D: Disk>(disk: &D) -> Result<BTreeMap<String, i64>, DiskError> {
    let file = match disk.open(FIRST_SEEN, OpenMode::Read).await {
        Err(error) if error.kind == DiskErrorKind::NotFound => return Ok(BTreeMap::new()),
        opened => opened?,
    };
    let size = file.size_bytes().await?;
    let text = read_full(&file, 0, size).await?;
    Ok(serde_json::from_slice(&text).unwrap_or_default())
}

/// The caller syncs the directory.
async fn note_first_seen<D: Disk>(disk: &D, seen: &BTreeMap<String, i64>) -> Result<(), DiskError> {
    let unfinished = format!("{FIRST_SEEN}.tmp");
    match disk.remove(&unfinished).await {
        Err(error) if error.kind != DiskErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let text = serde_json::to_vec(seen).expect("a map from strings to numbers is JSON");
    let file = disk.open(&unfinished, OpenMode::CreateNew).await?;
    file.append(text.into()).await?;
    file.sync().await?;
    disk.rename(&unfinished, FIRST_SEEN).await
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR_MS: i64 = 3_600_000;

    #[test]
    fn the_oldest_hold_gives_way_where_holds_keep_too_much() {
        let hold = |since_ms: i64, hour: i64| {
            let day = crate::zone::Day(1);
            Hold { since_ms, project: 1, day, first_hour: hour, last_hour: hour }
        };
        let aged = [7, 8].map(|hour| (TeeName { hour, edge: 1, boot: 1 }, 60));
        let mut holds = BTreeSet::from([hold(1, 7), hold(2, 8), hold(3, 9)]);
        assert_eq!(give_way(&mut holds.clone(), &aged, 120), []);
        assert_eq!(give_way(&mut holds, &aged, 119), [hold(1, 7)]);
        assert_eq!(holds.len(), 2);
    }

    #[test]
    fn a_name_is_believed_unless_the_file_came_long_after_its_hour() {
        let name = TeeName { hour: 403_000, edge: 1, boot: 1 };
        let ends_ms = 403_001 * HOUR_MS;
        assert_eq!(came_until_ms(name, ends_ms + 8 * HOUR_MS), ends_ms);
        assert_eq!(came_until_ms(name, ends_ms + 24 * HOUR_MS), ends_ms + 24 * HOUR_MS);
        assert_eq!(came_until_ms(name, ends_ms - 24 * HOUR_MS), ends_ms, "an edge that is ahead");
    }
}
