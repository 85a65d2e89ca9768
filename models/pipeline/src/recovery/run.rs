//! The recovery procedure.
//!
//! 1. The edges put all that they still hold into the tee store; tee and catalogs are read.
//! 2. For each target day: the newest backup, what older ones hold besides or say otherwise, and the tee; the result
//!    must pass the audit.
//! 3. The day's events are written to all disks, skipping arrival ids that are present and right: running it twice, or
//!    into a cluster under traffic, doubles nothing; nothing is removed, and what is altered is replaced.
//! 4. Production is read back and compared.
//!
//! The steps are data ([`super::runbook`]), since people leave some out. Without a tee there is nothing to audit against: the newest backup is used, and the report says so. A check
//! that could not run has not passed.

use super::plan::{Rebuilt, add_older, rebuild};
pub use super::report::{DayReport, RecoveryReport};
use super::runbook::{Step, is_by_the_book};
use super::tee::{TeeEvents, TeeReader, events_of};
use crate::arb::api::call;
use crate::arb::manifest::Tier;
use crate::backup::catalog::{Catalog, CatalogDay};
use crate::backup::restore::Backups;
use crate::compare::{Known, compare, doubled};
use crate::config::Cluster;
use crate::export::{content_digests, read_one_of};
use crate::ingest::copies::encode_write;
use crate::record::{ArrivalId, Record};
use crate::zone::Day;
use bytes::Bytes;
use futures_util::future::join_all;
use latent_edge::message::{decode_head, encode_head, tag};
use latent_edge::tee::{TeeName, TeeRecord};
use latent_ports::{Clock, Env, Mark, Message, Net, UnixMs};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

const WRITE_TIMEOUT: Duration = Duration::from_secs(60);
const FLUSH_TIMEOUT: Duration = Duration::from_secs(300);
const WRITE_TRIES: u32 = 5;
const READ_TRIES: u32 = 20;
const RETRY_AFTER: Duration = Duration::from_secs(30);
/// At the ends of what the tee keeps, a request may be in it or not.
const TEE_EDGE_MS: i64 = 10 * 3_600_000;

/// What to recover.
#[derive(Clone, Debug)]
pub enum Targets {
    /// Everything that backups or the tee know: into an empty cluster.
    Everything,
    /// These project-days: into the live cluster.
    Days(BTreeSet<(u32, Day)>),
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
        reader: cluster.tee.as_ref().map(|tee| TeeReader::new(env, tee)),
        tee_files: Vec::new(),
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
    reader: Option<TeeReader<E>>,
    /// What was read of the tee's files so far.
    tee_files: Vec<(TeeName, Vec<TeeRecord>)>,
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
    /// Hashes of the segments that were read.
    segments: BTreeSet<String>,
}

impl<E: Env> Course<'_, E> {
    /// Flushes and reads, in the order of the steps; all of it again when not all of the tee can be read: what is asked
    /// may just be booting, as it would be in a disaster. What could be read in the end is used.
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
        if steps.contains(&Step::ReadBackups) {
            self.catalogs = self.backups.catalogs().await;
            self.report.backups = self.catalogs.len() as u64;
        }
    }

    /// Every step is taken, also after one that failed: an edge that cannot be flushed costs what it holds, not what the
    /// tee store has.
    async fn flush_and_read(&mut self, steps: &[Step]) -> Result<(), String> {
        let mut wrong = Vec::new();
        for step in steps {
            match step {
                Step::FlushEdges if self.reader.is_some() => {
                    wrong.extend(flush(self.env, self.cluster).await.err());
                }
                Step::ReadTee => wrong.extend(self.read_tee().await.err()),
                _ => {}
            }
        }
        if wrong.is_empty() { Ok(()) } else { Err(wrong.join("; ")) }
    }

    /// Adds what can be read now to what could be read before.
    async fn read_tee(&mut self) -> Result<(), String> {
        let Some(reader) = &mut self.reader else { return Ok(()) };
        let read = reader.new_files().await.map_err(|error| error.to_string())?;
        self.tee_files.extend(read.files);
        self.tee = Some(events_of(self.cluster, self.tee_files.clone()));
        for error in &read.unreadable {
            self.env.mark(Mark { name: "recovery.tee-damaged", subject: &error.to_string() });
        }
        read.unreadable.first().map_or(Ok(()), |first| Err(first.to_string()))
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
                (course.restored, course.segments) = (BTreeMap::new(), BTreeSet::new());
            }
            self.days.insert((project, day), course);
        }
    }

    /// From the newest backup that can be read, or from the tee alone: complete for days that it covers wholly.
    async fn rebuild(&mut self, day: &mut DayCourse) {
        (day.tried, day.rebuilt) = (0, None);
        (day.restored, day.segments) = (BTreeMap::new(), BTreeSet::new());
        (day.report.audited, day.report.backup_position_ms) = (false, None);
        if !self.add_next_backup(day).await {
            day.take(rebuild(&day.restored, self.in_tee(day), i64::MIN));
        }
    }

    /// Adds what the next older backup that can be read holds. False when there is none. Segments that a newer one has
    /// as well are not read again.
    async fn add_next_backup(&mut self, day: &mut DayCourse) -> bool {
        let of = (day.report.project, day.report.day);
        let mut is_more = false;
        while let Some(catalog) = self.catalogs.get(day.tried) {
            day.tried += 1;
            let listed = catalog.days.binary_search_by_key(&of, |listed| (listed.project, listed.day));
            let mut unread = listed.map_or_else(|_| CatalogDay::empty(of), |at| catalog.days[at].clone());
            unread.segments.retain(|segment| !day.segments.contains(&segment.hash));
            let (records, unreadable) = self.backups.readable(&unread).await;
            for why in &unreadable {
                self.env.mark(Mark { name: "recovery.backup-unreadable", subject: why });
            }
            is_more |= !records.is_empty();
            add_older(&mut day.restored, records);
            // What is taken of a backup of which not all can be read is not all that came before its position.
            if !unreadable.is_empty() {
                continue;
            }
            day.segments.extend(unread.segments.into_iter().map(|segment| segment.hash));
            let position_ms = *day.report.backup_position_ms.get_or_insert(catalog.position_ms);
            if is_more || day.rebuilt.is_none() {
                day.take(rebuild(&day.restored, self.in_tee(day), position_ms));
            }
            return true;
        }
        if is_more {
            let position_ms = day.report.backup_position_ms.unwrap_or(i64::MIN);
            day.take(rebuild(&day.restored, self.in_tee(day), position_ms));
        }
        false
    }

    /// Every other backup has its say: what a newer one lacks, or was taken of when it was altered, an older one may have.
    /// Then the tee completes what is missing still. Without a tee there is nothing to audit against.
    async fn audit(&mut self, day: &mut DayCourse) {
        let Some(newest) = day.rebuilt.as_ref().map(|rebuilt| rebuilt.missing_keys) else { return };
        while self.add_next_backup(day).await {}
        let Some(rebuilt) = day.rebuilt.as_mut().filter(|_| self.tee.is_some()) else { return };
        if newest > rebuilt.missing_keys {
            self.env.mark(Mark { name: "recovery.older-backup", subject: "" });
        }
        if rebuilt.missing_keys > 0 {
            self.env.mark(Mark { name: "recovery.completed-from-tee", subject: "" });
            let of = (day.report.project, day.report.day);
            rebuilt.complete_from(self.tee.as_ref().and_then(|tee| tee.get(&of)).map_or(&[], Vec::as_slice));
            (day.report.replayed, day.report.written) = (rebuilt.replayed, false);
        }
        day.report.audited = rebuilt.missing_keys == 0;
    }

    /// Writes what production lacks or holds otherwise, reads production back, and compares.
    async fn write(&mut self, day: &mut DayCourse) {
        let Some(mut rebuilt) = day.rebuilt.take() else { return };
        let (project, date) = (day.report.project, day.report.day);
        let before = read_production(self.env, self.cluster, project, date).await;
        rebuilt.settle(&before.copies, self.in_tee(day));
        day.report.replaced = rebuilt.replaced;
        let records: Vec<Record> = rebuilt.records.values().cloned().collect();
        let loaded = load(self.env, self.cluster, project, date, &records).await;
        let after = read_production(self.env, self.cluster, project, date).await;
        let known = rebuilt.records.values().map(|record| (record.arrival, Known::of(record))).collect();
        let left = compare(&known, &after.copies);
        (day.report.left_missing, day.report.left_altered) =
            (left.missing.len() as u64, left.altered.len() as u64);
        day.report.doubled = self.doubled(&rebuilt, &after.copies);
        day.report.written = loaded && after.is_whole && left.is_none();
        if loaded && !day.report.written {
            let subject = format!("p{project}/{date}");
            self.env.mark(Mark { name: "recovery.not-as-written", subject: &subject });
        }
        day.rebuilt = Some(rebuilt);
    }

    /// How many records production shows once more under arrivals that neither tee nor backups know. Only of what came
    /// while the tee was sure to be whole: after it began to keep, and before it was flushed.
    fn doubled(&self, rebuilt: &Rebuilt, production: &[Vec<Record>]) -> u64 {
        let Some(kept) = self.cluster.tee.as_ref().map(|tee| tee.kept().as_millis() as i64) else { return 0 };
        if self.tee.is_none() || self.report.tee_error.is_some() {
            return 0;
        }
        let from_ms = self.env.clock().wall().0 - kept + TEE_EDGE_MS;
        let until_ms = self.report.started_ms - TEE_EDGE_MS;
        let doubled = doubled(&rebuilt.records, production, from_ms..until_ms);
        for arrival in &doubled {
            let ArrivalId { edge, sequence, item } = arrival;
            let subject = format!("edge {edge}, sequence {sequence}, item {item}");
            self.env.mark(Mark { name: "recovery.doubled", subject: &subject });
        }
        doubled.len() as u64
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
            replaced: 0,
            audited: false,
            written: false,
            left_missing: 0,
            left_altered: 0,
            doubled: 0,
        };
        let (restored, segments) = (BTreeMap::new(), BTreeSet::new());
        DayCourse { report, rebuilt: None, tried: 0, restored, segments }
    }

    /// Takes what was put together. It is not yet written.
    fn take(&mut self, rebuilt: Rebuilt) {
        (self.report.restored, self.report.replayed) = (rebuilt.restored, rebuilt.replayed);
        self.report.written = false;
        self.rebuilt = Some(rebuilt);
    }
}

/// What production holds of a day.
#[derive(Default)]
struct Production {
    /// The copies that differ, each once.
    copies: Vec<Vec<Record>>,
    /// Whether every copy that answered was read, and they are enough to hold every acknowledged event.
    is_whole: bool,
}

async fn read_production<E: Env>(env: &E, cluster: &Cluster, project: u32, day: Day) -> Production {
    let Ok(digests) = content_digests(env, cluster, project, day).await else { return Production::default() };
    let mut production = Production { copies: Vec::new(), is_whole: true };
    for disks in digests.values() {
        match read_one_of(env, disks, project, day).await {
            Ok(records) => production.copies.push(records),
            Err(_) => production.is_whole = false,
        }
    }
    production
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
