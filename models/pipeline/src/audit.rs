//! The nightly audit: does production hold every event that the tee holds, as it was sent?
//!
//! Per project and day, from the raw requests on one side and the copies of the disks on the other: every key must be
//! in some copy, and no copy may say anything else of an event than the tee does, since a reader may be given that
//! copy. A difference is an alarm to the operator; so is an audit that could not run, and a file of the tee that cannot
//! be read: what can be read of the tee is compared meanwhile. A copy that has not changed since it passed, and for
//! which nothing new came, is not read again.

use crate::alarms::{Alarm, Alarms};
use crate::backup;
use crate::compare::{Difference, Known, KnownDay, compare};
use crate::config::{Boot, TeeStoreConfig};
use crate::export::{content_digests, read_one_of};
use crate::heartbeat::{self, Job, JobLog};
use crate::hold::{Hold, Holds};
use crate::record::SetDigest;
use crate::recovery::tee::{TeeReadError, TeeReader, events_of};
use crate::schedule::{MedianClock, Next, Timetable, Turns};
use crate::zone::Day;
use latent_ports::{Clock, Env, Mark, Net, UnixMs};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// From a boot to the first audit: what a crash cut off does not wait for the next night.
const FIRST_AFTER: Duration = Duration::from_secs(30 * 60);
/// From an audit that could not run to its next try.
const RETRY_AFTER: Duration = Duration::from_secs(3600);
/// Tries of an audit that cannot run, before it waits for the next night.
const TRIES: u32 = 6;
/// Time that goes back by more than this was wrong before.
const STEPPED_BACK: Duration = Duration::from_secs(3600);

/// Boots the audit node: audits, watches backups and the workers' jobs, and serves its status.
pub async fn run<E: Env>(env: E, boot: Boot) {
    let (Some(config), Some(tee)) = (boot.cluster.audit.clone(), boot.cluster.tee.clone()) else { return };
    let alarms = Alarms::new(&env, &boot.cluster);
    let clock = MedianClock::new(&env, &boot.cluster);
    let log = JobLog::new(&env);
    env.spawn(backup::watch::run(env.clone(), boot.clone(), clock.clone(), alarms.clone()));
    let (jobs, workers) = (vec![Job::Compaction, Job::AntiEntropy], boot.cluster.workers.clone());
    env.spawn(heartbeat::watch(env.clone(), boot.clone(), alarms.clone(), jobs, workers));
    let data_centers = boot.cluster.backup.iter().flat_map(|backup| backup.data_centers.clone());
    let holds = Holds::new(&env, [tee.store].into_iter().chain(data_centers));
    let audit = Audit {
        reader: TeeReader::new(&env, &tee),
        known: BTreeMap::new(),
        passed: BTreeMap::new(),
        newest: UnixMs(i64::MIN),
        clock,
        alarms,
        env: env.clone(),
        keep_ms: tee.kept().as_millis() as i64,
        boot: boot.clone(),
        unreadable: BTreeSet::new(),
        holds,
    };
    env.spawn(nightly(audit, tee, config.after_midnight, log.clone()));
    let release = boot.release.name.clone();
    env.net().serve(64, move |_| std::future::ready(log.status(&release))).await;
}

/// Audits each project at its time, and once soon after a boot. One that cannot run is tried again a few times.
async fn nightly<E: Env>(mut audit: Audit<E>, tee: TeeStoreConfig, after: Duration, log: JobLog<E>) {
    let (env, cluster) = (audit.env.clone(), audit.boot.cluster.clone());
    let turns = |project, now| Turns::nightly(&cluster.projects[&project].zones, now, |_| after);
    let first = env.clock().monotonic() + FIRST_AFTER;
    let mut table = Timetable::new(cluster.projects.keys().map(|project| (*project, first)));
    let mut tries: BTreeMap<u32, u32> = BTreeMap::new();
    loop {
        let now = audit.clock.now().await;
        let project = match table.next(now, env.clock().monotonic(), turns) {
            Next::Sleep(wait) => {
                env.clock().sleep(wait).await;
                continue;
            }
            Next::Due(project) => project,
        };
        audit.distrust_if_time_went_back(now, &tee);
        let is_complete = audit.project(project).await;
        let tried = tries.entry(project).or_default();
        if is_complete {
            log.complete(Job::Audit, project);
        } else {
            *tried += 1;
        }
        if is_complete || *tried >= TRIES {
            *tried = 0;
            table.done(project);
        } else {
            table.put_off(project, env.clock().monotonic() + RETRY_AFTER);
        }
    }
}

struct Audit<E: Env> {
    env: E,
    boot: Boot,
    clock: MedianClock<E>,
    alarms: Alarms<E>,
    reader: TeeReader<E>,
    /// What the tee says, by project and day.
    known: BTreeMap<(u32, Day), KnownDay>,
    passed: BTreeMap<(u32, Day), Passed>,
    keep_ms: i64,
    /// The newest time at which an audit began.
    newest: UnixMs,
    /// Files of the tee that could not be read at the last look, and are reported.
    unreadable: BTreeSet<String>,
    holds: Holds<E>,
}

impl<E: Env> Audit<E> {
    /// Drops what is remembered when time turns out to have been ahead: keys may be forgotten that the tee still holds.
    /// They are right only together with the files that count as read and the days that passed, so all of it goes.
    fn distrust_if_time_went_back(&mut self, now: UnixMs, tee: &TeeStoreConfig) {
        if now + STEPPED_BACK < self.newest {
            self.env.mark(Mark { name: "audit.memory-dropped", subject: "" });
            self.reader = TeeReader::new(&self.env, tee);
            self.known.clear();
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
                self.env.mark(Mark { name: "audit.ran", subject: "" });
                self.report_unreadable(unreadable);
            }
            // What was read of the tee before is still worth comparing.
            Err(why) => {
                self.env.mark(Mark { name: "audit.failed", subject: &why });
                self.alarms.raise(Alarm::AuditFailed { project, why });
                is_complete = false;
            }
        }
        let days: Vec<Day> = self
            .known
            .range((project, Day(i32::MIN))..=(project, Day(i32::MAX)))
            .map(|((_, day), _)| *day)
            .collect();
        for day in days {
            match self.day(project, day).await {
                Ok(difference) => {
                    self.report(project, day, &difference);
                    self.hold_or_release(project, day, &difference).await;
                }
                Err(why) => {
                    self.env.mark(Mark { name: "audit.failed", subject: &why });
                    self.alarms.raise(Alarm::AuditFailed { project, why });
                    is_complete = false;
                }
            }
        }
        is_complete
    }

    /// Reports a day that is not as the tee says.
    fn report(&self, project: u32, day: Day, difference: &Difference) {
        let (keys, events) = (difference.missing.len() as u64, difference.altered.len() as u64);
        if difference.is_none() {
            return;
        }
        let subject = format!("p{project}/{day}");
        self.env.mark(Mark { name: "audit.mismatch", subject: &subject });
        if keys > 0 {
            self.alarms.raise(Alarm::EventsMissing { project, day, keys });
        }
        if events > 0 {
            self.env.mark(Mark { name: "audit.altered", subject: &subject });
            self.alarms.raise(Alarm::EventsAltered { project, day, events });
        }
    }

    /// Keeps what could answer for a damaged day from expiring, until the day is whole again.
    async fn hold_or_release(&mut self, project: u32, day: Day, difference: &Difference) {
        if difference.is_none() {
            // Of a day of which not all could be read of the tee, it is not known whether it is whole.
            if self.unreadable.is_empty() && self.holds.is_held(project, day) {
                self.holds.release(project, day).await;
            }
            return;
        }
        let known = self.known.get(&(project, day)).into_iter().flatten();
        let damaged = known.filter(|(arrival, known)| {
            difference.missing.contains(&known.key) || difference.altered.contains(*arrival)
        });
        let arrived_ms: BTreeSet<i64> = damaged.map(|(_, known)| known.arrived_ms).collect();
        let now = self.clock.now().await;
        let first_ms = arrived_ms.first().copied().unwrap_or(now.0);
        let hold = Hold::of(now, project, day, (first_ms, arrived_ms.last().copied().unwrap_or(first_ms)));
        if self.holds.place(hold).await {
            self.alarms.raise(Alarm::HoldStands { project, day });
        }
    }

    /// Reads new tee files, and forgets what is older than the tee keeps of the project that is looked at next:
    /// the others have their turn.
    ///
    /// Returns the files that cannot be read whole: they are tried again with the next project.
    async fn refresh(&mut self, project: u32) -> Result<Vec<TeeReadError>, String> {
        let read = self.reader.new_files().await.map_err(|e| e.to_string())?;
        for ((project, day), records) in events_of(&self.boot.cluster, read.files) {
            let known = self.known.entry((project, day)).or_default();
            known.extend(records.iter().map(|record| (record.arrival, Known::of(record))));
        }
        // Nothing is forgotten by this node's clock alone.
        let Some(now) = self.clock.common().await else { return Ok(read.unreadable) };
        let oldest = now - Duration::from_millis(self.keep_ms.unsigned_abs());
        let days = (project, Day(i32::MIN))..=(project, Day(i32::MAX));
        let mut empty = Vec::new();
        // What a hold keeps in the tee is remembered as long: else a damaged day would look whole one day.
        let holds = &self.holds;
        for (of, known) in self.known.range_mut(days).filter(|(of, _)| !holds.is_held(of.0, of.1)) {
            known.retain(|_, known| known.arrived_ms >= oldest.0);
            if known.is_empty() {
                empty.push(*of);
            }
        }
        for of in empty {
            self.known.remove(&of);
            self.passed.remove(&of);
        }
        Ok(read.unreadable)
    }

    /// Reports each file of the tee that cannot be read, once while that lasts.
    fn report_unreadable(&mut self, unreadable: Vec<TeeReadError>) {
        let mut still = BTreeSet::new();
        for TeeReadError { object, why } in unreadable {
            if !self.unreadable.contains(&object) {
                self.env.mark(Mark { name: "audit.tee-unreadable", subject: &object });
                self.alarms.raise(Alarm::TeeObjectUnreadable { object: object.clone(), why });
            }
            still.insert(object);
        }
        self.unreadable = still;
    }

    /// How the copies of a day differ from what the tee says. Copies that passed before and have not changed since are
    /// not read again, and of copies that hold the same one is read.
    async fn day(&mut self, project: u32, day: Day) -> Result<Difference, String> {
        let cluster = self.boot.cluster.clone();
        let Some(known) = self.known.get(&(project, day)) else { return Ok(Difference::default()) };
        let digests = content_digests(&self.env, &cluster, project, day).await.map_err(|e| e.to_string())?;
        let mut passed = self.passed.remove(&(project, day)).unwrap_or_default();
        if passed.arrivals != known.len() {
            passed = Passed { arrivals: known.len(), ..Passed::default() };
        }
        let is_whole_somewhere = digests.keys().any(|digest| passed.copies.contains(digest));
        let (mut copies, mut unread_disks, mut last) = (Vec::new(), 0, String::new());
        let unseen: Vec<_> = digests.iter().filter(|(digest, _)| !passed.copies.contains(*digest)).collect();
        for (digest, disks) in unseen {
            match read_one_of(&self.env, disks, project, day).await {
                Ok(records) => {
                    let copy = vec![records];
                    if compare(known, &copy).is_none() {
                        passed.copies.insert(*digest);
                    }
                    copies.extend(copy);
                }
                Err(error) => (unread_disks, last) = (unread_disks + disks.len(), error.to_string()),
            }
        }
        let read_disks = digests.values().map(Vec::len).sum::<usize>() - unread_disks;
        if read_disks < cluster.copies.read_disks {
            return Err(format!("p{project}/{day}: {read_disks} copies could be read; last: {last}"));
        }
        let mut difference = Difference::default();
        if !copies.is_empty() {
            difference = compare(known, &copies);
        }
        if is_whole_somewhere {
            difference.missing.clear();
        }
        // What no disk holds any more is not remembered.
        passed.copies.retain(|digest| digests.contains_key(digest));
        self.passed.insert((project, day), passed);
        Ok(difference)
    }
}

/// The copies of a day that passed.
#[derive(Debug, Default)]
struct Passed {
    /// How many arrivals the tee knew then.
    arrivals: usize,
    /// Digests of the copies that held all of them, as the tee says.
    copies: BTreeSet<SetDigest>,
}
