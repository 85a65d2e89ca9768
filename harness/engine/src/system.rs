//! What a system must say of itself to be put under the harness.

use crate::explain::Entry;
use crate::{Case, Problem, Reduction, Report, Scenario, Screen};
use latent_sim::{Fault, World};
use latent_verdict::{Facts, Violation};
use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt::Debug;
use std::future::Future;
use std::sync::Arc;

/// A system under test, with its world, its clients and its judge.
///
/// The engine calls, in this order: [`check`](System::check) and [`expand`](System::expand) on what a person
/// wrote; then, in a process of its own, [`run`](System::run); then [`render`](System::render) on what came back.
pub trait System: Sized + 'static {
    /// Name of the system, for headings and the schema's title.
    const NAME: &'static str;
    /// What items belong to, in the singular: `project`. A key in the JSON report's violations.
    const SUBJECT: &'static str;
    /// What the system is trusted with, in the plural: `events`. A key in the JSON report's violations.
    const ITEMS: &'static str;

    /// Nodes that are not part of the system under test, such as its clients: no fault is enumerated at them.
    const OUTSIDE: &'static [&'static str] = &[];

    /// Directories of sources that put the system to the test and are none of it, such as `models/world/`: a panic of
    /// theirs is a mistake of the tool, even in a task of a node.
    const TOOL_SOURCES: &'static [&'static str] = &[];

    /// The system's own fields of a scenario: a struct with `#[serde(deny_unknown_fields)]` whose fields stand at the top
    /// level, next to the engine's. No `#[serde(flatten)]` in it: that would lose the lines of errors.
    type Topic: Serialize + DeserializeOwned + JsonSchema + Clone + Debug;
    /// All that the seed decides, besides faults.
    type Plan: Serialize + DeserializeOwned + Clone + Debug;
    /// The system's own part of a report: a struct whose fields stand at the top level of the JSON report.
    type Findings: Serialize + DeserializeOwned + Debug;

    /// A whole scenario, built from bytes: a seed's, or a fuzzer's. The same bytes always give the same scenario, any
    /// bytes give one that can run, and too few are as good as zeros. `None`: this system has no generator.
    fn generate(_bytes: &[u8]) -> Option<Scenario<Self::Topic>> {
        None
    }

    /// What the system's own words mean: invariants, stages, marks, labels of its lines of a verdict. If any mark is
    /// listed, all must be: scenarios that require or wait for another one are refused.
    fn glossary() -> Vec<Entry> {
        Vec::new()
    }

    /// Puts all of the system under test on a release of this name, from the start to the end of trouble.
    ///
    /// # Errors
    /// No such release; the message names those there are.
    fn on_release(_scenario: &mut Scenario<Self::Topic>, name: &str) -> Result<(), String> {
        Err(format!("no release is called '{name}': {} has none", Self::NAME))
    }

    /// Ways to make a case smaller that the engine cannot know, in the order in which they are to be tried.
    fn reductions() -> Vec<Reduction<Self>> {
        Vec::new()
    }

    /// The case with its items in full in place of the rules that make them, if they are few enough to be read: the same
    /// run to the bit. `None`: they are too many, or stand there in full already.
    fn written_out(_case: &Case<Self>) -> Option<Case<Self>> {
        None
    }

    /// What no single field shows. Empty when the scenario can run.
    fn check(_scenario: &Scenario<Self::Topic>) -> Vec<Problem> {
        Vec::new()
    }

    /// What the scenario asks for, estimated: one that asks for too much is refused before it runs.
    fn cost(_scenario: &Scenario<Self::Topic>) -> Cost {
        Cost::default()
    }

    /// Every choice that the seed decides. Pure.
    fn expand(scenario: &Scenario<Self::Topic>, seed: u64) -> Self::Plan;

    /// Faults that the seed drew, besides those the scenario names. They become part of the plan.
    fn faults(_plan: &Self::Plan) -> Vec<Fault> {
        Vec::new()
    }

    /// The choices in words, one a line, for `-v`.
    fn choices(plan: &Self::Plan) -> Vec<String> {
        vec![serde_json::to_string(plan).unwrap_or_else(|error| format!("plan cannot be written: {error}"))]
    }

    /// Builds the nodes, runs them, lets them heal, and judges. The plan's faults are armed already.
    fn run(
        plan: &Self::Plan,
        scenario: &Scenario<Self::Topic>,
        world: World,
        progress: Progress,
    ) -> impl Future<Output = Judged<Self::Findings>>;

    /// What the verdict line must add to the outcome, in a few words: a clean run whose protection holds nothing.
    fn caveat(_report: &Report<Self::Findings>) -> Option<String> {
        None
    }

    /// The system's lines of the one-screen verdict.
    fn render(report: &Report<Self::Findings>, screen: &mut Screen);
}

/// What a scenario asks for, estimated before it runs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cost {
    /// Work, in items that are handled once.
    pub items: u64,
    /// What a case is expected to hold, in megabytes.
    pub memory_mb: u64,
    /// JSON pointer to the field that contributes most: `/tenants/0/events_per_day`.
    pub pointer: String,
}

/// What a run found.
#[derive(Clone, Debug)]
pub struct Judged<F> {
    /// Items that the system had confirmed, on which the verdict rests. A clean run with 0 of them shows nothing.
    pub items: u64,
    /// Every promise that did not hold.
    pub violations: Vec<Violation>,
    /// What the outcome depends on besides.
    pub facts: Facts,
    /// Who noticed, in order of time.
    pub noticed: Vec<Notice>,
    /// How often marks were reached in worlds of their own that the run forked, such as drills. They count with the run's
    /// own marks, so their names must be others: `drill:recovery.ended`.
    pub marks: BTreeMap<String, u64>,
    /// The system's own part of the report.
    pub findings: F,
}

/// Something inside the world noticed that something was wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notice {
    /// Which detector: `audit`, `backup-check`, `customer`.
    pub by: String,
    /// When, true virtual time in milliseconds since 1970.
    pub at_ms: i64,
    /// What it said.
    pub what: String,
}

/// Lets a long run say what it is doing. Days of virtual time are reported without it.
#[derive(Clone)]
pub struct Progress(pub(crate) Arc<dyn Fn(&str) + Send + Sync>);

impl Progress {
    /// Tells nobody: for tests that run a system without the engine.
    #[must_use]
    pub fn silent() -> Progress {
        Progress(Arc::new(|_| {}))
    }

    /// Names what happens from now on: `healing`, `drill`.
    pub fn phase(&self, name: &str) {
        (self.0)(name);
    }
}

impl Debug for Progress {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Progress")
    }
}
