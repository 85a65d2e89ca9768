//! The system under test in one simulated world, with its clients, its operator and its checker.
//!
//! - `scenario`: the scenario's configuration. `plan`: every choice that the seed makes.
//! - `topology`: nodes, links and releases. `credentials`: permissions by role. `workload`: the request streams of
//!   clients.
//! - `clients`, `operator`: the people outside the system. `operations`: planned operator actions, mistakes included.
//! - `store_faults`: faults of calls to object stores. `load`: bursts, offline devices, retry storms and wrong
//!   clocks. `nemesis`: faults that the seed draws.
//! - `fault_log`: faults, boots and recoveries as observed in the trace. `durability_sampler`: durability checks at
//!   acknowledgements.
//! - `job_dependencies`, `excuses`: the times at which faults kept a job from working. `checker`: the oracle's checks
//!   during a run. `liveness`: backlogs that remain after healing. `drill`: recovery on copies of disks.
//! - `glossary`: entries of `latent explain`. `generate`: whole scenarios from bytes. `releases`: the option
//!   `--release`. `shrink`: reductions of failing cases.
//! - `run`: the main task of a run. `findings`: the results that a run reports.

mod checker;
mod clients;
mod cost;
mod credentials;
#[cfg(test)]
mod deploy_tests;
mod diff;
mod drill;
mod drill_schedule;
mod durability_sampler;
mod excuses;
mod fault_log;
mod findings;
mod generate;
mod glossary;
mod job_dependencies;
mod liveness;
mod load;
#[cfg(test)]
mod local_day_tests;
mod nemesis;
mod operations;
mod operator;
mod plan;
mod releases;
mod run;
mod scenario;
mod shrink;
#[cfg(test)]
mod small_scenario;
mod store_faults;
#[cfg(test)]
mod test_run;
mod topology;
pub mod workload;

pub use findings::Findings;
pub use generate::ZONES as GENERATED_ZONES;
pub use plan::WorldPlan;
pub use scenario::WorldConfig;

use latent_engine::explain::GlossaryEntry;
use latent_engine::sim::{Fault, World};
use latent_engine::{
    CaseOf, CostEstimate, PhaseReporter, Problem, ReductionOf, Report, Scenario, ScenarioProblem, Screen,
    System, Verdict,
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

    type Config = WorldConfig;
    type Plan = WorldPlan;
    type Findings = Findings;

    fn check(scenario: &Scenario<WorldConfig>) -> Vec<ScenarioProblem> {
        scenario::check(scenario)
    }

    fn cost(scenario: &Scenario<WorldConfig>) -> CostEstimate {
        cost::estimate(scenario)
    }

    fn expand(scenario: &Scenario<WorldConfig>, seed: u64) -> WorldPlan {
        plan::expand(scenario, seed)
    }

    fn faults(plan: &WorldPlan) -> Vec<Fault> {
        plan.faults.clone()
    }

    fn generate(bytes: &[u8]) -> Option<Scenario<WorldConfig>> {
        Some(generate::generate(bytes))
    }

    fn glossary() -> Vec<GlossaryEntry> {
        glossary::glossary()
    }

    fn set_release(scenario: &mut Scenario<WorldConfig>, name: &str) -> Result<(), Problem> {
        releases::deploy_everywhere(scenario, name)
    }

    fn reductions() -> Vec<ReductionOf<Latent>> {
        shrink::reductions()
    }

    fn materialize(case: &CaseOf<Latent>) -> Option<CaseOf<Latent>> {
        shrink::materialize(case)
    }

    fn choices(plan: &WorldPlan) -> Vec<String> {
        plan.describe()
    }

    async fn run(
        plan: &WorldPlan,
        scenario: &Scenario<WorldConfig>,
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

/// Locks a mutex and ignores poisoning: a poisoned lock belongs to a run that already fails with a panic, and its
/// data is the best available.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
