//! The faults of a scenario: parsing and checking their times. The simulator defines what a fault does, and the system
//! which nodes exist.

use super::source::error_without_position;
use super::spanned_json::SpannedJson;
use super::suggest::suggest;
use super::{Scenario, ScenarioError, ScenarioProblem, Timestamp};
use crate::System;
use latent_sim::{FaultOutcome, Trigger};
use serde_json::Value;

/// Converts each date to milliseconds since 1970, and returns those that are invalid or outside the run.
pub(super) fn resolve<T>(scenario: &mut Scenario<T>) -> Vec<ScenarioProblem> {
    let (start, end) = (scenario.start, scenario.end());
    let mut problems = Vec::new();
    for (index, fault) in scenario.faults.iter_mut().enumerate() {
        let Trigger::At(text) = &fault.trigger else { continue };
        let pointer = format!("/faults/{index}/trigger/at");
        match text.parse::<Timestamp>() {
            Err(problem) => problems.push(ScenarioProblem::of(pointer, problem)),
            Ok(moment) if moment < start || moment > end => {
                let message = format!("a fault at {moment}, which is outside the run");
                problems.push(ScenarioProblem::at(
                    pointer,
                    message,
                    format!("the run lasts from {start} to {end}"),
                ));
            }
            Ok(moment) => fault.trigger = Trigger::AtMs(moment.0.0),
        }
    }
    problems
}

/// Returns an error for the first fault that names a node which the world does not have. Such a fault has no effect,
/// and a run without it is not the requested run. The first `of_case` faults are the case's, the others an option's.
/// This is known only after the run, because the system defines its nodes.
pub(crate) fn fault_at_unknown_node<S: System>(
    file: &str,
    text: &str,
    outcomes: &[FaultOutcome],
    of_case: usize,
    nodes: &[String],
) -> Option<ScenarioError> {
    let (index, outcome) =
        outcomes.iter().enumerate().find(|(_, outcome)| !outcome.unknown_nodes.is_empty())?;
    let unknown = &outcome.unknown_nodes[0];
    let message = format!("a fault at node '{unknown}', which {} does not have", S::NAME);
    let known: Vec<&str> = nodes.iter().map(String::as_str).collect();
    let nearest =
        suggest(unknown, known.iter().copied()).first().map(|name| format!("did you mean '{name}'? "));
    let hint = format!("{}nodes: {}", nearest.unwrap_or_default(), known.join(", "));
    if index >= of_case {
        // The fault comes from an option, not from a file.
        return Some(error_without_position("--inject", message, hint));
    }
    let fault = serde_json::to_value(&outcome.fault).unwrap_or_default();
    let place = pointer_to(&fault, unknown).unwrap_or_default();
    let located = SpannedJson::parse(file, text).ok()?;
    Some(located.error_at(&format!("/faults/{index}{place}"), message, hint))
}

/// Returns the JSON pointer from `value` to the first nested text that equals `text`.
fn pointer_to(value: &Value, text: &str) -> Option<String> {
    match value {
        Value::String(found) if found == text => Some(String::new()),
        Value::Object(fields) => fields
            .iter()
            .find_map(|(name, inside)| pointer_to(inside, text).map(|rest| format!("/{name}{rest}"))),
        _ => None,
    }
}
