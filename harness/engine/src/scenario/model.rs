//! A scenario as data, and its text.

use super::{Span, Timestamp};
use crate::Problem;
use latent_ports::UnixMs;
use latent_sim::{Fault, Trigger};
use latent_verdict::Expectation;
use serde::Serialize;

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
    pub expect: Expectation,
    /// The system's part.
    pub config: T,
}

impl<T: Serialize> Scenario<T> {
    /// Returns the scenario as JSON that `parse` reads back.
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
            faults: self.faults.iter().cloned().map(dated).collect(),
            required_marks: &self.required_marks,
            expect: self.expect,
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
    expect: Expectation,
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

    /// Returns the problem as one of the value at `pointer`.
    #[must_use]
    pub fn of(pointer: impl Into<String>, Problem { message, hint }: Problem) -> ScenarioProblem {
        ScenarioProblem { pointer: pointer.into(), message, hint }
    }
}

/// Returns the fault with its time as a date.
fn dated(mut fault: Fault) -> Fault {
    if let Trigger::AtMs(at_ms) = fault.trigger {
        fault.trigger = Trigger::At(Timestamp(UnixMs(at_ms)).to_string());
    }
    fault
}
