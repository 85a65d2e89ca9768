//! The nemesis: draws faults from the seed, within a fault budget.
//!
//! A scenario names the kinds of faults and their number per week. Each run enables a random subset of the kinds,
//! because in a run with all kinds one fault hides another. Half of the faults are triggered by an operation or a mark
//! instead of a time, which reaches narrow windows, and a third of them are followed by a second one.
//!
//! - `fault_kinds`: the time and targets that each kind needs. `fault_sampler`: target and size of one fault;
//!   `triggers`: when it strikes; `follow_up`: the second fault of a pair. `fault_budget`: the maximum damage at a time.
//!
//! Every draw is keyed by (kind, number of the fault, drawn part). Removing a kind from a scenario therefore does not
//! change the faults of the other kinds.

pub(crate) mod fault_budget;
mod fault_kinds;
mod fault_sampler;
mod follow_up;
mod triggers;

use crate::plan::draws::between;
use crate::scenario::{FaultBudget, FaultKind, NemesisConfig, NodeNames, WorldConfig};
use fault_sampler::KeyedRandomSource;
use latent_engine::Scenario;
use latent_engine::sim::{Fault, keyed_draw};

pub(crate) use fault_budget::{REPAIRED_AFTER_MS, damages};
pub(crate) use fault_sampler::{FaultSampler, RandomSource};

/// Draws the faults of a run.
pub(crate) fn draw(scenario: &Scenario<WorldConfig>, seed: u64) -> Vec<Fault> {
    let Some(nemesis) = &scenario.config.nemesis else { return Vec::new() };
    let names = NodeNames::new(&scenario.config);
    let enabled: Vec<FaultKind> =
        enabled_kinds(nemesis, seed).into_iter().filter(|kind| kind.has_targets(&names)).collect();
    if enabled.is_empty() {
        return Vec::new();
    }
    let days = scenario.run_for.0.as_secs().div_ceil(86_400);
    let (min, max) = nemesis.per_week;
    let scaled = |per_week: u32| i64::from(per_week) * i64::try_from(days).unwrap_or(i64::MAX / 1_000) / 7;
    let count = between(keyed_draw(seed, "trouble.count", 0), scaled(min), scaled(max));
    let mut faults = Vec::new();
    for number in 0..u64::try_from(count).unwrap_or(0) {
        let kind = enabled[usize::try_from(number % enabled.len() as u64).unwrap_or(0)];
        let random = KeyedRandomSource { seed, kind, number: number / enabled.len() as u64 };
        let sampler = FaultSampler { scenario, names: &names, kind, random: &random };
        add_within_budget(&mut faults, sampler.fault(), scenario, &nemesis.budget);
    }
    faults
}

/// Adds the drawn faults unless they exceed the budget: only a scenario's author exceeds it on purpose.
pub(crate) fn add_within_budget(
    faults: &mut Vec<Fault>,
    drawn: Vec<Fault>,
    scenario: &Scenario<WorldConfig>,
    budget: &FaultBudget,
) {
    let with = faults.iter().chain(&drawn);
    if fault_budget::exceeded(with, scenario, budget).is_none() {
        faults.extend(drawn);
    }
}

/// Returns the kinds that this run enables: each with a probability of one half, at least one.
pub(crate) fn enabled_kinds(nemesis: &NemesisConfig, seed: u64) -> Vec<FaultKind> {
    let all: Vec<FaultKind> = nemesis.kinds.clone().unwrap_or_else(|| FaultKind::ALL.to_vec());
    let random = |kind: &FaultKind| keyed_draw(seed, "trouble.kind", *kind as u128);
    let mut enabled: Vec<FaultKind> = all.iter().copied().filter(|kind| random(kind) & 1 == 1).collect();
    if enabled.is_empty() {
        enabled.extend(all.iter().copied().min_by_key(random));
    }
    enabled
}

#[cfg(test)]
mod tests;
