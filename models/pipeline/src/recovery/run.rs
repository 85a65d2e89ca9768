//! The recovery procedure.
//!
//! 1. The edges put all that they still hold into the tee store; tee and catalogs are read.
//! 2. For each target day: backups newest to oldest; the first whose restore plus replay passes the audit is used.
//! 3. The day's events are written to all disks, skipping arrival ids that are present: running it twice, or into
//!    a cluster under traffic, doubles nothing; and nothing is removed.
//!
//! The steps are data ([`super::runbook`]), since people leave some out. Without a tee there is nothing to audit against: the newest backup is used, and the report says so. A check
//! that could not run has not passed.

use super::plan::{Rebuilt, rebuild};
use super::runbook::{Step, is_by_the_book};
use super::tee::{TeeEvents, TeeReader, events_of};
use crate::arb::api::call;
use crate::arb::manifest::Tier;
use crate::backup::catalog::Catalog;
use crate::backup::restore::Backups;
use crate::config::Cluster;
use crate::ingest::copies::encode_write;
use crate::record::{ArrivalId, Record};
use crate::zone::Day;
use bytes::Bytes;
use futures_util::future::join_all;
use latent_edge::message::{decode_head, encode_head, tag};
use latent_ports::{Clock, Env, Mark, Message, Net, UnixMs};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
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
    /// Why the tee could not be read whole, if it could not: what could be read was used.
    pub tee_error: Option<String>,
    /// Whether every step was taken, and in an order in which each rests on those before it.
    pub by_the_book: bool,
    /// Each target day.
    pub days: Vec<DayReport>,
}

impl RecoveryReport {
    /// Whether every target passed its audit and was written. Not when the tee could not be read: there may be
    /// days that nobody knows of; nor when it was not run by the book.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.by_the_book && self.tee_error.is_none() && self.days.iter().all(|day| day.audited && day.written)
    }
}

/// Runs a recovery from a node of `env` into `cluster`, by the book.
pub async fn recover<E: Env>(env: &E, cluster: &Arc<Cluster>, targets: &Targets) -> RecoveryReport {
    recover_by(env, cluster, targets, &Step::ALL).await
}

/// Runs the steps that the operator took, in the order in which he took them.
pub async fn recover_by<E: Env>(
    env: &E,
    cluster: &Arc<Cluster>,
    targets: &Targets,
    steps: &[Step],
) -> RecoveryReport {
    let started_ms = env.clock().wall().0;
    env.mark(Mark { name: "recovery.started", subject: "" });
    let data_centers = cluster.backup.as_ref().map_or(&[][..], |backup| &backup.data_centers);
    let mut course = Course {
        env,
        cluster,
        backups: Backups::new(env, data_centers),
        tee: None,
        catalogs: Vec::new(),
        days: BTreeMap::new(),
        report: RecoveryReport {
            started_ms,
            by_the_book: is_by_the_book(steps),
            ..RecoveryReport::default()
        },
    };
    let last_of_a_day = steps.iter().rposition(|step| step.is_of_a_day());
    let mut done = 0;
    for group in steps.chunk_by(|one, other| one.is_of_a_day() == other.is_of_a_day()) {
        done += group.len();
        if group[0].is_of_a_day() {
            course.each_day(targets, group, last_of_a_day == Some(done - 1)).await;
        } else {
            course.gather(group).await;
        }
    }
    let mut report = course.report;
    report.days = course.days.into_values().map(|day| day.report).collect();
    report.ended_ms = env.clock().wall().0;
    env.mark(Mark { name: "recovery.ended", subject: "" });
    report
}

/// A recovery under way.
struct Course<'a, E: Env> {
    env: &'a E,
    cluster: &'a Arc<Cluster>,
    backups: Backups<E>,
    /// Once it was read.
    tee: Option<TeeEvents>,
    /// Newest first.
    catalogs: Vec<Catalog>,
    days: BTreeMap<(u32, Day), DayCourse>,
    report: RecoveryReport,
}

/// One day under way.
struct DayCourse {
    report: DayReport,
    /// Put together and not yet written.
    rebuilt: Option<Rebuilt>,
    /// Catalogs that were tried for it.
    tried: usize,
    /// What the backups that were read so far hold of it.
    restored: BTreeMap<ArrivalId, Record>,
}

impl<E: Env> Course<'_, E> {
    /// Flushes and reads, in the order of the steps; all of it again when the tee cannot be read: what is asked may
    /// just be booting, as it would be in a disaster.
    async fn gather(&mut self, steps: &[Step]) {
        for attempt in 0..READ_TRIES {
            if attempt > 0 {
                self.env.clock().sleep(RETRY_AFTER).await;
            }
            match self.flush_and_read(steps).await {
                Ok(()) => {
                    self.report.tee_error = None;
                    break;
                }
                Err(why) => self.report.tee_error = Some(why),
            }
        }
        if steps.contains(&Step::ReadTee) && self.tee.is_none() {
            self.read_what_is_left_of_the_tee().await;
        }
        if steps.contains(&Step::ReadBackups) {
            self.catalogs = self.backups.catalogs().await;
            self.report.backups = self.catalogs.len() as u64;
        }
    }

    /// Better than nothing, and said so: the report keeps why the tee could not be read whole.
    async fn read_what_is_left_of_the_tee(&mut self) {
        let Some(tee) = &self.cluster.tee else { return };
        if let Ok((files, damaged)) = TeeReader::new(self.env, tee).readable().await {
            for error in damaged {
                self.env.mark(Mark { name: "recovery.tee-damaged", subject: &error.to_string() });
            }
            self.tee = Some(events_of(self.cluster, files));
        }
    }

    async fn flush_and_read(&mut self, steps: &[Step]) -> Result<(), String> {
        let Some(tee) = &self.cluster.tee else { return Ok(()) };
        for step in steps {
            match step {
                Step::FlushEdges => flush(self.env, self.cluster).await?,
                Step::ReadTee => {
                    let files = TeeReader::new(self.env, tee).new_files().await.map_err(|e| e.to_string())?;
                    self.tee = Some(events_of(self.cluster, files));
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// `last`: no step needs what was put together any more.
    async fn each_day(&mut self, targets: &Targets, steps: &[Step], last: bool) {
        for (project, day) in target_days(targets, self.tee.as_ref(), &self.catalogs) {
            let mut course = self.days.remove(&(project, day)).unwrap_or_else(|| DayCourse::of(project, day));
            for step in steps {
                match step {
                    Step::Rebuild => self.rebuild(&mut course).await,
                    Step::Audit => self.audit(&mut course).await,
                    _ => self.write(&mut course).await,
                }
            }
            course.rebuilt = course.rebuilt.take_if(|_| !last);
            if last {
                course.restored.clear();
            }
            self.days.insert((project, day), course);
        }
    }

    /// From the newest backup that can be read, or from the tee alone: complete for days that it covers wholly.
    async fn rebuild(&mut self, day: &mut DayCourse) {
        (day.tried, day.rebuilt, day.restored) = (0, None, BTreeMap::new());
        day.report.audited = false;
        if !self.rebuild_from_next(day).await {
            day.take(None, rebuild(Vec::new(), self.in_tee(day), i64::MIN));
        }
    }

    /// From the next older backup that can be read, and what newer ones hold: one that lacks something may hold what the
    /// older cannot, and what the tee has let go of. False when there is none.
    async fn rebuild_from_next(&mut self, day: &mut DayCourse) -> bool {
        while let Some(catalog) = self.catalogs.get(day.tried) {
            day.tried += 1;
            let of = (day.report.project, day.report.day);
            let restored = match catalog.days.iter().find(|listed| (listed.project, listed.day) == of) {
                Some(listed) => match self.backups.day(listed).await {
                    Ok(records) => records,
                    Err(why) => {
                        self.env.mark(Mark { name: "recovery.backup-unreadable", subject: &why });
                        continue;
                    }
                },
                None => Vec::new(),
            };
            // Where two tell of one arrival, the older is believed: the newer one is of a day that was damaged.
            day.restored.extend(restored.into_iter().map(|record| (record.arrival, record)));
            let restored = day.restored.values().cloned().collect();
            let position_ms = catalog.position_of(day.report.project);
            let rebuilt = rebuild(restored, self.in_tee(day), position_ms);
            day.take(Some(position_ms), rebuilt);
            return true;
        }
        false
    }

    /// Without a tee there is nothing to audit against, and no backup is better than the newest.
    async fn audit(&mut self, day: &mut DayCourse) {
        if self.tee.is_none() {
            return;
        }
        while day.rebuilt.as_ref().is_some_and(|rebuilt| rebuilt.missing_keys > 0) {
            self.env.mark(Mark { name: "recovery.older-backup", subject: "" });
            if !self.rebuild_from_next(day).await {
                self.env.mark(Mark { name: "recovery.completed-from-tee", subject: "" });
                let mut best = day.rebuilt.take().unwrap_or_default();
                best.complete_from(self.in_tee(day));
                (day.report.replayed, day.report.written) = (best.replayed, false);
                day.rebuilt = Some(best);
            }
        }
        day.report.audited = day.rebuilt.as_ref().is_some_and(|rebuilt| rebuilt.missing_keys == 0);
    }

    async fn write(&mut self, day: &mut DayCourse) {
        let Some(rebuilt) = day.rebuilt.take() else { return };
        let of = &mut day.report;
        of.written = load(self.env, self.cluster, of.project, of.day, &rebuilt.records).await;
        day.rebuilt = Some(rebuilt);
    }

    fn in_tee(&self, day: &DayCourse) -> &[Record] {
        let of = (day.report.project, day.report.day);
        self.tee.as_ref().and_then(|tee| tee.get(&of)).map_or(&[], Vec::as_slice)
    }
}

impl DayCourse {
    fn of(project: u32, day: Day) -> DayCourse {
        let report = DayReport {
            project,
            day,
            backup_position_ms: None,
            restored: 0,
            replayed: 0,
            audited: false,
            written: false,
        };
        DayCourse { report, rebuilt: None, tried: 0, restored: BTreeMap::new() }
    }

    /// Takes what was put together, unless what it has lacks less. What is taken is not yet written.
    fn take(&mut self, position_ms: Option<i64>, rebuilt: Rebuilt) {
        if self.rebuilt.as_ref().is_some_and(|old| rebuilt.missing_keys >= old.missing_keys) {
            return;
        }
        self.report.backup_position_ms = position_ms;
        (self.report.restored, self.report.replayed) = (rebuilt.restored, rebuilt.replayed);
        self.report.written = false;
        self.rebuilt = Some(rebuilt);
    }
}

/// The edges put all that they still hold into the tee store.
async fn flush<E: Env>(env: &E, cluster: &Cluster) -> Result<(), String> {
    let flush = Message { head: encode_head(tag::TEE_FLUSH, &()), body: Bytes::new() };
    let flushes = cluster.edges.iter().map(|edge| env.net().call(*edge, flush.clone(), FLUSH_TIMEOUT));
    for answer in join_all(flushes).await {
        let answer = answer.map_err(|e| format!("flush of an edge: {e}"))?;
        let flushed: Result<(), String> =
            decode_head(tag::TEE_FLUSH, &answer.head).map_err(|e| e.to_string())?;
        flushed.map_err(|why| format!("flush of an edge: {why}"))?;
    }
    Ok(())
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
