//! Nightly audit: checks that production holds every event that the tee holds, as it was sent.
//!
//! For each project and day, the raw requests in the tee are compared with the copies on the disks. Every key must be
//! in some copy, and no copy may differ from the tee in the contents of an event, since a reader may receive that copy.
//! A difference raises an alarm to the operator; so does an audit that could not run, and a tee file that cannot be
//! read. The readable part of the tee is compared in that case. A copy that passed and has not changed since is not
//! read again unless new requests arrived.
//!
//! A day that only the tee or a backup can repair gets a hold: one that differs, and one with too few intact copies.

use crate::alarms::{Alarm, AlarmSender, NightlyJob};
use crate::compare::{DayDifference, ExpectedDay, ExpectedRecord, compare};
use crate::config::{BootConfig, TeeStoreConfig};
use crate::export::{DayCopies, day_copies, read_one_of};
use crate::heartbeat::JobTracker;
use crate::hold::{Hold, HoldManager};
use crate::marks;
use crate::record::{Record, SetDigest};
use crate::recovery::tee_reader::{TeeReadError, TeeReader, events_of};
use crate::release::Bug;
use crate::schedule::{DueTimes, JobSchedule, MedianClock, NextJob};
use crate::zone::Day;
use latent_ports::{Clock, Env, Mark, UnixMs};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// Delay from boot to the first audit: an audit that a crash interrupted does not wait for the next night.
const FIRST_AFTER: Duration = Duration::from_secs(30 * 60);
/// Delay after an audit that could not run.
const RETRY_AFTER: Duration = Duration::from_secs(3600);
/// Attempts of an audit that cannot run, before it waits for the next night.
const MAX_ATTEMPTS: u32 = 6;
/// A step back by more than this means that the earlier time was wrong.
const CLOCK_STEP_BACK: Duration = Duration::from_secs(3600);
/// Days before today that a planted bug answers from the cache.
const CACHE_HORIZON_DAYS: i32 = 2;

impl<E: Env> Auditor<E> {
    /// Creates the auditor of a cluster with this tee.
    #[must_use]
    pub fn new(
        env: &E,
        boot: &BootConfig,
        tee: &TeeStoreConfig,
        clock: MedianClock<E>,
        alarms: AlarmSender<E>,
    ) -> Auditor<E> {
        let data_centers = boot.cluster.backup.iter().flat_map(|backup| backup.data_centers.clone());
        let holds = HoldManager::new(env, [tee.store].into_iter().chain(data_centers));
        Auditor {
            reader: TeeReader::new(env, tee, &boot.release),
            has_position: false,
            expected: BTreeMap::new(),
            passed: BTreeMap::new(),
            newest: UnixMs(i64::MIN),
            clock,
            alarms,
            env: env.clone(),
            keep_ms: tee.effective_retention().as_millis() as i64,
            boot: boot.clone(),
            unreadable: BTreeSet::new(),
            holds,
        }
    }
}

/// Audits each project at its time, and once soon after a boot. An audit that cannot run is retried a few times.
pub async fn nightly<E: Env>(
    mut audit: Auditor<E>,
    tee: TeeStoreConfig,
    after: Duration,
    log: JobTracker<E>,
) {
    let (env, cluster) = (audit.env.clone(), audit.boot.cluster.clone());
    let due_times = |project, now| DueTimes::nightly(&cluster.projects[&project].zones, now, |_| after);
    let first = env.clock().monotonic() + FIRST_AFTER;
    let mut table = JobSchedule::new(cluster.projects.keys().map(|project| (*project, first)));
    let mut tries: BTreeMap<u32, u32> = BTreeMap::new();
    loop {
        let now = audit.clock.now().await;
        let project = match table.next(now, env.clock().monotonic(), due_times) {
            NextJob::Sleep(wait) => {
                env.clock().sleep(wait).await;
                continue;
            }
            NextJob::Due(project) => project,
        };
        audit.reset_after_clock_step(now, &tee);
        let is_complete = audit.project(project).await;
        let tried = tries.entry(project).or_default();
        if is_complete {
            log.complete(NightlyJob::Audit, project);
        } else {
            *tried += 1;
        }
        if is_complete || *tried >= MAX_ATTEMPTS {
            *tried = 0;
            table.mark_done(project);
        } else {
            table.postpone(project, env.clock().monotonic() + RETRY_AFTER);
        }
    }
}

/// Auditor of one cluster, with its caches.
pub struct Auditor<E: Env> {
    env: E,
    boot: BootConfig,
    clock: MedianClock<E>,
    alarms: AlarmSender<E>,
    reader: TeeReader<E>,
    /// Whether the reader has read anything.
    has_position: bool,
    /// Expected records from the tee, by project and day.
    expected: BTreeMap<(u32, Day), ExpectedDay>,
    passed: BTreeMap<(u32, Day), PassedCopies>,
    keep_ms: i64,
    /// Newest start time of an audit.
    newest: UnixMs,
    /// Tee objects that could not be read at the last audit and were reported.
    unreadable: BTreeSet<String>,
    holds: HoldManager<E>,
}

impl<E: Env> Auditor<E> {
    /// Clears the caches when the time turns out to have been ahead: keys may have been dropped that the tee still
    /// holds. The caches depend on each other, so all are cleared.
    fn reset_after_clock_step(&mut self, now: UnixMs, tee: &TeeStoreConfig) {
        if now + CLOCK_STEP_BACK < self.newest {
            self.env.mark(Mark { name: marks::AUDIT_STATE_RESET, subject: "" });
            (self.reader, self.has_position) = (TeeReader::new(&self.env, tee, &self.boot.release), false);
            self.expected.clear();
            self.passed.clear();
            self.newest = now;
        }
        self.newest = self.newest.max(now);
    }

    /// Audits one project. Returns whether the audit could run, whatever it found.
    async fn project(&mut self, project: u32) -> bool {
        let mut is_complete = true;
        let now = self.clock.now().await;
        self.holds.refresh(now).await;
        match self.refresh(project).await {
            Ok(unreadable) => {
                self.env.mark(Mark { name: marks::AUDIT_RAN, subject: "" });
                self.report_unreadable(unreadable);
            }
            // The part of the tee that was read earlier is still compared.
            Err(why) => {
                self.env.mark(Mark { name: marks::AUDIT_FAILED, subject: &why });
                self.alarms.raise(Alarm::AuditFailed { project, why });
                is_complete = false;
            }
        }
        let days: Vec<Day> = self
            .expected
            .range((project, Day(i32::MIN))..=(project, Day(i32::MAX)))
            .map(|((_, day), _)| *day)
            .collect();
        let mut days = days.into_iter();
        while let Some(day) = days.next() {
            let audited = match self.boot.release.has(Bug::CacheWithAnAgeHorizon) {
                true => self.day_unless_old(project, day, now).await,
                false => self.day(project, day).await,
            };
            match audited {
                Ok(found) => {
                    self.report(project, day, &found.difference);
                    self.update_hold(project, day, &found).await;
                }
                Err(why) => {
                    self.env.mark(Mark { name: marks::AUDIT_FAILED, subject: &why });
                    self.alarms.raise(Alarm::AuditFailed { project, why });
                    is_complete = false;
                    if self.boot.release.has(Bug::OneErrorStopsThoseBehind) && days.len() > 0 {
                        self.boot.release.reached(&self.env, Bug::OneErrorStopsThoseBehind);
                        break;
                    }
                }
            }
        }
        is_complete
    }

    /// Reports a day that differs from the tee.
    fn report(&self, project: u32, day: Day, difference: &DayDifference) {
        let (keys, events) = (difference.missing.len() as u64, difference.altered.len() as u64);
        if difference.is_empty() {
            return;
        }
        let subject = format!("p{project}/{day}");
        self.env.mark(Mark { name: marks::AUDIT_MISMATCH, subject: &subject });
        if keys > 0 {
            self.alarms.raise(Alarm::EventsMissing { project, day, keys });
        }
        if events > 0 {
            self.env.mark(Mark { name: marks::AUDIT_ALTERED, subject: &subject });
            self.alarms.raise(Alarm::EventsAltered { project, day, events });
        }
    }

    /// Places a hold that keeps the data for the repair of a damaged day, or releases it once the day is intact.
    async fn update_hold(&mut self, project: u32, day: Day, found: &DayAudit) {
        let DayAudit { difference, is_short_of_copies } = found;
        if difference.is_empty() && !is_short_of_copies {
            // If part of the tee was unreadable, the day is not known to be intact.
            if self.unreadable.is_empty() && self.holds.is_held(project, day) {
                self.holds.release(project, day).await;
            }
            return;
        }
        let expected = self.expected.get(&(project, day)).into_iter().flatten();
        let damaged = expected.filter(|(arrival, expected)| {
            *is_short_of_copies
                || difference.missing.contains(&expected.key)
                || difference.altered.contains(*arrival)
        });
        let arrived_ms: BTreeSet<i64> = damaged.map(|(_, expected)| expected.arrived_ms).collect();
        let now = self.clock.now().await;
        let first_ms = arrived_ms.first().copied().unwrap_or(now.0);
        let hold = Hold::of(now, project, day, (first_ms, arrived_ms.last().copied().unwrap_or(first_ms)));
        if self.holds.place(hold).await {
            self.alarms.raise(Alarm::HoldPlaced { project, day });
        }
    }

    /// Reads new tee files, and drops records older than the tee's retention for the project that is audited next.
    /// Other projects are handled in their own audits.
    ///
    /// Returns the objects that cannot be read completely; they are retried with the next project.
    async fn refresh(&mut self, project: u32) -> Result<Vec<TeeReadError>, String> {
        // Planted bug: the position is lost, and the next one is the newest.
        let begins_at_the_newest = self.boot.release.has(Bug::LostPositionBeginsAtTheNewest);
        if begins_at_the_newest && !self.has_position {
            if self.reader.begin_at_the_newest().await.map_err(|e| e.to_string())? {
                self.boot.release.reached(&self.env, Bug::LostPositionBeginsAtTheNewest);
            }
            self.has_position = true;
        }
        let read = self.reader.new_files().await.map_err(|e| e.to_string())?;
        for ((project, day), records) in events_of(&self.boot.cluster, read.files) {
            let expected = self.expected.entry((project, day)).or_default();
            expected.extend(records.iter().map(|record| (record.arrival, ExpectedRecord::of(record))));
        }
        // Nothing is dropped based on this node's clock alone.
        let Some(now) = self.clock.median().await else { return Ok(read.unreadable) };
        let oldest = now - Duration::from_millis(self.keep_ms.unsigned_abs());
        let days = (project, Day(i32::MIN))..=(project, Day(i32::MAX));
        let mut empty = Vec::new();
        // Records that a hold keeps in the tee are kept here too; otherwise a damaged day would eventually appear
        // intact.
        let holds = &self.holds;
        for (of, expected) in self.expected.range_mut(days).filter(|(of, _)| !holds.is_held(of.0, of.1)) {
            expected.retain(|_, expected| expected.arrived_ms >= oldest.0);
            if expected.is_empty() {
                empty.push(*of);
            }
        }
        for of in empty {
            self.expected.remove(&of);
            self.passed.remove(&of);
        }
        Ok(read.unreadable)
    }

    /// Reports each tee object that cannot be read, once while that lasts.
    fn report_unreadable(&mut self, unreadable: Vec<TeeReadError>) {
        let mut current = BTreeSet::new();
        for TeeReadError { object, why } in unreadable {
            if !self.unreadable.contains(&object) {
                self.env.mark(Mark { name: marks::AUDIT_TEE_UNREADABLE, subject: &object });
                self.alarms.raise(Alarm::TeeObjectUnreadable { object: object.clone(), why });
            }
            current.insert(object);
        }
        self.unreadable = current;
    }

    /// Compares the copies of a day with the tee. Copies that passed and have not changed are not read again; of copies
    /// with equal contents one is read.
    async fn day(&mut self, project: u32, day: Day) -> Result<DayAudit, String> {
        let cluster = self.boot.cluster.clone();
        let Some(expected) = self.expected.get(&(project, day)) else { return Ok(DayAudit::default()) };
        let held = day_copies(&self.env, &cluster, project, day).await.map_err(|e| e.to_string())?;
        let DayCopies { by_digest: digests, corrupt } = held;
        let mut passed = self.passed.remove(&(project, day)).unwrap_or_default();
        if passed.arrivals != expected.len() {
            passed = PassedCopies { arrivals: expected.len(), ..PassedCopies::default() };
        }
        let is_intact_somewhere = digests.keys().any(|digest| passed.copies.contains(digest));
        let (mut copies, mut unread_disks, mut last) = (Vec::new(), 0, String::new());
        let unseen: Vec<_> = digests.iter().filter(|(digest, _)| !passed.copies.contains(*digest)).collect();
        for (digest, disks) in unseen {
            match read_one_of(&self.env, disks, project, day).await {
                Ok(records) => {
                    let copy = vec![records];
                    if self.compare(expected, &copy).is_empty() {
                        passed.copies.insert(*digest);
                    }
                    copies.extend(copy);
                }
                Err(error) => (unread_disks, last) = (unread_disks + disks.len(), error.to_string()),
            }
        }
        let read_disks = digests.values().map(Vec::len).sum::<usize>() - unread_disks;
        // A corrupt copy is read as one without events.
        if read_disks + corrupt.len() < cluster.replication.read_disks {
            return Err(format!("p{project}/{day}: {read_disks} copies could be read; last: {last}"));
        }
        let mut difference = DayDifference::default();
        if !copies.is_empty() || digests.is_empty() {
            difference = self.compare(expected, &copies);
        }
        if is_intact_somewhere {
            difference.missing.clear();
        }
        // Contents that no disk holds any more are removed from the cache.
        passed.copies.retain(|digest| digests.contains_key(digest));
        self.passed.insert((project, day), passed);
        let intact_at_best = cluster.disks.len().saturating_sub(corrupt.len());
        Ok(DayAudit { difference, is_short_of_copies: intact_at_best < cluster.replication.read_disks })
    }

    /// Compares copies with the tee.
    fn compare(&self, expected: &ExpectedDay, copies: &[Vec<Record>]) -> DayDifference {
        let difference = compare(expected, copies);
        if self.boot.release.has(Bug::AuditComparesCounts) && !difference.is_empty() {
            let sent: BTreeSet<_> = expected.values().map(|expected| expected.key).collect();
            let held: BTreeSet<_> = copies.iter().flatten().map(|record| record.key).collect();
            if held.len() >= sent.len() {
                self.boot.release.reached(&self.env, Bug::AuditComparesCounts);
                return DayDifference::default();
            }
        }
        difference
    }

    /// Planted bug: a day that passed once and ended before the horizon of the cache stays intact.
    async fn day_unless_old(&mut self, project: u32, day: Day, now: UnixMs) -> Result<DayAudit, String> {
        let passed = self.passed.get(&(project, day)).filter(|passed| !passed.copies.is_empty()).cloned();
        let today = self.boot.cluster.projects.get(&project).map(|project| project.zones.day(now, now));
        let audited = self.day(project, day).await;
        let is_old = today.is_some_and(|today| today.0 - day.0 > CACHE_HORIZON_DAYS);
        let Some(passed) = passed.filter(|_| is_old) else { return audited };
        if !audited.is_ok_and(|audited| audited.difference.is_empty()) {
            self.boot.release.reached(&self.env, Bug::CacheWithAnAgeHorizon);
        }
        self.passed.insert((project, day), passed);
        Ok(DayAudit::default())
    }
}

/// Result of the audit of one day.
#[derive(Clone, Debug, Default)]
struct DayAudit {
    difference: DayDifference,
    /// Whether so many copies are corrupt that the others need not hold every acknowledged event. Production cannot
    /// repair such a day: the tee and the backups must wait for an operator.
    is_short_of_copies: bool,
}

/// Copies of a day that passed the audit.
#[derive(Clone, Debug, Default)]
struct PassedCopies {
    /// Number of arrivals that the tee held at that time.
    arrivals: usize,
    /// Digests of the copies that matched the tee.
    copies: BTreeSet<SetDigest>,
}
