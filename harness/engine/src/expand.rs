//! Expansion of a scenario and a seed into a plan.

use crate::plan::{Plan, draw_seed};
use crate::{Scenario, System};
use xxhash_rust::xxh3::xxh3_64_with_seed;

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
