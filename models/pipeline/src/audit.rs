//! The nightly audit: does an export show every key that the tee holds?
//!
//! Per project and day, from the raw requests on one side and an export's lines on the other: the keys of the
//! export are derived anew from the JSON, not taken from what the store keeps beside it. A difference is an alarm
//! to the operator; so is an audit that could not run. A day whose copies have not changed since it passed, and
//! for which nothing new came, is not read again.

use crate::alarms::{Alarm, Alarms};
use crate::backup;
use crate::compaction::worker::sleep_until;
use crate::config::Boot;
use crate::export::{agreed_digest, export_line, read_day};
use crate::record::{Key, Record, SetDigest};
use crate::recovery::tee::{TeeReader, events_of};
use crate::wire;
use crate::zone::{Day, ZoneHistory};
use latent_ports::{Clock, Env, Mark, UnixMs};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// Boots the audit node.
pub async fn run<E: Env>(env: E, boot: Boot) {
    let (Some(config), Some(tee)) = (boot.cluster.audit.clone(), boot.cluster.tee.clone()) else { return };
    let alarms = Alarms::new(&env, &boot.cluster);
    env.spawn(backup::watch::run(env.clone(), boot.clone(), alarms.clone()));
    let keep_ms = tee.kept().as_millis() as i64;
    let mut audit = Audit {
        reader: TeeReader::new(&env, &tee),
        keys: BTreeMap::new(),
        passed: BTreeMap::new(),
        alarms,
        env,
        boot,
        keep_ms,
    };
    let mut due = BTreeSet::new();
    let now = audit.env.clock().wall();
    // Counted from the midnight whose audit is still ahead: a restart between the two must not skip a night.
    let next = |zones: &ZoneHistory, now: UnixMs| {
        zones.next_midnight(now - config.after_midnight) + config.after_midnight
    };
    for project in audit.boot.cluster.projects.values() {
        due.insert((next(&project.zones, now), project.id));
    }
    while let Some((at, project)) = due.pop_first() {
        sleep_until(&audit.env, at).await;
        audit.project(project).await;
        let now = audit.env.clock().wall().max(at);
        let zones = &audit.boot.cluster.projects[&project].zones;
        due.insert((next(zones, now), project));
    }
}

struct Audit<E: Env> {
    env: E,
    boot: Boot,
    alarms: Alarms<E>,
    reader: TeeReader<E>,
    /// What the tee holds: key and newest arrival, by project and day.
    keys: BTreeMap<(u32, Day), BTreeMap<Key, i64>>,
    /// The copies' digest and the number of keys with which a day passed.
    passed: BTreeMap<(u32, Day), (SetDigest, usize)>,
    keep_ms: i64,
}

impl<E: Env> Audit<E> {
    async fn project(&mut self, project: u32) {
        if let Err(why) = self.refresh(project).await {
            self.env.mark(Mark { name: "audit.failed", subject: &why });
            self.alarms.raise(Alarm::AuditFailed { project, why });
            return;
        }
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
                }
            }
        }
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
        let oldest: UnixMs = self.env.clock().wall() - Duration::from_millis(self.keep_ms.unsigned_abs());
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
