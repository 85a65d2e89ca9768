//! What the world did to the system, as the judge must know it: faults, boots, days set aside, recoveries.
//!
//! Heard from the trace by an observer, which only writes down. Faults come from the plan, so knowing them is no
//! trust in the system; of the system's own marks only one is used to find bytes (where a day was set aside to), and
//! the bytes decide. Conditions without effect on bytes or time are heard like any fault. What faults excuse is worked
//! out in `excuses`, from the plan's faults and not from what is heard here.

use crate::excuses::Excuses;
use crate::lock;
use latent_engine::sim::{Event, FaultAction, Observer, Record, World};
use latent_oracle::ProjectDay;
use latent_oracle::invariants::l4_recovery::UnfinishedRecovery;
use latent_oracle::reader::segment::parse_segment_path;
use latent_ports::{DiskOp, NodeId, UnixMs};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// For so long after a boot or a fault every acknowledgement is checked: that is when durability is at risk.
const FRESH_MS: i64 = 5 * 60_000;

/// Something that changes what the judge may ask of a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Happened {
    /// A process started.
    Booted(NodeId, i64),
    /// The node of that name has an empty disk.
    NewDisk(String),
    /// A file of the tee was put into a store, under this path, at this time.
    TeeFileCame(NodeId, String, i64),
    /// A segment of a day was begun on a disk of Arb, with this id, at this time.
    SegmentCame(NodeId, ProjectDay, u64, i64),
    /// A hint was begun under this path, at this time.
    HintCame(NodeId, String, i64),
    /// A directory of Arb was set aside, to this path.
    SetAside(NodeId, String),
}

/// What was heard so far.
#[derive(Debug, Default)]
pub(crate) struct Chronicle {
    happened: Vec<Happened>,
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
    died: BTreeMap<NodeId, i64>,
    fresh_until_ms: i64,
}

impl Chronicle {
    /// What happened since this was asked last, in order.
    pub fn take(&mut self) -> Vec<Happened> {
        std::mem::take(&mut self.happened)
    }

    /// When a fault began or ended last, ms since 1970.
    pub fn last_fault_ms(&self) -> Option<i64> {
        self.last_fault_ms
    }

    /// Whether a fault has struck and trouble is not over.
    pub fn is_troubled(&self) -> bool {
        self.last_fault_ms.is_some() && self.faults_ended_ms.is_none()
    }

    /// Brings the excuses up to date.
    pub fn hear_of_faults(&mut self, world: &World) {
        let Chronicle { excuses, boots, .. } = self;
        excuses.hear(world, |name, since_ms| {
            let boots = boots.get(&world.node_named(name)?)?;
            boots.get(boots.partition_point(|at_ms| *at_ms < since_ms)).copied()
        });
    }

    /// Whether something struck, or booted, a few minutes ago.
    pub fn is_fresh(&self, now_ms: i64) -> bool {
        now_ms < self.fresh_until_ms
    }

    /// Recoveries that were begun and have not ended.
    pub fn recoveries(&self, world: &World) -> Vec<UnfinishedRecovery> {
        let running =
            self.recoveries.iter().flat_map(|(node, all)| all.iter().map(move |at_ms| (node, at_ms)));
        let begun = |(node, at_ms): (&NodeId, &i64)| UnfinishedRecovery {
            node: world.node_name(*node).to_string(),
            at_ms: *at_ms,
        };
        running.chain(&self.died).map(begun).collect()
    }

    /// Whether a recovery is writing to the disks now: one copy after the other has what it brings.
    pub fn is_recovering(&self) -> bool {
        self.recoveries.values().any(|begun| !begun.is_empty())
    }

    /// A process begins on a node: a recovery that ran there died with the one before.
    fn recovery_dies(&mut self, node: NodeId) {
        if let Some(first_ms) = self.recoveries.remove(&node).and_then(|all| all.into_iter().min()) {
            self.died.entry(node).or_insert(first_ms);
        }
    }

    fn fault(&mut self, action: &FaultAction, at_ms: i64) {
        self.last_fault_ms = Some(at_ms);
        self.fresh_until_ms = at_ms + FRESH_MS;
        let damaged = match action {
            FaultAction::BitRot(it) => &it.node,
            FaultAction::LatentSector(it) => &it.node,
            FaultAction::MisdirectedWrite(it) => &it.node,
            FaultAction::LostWrite(it) => &it.node,
            FaultAction::RemoveDirectory(it) => {
                // Nothing that stood there binds what comes to stand there.
                self.happened.push(Happened::NewDisk(it.node.clone()));
                &it.node
            }
            FaultAction::NewDisk(it) => {
                self.unsound.insert(it.node.clone(), at_ms);
                // Nothing that the old disk had binds the new one, damage included.
                self.damaged.remove(&it.node);
                self.happened.push(Happened::NewDisk(it.node.clone()));
                return;
            }
            _ => return,
        };
        self.damaged.insert(damaged.clone());
        self.unsound.insert(damaged.clone(), at_ms);
    }
}

/// Begins to listen.
pub(crate) fn listen(world: &World) -> Arc<Mutex<Chronicle>> {
    let fresh_until_ms = world.start().0 + crate::run::WARM_UP_MS + FRESH_MS;
    let chronicle = Arc::new(Mutex::new(Chronicle { fresh_until_ms, ..Chronicle::default() }));
    world.observe(Box::new(Listener { start: world.start(), chronicle: chronicle.clone() }));
    chronicle
}

struct Listener {
    start: UnixMs,
    chronicle: Arc<Mutex<Chronicle>>,
}

impl Observer for Listener {
    fn on_record(&mut self, record: &Record<'_>, _: &World) {
        let at_ms = || (self.start + Duration::from_nanos(record.time_ns)).0;
        match record.event {
            Event::Boot => {
                let mut chronicle = lock(&self.chronicle);
                chronicle.fresh_until_ms = chronicle.fresh_until_ms.max(at_ms() + FRESH_MS);
                chronicle.happened.push(Happened::Booted(record.node, at_ms()));
                chronicle.boots.entry(record.node).or_default().push(at_ms());
                chronicle.recovery_dies(record.node);
            }
            // The disk was new when the fault began; what its end boots may have long been at work.
            Event::Fault { action: FaultAction::NewDisk(_), ends: true } => {
                lock(&self.chronicle).last_fault_ms = Some(at_ms());
            }
            Event::Disk { op: DiskOp::Rename, to, outcome: Ok(()), .. } if to.starts_with("objects/tee/") => {
                let came = Happened::TeeFileCame(record.node, to.to_owned(), at_ms());
                lock(&self.chronicle).happened.push(came);
            }
            Event::Disk { op: DiskOp::Append, path, offset: 0, outcome: Ok(()), .. } => {
                let came = match parse_segment_path(path) {
                    Some((of, id)) => Happened::SegmentCame(record.node, of, id, at_ms()),
                    None if path.starts_with("hints/") => {
                        Happened::HintCame(record.node, path.to_owned(), at_ms())
                    }
                    None => return,
                };
                lock(&self.chronicle).happened.push(came);
            }
            Event::Fault { action, .. } => lock(&self.chronicle).fault(action, at_ms()),
            Event::Mark { name: "arb.set-aside", subject } => {
                lock(&self.chronicle).happened.push(Happened::SetAside(record.node, subject.to_owned()));
            }
            Event::Mark { name: "recovery.started", .. } => {
                lock(&self.chronicle).recoveries.entry(record.node).or_default().push(at_ms());
            }
            Event::Mark { name: "recovery.ended", .. } => {
                let mut chronicle = lock(&self.chronicle);
                // Which of several it is does not matter: all began, and so many have ended.
                chronicle.recoveries.entry(record.node).or_default().pop();
                chronicle.died.remove(&record.node);
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
        let mut chronicle = Chronicle::default();
        assert!(!chronicle.is_troubled());
        chronicle.fault(&FaultAction::Condition(Condition::default()), 3);
        let node = || "disk-1".to_owned();
        chronicle.fault(&FaultAction::BitRot(BitRot { node: node(), ..BitRot::default() }), 7);
        assert!(chronicle.damaged.contains("disk-1") && chronicle.unsound.get("disk-1") == Some(&7));
        chronicle.fault(&FaultAction::NewDisk(NewDisk { node: node(), restart_after_ms: 1 }), 9);
        assert!(!chronicle.damaged.contains("disk-1") && chronicle.unsound.get("disk-1") == Some(&9));
        assert_eq!(chronicle.take(), [Happened::NewDisk(node())]);
        assert!(chronicle.is_troubled());
        chronicle.faults_ended_ms = Some(20);
        assert!(!chronicle.is_troubled());
    }

    #[test]
    fn a_killed_process_damages_nothing() {
        let mut chronicle = Chronicle::default();
        chronicle.fault(&FaultAction::Kill(Kill { node: "disk-1".into(), ..Kill::default() }), 7);
        assert!(chronicle.damaged.is_empty() && chronicle.unsound.is_empty() && chronicle.is_fresh(8));
    }
}
