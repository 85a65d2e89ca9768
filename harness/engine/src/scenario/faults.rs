//! The faults of a scenario: their instants read and checked. What a fault does is the simulator's business, and
//! which nodes exist is the system's.

use super::{Moment, Problem, Scenario};
use latent_sim::Anchor;

/// Turns each instant that was written as a date into milliseconds since 1970, and returns those that cannot be:
/// no date, or outside the run.
pub(super) fn resolve<T>(scenario: &mut Scenario<T>) -> Vec<Problem> {
    let (start, end) = (scenario.start, scenario.end());
    let mut problems = Vec::new();
    for (index, fault) in scenario.faults.iter_mut().enumerate() {
        let Anchor::At(text) = &fault.anchor else { continue };
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
            Ok(moment) => fault.anchor = Anchor::AtMs(moment.0.0),
        }
    }
    problems
}
