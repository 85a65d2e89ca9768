//! Recovery procedure.
//!
//! 1. The edges upload all local tee data to the tee store; tee and catalogs are read.
//! 2. Each target day is reconstructed from the newest backup, additions from older ones, and the tee. The result must
//!    pass the audit.
//! 3. The day's events are written to all disks, skipping arrival ids that are present and right. A second run, or a
//!    run into a cluster under traffic, duplicates nothing. Nothing is removed, and altered records are replaced.
//! 4. Production is read back and compared.
//!
//! The steps are data ([`super::runbook`]), since operators may leave some out. Without a tee there is nothing to audit
//! against: the newest backup is used, and the report says so. A check that could not run has not passed.

use super::plan::{RebuiltDay, add_older, rebuild};
use super::production::{RETRY_AFTER, load, quarantine, read_production};
pub use super::report::{DayReport, RecoveryReport};
use super::runbook::{RecoveryStep, is_complete_runbook};
use super::tee_reader::{TeeEvents, TeeReader, events_of};
use crate::backup::catalog::{Catalog, CatalogDay};
use crate::backup::restore::BackupReader;
use crate::compare::{ExpectedRecord, compare, find_duplicates};
use crate::config::{BootConfig, Cluster};
use crate::marks;
use crate::record::{ArrivalId, Record};
use crate::release::Release;
use crate::zone::Day;
use bytes::Bytes;
use futures_util::future::join_all;
use latent_edge::tee::{TeeName, TeeRecord};
use latent_ports::{Clock, Env, Mark, Message, Net};
use latent_storekit::message::{decode_head, encode_head, tag};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

const FLUSH_TIMEOUT: Duration = Duration::from_secs(300);
const READ_ATTEMPTS: u32 = 20;
/// Uncertainty at both ends of the tee's retention, where a request may or may not be in the tee.
const TEE_BOUNDARY_MS: i64 = 10 * 3_600_000;

/// Days to recover.
#[derive(Clone, Debug)]
pub enum RecoveryTargets {
    /// All days in backups or the tee, into an empty cluster.
    Everything,
    /// These project-days, into the live cluster.
    Days(BTreeSet<(u32, Day)>),
}

/// Runs a recovery from the node of `env` into the cluster of `boot`, with the complete runbook.
pub async fn recover<E: Env>(env: &E, boot: &BootConfig, targets: &RecoveryTargets) -> RecoveryReport {
    recover_with_steps(env, boot, targets, &RecoveryStep::ALL).await
}

/// Runs a recovery with the operator's steps, in order.
pub async fn recover_with_steps<E: Env>(
    env: &E,
    boot: &BootConfig,
    targets: &RecoveryTargets,
    steps: &[RecoveryStep],
) -> RecoveryReport {
    let BootConfig { cluster, release } = boot;
    let started_ms = env.clock().wall().0;
    env.mark(Mark { name: marks::RECOVERY_STARTED, subject: "" });
    let data_centers = cluster.backup.as_ref().map_or(&[][..], |backup| &backup.data_centers);
    let mut run = RecoveryRun {
        env,
        cluster,
        release,
        backups: BackupReader::new(env, data_centers),
        reader: cluster.tee.as_ref().map(|tee| TeeReader::new(env, tee, release)),
        tee_files: Vec::new(),
        tee: None,
        catalogs: Vec::new(),
        days: BTreeMap::new(),
        report: RecoveryReport {
            started_ms,
            followed_runbook: is_complete_runbook(steps),
            ..RecoveryReport::default()
        },
    };
    let last_of_a_day = steps.iter().rposition(|step| step.is_per_day());
    let mut done = 0;
    for group in steps.chunk_by(|one, other| one.is_per_day() == other.is_per_day()) {
        done += group.len();
        if group[0].is_per_day() {
            run.run_day_steps(targets, group, last_of_a_day == Some(done - 1)).await;
        } else {
            run.flush_and_read_all(group).await;
        }
    }
    let mut report = run.report;
    report.days = run.days.into_values().map(|day| day.report).collect();
    report.ended_ms = env.clock().wall().0;
    env.mark(Mark { name: marks::RECOVERY_ENDED, subject: "" });
    report
}

/// State of a recovery.
struct RecoveryRun<'a, E: Env> {
    env: &'a E,
    cluster: &'a Arc<Cluster>,
    release: &'a Release,
    backups: BackupReader<E>,
    reader: Option<TeeReader<E>>,
    /// Tee files read so far.
    tee_files: Vec<(TeeName, Vec<TeeRecord>)>,
    /// Events of the tee, once it was read.
    tee: Option<TeeEvents>,
    /// Newest first.
    catalogs: Vec<Catalog>,
    days: BTreeMap<(u32, Day), DayRecovery>,
    report: RecoveryReport,
}

/// State of one day's recovery.
struct DayRecovery {
    report: DayReport,
    /// Reconstructed day.
    rebuilt: Option<RebuiltDay>,
    /// Number of catalogs tried.
    catalogs_tried: usize,
    /// Records of the day from the backups read so far.
    restored: BTreeMap<ArrivalId, Record>,
    /// Hashes of the segments that were read.
    segments: BTreeSet<String>,
}

impl<E: Env> RecoveryRun<'_, E> {
    /// Executes the flush and read steps in order. All of them are retried if the tee cannot be read completely, since
    /// nodes may still be booting after a disaster. In the end the readable part is used.
    async fn flush_and_read_all(&mut self, steps: &[RecoveryStep]) {
        for attempt in 0..READ_ATTEMPTS {
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
        if steps.contains(&RecoveryStep::ReadBackups) {
            self.catalogs = self.backups.catalogs(self.env, self.release).await;
            self.report.backups = self.catalogs.len() as u64;
        }
    }

    /// Every step is executed even after a failure: an edge that cannot be flushed does not affect data in the tee
    /// store.
    async fn flush_and_read(&mut self, steps: &[RecoveryStep]) -> Result<(), String> {
        let mut wrong = Vec::new();
        for step in steps {
            match step {
                RecoveryStep::FlushEdges if self.reader.is_some() => {
                    wrong.extend(flush(self.env, self.cluster).await.err());
                }
                RecoveryStep::ReadTee => wrong.extend(self.read_tee().await.err()),
                _ => {}
            }
        }
        if wrong.is_empty() { Ok(()) } else { Err(wrong.join("; ")) }
    }

    /// Adds the files that are readable now to those read before.
    async fn read_tee(&mut self) -> Result<(), String> {
        let Some(reader) = &mut self.reader else { return Ok(()) };
        let read = reader.new_files().await.map_err(|error| error.to_string())?;
        self.tee_files.extend(read.files);
        self.tee = Some(events_of(self.cluster, self.tee_files.clone()));
        for error in &read.unreadable {
            self.env.mark(Mark { name: marks::RECOVERY_TEE_DAMAGED, subject: &error.to_string() });
        }
        read.unreadable.first().map_or(Ok(()), |first| Err(first.to_string()))
    }

    /// Executes the per-day steps. `last` is set when no later step needs the reconstructed days.
    async fn run_day_steps(&mut self, targets: &RecoveryTargets, steps: &[RecoveryStep], last: bool) {
        for (project, day) in target_days(targets, self.tee.as_ref(), &self.catalogs) {
            let mut run = self.days.remove(&(project, day)).unwrap_or_else(|| DayRecovery::of(project, day));
            for step in steps {
                match step {
                    RecoveryStep::Rebuild => self.rebuild(&mut run).await,
                    RecoveryStep::Audit => self.audit(&mut run).await,
                    _ => self.write(&mut run).await,
                }
            }
            run.rebuilt = run.rebuilt.take_if(|_| !last);
            if last {
                (run.restored, run.segments) = (BTreeMap::new(), BTreeSet::new());
            }
            self.days.insert((project, day), run);
        }
    }

    /// Reconstructs a day from the newest readable backup, or from the tee alone, which is complete for days within its
    /// retention.
    async fn rebuild(&mut self, day: &mut DayRecovery) {
        (day.catalogs_tried, day.rebuilt) = (0, None);
        (day.restored, day.segments) = (BTreeMap::new(), BTreeSet::new());
        (day.report.audited, day.report.backup_position_ms) = (false, None);
        if !self.add_next_backup(day).await {
            day.take(rebuild(&day.restored, self.tee_records(day), i64::MIN));
        }
    }

    /// Adds the next older readable backup. Returns false when there is none. Segments that a newer backup shares are
    /// not read again.
    async fn add_next_backup(&mut self, day: &mut DayRecovery) -> bool {
        let of = (day.report.project, day.report.day);
        let mut has_new_records = false;
        while let Some(catalog) = self.catalogs.get(day.catalogs_tried) {
            day.catalogs_tried += 1;
            let listed = catalog.days.binary_search_by_key(&of, |listed| (listed.project, listed.day));
            let mut unread = listed.map_or_else(|_| CatalogDay::empty(of), |at| catalog.days[at].clone());
            unread.segments.retain(|segment| !day.segments.contains(&segment.hash));
            let (records, unreadable) = self.backups.readable(&unread).await;
            for why in &unreadable {
                self.env.mark(Mark { name: marks::RECOVERY_BACKUP_UNREADABLE, subject: why });
            }
            has_new_records |= !records.is_empty();
            add_older(&mut day.restored, records);
            // A partially readable backup does not hold everything before its position.
            if !unreadable.is_empty() {
                continue;
            }
            day.segments.extend(unread.segments.into_iter().map(|segment| segment.hash));
            let position_ms = *day.report.backup_position_ms.get_or_insert(catalog.position_of(of.0));
            if has_new_records || day.rebuilt.is_none() {
                day.take(rebuild(&day.restored, self.tee_records(day), position_ms));
            }
            return true;
        }
        if has_new_records {
            let position_ms = day.report.backup_position_ms.unwrap_or(i64::MIN);
            day.take(rebuild(&day.restored, self.tee_records(day), position_ms));
        }
        false
    }

    /// Adds all older backups: they may hold events that a newer one lacks or has altered. Then the tee fills what is
    /// still missing. Without a tee there is nothing to audit against.
    async fn audit(&mut self, day: &mut DayRecovery) {
        let Some(newest) = day.rebuilt.as_ref().map(|rebuilt| rebuilt.missing_keys) else { return };
        while self.add_next_backup(day).await {}
        let Some(rebuilt) = day.rebuilt.as_mut().filter(|_| self.tee.is_some()) else { return };
        if newest > rebuilt.missing_keys {
            self.env.mark(Mark { name: marks::RECOVERY_OLDER_BACKUP, subject: "" });
        }
        if rebuilt.missing_keys > 0 {
            self.env.mark(Mark { name: marks::RECOVERY_COMPLETED_FROM_TEE, subject: "" });
            let of = (day.report.project, day.report.day);
            rebuilt.fill_from_tee(self.tee.as_ref().and_then(|tee| tee.get(&of)).map_or(&[], Vec::as_slice));
            (day.report.replayed, day.report.written) = (rebuilt.replayed, false);
        }
        day.report.audited = rebuilt.missing_keys == 0;
    }

    /// Writes records that production lacks or that differ, reads production back, and compares.
    async fn write(&mut self, day: &mut DayRecovery) {
        let Some(mut rebuilt) = day.rebuilt.take() else { return };
        let (project, date) = (day.report.project, day.report.day);
        let before = read_production(self.env, self.cluster, project, date).await;
        // No other disk can fill these copies. They are set aside only if everything that is known is at hand.
        if rebuilt.missing_keys == 0 && !rebuilt.records.is_empty() && !before.refused_by.is_empty() {
            self.env.mark(Mark { name: marks::RECOVERY_CORRUPT_DAY, subject: &format!("p{project}/{date}") });
            quarantine(self.env, &before.refused_by, project, date).await;
        }
        rebuilt.resolve_repairs(&before.copies, self.tee_records(day));
        day.report.replaced = rebuilt.replaced;
        let records: Vec<Record> = rebuilt.records.values().cloned().collect();
        let loaded = load(self.env, self.cluster, project, date, &records).await;
        let after = read_production(self.env, self.cluster, project, date).await;
        let known =
            rebuilt.records.values().map(|record| (record.arrival, ExpectedRecord::of(record))).collect();
        let left = compare(&known, &after.copies);
        (day.report.missing_after, day.report.altered_after) =
            (left.missing.len() as u64, left.altered.len() as u64);
        day.report.duplicates = self.count_duplicates(&rebuilt, &after.copies);
        day.report.written = loaded && after.is_whole && left.is_empty();
        if loaded && !day.report.written {
            let subject = format!("p{project}/{date}");
            self.env.mark(Mark { name: marks::RECOVERY_VERIFY_FAILED, subject: &subject });
        }
        day.rebuilt = Some(rebuilt);
    }

    /// Counts duplicates in production under arrivals that are in neither tee nor backups. Only arrivals within the
    /// period that the tee surely covers are considered: after the start of its retention, and before it was flushed.
    fn count_duplicates(&self, rebuilt: &RebuiltDay, production: &[Vec<Record>]) -> u64 {
        let Some(kept) = self.cluster.tee.as_ref().map(|tee| tee.effective_retention().as_millis() as i64)
        else {
            return 0;
        };
        if self.tee.is_none() || self.report.tee_error.is_some() {
            return 0;
        }
        let from_ms = self.env.clock().wall().0 - kept + TEE_BOUNDARY_MS;
        let until_ms = self.report.started_ms - TEE_BOUNDARY_MS;
        let duplicates = find_duplicates(&rebuilt.records, production, from_ms..until_ms);
        for arrival in &duplicates {
            let ArrivalId { edge, sequence, item } = arrival;
            let subject = format!("edge {edge}, sequence {sequence}, item {item}");
            self.env.mark(Mark { name: marks::RECOVERY_DUPLICATE, subject: &subject });
        }
        duplicates.len() as u64
    }

    fn tee_records(&self, day: &DayRecovery) -> &[Record] {
        let of = (day.report.project, day.report.day);
        self.tee.as_ref().and_then(|tee| tee.get(&of)).map_or(&[], Vec::as_slice)
    }
}

impl DayRecovery {
    fn of(project: u32, day: Day) -> DayRecovery {
        let report = DayReport {
            project,
            day,
            backup_position_ms: None,
            restored: 0,
            replayed: 0,
            replaced: 0,
            audited: false,
            written: false,
            missing_after: 0,
            altered_after: 0,
            duplicates: 0,
        };
        let (restored, segments) = (BTreeMap::new(), BTreeSet::new());
        DayRecovery { report, rebuilt: None, catalogs_tried: 0, restored, segments }
    }

    /// Stores a reconstructed day that is not yet written.
    fn take(&mut self, rebuilt: RebuiltDay) {
        (self.report.restored, self.report.replayed) = (rebuilt.restored, rebuilt.replayed);
        self.report.written = false;
        self.rebuilt = Some(rebuilt);
    }
}

/// Makes the edges upload all local tee data to the tee store.
async fn flush<E: Env>(env: &E, cluster: &Cluster) -> Result<(), String> {
    let flush = Message { head: encode_head(tag::TEE_FLUSH, &()), body: Bytes::new() };
    let flushes = cluster.edges.iter().map(|edge| env.net().call(*edge, flush.clone(), FLUSH_TIMEOUT));
    for response in join_all(flushes).await {
        let response = response.map_err(|e| format!("flush of an edge: {e}"))?;
        let flushed: Result<(), String> =
            decode_head(tag::TEE_FLUSH, &response.head).map_err(|e| e.to_string())?;
        flushed.map_err(|why| format!("flush of an edge: {why}"))?;
    }
    Ok(())
}

fn target_days(
    targets: &RecoveryTargets,
    tee: Option<&TeeEvents>,
    catalogs: &[Catalog],
) -> BTreeSet<(u32, Day)> {
    match targets {
        RecoveryTargets::Days(days) => days.clone(),
        RecoveryTargets::Everything => {
            let in_backups = catalogs.iter().flat_map(|c| c.days.iter().map(|day| (day.project, day.day)));
            in_backups.chain(tee.iter().flat_map(|tee| tee.keys().copied())).collect()
        }
    }
}
