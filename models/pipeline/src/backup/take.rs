//! Taking a backup.
//!
//! Per project: pin the files of enough disks, choose files that surely hold every acknowledged event (one disk's
//! where enough digests agree, else all of theirs), put what a data center lacks and read it back, and let go of
//! the pin. The catalog is written last. A data center that fails makes its own backup fail, not the other's. Old
//! catalogs then expire, and with them the segments that no catalog needs. Days of which production has fewer events
//! than at the last backup keep the last backup's segments besides: see `shrunk`.

use super::catalog::{CATALOGS, Catalog, CatalogDay, CatalogSegment, FORMAT, SEGMENTS};
use super::restore::Backups;
use super::shrunk::{Kept, Keys};
use crate::alarms::{Alarm, Alarms, Retained};
use crate::arb::api::{ArbAnswer, ArbCall, ArbFailure, DayFiles, call};
use crate::arb::log::{Distrusted, DurableLog};
use crate::common_time::{NoCommonTime, common_time};
use crate::config::{BackupConfig, Boot};
use crate::hold::{HOLDS, standing};
use crate::record::{Key, SetDigest};
use crate::recovery::expire::refuse;
use crate::schedule::{MOST_SLEEP, MedianClock};
use crate::zone::Day;
use bytes::Bytes;
use futures_util::future::join_all;
use latent_edge::object_api::{ObjectStore, Patience, StoreError};
use latent_ports::{Clock, Disk, Env, Mark, NodeId, UnixMs};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// Requests in flight when the backup starts may still arrive: its position lies this far back.
pub const POSITION_SLACK: Duration = Duration::from_secs(5 * 60);
const CALL_TIMEOUT: Duration = Duration::from_secs(120);
const PIN_FOR: Duration = Duration::from_secs(3600);
const RETRY_AFTER: Duration = Duration::from_secs(30 * 60);

/// Why a backup was not taken.
#[derive(Debug, Clone, thiserror::Error)]
pub enum BackupError {
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Too few disks.
    #[error("project {project}: {answered} disks could be pinned, {needed} are needed")]
    TooFewDisks {
        /// The project.
        project: u32,
        /// How many could.
        answered: usize,
        /// How many must.
        needed: usize,
    },
    /// The time.
    #[error(transparent)]
    Time(#[from] NoCommonTime),
    /// A file could not be copied from any disk that has it.
    #[error("project {project}: segment {hash} could not be read from any disk")]
    Unreadable {
        /// The project.
        project: u32,
        /// The file's hash.
        hash: String,
    },
    /// The catalog could not be written as text.
    #[error("catalog: {0}")]
    Text(String),
}

/// Boots the backup node: a backup at each interval, until the node dies.
pub async fn run<E: Env>(env: E, boot: Boot) {
    let Some(config) = boot.cluster.backup.clone() else { return };
    let alarms = Alarms::new(&env, &boot.cluster);
    refuse(&env, &alarms, Retained::Backups, config.retention, config.kept());
    let clock = MedianClock::new(&env, &boot.cluster);
    let mut kept = Kept::default();
    let mut due = first_boot(&env, clock.now().await).await + config.first_after;
    if let Some(newest) = newest_position(&env, &config).await {
        due = UnixMs(newest) + POSITION_SLACK + config.interval;
        let newest = Backups::new(&env, &config.data_centers).catalogs().await.into_iter().next();
        kept = newest.map(Kept::of).unwrap_or_default();
    }
    // What a clock that was ahead noted puts no backup off for longer than this.
    let mut most_wait = config.interval.max(config.first_after);
    loop {
        let now = clock.now().await;
        due = due.min(now + most_wait);
        if now < due {
            env.clock().sleep(due.since(now).min(MOST_SLEEP)).await;
            continue;
        }
        match take(&env, &boot, &config, &alarms, &mut kept).await {
            Ok(()) => (due, most_wait) = (now + config.interval, config.interval),
            Err(error) => {
                env.mark(Mark { name: "backup.failed", subject: &error.to_string() });
                env.clock().sleep(RETRY_AFTER).await;
            }
        }
    }
}

/// When this node booted for the first time, from its disk: restarts must not put the first backup off again and
/// again. A disk that fails puts it off once.
async fn first_boot<E: Env>(env: &E, now: UnixMs) -> UnixMs {
    match noted_first_boot(env, now).await {
        Ok(first) => first,
        Err(error) => {
            env.mark(Mark { name: "backup.first-boot-unknown", subject: &error.to_string() });
            now
        }
    }
}

async fn noted_first_boot<E: Env>(env: &E, now: UnixMs) -> Result<UnixMs, ArbFailure> {
    let (mut log, frames) =
        DurableLog::open(env.disk(), "first-boot", b"LBKPBOT1", &Distrusted::default()).await?;
    let noted = frames.first().and_then(|frame| frame.first_chunk::<8>());
    if noted.is_none() {
        log.append(&now.0.to_le_bytes()).await?;
    }
    // Also when it was there: an earlier boot may have failed at this.
    env.disk().sync_dir("").await?;
    Ok(noted.map_or(now, |noted| UnixMs(i64::from_le_bytes(*noted))))
}

fn stores<E: Env>(env: &E, config: &BackupConfig) -> Vec<ObjectStore<E>> {
    let store = |node: &NodeId| ObjectStore::new(env.clone(), *node, CALL_TIMEOUT).patient(Patience::LONG);
    config.data_centers.iter().map(store).collect()
}

/// The position that every data center has reached; `None` when one has no backup yet or cannot be asked.
async fn newest_position<E: Env>(env: &E, config: &BackupConfig) -> Option<i64> {
    let mut newest = None;
    for store in stores(env, config) {
        let listed = store.list(CATALOGS).await.ok()?;
        let position = listed.iter().filter_map(|info| Catalog::position_of_key(&info.key)).max()?;
        newest = Some(newest.map_or(position, |n: i64| n.min(position)));
    }
    newest
}

/// Takes one backup to every data center. `kept` is what the last one held.
///
/// # Errors
/// When it is not complete in all of them; those that it reached keep what they have.
pub async fn take<E: Env>(
    env: &E,
    boot: &Boot,
    config: &BackupConfig,
    alarms: &Alarms<E>,
    kept: &mut Kept,
) -> Result<(), BackupError> {
    env.mark(Mark { name: "backup.started", subject: "" });
    let now = common_time(env, &boot.cluster).await?;
    let position_ms = (now - POSITION_SLACK).0;
    let mut targets = Vec::new();
    let mut failed = None;
    for store in stores(env, config) {
        match store.list(SEGMENTS).await {
            Ok(listed) => {
                let have = listed.into_iter().map(|info| info.key[SEGMENTS.len()..].to_owned()).collect();
                targets.push(Target { store, have });
            }
            Err(error) => failed = Some(BackupError::from(error)),
        }
    }
    let mut found = Vec::new();
    for project in boot.cluster.projects.keys() {
        found.extend(copy_project(env, boot, *project, position_ms, &mut targets, &mut failed).await?);
    }
    env.mark(Mark { name: "backup.copied", subject: "" });
    count_unknown(env, config, &found, kept).await;
    let in_store = |hash: &str| targets.iter().any(|target| target.have.contains(hash));
    let (days, shrunk) = kept.carry_over(found, in_store);
    let catalog = Catalog { format: FORMAT, position_ms, taken_ms: env.clock().wall().0, days };
    let (key, text) = catalog.to_object().map_err(|e| BackupError::Text(e.to_string()))?;
    for target in &targets {
        match target.store.put_verified(&key, Bytes::from(text.clone())).await {
            Ok(()) => env.mark(Mark { name: "backup.catalog-durable", subject: &key }),
            Err(error) => failed = Some(error.into()),
        }
    }
    tell_of(env, alarms, shrunk);
    for target in &targets {
        expire(env, config, &target.store, now).await?;
    }
    failed.map_or(Ok(()), Err)
}

/// Counts the keys of the last backup's days where an earlier process took it and production has them otherwise now.
async fn count_unknown<E: Env>(
    env: &E,
    config: &BackupConfig,
    found: &[(CatalogDay, Keys)],
    kept: &mut Kept,
) {
    let backups = Backups::new(env, &config.data_centers);
    for day in kept.to_be_counted(found) {
        match backups.day(&day).await {
            Ok(records) => {
                let keys: BTreeSet<Key> = records.iter().map(|record| record.key).collect();
                kept.counted(day.project, day.day, keys.len() as u64);
            }
            // There is nothing to be kept that could be read.
            Err(why) => env.mark(Mark { name: "backup.base-unreadable", subject: &why }),
        }
    }
}

/// Tells the operator which days production has lost events of.
fn tell_of<E: Env>(env: &E, alarms: &Alarms<E>, shrunk: Vec<Alarm>) {
    for alarm in shrunk {
        env.mark(Mark { name: "backup.production-shrank", subject: "" });
        alarms.raise(alarm);
    }
}

/// A data center, and the segments that it has.
struct Target<E> {
    store: ObjectStore<E>,
    have: BTreeSet<String>,
}

/// Copies what the targets lack of one project. A target that fails is dropped and noted in `failed`.
async fn copy_project<E: Env>(
    env: &E,
    boot: &Boot,
    project: u32,
    position_ms: i64,
    targets: &mut Vec<Target<E>>,
    failed: &mut Option<BackupError>,
) -> Result<Vec<(CatalogDay, Keys)>, BackupError> {
    let pinned = pin(env, boot, project, position_ms).await;
    let needed = boot.cluster.copies.read_disks;
    let copied = match pinned.len() {
        enough if enough >= needed => copy_pinned(env, project, &pinned, targets, failed).await,
        answered => Err(BackupError::TooFewDisks { project, answered, needed }),
    };
    // Also when it failed: the next try pins anew, and files that are always pinned never go.
    let unpin = ArbCall::Unpin { project };
    let unpins = pinned.iter().map(|(disk, _)| call(env, *disk, &unpin, Bytes::new(), CALL_TIMEOUT));
    // A pin that cannot be let go of runs out by itself.
    join_all(unpins).await;
    copied
}

async fn copy_pinned<E: Env>(
    env: &E,
    project: u32,
    pinned: &[(NodeId, Vec<DayFiles>)],
    targets: &mut Vec<Target<E>>,
    failed: &mut Option<BackupError>,
) -> Result<Vec<(CatalogDay, Keys)>, BackupError> {
    let mut days = Vec::new();
    for (day, segments) in choose(pinned) {
        for (segment, sources) in &segments {
            let lacks = targets.iter().any(|target| !target.have.contains(&segment.hash));
            if !lacks {
                continue;
            }
            let bytes = fetch(env, project, day, &segment.hash, sources).await?;
            let mut index = 0;
            while index < targets.len() {
                match put(&mut targets[index], &segment.hash, &bytes).await {
                    Ok(()) => index += 1,
                    Err(error) => {
                        targets.remove(index);
                        *failed = Some(error.into());
                    }
                }
            }
        }
        let keys = keys_of(pinned, day);
        days.push((CatalogDay { project, day, segments: segments.into_keys().collect() }, keys));
    }
    Ok(days)
}

async fn put<E: Env>(target: &mut Target<E>, hash: &str, bytes: &Bytes) -> Result<(), StoreError> {
    if !target.have.contains(hash) {
        target.store.put_verified(&format!("{SEGMENTS}{hash}"), bytes.clone()).await?;
        target.have.insert(hash.to_owned());
    }
    Ok(())
}

/// Pins a project's files on as many disks as are needed; on all, where one of those does not answer, or they do not
/// agree: then one may be empty or damaged, and what they lack together others have.
async fn pin<E: Env>(
    env: &E,
    boot: &Boot,
    project: u32,
    arrived_before_ms: i64,
) -> Vec<(NodeId, Vec<DayFiles>)> {
    let ask = ArbCall::Pin { project, for_ms: PIN_FOR.as_millis() as u64, arrived_before_ms };
    let needed = boot.cluster.copies.read_disks;
    let disks = &boot.cluster.disks;
    let count = disks.len();
    let mut pinned = Vec::new();
    let order: Vec<NodeId> = (0..count).map(|step| disks[(project as usize + step) % count]).collect();
    for batch in [&order[..needed.min(count)], &order[needed.min(count)..]] {
        if pinned.len() >= needed && agree(&pinned) {
            break;
        }
        let calls = batch.iter().map(|disk| call(env, *disk, &ask, Bytes::new(), CALL_TIMEOUT));
        for (disk, answer) in batch.iter().zip(join_all(calls).await) {
            if let Ok((ArbAnswer::Days(days), _)) = answer {
                pinned.push((*disk, days));
            }
        }
    }
    pinned
}

/// Whether every day verifies on all of these disks, and is the same. Pure.
fn agree(pinned: &[(NodeId, Vec<DayFiles>)]) -> bool {
    let digests = |(_, days): &(NodeId, Vec<DayFiles>)| -> BTreeMap<Day, Option<SetDigest>> {
        days.iter().map(|files| (files.day, files.digest)).collect()
    };
    let verifies = pinned.iter().flat_map(|(_, days)| days).all(|files| files.digest.is_some());
    verifies && pinned.windows(2).all(|pair| digests(&pair[0]) == digests(&pair[1]))
}

/// Per day the segments to keep, and on which disks (with which id) each can be read.
type Chosen = BTreeMap<Day, BTreeMap<CatalogSegment, Vec<(NodeId, u64)>>>;

/// Chooses files: one disk's where all pinned disks agree on the day, else those of all. Pure.
fn choose(pinned: &[(NodeId, Vec<DayFiles>)]) -> Chosen {
    let mut by_day: BTreeMap<Day, Vec<(NodeId, &DayFiles)>> = BTreeMap::new();
    for (disk, days) in pinned {
        for day in days {
            by_day.entry(day.day).or_default().push((*disk, day));
        }
    }
    let mut chosen = Chosen::new();
    for (day, copies) in by_day {
        let agree = copies.len() == pinned.len()
            && copies[0].1.digest.is_some()
            && copies.iter().all(|(_, c)| c.digest == copies[0].1.digest);
        let used = if agree { &copies[..1] } else { &copies[..] };
        let segments = chosen.entry(day).or_default();
        for (disk, copy) in used {
            for file in copy.files.iter().filter(|file| file.records > 0) {
                let segment =
                    CatalogSegment { hash: file.hash.clone(), bytes: file.bytes, records: file.records };
                segments.entry(segment).or_default().push((*disk, file.id));
            }
        }
    }
    chosen.retain(|_, segments| !segments.is_empty());
    chosen
}

/// How many distinct keys the pinned disks hold of a day together: exactly where they agree. Pure.
fn keys_of(pinned: &[(NodeId, Vec<DayFiles>)], day: Day) -> Keys {
    let digests: Vec<_> =
        pinned.iter().map(|(_, days)| days.iter().find(|d| d.day == day).and_then(|d| d.digest)).collect();
    let agree = digests.windows(2).all(|pair| pair[0] == pair[1]);
    let counts = digests.iter().map(|digest| digest.map_or(0, |digest| digest.count));
    let least = counts.clone().max().unwrap_or(0);
    Keys { least, most: if agree { least } else { counts.sum() } }
}

async fn fetch<E: Env>(
    env: &E,
    project: u32,
    day: Day,
    hash: &str,
    sources: &[(NodeId, u64)],
) -> Result<Bytes, BackupError> {
    for (disk, id) in sources {
        let ask = ArbCall::Fetch { project, day, id: *id };
        if let Ok((ArbAnswer::Bytes, bytes)) = call(env, *disk, &ask, Bytes::new(), CALL_TIMEOUT).await
            && blake3::hash(&bytes).to_hex().as_str() == hash
        {
            return Ok(bytes);
        }
    }
    Err(BackupError::Unreadable { project, hash: hash.to_owned() })
}

/// Removes catalogs older than the retention, never the newest nor one that a hold keeps, then segments that no catalog needs.
async fn expire<E: Env>(
    env: &E,
    config: &BackupConfig,
    store: &ObjectStore<E>,
    now: UnixMs,
) -> Result<(), BackupError> {
    let oldest_ms = (now - config.kept()).0;
    // Before the catalogs: what is held from now on is held in this look.
    let standing = standing(&store.list(HOLDS).await?, now);
    for key in &standing.spent {
        store.delete(key).await?;
    }
    let catalogs = store.list(CATALOGS).await?;
    let Some((newest, older)) = catalogs.split_last() else { return Ok(()) };
    let is_held = |position: i64| standing.holds.iter().any(|hold| hold.keeps_backup(position));
    let is_old = |key: &str| {
        Catalog::position_of_key(key).is_some_and(|position| position < oldest_ms && !is_held(position))
    };
    let (old, kept): (Vec<_>, Vec<_>) = older.iter().partition(|info| is_old(&info.key));
    if old.is_empty() {
        return Ok(());
    }
    let mut needed = BTreeSet::new();
    for info in kept.into_iter().chain([newest]) {
        let text = store.get(&info.key).await?;
        // A catalog that cannot be read could need anything: nothing is removed.
        let catalog = Catalog::from_object(&info.key, &text).map_err(BackupError::Text)?;
        needed.extend(catalog.hashes().into_iter().map(str::to_owned));
    }
    for info in old {
        store.delete(&info.key).await?;
        env.mark(Mark { name: "backup.expired", subject: &info.key });
    }
    for info in store.list(SEGMENTS).await? {
        if !needed.contains(&info.key[SEGMENTS.len()..]) {
            store.delete(&info.key).await?;
        }
    }
    Ok(())
}
