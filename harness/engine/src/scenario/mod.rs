//! Scenarios: parsing and validation.
//!
//! A scenario is one JSON object. Some fields belong to the engine ([`Scenario`]'s own), all others to the system under
//! test ([`crate::System::Config`]). Both parts refuse unknown fields. The two are read from the same text, each with
//! the other's fields blanked out, because serde's `flatten` would lose the line of every error.

mod bounds;
mod diagnostic;
mod faults;
mod schema;
mod serde_errors;
mod source;
mod spanned_json;
pub(crate) mod suggest;
mod values;

pub use diagnostic::ScenarioError;
pub(crate) use faults::fault_at_unknown_node;
pub(crate) use schema::{merged as merged_schema, top_level_fields};
pub use source::NamedScenario;
pub(crate) use source::{error_without_position, find, parse_target, with_seed};
pub use values::{Span, Timestamp};

use crate::print::humanize;
use crate::{System, explain};
use latent_ports::UnixMs;
use latent_sim::{Fault, Trigger};
use latent_verdict::Outcome;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use spanned_json::SpannedJson;
use std::ops::RangeInclusive;

/// A validated scenario: the engine's part, and the system's.
#[derive(Clone, Debug)]
pub struct Scenario<T> {
    /// Its name, as in `latent run NAME`.
    pub name: String,
    /// Its description, for `latent scenarios`.
    pub about: String,
    /// Default seed.
    pub seed: u64,
    /// Start of the world.
    pub start: Timestamp,
    /// Length of the run with faults and load; healing and checking may take virtual time beyond it.
    pub run_for: Span,
    /// The scenario's own faults. Dates are converted already.
    pub faults: Vec<Fault>,
    /// Marks that a run must reach at least once, or it is vacuous.
    pub required_marks: Vec<String>,
    /// The outcome that makes a run succeed.
    pub expect: Outcome,
    /// The system's part.
    pub config: T,
}

impl<T: Serialize> Scenario<T> {
    /// Returns the scenario as JSON that [`parse`] reads back.
    ///
    /// # Panics
    /// If the system's own part does not serialise to an object: a bug in the system.
    #[must_use]
    pub fn to_text(&self) -> String {
        let written = ScenarioDocument {
            name: &self.name,
            about: &self.about,
            seed: self.seed,
            start: self.start,
            run_for: self.run_for,
            config: &self.config,
            faults: self.faults.iter().cloned().map(faults::dated).collect(),
            required_marks: &self.required_marks,
            expect: self.expect.into(),
        };
        let mut text = serde_json::to_string_pretty(&written).expect("a topic is a struct of plain data");
        text.push('\n');
        text
    }
}

/// The fields of a scenario file, in order.
#[derive(Serialize)]
struct ScenarioDocument<'a, T> {
    name: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    about: &'a str,
    seed: u64,
    start: Timestamp,
    run_for: Span,
    #[serde(flatten)]
    config: &'a T,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    faults: Vec<Fault>,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    required_marks: &'a [String],
    expect: ExpectedOutcome,
}

impl<T> Scenario<T> {
    /// End of `run_for`, milliseconds since 1970.
    #[must_use]
    pub fn end(&self) -> Timestamp {
        Timestamp(self.start.0 + self.run_for.0)
    }
}

/// A violated rule that spans several fields: a dangling reference, more copies than disks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScenarioProblem {
    /// JSON pointer to the value to change: `/tenants/3/zone`.
    pub pointer: String,
    /// Description of the problem, with the value.
    pub message: String,
    /// How to fix it.
    pub hint: String,
}

impl ScenarioProblem {
    /// Creates a problem at `pointer`.
    #[must_use]
    pub fn at(
        pointer: impl Into<String>,
        message: impl Into<String>,
        hint: impl Into<String>,
    ) -> ScenarioProblem {
        ScenarioProblem { pointer: pointer.into(), message: message.into(), hint: hint.into() }
    }
}

/// The engine's fields of a scenario.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct EngineFields {
    /// Name of the scenario: lower-case words joined by hyphens.
    name: String,
    /// Description of the scenario, in a sentence.
    #[serde(default)]
    about: String,
    /// Default seed: in a case that once failed, the failing seed.
    #[serde(default = "default_seed")]
    #[schemars(range(max = u64::MAX))]
    seed: u64,
    /// Start of the simulated world.
    start: Timestamp,
    /// Length of the run.
    run_for: Span,
    /// Faults: where and when each is injected, and what it does.
    #[serde(default)]
    faults: Vec<Fault>,
    /// Marks that the run must reach at least once.
    #[serde(default)]
    required_marks: Vec<String>,
    /// The outcome that counts as success.
    #[serde(default)]
    expect: ExpectedOutcome,
}

fn default_seed() -> u64 {
    1
}

/// [`Outcome`] as written in a scenario.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(rename = "Expect")]
pub(crate) enum ExpectedOutcome {
    /// No invariant is violated.
    #[default]
    Clean,
    /// Items are lost; the loss is detected in time, and all items are restored unchanged.
    Recovered,
    /// Items are lost and can be restored, but the loss is not detected in time, or they are not restored.
    RecoverableButMissing,
    /// Items are lost permanently, by more faults than the system promises to survive.
    UnrecoverableByDesign,
    /// Items are lost permanently.
    UnrecoverableLoss,
    /// An invariant is violated without loss.
    Violated,
    /// The system does not finish its work.
    Hung,
    /// Two runs of the same case differ.
    Nondeterministic,
}

impl From<ExpectedOutcome> for Outcome {
    fn from(expect: ExpectedOutcome) -> Outcome {
        match expect {
            ExpectedOutcome::Clean => Outcome::Clean,
            ExpectedOutcome::Recovered => Outcome::Recovered,
            ExpectedOutcome::RecoverableButMissing => Outcome::RecoverableButMissing,
            ExpectedOutcome::UnrecoverableByDesign => Outcome::UnrecoverableByDesign,
            ExpectedOutcome::UnrecoverableLoss => Outcome::UnrecoverableLoss,
            ExpectedOutcome::Violated => Outcome::Violated,
            ExpectedOutcome::Hung => Outcome::Hung,
            ExpectedOutcome::Nondeterministic => Outcome::Nondeterministic,
        }
    }
}

impl From<Outcome> for ExpectedOutcome {
    fn from(outcome: Outcome) -> ExpectedOutcome {
        match outcome {
            Outcome::Clean => ExpectedOutcome::Clean,
            Outcome::Recovered => ExpectedOutcome::Recovered,
            Outcome::RecoverableButMissing => ExpectedOutcome::RecoverableButMissing,
            Outcome::UnrecoverableByDesign => ExpectedOutcome::UnrecoverableByDesign,
            Outcome::UnrecoverableLoss => ExpectedOutcome::UnrecoverableLoss,
            Outcome::Violated => ExpectedOutcome::Violated,
            Outcome::Hung => ExpectedOutcome::Hung,
            Outcome::Nondeterministic => ExpectedOutcome::Nondeterministic,
        }
    }
}

/// An outcome, serialised as in a scenario.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SerializedOutcome(pub Outcome);

impl Serialize for SerializedOutcome {
    fn serialize<Z: serde::Serializer>(&self, serializer: Z) -> Result<Z::Ok, Z::Error> {
        ExpectedOutcome::from(self.0).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for SerializedOutcome {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<SerializedOutcome, D::Error> {
        ExpectedOutcome::deserialize(deserializer).map(|expect| SerializedOutcome(expect.into()))
    }
}

/// Parses and validates a scenario.
///
/// In this order: valid JSON, known fields, types, bounds of numbers, the engine's rules, the system's rules
/// ([`System::check`]). The first step that finds a problem ends it.
///
/// # Errors
/// The first problem in the text, with its position and how to fix it.
pub fn parse<S: System>(file: &str, text: &str) -> Result<Scenario<S::Config>, ScenarioError> {
    read::<S>(file, text, Some(&merged_schema::<S>()))
}

/// Refuses a scenario with more than `max_items`, at the field that contributes most.
///
/// # Errors
/// The scenario exceeds the limit; the message has its cost and the option that allows it.
pub(crate) fn check_cost<S: System>(
    file: &str,
    text: &str,
    scenario: &Scenario<S::Config>,
    max_items: u64,
) -> Result<(), ScenarioError> {
    let cost = S::cost(scenario);
    if cost.items <= max_items {
        return Ok(());
    }
    let (items, memory_mb) = (humanize::counted(cost.items, S::ITEMS), humanize::count(cost.memory_mb));
    let most = humanize::count(max_items);
    let message = format!(
        "this asks for up to {memory_mb} MB of memory and as much work as {items}; the limit is {most}"
    );
    let hint = format!("ask for fewer, or allow it: --max-items {}", cost.items);
    Err(SpannedJson::parse(file, text)?.error_at(&cost.pointer, message, hint))
}

/// Parses a text that [`parse`] has validated, or that this program wrote itself. Building the schema to check bounds
/// would take two fifths of a worker's instructions in a small case.
///
/// # Errors
/// As [`parse`].
pub(crate) fn parse_trusted<S: System>(file: &str, text: &str) -> Result<Scenario<S::Config>, ScenarioError> {
    read::<S>(file, text, None)
}

fn read<S: System>(
    file: &str,
    text: &str,
    schema: Option<&Value>,
) -> Result<Scenario<S::Config>, ScenarioError> {
    let located = SpannedJson::parse(file, text)?;
    let fields = top_level_fields::<S>();
    if let Some(unknown) =
        located.keys().find(|key| !fields.head.contains(*key) && !fields.config.contains(*key))
    {
        let known: Vec<&str> = fields.head.iter().chain(&fields.config).copied().collect();
        let (message, hint) = serde_errors::unknown_among("field", unknown, &known, "the scenario");
        return Err(located.error_at_key(unknown, message, hint));
    }
    let head: EngineFields = located.read(|key| fields.head.contains(key), schema)?;
    let config: S::Config = located.read(|key| fields.config.contains(key), schema)?;
    if let Some(outside) = schema.and_then(|schema| bounds::first_outside(schema, located.plain())) {
        let message = format!("{} cannot be {}", outside.pointer, outside.found);
        return Err(located.error_at(&outside.pointer, message, outside.hint));
    }
    let mut scenario = Scenario {
        name: head.name,
        about: head.about,
        seed: head.seed,
        start: head.start,
        run_for: head.run_for,
        faults: head.faults,
        required_marks: head.required_marks,
        expect: head.expect.into(),
        config,
    };
    let mut problems = check_head(&scenario);
    problems.extend(unknown_marks::<S>(&scenario));
    problems.extend(faults::resolve(&mut scenario));
    if problems.is_empty() {
        problems = S::check(&scenario);
    }
    match problems.iter().min_by_key(|problem| located.offset_at(&problem.pointer)) {
        None => Ok(scenario),
        Some(first) => {
            let mut bad = located.error_at(&first.pointer, first.message.clone(), first.hint.clone());
            bad.more = problems.len() - 1;
            Err(bad)
        }
    }
}

/// Checks the engine's rules that span several fields.
fn check_head<T>(scenario: &Scenario<T>) -> Vec<ScenarioProblem> {
    let mut problems = Vec::new();
    let name = &scenario.name;
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if name.is_empty() || !name.chars().all(plain) {
        let message = format!("'{name}' cannot name a scenario");
        problems.push(ScenarioProblem::at(
            "/name",
            message,
            "use lower-case letters, digits and hyphens: late-data",
        ));
    }
    if !START_RANGE_MS.contains(&scenario.start.0.0) {
        let (first, last) =
            (Timestamp(UnixMs(*START_RANGE_MS.start())), Timestamp(UnixMs(*START_RANGE_MS.end())));
        let message = format!("a world cannot begin at {}", scenario.start);
        problems.push(ScenarioProblem::at(
            "/start",
            message,
            format!("write an instant from {first} to {last}"),
        ));
    }
    if scenario.run_for.0.is_zero() {
        problems.push(ScenarioProblem::at("/run_for", "the run is empty", "write a duration such as 5d"));
    }
    if scenario.run_for.0.as_secs() > MAX_RUN_DAYS * 86_400 {
        let message = format!("{} is longer than a run may last", scenario.run_for);
        problems.push(ScenarioProblem::at("/run_for", message, format!("at most {MAX_RUN_DAYS}d")));
    }
    for (index, mark) in scenario.required_marks.iter().enumerate() {
        if mark.is_empty() {
            let pointer = format!("/required_marks/{index}");
            problems.push(ScenarioProblem::at(
                pointer,
                "a mark without a name",
                "write one such as compaction.second-run",
            ));
        }
    }
    problems
}

/// Returns marks that the system does not have: a run that requires one always fails, and a fault that waits for one is
/// never triggered.
fn unknown_marks<S: System>(scenario: &Scenario<S::Config>) -> Vec<ScenarioProblem> {
    let required = scenario.required_marks.iter().enumerate();
    let required = required.map(|(index, mark)| (format!("/required_marks/{index}"), mark));
    let of_faults = scenario.faults.iter().enumerate().filter_map(|(index, fault)| match &fault.trigger {
        Trigger::Mark { name, .. } => Some((format!("/faults/{index}/anchor/mark/name"), name)),
        _ => None,
    });
    let named = required.chain(of_faults).filter(|(_, mark)| !mark.is_empty());
    named
        .filter_map(|(pointer, mark)| {
            let (message, hint) = explain::unknown_mark::<S>(mark)?;
            Some(ScenarioProblem::at(pointer, message, hint))
        })
        .collect()
}

/// Range of start times, 1990 to 2098, in milliseconds since 1970: outside it, a run would test calendars and the width
/// of time stamps.
const START_RANGE_MS: RangeInclusive<i64> = 631_152_000_000..=4_039_372_800_000;

/// Limit of `run_for`: a typing error should not run for hours.
const MAX_RUN_DAYS: u64 = 366;

#[cfg(test)]
mod tests;
