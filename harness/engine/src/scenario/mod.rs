//! A scenario: what a person writes, checked until it can run.
//!
//! One JSON object. Some fields belong to the engine ([`Scenario`]'s own), all others to the system under test
//! ([`crate::System::Topic`]). Both parts refuse fields they do not know. The two are read from the same text, each with
//! the other's fields blanked out, because serde's `flatten` would lose the line of every error.

mod bad;
mod bounds;
mod faults;
mod located;
pub(crate) mod near;
mod said;
mod schema;
mod source;
mod values;

pub use bad::BadScenario;
pub(crate) use faults::fault_at_nobody;
pub(crate) use schema::{merged as merged_schema, top_level_fields};
pub use source::NamedScenario;
pub(crate) use source::{find, parse_target, unplaced, with_seed};
pub use values::{Moment, Span};

use crate::print::words;
use crate::{System, explain};
use latent_ports::UnixMs;
use latent_sim::{Fault, Trigger};
use latent_verdict::Outcome;
use located::Located;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::ops::RangeInclusive;

/// A checked scenario: the engine's part, and the system's.
#[derive(Clone, Debug)]
pub struct Scenario<T> {
    /// Its name, as in `latent run NAME`.
    pub name: String,
    /// What it shows, for `latent scenarios`.
    pub about: String,
    /// The seed of a run that names none.
    pub seed: u64,
    /// When its world begins.
    pub start: Moment,
    /// How long faults and load may last; healing and judging may take virtual time beyond it.
    pub run_for: Span,
    /// The faults that the scenario itself names. Instants are resolved already.
    pub faults: Vec<Fault>,
    /// Marks that a run must reach at least once, or it has shown nothing.
    pub required_marks: Vec<String>,
    /// The outcome that makes a run succeed.
    pub expect: Outcome,
    /// The system's part.
    pub topic: T,
}

impl<T: Serialize> Scenario<T> {
    /// The scenario as a person would write it: JSON that [`parse`] reads back.
    ///
    /// # Panics
    /// If the system's own part does not serialise to an object: a mistake in the system.
    #[must_use]
    pub fn to_text(&self) -> String {
        let written = Written {
            name: &self.name,
            about: &self.about,
            seed: self.seed,
            start: self.start,
            run_for: self.run_for,
            topic: &self.topic,
            faults: self.faults.iter().cloned().map(faults::dated).collect(),
            required_marks: &self.required_marks,
            expect: self.expect.into(),
        };
        let mut text = serde_json::to_string_pretty(&written).expect("a topic is a struct of plain data");
        text.push('\n');
        text
    }
}

/// A scenario's fields in the order in which they are written.
#[derive(Serialize)]
struct Written<'a, T> {
    name: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    about: &'a str,
    seed: u64,
    start: Moment,
    run_for: Span,
    #[serde(flatten)]
    topic: &'a T,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    faults: Vec<Fault>,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    required_marks: &'a [String],
    expect: Expect,
}

impl<T> Scenario<T> {
    /// The end of `run_for`: milliseconds since 1970.
    #[must_use]
    pub fn end(&self) -> Moment {
        Moment(self.start.0 + self.run_for.0)
    }
}

/// Something wrong with a scenario that no single field shows: a reference to nothing, more copies than disks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// JSON pointer to the value to change: `/tenants/3/zone`.
    pub pointer: String,
    /// What is wrong, naming the value.
    pub message: String,
    /// What would be right.
    pub hint: String,
}

impl Problem {
    /// A problem at `pointer`.
    #[must_use]
    pub fn at(pointer: impl Into<String>, message: impl Into<String>, hint: impl Into<String>) -> Problem {
        Problem { pointer: pointer.into(), message: message.into(), hint: hint.into() }
    }
}

/// The engine's fields of a scenario.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Head {
    /// Name of the scenario: lower-case words joined by hyphens.
    name: String,
    /// What the scenario shows, in a sentence.
    #[serde(default)]
    about: String,
    /// The seed of a run that names none: in a case that once failed, the seed that it failed with.
    #[serde(default = "default_seed")]
    #[schemars(range(max = u64::MAX))]
    seed: u64,
    /// When the simulated world begins.
    start: Moment,
    /// How long it runs.
    run_for: Span,
    /// Faults: where and when each strikes, and what it does.
    #[serde(default)]
    faults: Vec<Fault>,
    /// Marks that the run must reach at least once.
    #[serde(default)]
    required_marks: Vec<String>,
    /// The outcome that counts as success.
    #[serde(default)]
    expect: Expect,
}

fn default_seed() -> u64 {
    1
}

/// [`Outcome`] as a scenario writes it.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Expect {
    /// Nothing is violated.
    #[default]
    Clean,
    /// Items are lost; it is noticed in time, and all of them are brought back as they were.
    Recovered,
    /// Items are lost, and all of them can be brought back, but that is not noticed in time, or not done.
    RecoverableButMissing,
    /// Items are lost for good, by more faults than the system promises to survive.
    UnrecoverableByDesign,
    /// Items are lost for good.
    UnrecoverableLoss,
    /// Something that must hold does not, without loss.
    Violated,
    /// The system does not come to rest.
    Hung,
    /// Two runs of the same case differ.
    Nondeterministic,
}

impl From<Expect> for Outcome {
    fn from(expect: Expect) -> Outcome {
        match expect {
            Expect::Clean => Outcome::Clean,
            Expect::Recovered => Outcome::Recovered,
            Expect::RecoverableButMissing => Outcome::RecoverableButMissing,
            Expect::UnrecoverableByDesign => Outcome::UnrecoverableByDesign,
            Expect::UnrecoverableLoss => Outcome::UnrecoverableLoss,
            Expect::Violated => Outcome::Violated,
            Expect::Hung => Outcome::Hung,
            Expect::Nondeterministic => Outcome::Nondeterministic,
        }
    }
}

impl From<Outcome> for Expect {
    fn from(outcome: Outcome) -> Expect {
        match outcome {
            Outcome::Clean => Expect::Clean,
            Outcome::Recovered => Expect::Recovered,
            Outcome::RecoverableButMissing => Expect::RecoverableButMissing,
            Outcome::UnrecoverableByDesign => Expect::UnrecoverableByDesign,
            Outcome::UnrecoverableLoss => Expect::UnrecoverableLoss,
            Outcome::Violated => Expect::Violated,
            Outcome::Hung => Expect::Hung,
            Outcome::Nondeterministic => Expect::Nondeterministic,
        }
    }
}

/// An outcome that is written as scenarios write it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct AsWritten(pub Outcome);

impl Serialize for AsWritten {
    fn serialize<Z: serde::Serializer>(&self, serializer: Z) -> Result<Z::Ok, Z::Error> {
        Expect::from(self.0).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for AsWritten {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<AsWritten, D::Error> {
        Expect::deserialize(deserializer).map(|expect| AsWritten(expect.into()))
    }
}

/// Reads and checks a scenario.
///
/// In this order: is it JSON, does it have only fields that exist, do they have the right types, are the numbers within
/// their bounds, do the engine's fields make sense together, do the system's ([`System::check`]). The first step that finds
/// something ends it.
///
/// # Errors
/// The first problem in the text, with its place and what would be right.
pub fn parse<S: System>(file: &str, text: &str) -> Result<Scenario<S::Topic>, BadScenario> {
    read::<S>(file, text, Some(&merged_schema::<S>()))
}

/// Refuses a scenario that asks for more than `most_items`, at the field that contributes most.
///
/// # Errors
/// It does; with what it asks for and the option that allows it.
pub(crate) fn check_cost<S: System>(
    file: &str,
    text: &str,
    scenario: &Scenario<S::Topic>,
    most_items: u64,
) -> Result<(), BadScenario> {
    let cost = S::cost(scenario);
    if cost.items <= most_items {
        return Ok(());
    }
    let (items, memory_mb) = (words::counted(cost.items, S::ITEMS), words::count(cost.memory_mb));
    let most = words::count(most_items);
    let message = format!(
        "this asks for up to {memory_mb} MB of memory and as much work as {items}; the limit is {most}"
    );
    let hint = format!("ask for fewer, or allow it: --max-items {}", cost.items);
    Err(Located::parse(file, text)?.error_at(&cost.pointer, message, hint))
}

/// Reads and checks a text of which [`parse`] found the bounds kept, or that this program wrote itself. Making the schema
/// for them would take a worker two fifths of its instructions where little happens.
///
/// # Errors
/// As [`parse`] has.
pub(crate) fn parse_again<S: System>(file: &str, text: &str) -> Result<Scenario<S::Topic>, BadScenario> {
    read::<S>(file, text, None)
}

fn read<S: System>(
    file: &str,
    text: &str,
    schema: Option<&Value>,
) -> Result<Scenario<S::Topic>, BadScenario> {
    let located = Located::parse(file, text)?;
    let fields = top_level_fields::<S>();
    if let Some(unknown) =
        located.keys().find(|key| !fields.head.contains(*key) && !fields.topic.contains(*key))
    {
        let known: Vec<&str> = fields.head.iter().chain(&fields.topic).copied().collect();
        let (message, hint) = said::unknown_among("field", unknown, &known, "the scenario");
        return Err(located.error_at_key(unknown, message, hint));
    }
    let head: Head = located.read(|key| fields.head.contains(key), schema)?;
    let topic: S::Topic = located.read(|key| fields.topic.contains(key), schema)?;
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
        topic,
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

/// What must hold of the engine's fields together.
fn check_head<T>(scenario: &Scenario<T>) -> Vec<Problem> {
    let mut problems = Vec::new();
    let name = &scenario.name;
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if name.is_empty() || !name.chars().all(plain) {
        let message = format!("'{name}' cannot name a scenario");
        problems.push(Problem::at("/name", message, "use lower-case letters, digits and hyphens: late-data"));
    }
    if !BEGINS.contains(&scenario.start.0.0) {
        let (first, last) = (Moment(UnixMs(*BEGINS.start())), Moment(UnixMs(*BEGINS.end())));
        let message = format!("no world begins at {}", scenario.start);
        problems.push(Problem::at("/start", message, format!("write an instant from {first} to {last}")));
    }
    if scenario.run_for.0.is_zero() {
        problems.push(Problem::at("/run_for", "a run of no time shows nothing", "write a length such as 5d"));
    }
    if scenario.run_for.0.as_secs() > LONGEST_RUN_DAYS * 86_400 {
        let message = format!("{} is longer than a run may last", scenario.run_for);
        problems.push(Problem::at("/run_for", message, format!("at most {LONGEST_RUN_DAYS}d")));
    }
    for (index, mark) in scenario.required_marks.iter().enumerate() {
        if mark.is_empty() {
            let pointer = format!("/required_marks/{index}");
            problems.push(Problem::at(
                pointer,
                "a mark without a name",
                "write one such as compaction.second-run",
            ));
        }
    }
    problems
}

/// Marks that the system can never reach: a run that requires one can only fail, and a fault that waits for one never
/// strikes.
fn unknown_marks<S: System>(scenario: &Scenario<S::Topic>) -> Vec<Problem> {
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
            Some(Problem::at(pointer, message, hint))
        })
        .collect()
}

/// When a world may begin, from 1990 to 2098, in milliseconds since 1970: further from today, a run tests calendars and the
/// width of time-based numbers.
const BEGINS: RangeInclusive<i64> = 631_152_000_000..=4_039_372_800_000;

/// A typing mistake in `run_for` should not run for hours.
const LONGEST_RUN_DAYS: u64 = 366;

#[cfg(test)]
mod tests;
