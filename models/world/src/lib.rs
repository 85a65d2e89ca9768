//! The whole system in one simulated world, with its clients, its operator and its judge.
//!
//! - `scenario`: what a person writes. `plan`: what a seed decides of it.
//! - `topology`: nodes, links, releases; `credentials`: who may do what. `workload`: what clients send.
//! - `clients`, `operator`: the people outside. `operations`: what operators are to do, mistakes included.
//! - `store_faults`: what befalls calls to object stores. `load`: clients that send too much, late, or again.
//! - `chronicle`: what the world did to the system. `acks`: looks at what is acknowledged, when it is.
//! - `needs`, `excuses`: when faults kept a job from working. `judge`: the oracle's looks; `settled`: what still waits after healing. `drill`: recovery on copies.
//! - `glossary`: what the words mean. `generate`: whole scenarios from bytes. `releases`: another release. `smaller`: what makes a case smaller.
//! - `run`: the course of a run. `findings`: what it reports.

mod acks;
mod chronicle;
mod clients;
mod cost;
mod credentials;
#[cfg(test)]
mod deploys;
mod diff;
mod drill;
mod excuses;
mod findings;
mod generate;
mod glossary;
mod instants;
mod judge;
mod load;
mod needs;
#[cfg(test)]
mod nights;
mod operations;
mod operator;
mod plan;
mod releases;
mod run;
mod scenario;
mod settled;
mod smaller;
mod store_faults;
#[cfg(test)]
mod testing;
mod topology;
#[cfg(test)]
mod trial;
mod trouble;
pub mod workload;

pub use findings::Findings;
pub use generate::ZONES as GENERATED_ZONES;
pub use plan::WorldPlan;
pub use scenario::Topic;

use latent_engine::explain::GlossaryEntry;
use latent_engine::sim::{Fault, World};
use latent_engine::{
    Case, CostEstimate, PhaseReporter, Reduction, Report, Scenario, ScenarioProblem, Screen, System, Verdict,
};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The system under test: edges, ingest, Arb, compaction, backup, audit, recovery.
#[derive(Debug)]
pub struct Latent;

impl System for Latent {
    const NAME: &'static str = "latent";
    const SUBJECT: &'static str = "project";
    const ITEMS: &'static str = "events";
    const OUTSIDE: &'static [&'static str] = &["clients"];
    const TOOL_SOURCES: &'static [&'static str] = &["models/world/", "models/oracle/"];

    type Config = Topic;
    type Plan = WorldPlan;
    type Findings = Findings;

    fn check(scenario: &Scenario<Topic>) -> Vec<ScenarioProblem> {
        scenario::check(scenario)
    }

    fn cost(scenario: &Scenario<Topic>) -> CostEstimate {
        cost::of(scenario)
    }

    fn expand(scenario: &Scenario<Topic>, seed: u64) -> WorldPlan {
        plan::expand(scenario, seed)
    }

    fn faults(plan: &WorldPlan) -> Vec<Fault> {
        plan.faults.clone()
    }

    fn generate(bytes: &[u8]) -> Option<Scenario<Topic>> {
        Some(generate::generate(bytes))
    }

    fn glossary() -> Vec<GlossaryEntry> {
        glossary::glossary()
    }

    fn set_release(scenario: &mut Scenario<Topic>, name: &str) -> Result<(), String> {
        releases::put_on(scenario, name)
    }

    fn reductions() -> Vec<Reduction<Latent>> {
        smaller::reductions()
    }

    fn materialize(case: &Case<Latent>) -> Option<Case<Latent>> {
        smaller::materialize(case)
    }

    fn choices(plan: &WorldPlan) -> Vec<String> {
        plan.in_words()
    }

    async fn run(
        plan: &WorldPlan,
        scenario: &Scenario<Topic>,
        world: World,
        progress: PhaseReporter,
    ) -> Verdict<Findings> {
        run::run(plan, scenario, world, progress).await
    }

    fn caveat(report: &Report<Findings>) -> Option<String> {
        findings::caveat(report)
    }

    fn render(report: &Report<Findings>, screen: &mut Screen) {
        findings::render(report, screen);
    }
}

/// A poisoned lock belongs to a run that is failing with a panic already: its data is still the best there is.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
