//! The recovery procedure.
//!
//! 1. The edges put all that they still hold into the tee store.
//! 2. For each target day: backups newest to oldest; the first whose restore plus replay passes the audit is used.
//! 3. The day's events are written to all disks, skipping arrival ids that are present: running it twice, or into
//!    a cluster under traffic, doubles nothing; and nothing is removed.
//!
//! Without a tee there is nothing to audit against: the newest backup is used, and the report says so. A check
//! that could not run has not passed.

use super::plan::{Rebuilt, rebuild};
use super::tee::{TeeEvents, TeeReader, events_of};
use crate::arb::api::call;
use crate::arb::manifest::Tier;
use crate::backup::catalog::Catalog;
use crate::backup::restore::Backups;
use crate::config::{Cluster, TeeStoreConfig};
use crate::ingest::copies::encode_write;
use crate::record::Record;
use crate::zone::Day;
use bytes::Bytes;
use futures_util::future::join_all;
use latent_edge::message::{decode_head, encode_head, tag};
use latent_ports::{Clock, Env, Mark, Message, Net, UnixMs};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

const WRITE_TIMEOUT: Duration = Duration::from_secs(60);
const FLUSH_TIMEOUT: Duration = Duration::from_secs(300);
const WRITE_TRIES: u32 = 5;
const READ_TRIES: u32 = 20;
const RETRY_AFTER: Duration = Duration::from_secs(30);

/// What to recover.
#[derive(Clone, Debug)]
pub enum Targets {
    /// Everything that backups or the tee know: into an empty cluster.
    Everything,
    /// These project-days: into the live cluster.
    Days(BTreeSet<(u32, Day)>),
}

/// How one day was recovered.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct DayReport {
    /// The project.
    pub project: u32,
    /// The day.
    pub day: Day,
    /// Position of the backup used; `None` when the tee alone was.
    pub backup_position_ms: Option<i64>,
    /// Events from the backup.
    pub restored: u64,
    /// Events that the tee added.
    pub replayed: u64,
    /// Whether the audit passed. False also when it could not run.
    pub audited: bool,
    /// Whether enough disks took the events.
    pub written: bool,
}

/// What a recovery did.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct RecoveryReport {
    /// When it began and ended, by the wall clock of the node that ran it.
    pub started_ms: i64,
    /// See `started_ms`.
    pub ended_ms: i64,
    /// Backups that could be read.
    pub backups: u64,
    /// Why the tee could not be read, if it could not.
    pub tee_error: Option<String>,
    /// Each target day.
    pub days: Vec<DayReport>,
}

impl RecoveryReport {
    /// Whether every target passed its audit and was written. Not when the tee could not be read: there may be
    /// days that nobody knows of.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.tee_error.is_none() && self.days.iter().all(|day| day.audited && day.written)
    }
}

/// Runs a recovery from a node of `env` into `cluster`.
pub async fn recover<E: Env>(env: &E, cluster: &Arc<Cluster>, targets: &Targets) -> RecoveryReport {
    let mut report = RecoveryReport { started_ms: env.clock().wall().0, ..RecoveryReport::default() };
    env.mark(Mark { name: "recovery.started", subject: "" });
    let tee = match read_tee(env, cluster).await {
        Ok(events) => events,
        Err(why) => {
            report.tee_error = Some(why);
            None
        }
    };
    let data_centers = cluster.backup.as_ref().map_or(&[][..], |backup| &backup.data_centers);
    let backups = Backups::new(env, data_centers);
    let catalogs = backups.catalogs().await;
    report.backups = catalogs.len() as u64;
    for (project, day) in target_days(targets, tee.as_ref(), &catalogs) {
        report.days.push(recover_day(env, cluster, &backups, &catalogs, tee.as_ref(), project, day).await);
    }
    report.ended_ms = env.clock().wall().0;
    env.mark(Mark { name: "recovery.ended", subject: "" });
    report
}

/// The tee's events; `None` when the cluster has no tee.
async fn read_tee<E: Env>(env: &E, cluster: &Cluster) -> Result<Option<TeeEvents>, String> {
    let Some(tee) = &cluster.tee else { return Ok(None) };
    let mut why = String::new();
    // What is asked may just be booting, as it would be in a disaster.
    for _ in 0..READ_TRIES {
        match flush_and_read(env, cluster, tee).await {
            Ok(events) => return Ok(Some(events)),
            Err(error) => why = error,
        }
        env.clock().sleep(RETRY_AFTER).await;
    }
    Err(why)
}

async fn flush_and_read<E: Env>(
    env: &E,
    cluster: &Cluster,
    tee: &TeeStoreConfig,
) -> Result<TeeEvents, String> {
    let flush = Message { head: encode_head(tag::TEE_FLUSH, &()), body: Bytes::new() };
    let flushes = cluster.edges.iter().map(|edge| env.net().call(*edge, flush.clone(), FLUSH_TIMEOUT));
    for answer in join_all(flushes).await {
        let answer = answer.map_err(|e| format!("flush of an edge: {e}"))?;
        let flushed: Result<(), String> =
            decode_head(tag::TEE_FLUSH, &answer.head).map_err(|e| e.to_string())?;
        flushed.map_err(|why| format!("flush of an edge: {why}"))?;
    }
    let files = TeeReader::new(env, tee).new_files().await.map_err(|e| e.to_string())?;
    Ok(events_of(cluster, files))
}

fn target_days(targets: &Targets, tee: Option<&TeeEvents>, catalogs: &[Catalog]) -> BTreeSet<(u32, Day)> {
    match targets {
        Targets::Days(days) => days.clone(),
        Targets::Everything => {
            let in_backups = catalogs.iter().flat_map(|c| c.days.iter().map(|day| (day.project, day.day)));
            in_backups.chain(tee.iter().flat_map(|tee| tee.keys().copied())).collect()
        }
    }
}

async fn recover_day<E: Env>(
    env: &E,
    cluster: &Arc<Cluster>,
    backups: &Backups<E>,
    catalogs: &[Catalog],
    tee: Option<&TeeEvents>,
    project: u32,
    day: Day,
) -> DayReport {
    let in_tee: &[Record] = tee.and_then(|tee| tee.get(&(project, day))).map_or(&[], Vec::as_slice);
    let mut best: Option<(Option<i64>, Rebuilt)> = None;
    for catalog in catalogs {
        let listed = catalog.days.iter().find(|d| (d.project, d.day) == (project, day));
        let restored = match listed {
            Some(listed) => match backups.day(listed).await {
                Ok(records) => records,
                Err(why) => {
                    env.mark(Mark { name: "recovery.backup-unreadable", subject: &why });
                    continue;
                }
            },
            None => Vec::new(),
        };
        let rebuilt = rebuild(restored, in_tee, catalog.position_ms);
        let passes = rebuilt.missing_keys == 0;
        if best.as_ref().is_none_or(|(_, other)| rebuilt.missing_keys < other.missing_keys) {
            best = Some((Some(catalog.position_ms), rebuilt));
        }
        // Without a tee no backup is better than the newest.
        if passes || tee.is_none() {
            break;
        }
        env.mark(Mark { name: "recovery.older-backup", subject: "" });
    }
    // With no backup at all the tee alone has to do: complete for days that it covers wholly.
    let (position, rebuilt) = best.unwrap_or_else(|| (None, rebuild(Vec::new(), in_tee, i64::MIN)));
    let written = load(env, cluster, project, day, &rebuilt.records).await;
    DayReport {
        project,
        day,
        backup_position_ms: position,
        restored: rebuilt.restored,
        replayed: rebuilt.replayed,
        audited: tee.is_some() && rebuilt.missing_keys == 0,
        written,
    }
}

/// Writes events to all disks; true when enough took them for an acknowledgement.
async fn load<E: Env>(env: &E, cluster: &Cluster, project: u32, day: Day, records: &[Record]) -> bool {
    if records.is_empty() {
        return true;
    }
    let is_late = |r: &Record| UnixMs(r.arrived_ms).since(UnixMs(r.time_ms)) >= cluster.copies.late_after;
    let (late, on_time): (Vec<Record>, Vec<Record>) = records.iter().cloned().partition(is_late);
    let parts = [(day, Tier::Late, late.as_slice()), (day, Tier::OnTime, on_time.as_slice())];
    let parts = parts.into_iter().filter(|(_, _, records)| !records.is_empty());
    let Ok(write) = encode_write(project, parts, true) else { return false };
    let mut left = cluster.disks.clone();
    for _ in 0..WRITE_TRIES {
        let calls = left.iter().map(|disk| call(env, *disk, &write.call, write.body.clone(), WRITE_TIMEOUT));
        let answers = join_all(calls).await;
        left =
            left.iter().zip(answers).filter(|(_, answer)| answer.is_err()).map(|(disk, _)| *disk).collect();
        if left.is_empty() {
            break;
        }
        env.clock().sleep(RETRY_AFTER).await;
    }
    cluster.disks.len() - left.len() >= cluster.copies.ack_disks
}
