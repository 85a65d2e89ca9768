//! Trouble: faults drawn from the seed, within a budget.
//!
//! A scenario says which kinds of faults may come and how many a week; each run switches on a random subset of the
//! kinds, since a run with everything on hides one fault behind another. Half of the faults that befall processes
//! strike at an operation or a mark, not at an instant: that is how narrow windows are hit.
//!
//! - `kinds`: what there is. `site`: what one fault does, where, for how long. `budget`: what may be damaged at once.
//!
//! Every draw is keyed by (kind, number of the fault, what is drawn), so a kind that is taken out of a scenario leaves
//! the faults of the others alone.

pub(crate) mod budget;
mod kinds;
mod site;

use crate::scenario::Topic;
use crate::topology::Names;
use latent_engine::sim::{Fault, keyed_draw};
use latent_engine::{Scenario, ScenarioProblem};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use site::Keyed;

pub(crate) use budget::{Budget, REPAIRED_AFTER_MS, damages};
pub(crate) use kinds::Kind;
pub(crate) use site::{Chance, Site};

/// Faults that the seed draws.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Trouble {
    /// Faults a week of all kinds together, least and most.
    #[schemars(transform = crate::scenario::most::<10_000>)]
    pub per_week: (u32, u32),
    /// The kinds that may come; absent: all. Each run switches on about half of them.
    #[serde(default)]
    pub kinds: Option<Vec<Kind>>,
    /// What may be damaged and not yet repaired at once.
    #[serde(default)]
    pub budget: Budget,
}

/// The faults of a run, in the order of their kinds.
pub(crate) fn draw(scenario: &Scenario<Topic>, seed: u64) -> Vec<Fault> {
    let Some(trouble) = &scenario.config.trouble else { return Vec::new() };
    let names = Names::of(&scenario.config);
    let on: Vec<Kind> =
        switched_on(trouble, seed).into_iter().filter(|kind| kind.has_victims(&names)).collect();
    if on.is_empty() {
        return Vec::new();
    }
    let days = scenario.run_for.0.as_secs().div_ceil(86_400);
    let (least, most) = trouble.per_week;
    let scaled = |per_week: u32| i64::from(per_week) * i64::try_from(days).unwrap_or(i64::MAX / 1_000) / 7;
    let count = crate::plan::between(keyed_draw(seed, "trouble.count", 0), scaled(least), scaled(most));
    let mut faults = Vec::new();
    for number in 0..u64::try_from(count).unwrap_or(0) {
        let kind = on[usize::try_from(number % on.len() as u64).unwrap_or(0)];
        let chance = Keyed { seed, kind, number: number / on.len() as u64 };
        let site = Site { scenario, names: &names, kind, chance: &chance };
        add_within(&mut faults, site.fault(), scenario, &trouble.budget);
    }
    faults
}

/// Adds what was drawn, unless it would go beyond the budget: such faults are for a person to write.
pub(crate) fn add_within(
    faults: &mut Vec<Fault>,
    drawn: Vec<Fault>,
    scenario: &Scenario<Topic>,
    budget: &Budget,
) {
    let with = faults.iter().chain(&drawn);
    if budget::exceeded(with, scenario, budget).is_none() {
        faults.extend(drawn);
    }
}

/// The kinds of this run: each with even chances, one at least.
pub(crate) fn switched_on(trouble: &Trouble, seed: u64) -> Vec<Kind> {
    let all: Vec<Kind> = trouble.kinds.clone().unwrap_or_else(|| Kind::ALL.to_vec());
    let chance = |kind: &Kind| keyed_draw(seed, "trouble.kind", *kind as u128);
    let mut on: Vec<Kind> = all.iter().copied().filter(|kind| chance(kind) & 1 == 1).collect();
    if on.is_empty() {
        on.extend(all.iter().copied().min_by_key(chance));
    }
    on
}

/// What no single field shows.
pub(crate) fn check(topic: &Topic) -> Vec<ScenarioProblem> {
    let Some(trouble) = &topic.trouble else { return Vec::new() };
    let mut problems = Vec::new();
    let (least, most) = trouble.per_week;
    if least > most || most > 1_000 {
        let hint = "write the least first, then the most, at most 1000";
        problems.push(ScenarioProblem::at("/trouble/per_week", format!("from {least} to {most}"), hint));
    }
    if trouble.kinds.as_ref().is_some_and(Vec::is_empty) {
        let hint = "name at least one, or leave the field out for all";
        problems.push(ScenarioProblem::at("/trouble/kinds", "no kind of trouble", hint));
    }
    problems
}

#[cfg(test)]
mod tests;
