//! The system under test in one simulated world, with its clients, its operator and its checker.
//!
//! The modules are layers; each uses only those below it:
//!
//! - `run`: the main task of a run and its results. `shrink`: reductions of failing cases. `glossary`: entries of
//!   `latent explain`.
//! - `judge`: the oracle's checks of a run, and the faults that excuse late work.
//! - `actors`: the people outside the system: customers and operators.
//! - `observe`: records of a run: its faults, its activity, and what clients report.
//! - `cluster`: nodes, links, releases and object stores.
//! - `check`: constraints of a scenario that span several fields, and its cost.
//! - `plan`: every choice that the seed makes.
//! - `scenario`: everything that a person writes.
//! - `mutex`: access to shared state. `marks`: marks of clients, operators and the hostile release.

mod actors;
mod check;
mod cluster;
mod glossary;
mod judge;
pub mod marks;
mod mutex;
mod observe;
#[cfg(test)]
mod operation_tests;
mod plan;
mod run;
mod scenario;
mod shrink;
#[cfg(test)]
mod small_scenario;

pub use plan::generate::{GeneratedScenario, WildScenario, ZONES as GENERATED_ZONES};
pub use plan::{WorldPlan, workload};
pub use run::WorldRun;
pub use run::findings::Findings;
use scenario::CheckSet;
pub use scenario::WorldConfig;

use cluster::node_env::MarkPolicy;
use latent_engine::PlantedBug;
use latent_engine::explain::GlossaryEntry;
use latent_engine::sim::{Fault, World};
use latent_engine::verdict::Expectation;
use latent_engine::{
    CaseOf, CostEstimate, Generator, Measure, PhaseReporter, Problem, ReductionOf, Report, Scenario,
    ScenarioProblem, Screen, System, Variant, VariantAxis,
};
use latent_oracle::violation_kinds::violation_kind;

/// The system under test: edges, ingest, Arb, compaction, backup, audit, recovery.
#[derive(Debug)]
pub struct Latent;

impl System for Latent {
    const NAME: &'static str = "latent";
    const SUBJECT: &'static str = "project";
    const ITEMS: &'static str = "events";
    const OUTSIDE: &'static [&'static str] = &["clients"];
    const FORKS: &'static [&'static str] = &["drill"];
    const TOOL_SOURCES: &'static [&'static str] = &["models/world/", "models/oracle/"];

    const GENERATORS: &'static [Generator<WorldConfig>] = &[
        Generator {
            name: "generated",
            about: "a week that the system survives without a loss",
            expect: Expectation::CLEAN,
            generate: plan::generate::generate,
        },
        Generator {
            name: "wild",
            about: "the same, and trouble beyond every window: days of outage, wrong clocks, a day removed from all disks",
            expect: Expectation::RECOVERED_OR_BETTER,
            generate: plan::generate::generate_wild,
        },
    ];

    type Config = WorldConfig;
    type Plan = WorldPlan;
    type Run<'a> = WorldRun<'a>;
    type Findings = Findings;

    fn check(scenario: &Scenario<WorldConfig>) -> Vec<ScenarioProblem> {
        check::check(scenario)
    }

    fn cost(scenario: &Scenario<WorldConfig>) -> CostEstimate {
        check::cost::estimate(scenario)
    }

    fn expand(scenario: &Scenario<WorldConfig>, seed: u64) -> WorldPlan {
        plan::expand(scenario, seed)
    }

    fn faults(plan: &WorldPlan) -> Vec<Fault> {
        plan.faults.clone()
    }

    fn glossary() -> Vec<GlossaryEntry> {
        glossary::glossary()
    }

    fn phrase(invariant: &str, kind: &str) -> Option<&'static str> {
        violation_kind(invariant, kind).map(|kind| kind.phrase)
    }

    fn planted_bugs() -> Vec<PlantedBug> {
        cluster::releases::planted_bugs()
    }

    fn set_release(scenario: &mut Scenario<WorldConfig>, name: &str) -> Result<(), Problem> {
        cluster::releases::deploy_everywhere(scenario, name)
    }

    fn variants(axis: VariantAxis) -> Vec<Variant> {
        match axis {
            VariantAxis::Checks => CheckSet::variants(),
            VariantAxis::Protection => scenario::protections::variants(),
        }
    }

    fn set_variant(scenario: &mut Scenario<WorldConfig>, axis: VariantAxis, name: &str) -> bool {
        match axis {
            VariantAxis::Checks => {
                let Ok(checks) = name.parse() else { return false };
                scenario.config.checks = checks;
                true
            }
            VariantAxis::Protection => scenario::protections::set(scenario, name),
        }
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

    fn start<'a>(
        plan: &'a WorldPlan,
        scenario: &'a Scenario<WorldConfig>,
        world: World,
        progress: PhaseReporter,
    ) -> WorldRun<'a> {
        WorldRun::new(plan, scenario, world, progress, MarkPolicy::Record)
    }

    fn measures(report: &Report<Findings>) -> Vec<Measure> {
        run::findings::measures(report)
    }

    fn caveat(report: &Report<Findings>) -> Option<String> {
        run::findings::caveat(report)
    }

    fn render(report: &Report<Findings>, screen: &mut Screen) {
        run::findings::render(report, screen);
    }
}
