//! A plan: everything that a run decides, written down. Two runs of one plan are one run.

use crate::{Scenario, System};
use latent_sim::Fault;
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64_with_seed;

/// All that scenario and seed decide.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Plan<P> {
    /// Seeds the simulator's scheduler: in which order ready tasks run.
    pub scheduler_seed: u64,
    /// Seeds the keyed draws: latencies, which un-synced bytes a crash keeps.
    pub draw_seed: u64,
    /// Every fault: those the scenario names, then those the seed drew.
    pub faults: Vec<Fault>,
    /// The system's own choices.
    pub system: P,
}

/// The seed of a run's keyed draws: for a system whose plan foresees a draw that one of its nodes will make.
#[must_use]
pub fn draw_seed(seed: u64) -> u64 {
    xxh3_64_with_seed(b"draws", seed)
}

/// Expands a scenario and a seed into a plan. A pure function.
///
/// The scheduler's seed and the draws' are separate streams of the one seed, so that shrinking a case can hold one
/// and vary the other.
#[must_use]
pub fn expand<S: System>(scenario: &Scenario<S::Topic>, seed: u64) -> Plan<S::Plan> {
    let system = S::expand(scenario, seed);
    let mut faults = scenario.faults.clone();
    faults.extend(S::faults(&system));
    Plan { scheduler_seed: xxh3_64_with_seed(b"scheduler", seed), draw_seed: draw_seed(seed), faults, system }
}
