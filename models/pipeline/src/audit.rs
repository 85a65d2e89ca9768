//! The nightly audit: does an export show every key that the tee holds?
//!
//! Per project and day, from the raw requests on one side and an export's lines on the other: the keys of the
//! export are derived anew from the JSON, not taken from what the store keeps beside it. A difference is an alarm
//! to the operator; so is an audit that could not run. A day whose copies have not changed since it passed, and
//! for which nothing new came, is not read again.

use crate::alarms::{Alarm, Alarms};
use crate::backup;
use crate::config::{Boot, TeeStoreConfig};
use crate::export::{agreed_digest, export_line, read_day};
use crate::heartbeat::{self, Job, JobLog};
use crate::record::{Key, Record, SetDigest};
use crate::recovery::tee::{TeeReader, events_of};
use crate::schedule::{MedianClock, Next, Timetable, Turns};
use crate::wire;
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
    let audit = Audit {
        reader: TeeReader::new(&env, &tee),
        keys: BTreeMap::new(),
        passed: BTreeMap::new(),
        newest: UnixMs(i64::MIN),
        clock,
        alarms,
        env: env.clone(),
        keep_ms: tee.kept().as_millis() as i64,
        boot: boot.clone(),
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
    /// What the tee holds: key and newest arrival, by project and day.
    keys: BTreeMap<(u32, Day), BTreeMap<Key, i64>>,
    /// The copies' digest and the number of keys with which a day passed.
    passed: BTreeMap<(u32, Day), (SetDigest, usize)>,
    keep_ms: i64,
    /// The newest time at which an audit began.
    newest: UnixMs,
}

impl<E: Env> Audit<E> {
    /// Drops what is remembered when time turns out to have been ahead: keys may be forgotten that the tee still holds.
    /// They are right only together with the files that count as read and the days that passed, so all of it goes.
    fn distrust_if_time_went_back(&mut self, now: UnixMs, tee: &TeeStoreConfig) {
        if now + STEPPED_BACK < self.newest {
            self.env.mark(Mark { name: "audit.memory-dropped", subject: "" });
            self.reader = TeeReader::new(&self.env, tee);
            self.keys.clear();
            self.passed.clear();
            self.newest = now;
        }
        self.newest = self.newest.max(now);
    }

    /// Audits one project. Returns whether the audit could run, whatever it found.
    async fn project(&mut self, project: u32) -> bool {
        if let Err(why) = self.refresh(project).await {
            self.env.mark(Mark { name: "audit.failed", subject: &why });
            self.alarms.raise(Alarm::AuditFailed { project, why });
            return false;
        }
        let mut is_complete = true;
        self.env.mark(Mark { name: "audit.ran", subject: "" });
        let days: Vec<Day> = self
            .keys
            .range((project, Day(i32::MIN))..=(project, Day(i32::MAX)))
            .map(|((_, day), _)| *day)
            .collect();
        for day in days {
            match self.day(project, day).await {
                Ok(0) => {}
                Ok(keys) => {
                    let subject = format!("p{project}/{day}");
                    self.env.mark(Mark { name: "audit.mismatch", subject: &subject });
                    self.alarms.raise(Alarm::EventsMissing { project, day, keys });
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

    /// Reads new tee files, and forgets what is older than the tee keeps of the project that is looked at next:
    /// the others have their turn.
    async fn refresh(&mut self, project: u32) -> Result<(), String> {
        let files = self.reader.new_files().await.map_err(|e| e.to_string())?;
        for ((project, day), records) in events_of(&self.boot.cluster, files) {
            let keys = self.keys.entry((project, day)).or_default();
            for record in records {
                let newest = keys.entry(record.key).or_insert(record.arrived_ms);
                *newest = record.arrived_ms.max(*newest);
            }
        }
        // Nothing is forgotten by this node's clock alone.
        let Some(now) = self.clock.common().await else { return Ok(()) };
        let oldest = now - Duration::from_millis(self.keep_ms.unsigned_abs());
        let days = (project, Day(i32::MIN))..=(project, Day(i32::MAX));
        let mut empty = Vec::new();
        for (of, keys) in self.keys.range_mut(days) {
            keys.retain(|_, arrived_ms| *arrived_ms >= oldest.0);
            if keys.is_empty() {
                empty.push(*of);
            }
        }
        for of in empty {
            self.keys.remove(&of);
        }
        Ok(())
    }

    /// How many keys of a day the export lacks.
    async fn day(&mut self, project: u32, day: Day) -> Result<u64, String> {
        let cluster = &self.boot.cluster;
        let wanted = self.keys.get(&(project, day)).map_or(0, BTreeMap::len);
        let digest = agreed_digest(&self.env, cluster, project, day).await.map(|(digest, _)| digest);
        if digest.is_some_and(|digest| self.passed.get(&(project, day)) == Some(&(digest, wanted))) {
            return Ok(0);
        }
        let records = read_day(&self.env, cluster, project, day).await.map_err(|e| e.to_string())?;
        let exported = records.iter().map(exported_key).collect::<Result<BTreeSet<Key>, String>>()?;
        let Some(keys) = self.keys.get(&(project, day)) else { return Ok(0) };
        let missing = keys.keys().filter(|key| !exported.contains(*key)).count() as u64;
        match digest.filter(|_| missing == 0) {
            Some(digest) => self.passed.insert((project, day), (digest, wanted)),
            None => self.passed.remove(&(project, day)),
        };
        Ok(missing)
    }
}

/// The key of an exported event, derived from its line.
fn exported_key(record: &Record) -> Result<Key, String> {
    let line = export_line(record).ok_or("a stored event is not JSON")?;
    let event: serde_json::Value = serde_json::from_str(&line).map_err(|e| format!("export line: {e}"))?;
    let properties = &event["properties"];
    let text = |value: &serde_json::Value| match value {
        serde_json::Value::String(text) => text.clone(),
        serde_json::Value::Null => String::new(),
        other => other.to_string(),
    };
    let insert_id = properties["$insert_id"].as_str();
    Ok(wire::key(&text(&event["event"]), &text(&properties["distinct_id"]), insert_id, record.arrival))
}
