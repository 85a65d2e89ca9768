//! What the world did to the system, as the judge must know it: faults, boots, days set aside, recoveries.
//!
//! Heard from the trace by an observer, which only writes down. Faults come from the plan, so knowing them is no
//! trust in the system; of the system's own marks only one is used to find bytes (where a day was set aside to), and
//! the bytes decide. Conditions without effect on bytes or time are heard like any fault. What faults excuse is worked
//! out in `excuses`, from the plan's faults and not from what is heard here.

use crate::excuses::Excuses;
use crate::lock;
use latent_engine::sim::{Action, Event, Observer, Record, World};
use latent_oracle::ProjectDay;
use latent_oracle::invariants::l4_recovery::Begun;
use latent_oracle::reader::segment::segment_of;
use latent_ports::{DiskOp, NodeId, UnixMs};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// For so long after a boot or a fault every acknowledgement is checked: that is when durability is at risk.
const CHECK_ALL_FOR_MS: i64 = 5 * 60_000;

/// Something that changes what the judge may ask of a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum FaultLogEntry {
    /// A process started.
    Booted(NodeId, i64),
    /// The node of that name has an empty disk.
    DiskReplaced(String),
    /// A file of the tee was put into a store, under this path, at this time.
    TeeFileCreated(NodeId, String, i64),
    /// A segment of a day was begun on a disk of Arb, with this id, at this time.
    SegmentCreated(NodeId, ProjectDay, u64, i64),
    /// A hint was begun under this path, at this time.
    HintCreated(NodeId, String, i64),
    /// A directory of Arb was set aside, to this path.
    Quarantined(NodeId, String),
}

/// What was heard so far.
#[derive(Debug, Default)]
pub(crate) struct FaultLog {
    happened: Vec<FaultLogEntry>,
    /// Nodes of whose disks planned faults changed or took durable bytes, while leaving the rest.
    pub damaged: BTreeSet<String>,
    /// Nodes whose disks may lack what they once confirmed, and since when: damaged, replaced, or in hostile hands.
    pub unsound: BTreeMap<String, i64>,
    /// When a fault began or ended last.
    last_fault_ms: Option<i64>,
    /// When what was in the way of jobs.
    pub excuses: Excuses,
    /// When processes started, ms since 1970, in order.
    boots: BTreeMap<NodeId, Vec<i64>>,
    /// When trouble was declared over.
    pub faults_ended_ms: Option<i64>,
    /// Recoveries that run, and since when.
    recoveries: BTreeMap<NodeId, Vec<i64>>,
    /// When one began that died with its process, and that nobody has run to its end since.
    dead_recoveries: BTreeMap<NodeId, i64>,
    check_all_until_ms: i64,
}

impl FaultLog {
    /// What happened since this was asked last, in order.
    pub fn take(&mut self) -> Vec<FaultLogEntry> {
        std::mem::take(&mut self.happened)
    }

    /// When a fault began or ended last, ms since 1970.
    pub fn last_fault_ms(&self) -> Option<i64> {
        self.last_fault_ms
    }

    /// Whether a fault has struck and trouble is not over.
    pub fn has_active_faults(&self) -> bool {
        self.last_fault_ms.is_some() && self.faults_ended_ms.is_none()
    }

    /// Brings the excuses up to date.
    pub fn update_excuses(&mut self, world: &World) {
        let FaultLog { excuses, boots, .. } = self;
        excuses.update(world, |name, since_ms| {
            let boots = boots.get(&world.node_named(name)?)?;
            boots.get(boots.partition_point(|at_ms| *at_ms < since_ms)).copied()
        });
    }

    /// Whether something struck, or booted, a few minutes ago.
    pub fn is_recently_disturbed(&self, now_ms: i64) -> bool {
        now_ms < self.check_all_until_ms
    }

    /// Recoveries that were begun and have not ended.
    pub fn recoveries(&self, world: &World) -> Vec<Begun> {
        let running =
            self.recoveries.iter().flat_map(|(node, all)| all.iter().map(move |at_ms| (node, at_ms)));
        let begun = |(node, at_ms): (&NodeId, &i64)| Begun {
            node: world.node_name(*node).to_string(),
            at_ms: *at_ms,
        };
        running.chain(&self.dead_recoveries).map(begun).collect()
    }

    /// Whether a recovery is writing to the disks now: one copy after the other has what it brings.
    pub fn is_recovering(&self) -> bool {
        self.recoveries.values().any(|begun| !begun.is_empty())
    }

    /// A process begins on a node: a recovery that ran there died with the one before.
    fn mark_recovery_dead(&mut self, node: NodeId) {
        if let Some(first_ms) = self.recoveries.remove(&node).and_then(|all| all.into_iter().min()) {
            self.dead_recoveries.entry(node).or_insert(first_ms);
        }
    }

    fn fault(&mut self, action: &Action, at_ms: i64) {
        self.last_fault_ms = Some(at_ms);
        self.check_all_until_ms = at_ms + CHECK_ALL_FOR_MS;
        let damaged = match action {
            Action::BitRot(it) => &it.node,
            Action::LatentSector(it) => &it.node,
            Action::MisdirectedWrite(it) => &it.node,
            Action::LostWrite(it) => &it.node,
            Action::RemoveDirectory(it) => {
                // Nothing that stood there binds what comes to stand there.
                self.happened.push(FaultLogEntry::DiskReplaced(it.node.clone()));
                &it.node
            }
            Action::NewDisk(it) => {
                self.unsound.insert(it.node.clone(), at_ms);
                // Nothing that the old disk had binds the new one, damage included.
                self.damaged.remove(&it.node);
                self.happened.push(FaultLogEntry::DiskReplaced(it.node.clone()));
                return;
            }
            _ => return,
        };
        self.damaged.insert(damaged.clone());
        self.unsound.insert(damaged.clone(), at_ms);
    }
}

/// Begins to listen.
pub(crate) fn attach(world: &World) -> Arc<Mutex<FaultLog>> {
    let check_all_until_ms = world.start().0 + crate::run::WARM_UP_MS + CHECK_ALL_FOR_MS;
    let fault_log = Arc::new(Mutex::new(FaultLog { check_all_until_ms, ..FaultLog::default() }));
    world.observe(Box::new(FaultLogObserver { start: world.start(), fault_log: fault_log.clone() }));
    fault_log
}

struct FaultLogObserver {
    start: UnixMs,
    fault_log: Arc<Mutex<FaultLog>>,
}

impl Observer for FaultLogObserver {
    fn on_record(&mut self, record: &Record<'_>, _: &World) {
        let at_ms = || (self.start + Duration::from_nanos(record.time_ns)).0;
        match record.event {
            Event::Boot => {
                let mut fault_log = lock(&self.fault_log);
                fault_log.check_all_until_ms = fault_log.check_all_until_ms.max(at_ms() + CHECK_ALL_FOR_MS);
                fault_log.happened.push(FaultLogEntry::Booted(record.node, at_ms()));
                fault_log.boots.entry(record.node).or_default().push(at_ms());
                fault_log.mark_recovery_dead(record.node);
            }
            // The disk was new when the fault began; what its end boots may have long been at work.
            Event::Fault { action: Action::NewDisk(_), ends: true } => {
                lock(&self.fault_log).last_fault_ms = Some(at_ms());
            }
            Event::Disk { op: DiskOp::Rename, to, outcome: Ok(()), .. } if to.starts_with("objects/tee/") => {
                let came = FaultLogEntry::TeeFileCreated(record.node, to.to_owned(), at_ms());
                lock(&self.fault_log).happened.push(came);
            }
            Event::Disk { op: DiskOp::Append, path, offset: 0, outcome: Ok(()), .. } => {
                let came = match segment_of(path) {
                    Some((project_day, id)) => {
                        FaultLogEntry::SegmentCreated(record.node, project_day, id, at_ms())
                    }
                    None if path.starts_with("hints/") => {
                        FaultLogEntry::HintCreated(record.node, path.to_owned(), at_ms())
                    }
                    None => return,
                };
                lock(&self.fault_log).happened.push(came);
            }
            Event::Fault { action, .. } => lock(&self.fault_log).fault(action, at_ms()),
            Event::Mark { name: "arb.set-aside", subject } => {
                lock(&self.fault_log)
                    .happened
                    .push(FaultLogEntry::Quarantined(record.node, subject.to_owned()));
            }
            Event::Mark { name: "recovery.started", .. } => {
                lock(&self.fault_log).recoveries.entry(record.node).or_default().push(at_ms());
            }
            Event::Mark { name: "recovery.ended", .. } => {
                let mut fault_log = lock(&self.fault_log);
                // Which of several it is does not matter: all began, and so many have ended.
                fault_log.recoveries.entry(record.node).or_default().pop();
                fault_log.dead_recoveries.remove(&record.node);
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use latent_engine::sim::{BitRot, Condition, Kill, NewDisk};

    #[test]
    fn a_new_disk_begins_anew_and_a_rotten_one_is_damaged() {
        let mut fault_log = FaultLog::default();
        assert!(!fault_log.has_active_faults());
        fault_log.fault(&Action::Condition(Condition::default()), 3);
        let node = || "disk-1".to_owned();
        fault_log.fault(&Action::BitRot(BitRot { node: node(), ..BitRot::default() }), 7);
        assert!(fault_log.damaged.contains("disk-1") && fault_log.unsound.get("disk-1") == Some(&7));
        fault_log.fault(&Action::NewDisk(NewDisk { node: node(), restart_after_ms: 1 }), 9);
        assert!(!fault_log.damaged.contains("disk-1") && fault_log.unsound.get("disk-1") == Some(&9));
        assert_eq!(fault_log.take(), [FaultLogEntry::DiskReplaced(node())]);
        assert!(fault_log.has_active_faults());
        fault_log.faults_ended_ms = Some(20);
        assert!(!fault_log.has_active_faults());
    }

    #[test]
    fn a_killed_process_damages_nothing() {
        let mut fault_log = FaultLog::default();
        fault_log.fault(&Action::Kill(Kill { node: "disk-1".into(), ..Kill::default() }), 7);
        assert!(
            fault_log.damaged.is_empty()
                && fault_log.unsound.is_empty()
                && fault_log.is_recently_disturbed(8)
        );
    }
}
