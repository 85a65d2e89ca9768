//! A plan: the complete, serialisable record of what a run decides. Two runs of one plan are identical.

use latent_sim::Fault;
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64_with_seed;

/// Everything that scenario and seed decide.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Plan<P> {
    /// Seed of the simulator's scheduler, which orders ready tasks.
    pub scheduler_seed: u64,
    /// Seed of the keyed draws: latencies, un-synced bytes that a crash keeps.
    pub draw_seed: u64,
    /// Every fault: the scenario's, then those drawn from the seed.
    pub faults: Vec<Fault>,
    /// The system's own choices.
    pub system: P,
}

/// Returns the seed of a run's keyed draws, for a system whose plan predicts a draw of one of its nodes.
#[must_use]
pub fn draw_seed(seed: u64) -> u64 {
    xxh3_64_with_seed(b"draws", seed)
}
