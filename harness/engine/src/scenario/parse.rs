//! Parsing and validation of a scenario's text.

use super::engine_fields::EngineFields;
use super::schema::{merged, top_level_fields};
use super::spanned_json::SpannedJson;
use super::{Scenario, ScenarioError, ScenarioProblem, Timestamp, bounds, faults, serde_errors};
use crate::print::humanize;
use crate::{Problem, System, explain};
use latent_ports::UnixMs;
use latent_sim::Trigger;
use serde_json::Value;
use std::ops::RangeInclusive;

/// Parses and validates a scenario.
///
/// In this order: valid JSON, known fields, types, bounds of numbers, the engine's rules, the system's rules
/// ([`System::check`]). The first step that finds a problem ends it.
///
/// # Errors
/// The first problem in the text, with its position and how to fix it.
pub fn parse<S: System>(file: &str, text: &str) -> Result<Scenario<S::Config>, ScenarioError> {
    read::<S>(file, text, Some(&merged::<S>()))
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
        let Problem { message, hint } = serde_errors::unknown_among("field", unknown, &known, "the scenario");
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
        expect: head.expect,
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
    let required = scenario.required_marks.iter().enumerate().filter(|(_, mark)| !mark.is_empty());
    let required = required.filter_map(|(index, mark)| {
        let problem = explain::unknown_mark::<S>(mark)?;
        Some(ScenarioProblem::of(format!("/required_marks/{index}"), problem))
    });
    let waited_for = scenario.faults.iter().enumerate().filter_map(|(index, fault)| {
        let Trigger::Mark { name, .. } = &fault.trigger else { return None };
        let problem = explain::unknown_trigger::<S>(name)?;
        Some(ScenarioProblem::of(format!("/faults/{index}/trigger/mark/name"), problem))
    });
    required.chain(waited_for).collect()
}

/// Range of start times, 1990 to 2098, in milliseconds since 1970: outside it, a run would test calendars and the width
/// of time stamps.
const START_RANGE_MS: RangeInclusive<i64> = 631_152_000_000..=4_039_372_800_000;

/// Limit of `run_for`: a typing error should not run for hours.
const MAX_RUN_DAYS: u64 = 366;
