//! The nemesis of the pipeline: what faults can strike, and how much damage at a time.
//!
//! - `pipeline_targets`: roles, paths, marks and jobs of the pipeline. `fault_budget`: the maximum damage at a time.

pub(crate) mod fault_budget;
mod pipeline_targets;
#[cfg(test)]
mod tests;

use crate::scenario::WorldConfig;
use fault_budget::budget;
use latent_engine::Scenario;
use latent_engine::sim::Fault;
use latent_nemesis::{FaultKind, Profile};

pub(crate) use pipeline_targets::PipelineTargets;

/// Draws the faults of a run, if the scenario has a nemesis.
pub(crate) fn draw(scenario: &Scenario<WorldConfig>, seed: u64) -> Vec<Fault> {
    let Some(nemesis) = &scenario.config.nemesis else { return Vec::new() };
    let kinds = nemesis.kinds.clone().unwrap_or_else(|| FaultKind::ALL.to_vec());
    let profile = Profile::per_week(nemesis.per_week, scenario.run_for.0.as_secs().div_ceil(86_400), kinds);
    latent_nemesis::draw(&PipelineTargets::new(scenario), &profile, &budget(scenario, &nemesis.budget), seed)
}
