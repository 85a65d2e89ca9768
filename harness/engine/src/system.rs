//! The trait that a system implements to run under the harness.

use crate::compare::Measure;
use crate::explain::GlossaryEntry;
use crate::scoreboard::PlantedBug;
use crate::variant::{Variant, VariantAxis};
use crate::{Case, Detection, Problem, Reduction, Report, Scenario, ScenarioProblem, Screen};
use latent_sim::{Fault, World};
use latent_verdict::{Expectation, OutcomeFacts, Violation};
use schemars::JsonSchema;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::collections::BTreeMap;
use std::fmt::Debug;
use std::future::Future;
use std::sync::Arc;

/// A system under test, with its world, its clients and its checks.
///
/// The engine calls [`check`](System::check) and [`expand`](System::expand) on the scenario that a person wrote; then,
/// in a separate process, [`run_system`]; then [`render`](System::render) on the result.
pub trait System: Sized + 'static {
    /// Name of the system, for headings and the schema's title.
    const NAME: &'static str;
    /// Noun for the owner of items, in the singular: `project`. A key in the JSON report's violations.
    const SUBJECT: &'static str;
    /// Noun for the items that the system stores, in the plural: `records`. A key in the JSON report's violations.
    const ITEMS: &'static str;

    /// Nodes outside the system under test, such as its clients: no fault is enumerated at them.
    const OUTSIDE: &'static [&'static str] = &[];

    /// Source directories of test code that is not part of the system, such as `models/world/`: a panic there is an
    /// internal error of the tool, even in a task of a node.
    const TOOL_SOURCES: &'static [&'static str] = &[];

    /// Names of the worlds that a run forks. A mark that a fork reaches has its name as a prefix: with the fork
    /// `trial`, a scenario may require `trial:log.opened`.
    const FORKS: &'static [&'static str] = &[];

    /// The system's own fields of a scenario: a struct with `#[serde(deny_unknown_fields)]` whose fields are at the top
    /// level, next to the engine's. It must not use `#[serde(flatten)]`, which loses the lines of errors.
    type Config: Serialize + DeserializeOwned + JsonSchema + Clone + Debug;
    /// The choices that the seed makes, except faults.
    type Plan: Serialize + DeserializeOwned + Clone + Debug;
    /// A run in progress.
    type Run<'a>: SystemRun<Findings = Self::Findings>;
    /// The system's own part of a report: a struct whose fields are at the top level of the JSON report.
    type Findings: Serialize + DeserializeOwned + Debug;

    /// Generators of scenarios: each draws a whole scenario from a seed. The first is the default of `sweep`.
    const GENERATORS: &'static [Generator<Self::Config>] = &[];

    /// Explanations of the system's own terms: invariants, stages, marks, labels of its verdict lines. An entry with the
    /// category and the name of one of the engine's replaces it. If any mark is
    /// listed, all must be: a scenario that requires or waits for an unlisted mark is refused.
    fn glossary() -> Vec<GlossaryEntry> {
        Vec::new()
    }

    /// Noun phrase for a kind of violation of an invariant: `acknowledged records missing`. Screens print it in place of
    /// the fingerprint. `None`: they print the fingerprint.
    fn phrase(_invariant: &str, _kind: &str) -> Option<&'static str> {
        None
    }

    /// Mistakes planted on purpose, each in the release of its name: see [`System::set_release`].
    fn planted_bugs() -> Vec<PlantedBug> {
        Vec::new()
    }

    /// Deploys the release `name` to the whole system under test, from the start to the end of the faults.
    ///
    /// # Errors
    /// The release does not exist; the message lists the releases.
    fn set_release(_scenario: &mut Scenario<Self::Config>, name: &str) -> Result<(), Problem> {
        Err(Problem::new(format!("no release is called '{name}': {} has none", Self::NAME), ""))
    }

    /// Named variants of a part of its scenarios.
    fn variants(_axis: VariantAxis) -> Vec<Variant> {
        Vec::new()
    }

    /// Puts a variant in place of the scenario's own. Returns false if there is none of this name.
    fn set_variant(_scenario: &mut Scenario<Self::Config>, _axis: VariantAxis, _name: &str) -> bool {
        false
    }

    /// The system's own ways to shrink a case, in the order in which they are tried.
    fn reductions() -> Vec<ReductionOf<Self>> {
        Vec::new()
    }

    /// Replaces the rules that generate the case's items by the items themselves, if these are few enough to read. The
    /// run stays identical. `None`: there are too many, or they are listed already.
    fn materialize(_case: &CaseOf<Self>) -> Option<CaseOf<Self>> {
        None
    }

    /// Checks rules that span several fields. Empty when the scenario can run.
    fn check(_scenario: &Scenario<Self::Config>) -> Vec<ScenarioProblem> {
        Vec::new()
    }

    /// Estimates the cost of the scenario: a scenario that exceeds the limit is refused before it runs.
    fn cost(_scenario: &Scenario<Self::Config>) -> CostEstimate {
        CostEstimate::default()
    }

    /// Makes every choice that depends on the seed. A pure function.
    fn expand(scenario: &Scenario<Self::Config>, seed: u64) -> Self::Plan;

    /// Faults drawn from the seed, in addition to those of the scenario. They become part of the plan.
    fn faults(_plan: &Self::Plan) -> Vec<Fault> {
        Vec::new()
    }

    /// Describes the choices, one a line, for `-v`.
    fn choices(plan: &Self::Plan) -> Vec<String> {
        vec![serde_json::to_string(plan).unwrap_or_else(|error| format!("plan cannot be written: {error}"))]
    }

    /// Builds the nodes. The plan's faults are armed already.
    fn start<'a>(
        plan: &'a Self::Plan,
        scenario: &'a Scenario<Self::Config>,
        world: World,
        progress: PhaseReporter,
    ) -> Self::Run<'a>;

    /// What `compare` measures of a case, always the same in the same order.
    fn measures(_report: &Report<Self::Findings>) -> Vec<Measure> {
        Vec::new()
    }

    /// A short caveat for the verdict line, such as a clean run whose protection would restore nothing.
    fn caveat(_report: &Report<Self::Findings>) -> Option<String> {
        None
    }

    /// Adds the system's lines to the verdict screen.
    fn render(report: &Report<Self::Findings>, screen: &mut Screen);
}

/// A run of a system, from its first moment to its verdict.
pub trait SystemRun {
    /// See [`System::Findings`].
    type Findings;

    /// Runs until the scenario ends: clients, deploys, checks on the way. The engine ends all faults afterwards.
    fn execute(&mut self) -> impl Future<Output = ()>;

    /// Runs on without faults until the system has healed, at most for the time that its scenario allows, and checks the
    /// final state. Work that is still pending is [`OutcomeFacts::hung`].
    fn finish(self) -> impl Future<Output = Verdict<Self::Findings>>;
}

/// Runs a system in a world in which the plan's faults are armed: it executes its scenario, the engine ends all faults
/// at the scenario's end, and the system heals and is checked.
pub async fn run_system<S: System>(
    plan: &S::Plan,
    scenario: &Scenario<S::Config>,
    world: World,
    progress: PhaseReporter,
) -> Verdict<S::Findings> {
    let mut run = S::start(plan, scenario, world.clone(), progress);
    run.execute().await;
    if world.now() < scenario.end().0 {
        world.sleep_until(scenario.end().0).await;
    }
    world.end_faults();
    run.finish().await
}

/// A generator: its name stands where the name of a scenario does, as in `generated@7`.
#[derive(Debug)]
pub struct Generator<T> {
    /// Lower-case words joined by hyphens.
    pub name: &'static str,
    /// What it draws, in one sentence.
    pub about: &'static str,
    /// Outcome that every scenario of it expects: the seeds of a sweep have one expectation.
    pub expect: Expectation,
    /// Builds a scenario from bytes: a seed's, or a fuzzer's. The same bytes always give the same scenario, any bytes
    /// give a scenario that can run, and missing bytes count as zeros.
    pub generate: fn(&[u8]) -> Scenario<T>,
}

/// A case of the system `S`.
pub type CaseOf<S> = Case<<S as System>::Config, <S as System>::Plan>;

/// A reduction of cases of the system `S`.
pub type ReductionOf<S> = Reduction<<S as System>::Config, <S as System>::Plan>;

/// Estimated cost of a scenario.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CostEstimate {
    /// Work, in items that are handled once.
    pub items: u64,
    /// Expected memory of a case, in megabytes.
    pub memory_mb: u64,
    /// JSON pointer to the field that contributes most: `/tenants/0/events_per_day`.
    pub pointer: String,
}

/// The result of a run.
#[derive(Clone, Debug)]
pub struct Verdict<F> {
    /// Number of acknowledged items that the verdict rests on. A clean run with 0 of them is vacuous.
    pub items: u64,
    /// Every violated invariant.
    pub violations: Vec<Violation>,
    /// The other inputs of the outcome.
    pub facts: OutcomeFacts,
    /// Detections, in order of time.
    pub detections: Vec<Detection>,
    /// Number of times that each mark was reached in forked worlds. They are added to the run's own marks, so their
    /// names must differ: `fork:log.opened`.
    pub marks: BTreeMap<String, u64>,
    /// The system's own part of the report.
    pub findings: F,
}

/// Reports the phase of a long run. Virtual time is reported without it.
#[derive(Clone)]
pub struct PhaseReporter(pub(crate) Arc<dyn Fn(&str) + Send + Sync>);

impl PhaseReporter {
    /// A reporter that discards phases, for tests that run a system without the engine.
    #[must_use]
    pub fn silent() -> PhaseReporter {
        PhaseReporter(Arc::new(|_| {}))
    }

    /// Sets the current phase: `healing`, `checks`.
    pub fn phase(&self, name: &str) {
        (self.0)(name);
    }
}

impl Debug for PhaseReporter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Progress")
    }
}
