//! Observed reads of segments: when each was last read or written from its start.

use super::without_marks::WithoutMarks;
use crate::mutex::lock;
use latent_engine::sim::{Event, Observer, Record, World};
use latent_oracle::ProjectDay;
use latent_oracle::reader::arb_path::parse_segment_path;
use latent_ports::{DiskOp, NodeId, UnixMs};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// Last read or write of each segment, and last boot of each node, in milliseconds since 1970.
#[derive(Debug, Default)]
pub(crate) struct SegmentReads {
    read_ms: BTreeMap<(NodeId, ProjectDay, u64), i64>,
    booted_ms: BTreeMap<NodeId, i64>,
}

impl SegmentReads {
    /// Returns the later of the last read or write of a segment and the boot of its process; `None` if it was neither
    /// read nor written.
    pub fn since_ms(&self, node: NodeId, project_day: ProjectDay, id: u64) -> Option<i64> {
        let read_ms = *self.read_ms.get(&(node, project_day, id))?;
        Some(self.booted_ms.get(&node).map_or(read_ms, |booted_ms| read_ms.max(*booted_ms)))
    }
}

/// Registers the observer and returns what it records.
pub(crate) fn attach(world: &World) -> Arc<Mutex<SegmentReads>> {
    let reads: Arc<Mutex<SegmentReads>> = Arc::default();
    let observer = ReadObserver { start: world.start(), reads: reads.clone() };
    world.observe(Box::new(WithoutMarks(observer)));
    reads
}

struct ReadObserver {
    start: UnixMs,
    reads: Arc<Mutex<SegmentReads>>,
}

impl Observer for ReadObserver {
    fn on_record(&mut self, record: &Record<'_>, _: &World) {
        let at_ms = || (self.start + Duration::from_nanos(record.time_ns)).0;
        match record.event {
            Event::Boot => {
                lock(&self.reads).booted_ms.insert(record.node, at_ms());
            }
            Event::Disk { op: DiskOp::Read, path, offset: 0, outcome: Ok(()), .. }
            | Event::Disk { op: DiskOp::Append, path, outcome: Ok(()), .. } => {
                if let Some((project_day, id)) = parse_segment_path(path) {
                    lock(&self.reads).read_ms.insert((record.node, project_day, id), at_ms());
                }
            }
            // Outputs of a compaction are written under another name.
            Event::Disk { op: DiskOp::Rename, to, outcome: Ok(()), .. } => {
                if let Some((project_day, id)) = parse_segment_path(to) {
                    lock(&self.reads).read_ms.insert((record.node, project_day, id), at_ms());
                }
            }
            _ => {}
        }
    }
}
