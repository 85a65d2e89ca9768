//! A plan: the complete, serialisable record of what a run decides. Two runs of one plan are identical.

use crate::{Scenario, System};
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

/// Expands a scenario and a seed into a plan. A pure function.
///
/// The scheduler's seed and the draw seed are separate streams of the one seed, so that shrinking a case can hold one
/// and vary the other.
#[must_use]
pub fn expand<S: System>(scenario: &Scenario<S::Config>, seed: u64) -> Plan<S::Plan> {
    let system = S::expand(scenario, seed);
    let mut faults = scenario.faults.clone();
    faults.extend(S::faults(&system));
    Plan { scheduler_seed: xxh3_64_with_seed(b"scheduler", seed), draw_seed: draw_seed(seed), faults, system }
}
