//! The faults of a scenario: their instants read and checked. What a fault does is the simulator's business, and
//! which nodes exist is the system's.

use super::located::Located;
use super::near::near;
use super::source::unplaced;
use super::{BadScenario, Moment, Problem, Scenario};
use crate::System;
use latent_ports::UnixMs;
use latent_sim::{Fault, FaultOutcome, Trigger};
use serde_json::Value;

/// Turns each instant that was written as a date into milliseconds since 1970, and returns those that cannot be:
/// no date, or outside the run.
pub(super) fn resolve<T>(scenario: &mut Scenario<T>) -> Vec<Problem> {
    let (start, end) = (scenario.start, scenario.end());
    let mut problems = Vec::new();
    for (index, fault) in scenario.faults.iter_mut().enumerate() {
        let Trigger::At(text) = &fault.trigger else { continue };
        let pointer = format!("/faults/{index}/anchor/at");
        match text.parse::<Moment>() {
            Err(said) => {
                let (message, hint) = said.split_once('\n').unwrap_or((&said, ""));
                problems.push(Problem::at(pointer, message, hint));
            }
            Ok(moment) if moment < start || moment > end => {
                let message = format!("a fault at {moment}, which is outside the run");
                problems.push(Problem::at(pointer, message, format!("the run lasts from {start} to {end}")));
            }
            Ok(moment) => fault.trigger = Trigger::AtMs(moment.0.0),
        }
    }
    problems
}

/// A fault whose instant is written as a date.
pub(super) fn dated(mut fault: Fault) -> Fault {
    if let Trigger::AtMs(at_ms) = fault.trigger {
        fault.trigger = Trigger::At(Moment(UnixMs(at_ms)).to_string());
    }
    fault
}

/// The first fault that named a node which its world never had. Such a fault did nothing, and a run without it is
/// not the run that was asked for. The first `of_case` faults are the case's, the others an option's. Known only once the world has run: the system alone knows its nodes.
pub(crate) fn fault_at_nobody<S: System>(
    file: &str,
    text: &str,
    outcomes: &[FaultOutcome],
    of_case: usize,
    nodes: &[String],
) -> Option<BadScenario> {
    let (index, outcome) =
        outcomes.iter().enumerate().find(|(_, outcome)| !outcome.unknown_nodes.is_empty())?;
    let unknown = &outcome.unknown_nodes[0];
    let message = format!("a fault at node '{unknown}', which {} does not have", S::NAME);
    let known: Vec<&str> = nodes.iter().map(String::as_str).collect();
    let nearest = near(unknown, known.iter().copied()).first().map(|name| format!("did you mean '{name}'? "));
    let hint = format!("{}nodes: {}", nearest.unwrap_or_default(), known.join(", "));
    if index >= of_case {
        // An option asked for it: it stands in no file.
        return Some(unplaced("--strike", message, hint));
    }
    let fault = serde_json::to_value(&outcome.fault).unwrap_or_default();
    let place = pointer_to(&fault, unknown).unwrap_or_default();
    let located = Located::parse(file, text).ok()?;
    Some(located.error_at(&format!("/faults/{index}{place}"), message, hint))
}

/// The JSON pointer from `value` to the first text inside that equals `text`.
fn pointer_to(value: &Value, text: &str) -> Option<String> {
    match value {
        Value::String(found) if found == text => Some(String::new()),
        Value::Object(fields) => fields
            .iter()
            .find_map(|(name, inside)| pointer_to(inside, text).map(|rest| format!("/{name}{rest}"))),
        _ => None,
    }
}
