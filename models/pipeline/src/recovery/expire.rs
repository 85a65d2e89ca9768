//! The tee store lets its files go seven days after the arrival of their last request. A shorter time than the cluster
//! promises is not followed: what is gone is gone, what is kept too long costs space.
//!
//! A file's name tells the hour of its requests by the clock of the edge that took them. An edge that is a day behind would
//! have its files go a day too early, so the keeper notes when it first saw each file, and goes by that where the two do
//! not fit together. An edge that is ahead has its files kept for longer. A file that a hold names stays until the hold is
//! released or ends: see `hold`.

use super::tee::TEE;
use crate::alarms::{Alarm, Alarms, Retained};
use crate::common_time::common_time;
use crate::config::Boot;
use crate::hold::{HOLDS, Hold, MOST_HELD_BYTES, standing};
use latent_edge::object_api::{ObjectStore, Patience, StoreError};
use latent_edge::tee::TeeName;
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
    let store = ObjectStore::new(env.clone(), tee.store, CALL_TIMEOUT).patient(Patience::LONG);
    let mut wait = LOOK_SOON;
    loop {
        env.clock().sleep(wait).await;
        wait = LOOK_SOON;
        // Where nobody else says what time it is, nothing goes: this clock alone may be wrong.
        let Ok(common) = common_time(&env, &boot.cluster).await else { continue };
        let now = env.clock().wall().min(common);
        match look(&env, &alarms, &store, now, tee.kept()).await {
            Ok(()) => wait = LOOK_EVERY,
            Err(error) => env.mark(Mark { name: "tee.expire-failed", subject: &error.to_string() }),
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

async fn look<E: Env>(
    env: &E,
    alarms: &Alarms<E>,
    store: &ObjectStore<E>,
    now: UnixMs,
    kept: Duration,
) -> Result<(), LookError> {
    // Before the files: what is held from now on is held in this look.
    let mut standing = standing(&store.list(HOLDS).await?, now);
    let listed = store.list(TEE).await?;
    let bytes: BTreeMap<String, u64> = listed.iter().map(|info| (info.key.clone(), info.bytes)).collect();
    let before = first_seen(env.disk()).await?;
    let seen: BTreeMap<String, i64> = listed
        .into_iter()
        .map(|info| (before.get(&info.key).copied().unwrap_or(now.0), info.key))
        .map(|(at_ms, key)| (key, at_ms))
        .collect();
    // Before anything goes: what is not noted would be new again after a crash, and stay as long again.
    if seen != before {
        note_first_seen(env.disk(), &seen).await?;
    }
    // Also when nothing is new: an earlier look may have failed at this, after the rename.
    env.disk().sync_dir("").await?;
    let oldest_ms = (now - kept).0;
    // A file whose name says no hour is not this keeper's to remove.
    let name_of = |key: &String| TeeName::from_path(key).ok();
    let is_old =
        |key: &String, seen_ms: i64| name_of(key).is_some_and(|n| came_until_ms(n, seen_ms) < oldest_ms);
    let old: Vec<(String, TeeName, u64)> = seen
        .iter()
        .filter(|(key, seen_ms)| is_old(key, **seen_ms))
        .filter_map(|(key, _)| Some((key.clone(), name_of(key)?, bytes.get(key).copied().unwrap_or(0))))
        .collect();
    for hold in give_way(&mut standing.holds, &old, MOST_HELD_BYTES) {
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
    for (key, name, _) in &old {
        if !standing.holds.iter().any(|hold| hold.keeps_tee_file(*name)) {
            store.delete(key).await?;
            env.mark(Mark { name: "tee.expired", subject: key });
        }
    }
    Ok(())
}

/// Takes the oldest holds away until those that are left keep no more than `most` bytes of `old` files. Pure.
fn give_way(holds: &mut BTreeSet<Hold>, old: &[(String, TeeName, u64)], most: u64) -> Vec<Hold> {
    let mut gone = Vec::new();
    let kept = |holds: &BTreeSet<Hold>| -> u64 {
        let is_kept = |name: TeeName| holds.iter().any(|hold| hold.keeps_tee_file(name));
        old.iter().filter(|(_, name, _)| is_kept(*name)).map(|(_, _, bytes)| bytes).sum()
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
    let anew = format!("{FIRST_SEEN}.tmp");
    match disk.remove(&anew).await {
        Err(error) if error.kind != DiskErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let text = serde_json::to_vec(seen).expect("a map from strings to numbers is JSON");
    let file = disk.open(&anew, OpenMode::CreateNew).await?;
    file.append(text.into()).await?;
    file.sync().await?;
    disk.rename(&anew, FIRST_SEEN).await
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
        let old = [7, 8].map(|hour| (String::new(), TeeName { hour, edge: 1, boot: 1 }, 60));
        let mut holds = BTreeSet::from([hold(1, 7), hold(2, 8), hold(3, 9)]);
        assert_eq!(give_way(&mut holds.clone(), &old, 120), []);
        assert_eq!(give_way(&mut holds, &old, 119), [hold(1, 7)]);
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
