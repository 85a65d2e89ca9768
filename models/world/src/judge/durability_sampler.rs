//! Samples I7 during a run: when a client receives its answer, the acknowledged events are durable on enough disks.
//!
//! Every answer is checked while the days concerned are small ([`CHECK_ALL_BELOW_BYTES`]). Reading a large day of all
//! disks at every answer would cost more than the run, so of these a sample is checked: one in [`ONE_IN`] answers,
//! drawn by request number, and all answers for some minutes after a boot or a fault. The check reads durable bytes
//! synchronously: no task, no timer, and no draw that is visible elsewhere.
//!
//! A disk reduces the required number if planned faults corrupted its copy of such a day, or may have cost it what it
//! confirmed lately ([`FaultLog::loses_new_writes`]).

use crate::judge::acknowledged::{context, excused_disks};
use crate::judge::disk_views::views_of_days;
use crate::mutex::lock;
use crate::observe::fault_log::FaultLog;
use latent_engine::sim::World;
use latent_engine::verdict::Violation;
use latent_oracle::ledger::EventId;
use latent_oracle::{ClusterSnapshot, DecodeCache, FileView, invariants::i7_durability};
use latent_ports::NodeId;
use std::sync::{Arc, Mutex};

/// Sampling rate: one answer in this many is checked.
const ONE_IN: u64 = 50;
/// Total size of the days of an answer, on all disks, below which it is always checked: about a hundred events.
const CHECK_ALL_BELOW_BYTES: u64 = 256 << 10;
/// Number of checks after which the decode cache drops unused entries.
const CHECKS_PER_CACHE_ROUND: u64 = 64;

/// Durability sampler of one run.
pub(crate) struct DurabilitySampler {
    world: World,
    disks: Vec<NodeId>,
    min_disks: u32,
    fault_log: Arc<Mutex<FaultLog>>,
    decode_cache: DecodeCache,
    checked: u64,
    found: Vec<Violation>,
}

impl DurabilitySampler {
    pub fn new(
        world: World,
        disks: Vec<NodeId>,
        min_disks: u32,
        fault_log: Arc<Mutex<FaultLog>>,
    ) -> DurabilitySampler {
        DurabilitySampler {
            world,
            disks,
            min_disks,
            fault_log,
            decode_cache: DecodeCache::default(),
            checked: 0,
            found: Vec::new(),
        }
    }

    /// Returns the number of checked answers, and moves the violations out.
    pub fn take_results(&mut self) -> (u64, Vec<Violation>) {
        (self.checked, std::mem::take(&mut self.found))
    }

    /// Handles the answer to `request`, which acknowledges these events.
    pub fn acknowledged(&mut self, request: u64, accepted: &[EventId]) {
        let at_ms = self.world.now().0;
        let days = i7_durability::days_of(accepted);
        let views = views_of_days(&self.world, &self.disks, &days, true);
        let len_bytes: u64 = views.iter().flat_map(|view| &view.files).map(FileView::len_bytes).sum();
        let drawn = || self.world.draw("oracle.acks", u128::from(request)).is_multiple_of(ONE_IN);
        let is_fresh = || lock(&self.fault_log).is_recently_disturbed(at_ms);
        if len_bytes >= CHECK_ALL_BELOW_BYTES && !is_fresh() && !drawn() {
            return;
        }
        self.checked += 1;
        if self.checked.is_multiple_of(CHECKS_PER_CACHE_ROUND) {
            self.decode_cache.next_round();
        }
        let durable = ClusterSnapshot::of_days(&mut self.decode_cache, &views, days).read_view(1);
        let excused = excused_disks(&lock(&self.fault_log), &views, at_ms) as u32;
        let min_disks = self.min_disks.saturating_sub(excused);
        self.found.extend(i7_durability::check(accepted, &durable, min_disks, &context(at_ms)));
    }
}
