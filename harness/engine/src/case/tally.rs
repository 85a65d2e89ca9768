//! Watches the trace: how far virtual time has come, and how much each node did. An observer: it takes no virtual
//! time and makes no draw, so that a run with it and one without it are the same.

use crate::report::NodeTally;
use latent_sim::{Event, Observer, Record, WORLD_NODE, World};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// How many times a run says how far it is.
const REPORTS: u64 = 200;

/// Counts shared between the observer in the world and whoever reports.
#[derive(Clone)]
pub(super) struct Tally {
    counts: Arc<Mutex<Vec<NodeTally>>>,
    every_ns: u64,
    on_time: Arc<dyn Fn(u64) + Send + Sync>,
}

impl Tally {
    /// For a run planned to last `run_for`. `on_time` hears of virtual milliseconds.
    pub(super) fn new(run_for: Duration, on_time: Arc<dyn Fn(u64) + Send + Sync>) -> Tally {
        let run_ns = u64::try_from(run_for.as_nanos()).unwrap_or(u64::MAX);
        Tally { counts: Arc::default(), every_ns: (run_ns / REPORTS).max(1), on_time }
    }

    pub(super) fn observer(&self) -> Box<dyn Observer> {
        Box::new(Watch { tally: self.clone(), next_ns: 0 })
    }

    /// What each node did so far. `names` are all nodes' in order of creation, which numbers them from 1.
    pub(super) fn nodes(&self, names: &[String]) -> Vec<NodeTally> {
        let counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let of = |(index, name): (usize, &String)| NodeTally {
            name: name.clone(),
            ..counts.get(index + 1).cloned().unwrap_or_default()
        };
        names.iter().enumerate().map(of).collect()
    }
}

struct Watch {
    tally: Tally,
    next_ns: u64,
}

impl Observer for Watch {
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
            counts.resize(index + 1, NodeTally::default());
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
