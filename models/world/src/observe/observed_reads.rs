//! Observed reads of segments and of objects of a store: when each was last read or written from its start.

use super::without_marks::WithoutMarks;
use crate::mutex::lock;
use latent_engine::sim::{Event, Observer, Record, World};
use latent_oracle::ProjectDay;
use latent_oracle::reader::arb_path::{parse_day_path, parse_segment_path};
use latent_ports::{DiskOp, NodeId};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

/// Directory of the objects of a store.
const OBJECTS: &str = "objects/";

/// Last read and last write of an object, in milliseconds since 1970.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct ObjectTimes {
    pub read_ms: Option<i64>,
    pub written_ms: Option<i64>,
}

/// Last read or write of each segment and of each object, last change of the name of a day's directory, and last boot of
/// each node, in milliseconds since 1970.
#[derive(Debug, Default)]
pub(crate) struct ObservedReads {
    read_ms: BTreeMap<(NodeId, ProjectDay, u64), i64>,
    renamed_ms: BTreeMap<(NodeId, ProjectDay), i64>,
    objects: BTreeMap<(NodeId, String), ObjectTimes>,
    booted_ms: BTreeMap<NodeId, i64>,
}

impl ObservedReads {
    /// Returns the latest of: the last read or write of a segment, the time when its day got its name, and the boot of
    /// its process. `None` if the process never booted, and so never had anything to read.
    pub fn since_ms(&self, node: NodeId, project_day: ProjectDay, id: u64) -> Option<i64> {
        let booted_ms = self.booted_ms.get(&node).copied();
        let renamed_ms = self.renamed_ms.get(&(node, project_day)).copied();
        let read_ms = self.read_ms.get(&(node, project_day, id)).copied();
        booted_ms.map(|booted_ms| [renamed_ms, read_ms].into_iter().flatten().fold(booted_ms, i64::max))
    }

    /// Returns the latest of the last read and write of an object and the boot of its store; `None` if the store never
    /// booted.
    pub fn object_since_ms(&self, store: NodeId, path: &str) -> Option<i64> {
        let booted_ms = *self.booted_ms.get(&store)?;
        let ObjectTimes { read_ms, written_ms } = self.object(store, path);
        Some([read_ms, written_ms].into_iter().flatten().fold(booted_ms, i64::max))
    }

    /// Returns the last read and the last write of an object.
    pub fn object(&self, store: NodeId, path: &str) -> ObjectTimes {
        self.objects.get(&(store, path.to_owned())).copied().unwrap_or_default()
    }
}

/// Registers the observer and returns what it records.
pub(crate) fn attach(world: &World) -> Arc<Mutex<ObservedReads>> {
    let reads: Arc<Mutex<ObservedReads>> = Arc::default();
    world.observe(Box::new(WithoutMarks(ReadObserver { reads: reads.clone() })));
    reads
}

/// Whether an object whose name ends with the hash of its bytes, as a segment's does, holds these bytes.
fn holds_what_its_name_says(world: &World, store: NodeId, path: &str) -> bool {
    let Some(file) = world.file(store, path) else { return false };
    let mut hasher = blake3::Hasher::new();
    for chunk in file.chunks() {
        hasher.update(chunk);
    }
    path.ends_with(hasher.finalize().to_hex().as_str())
}

struct ReadObserver {
    reads: Arc<Mutex<ObservedReads>>,
}

impl Observer for ReadObserver {
    fn on_record(&mut self, record: &Record<'_>, world: &World) {
        let at_ms = || world.now().0;
        match record.event {
            Event::Boot => {
                lock(&self.reads).booted_ms.insert(record.node, at_ms());
            }
            Event::Disk {
                op: op @ (DiskOp::Read | DiskOp::Append), path, offset, outcome: Ok(()), ..
            } if op == DiskOp::Append || offset == 0 => {
                if let Some((project_day, id)) = parse_segment_path(path) {
                    lock(&self.reads).read_ms.insert((record.node, project_day, id), at_ms());
                } else if op == DiskOp::Read && path.starts_with(OBJECTS) {
                    let mut reads = lock(&self.reads);
                    reads.objects.entry((record.node, path.to_owned())).or_default().read_ms = Some(at_ms());
                }
            }
            // Outputs of a compaction are written under another name, and so may be a whole day.
            Event::Disk { op: DiskOp::Rename, to, outcome: Ok(()), .. } => {
                if let Some((project_day, id)) = parse_segment_path(to) {
                    lock(&self.reads).read_ms.insert((record.node, project_day, id), at_ms());
                } else if let Some(project_day) = parse_day_path(to) {
                    lock(&self.reads).renamed_ms.insert((record.node, project_day), at_ms());
                } else if to.starts_with(OBJECTS) {
                    let mut reads = lock(&self.reads);
                    let before = reads.object(record.node, to);
                    // A duplicated put that arrives late writes what was read back: then it is still read back.
                    let is_same =
                        before.read_ms.is_some() && holds_what_its_name_says(world, record.node, to);
                    let times = match is_same {
                        true => before,
                        false => ObjectTimes { read_ms: None, written_ms: Some(at_ms()) },
                    };
                    reads.objects.insert((record.node, to.to_owned()), times);
                }
            }
            _ => {}
        }
    }
}
