//! Observes the trace: progress of virtual time, and statistics of each node. The observer takes no virtual time and
//! makes no draw, so that a run with it is identical to a run without it.

use crate::report::NodeStats;
use latent_sim::{Event, Observer, Record, WORLD_NODE, World};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// Number of progress messages of a run.
const REPORTS: u64 = 200;

/// Counts shared by the observer in the world and the reporter.
#[derive(Clone)]
pub(super) struct NodeStatsRecorder {
    counts: Arc<Mutex<Vec<NodeStats>>>,
    every_ns: u64,
    on_time: Arc<dyn Fn(u64) + Send + Sync>,
}

impl NodeStatsRecorder {
    /// For a run planned to last `run_for`. `on_time` receives virtual milliseconds.
    pub(super) fn new(run_for: Duration, on_time: Arc<dyn Fn(u64) + Send + Sync>) -> NodeStatsRecorder {
        let run_ns = u64::try_from(run_for.as_nanos()).unwrap_or(u64::MAX);
        NodeStatsRecorder { counts: Arc::default(), every_ns: (run_ns / REPORTS).max(1), on_time }
    }

    pub(super) fn observer(&self) -> Box<dyn Observer> {
        Box::new(NodeStatsObserver { tally: self.clone(), next_ns: 0 })
    }

    /// Returns the statistics of each node. `names` lists all nodes in order of creation, which numbers them from 1.
    pub(super) fn nodes(&self, names: &[String]) -> Vec<NodeStats> {
        let counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let of = |(index, name): (usize, &String)| NodeStats {
            name: name.clone(),
            ..counts.get(index + 1).cloned().unwrap_or_default()
        };
        names.iter().enumerate().map(of).collect()
    }
}

struct NodeStatsObserver {
    tally: NodeStatsRecorder,
    next_ns: u64,
}

impl Observer for NodeStatsObserver {
    fn on_record(&mut self, record: &Record<'_>, _world: &World) {
        if record.time_ns >= self.next_ns {
            self.next_ns = record.time_ns.saturating_add(self.tally.every_ns);
            (self.tally.on_time)(record.time_ns / 1_000_000);
        }
        if record.node == WORLD_NODE {
            return;
        }
        let mut counts = self.tally.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let index = usize::from(record.node.0);
        if index >= counts.len() {
            counts.resize(index + 1, NodeStats::default());
        }
        let node = &mut counts[index];
        match record.event {
            Event::Boot => node.boots += 1,
            Event::Disk { .. } => node.disk_ops += 1,
            Event::Send { .. } | Event::Receive { .. } | Event::Answer { .. } => node.messages += 1,
            Event::Mark { .. } => node.marks += 1,
            _ => {}
        }
    }
}
