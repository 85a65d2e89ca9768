//! The record of one run of an enumeration, as written to its results file.

use latent_sim::OpKind;
use latent_verdict::Outcome;
use serde::{Deserialize, Serialize};
use std::fmt;

/// One completed run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct EnumerationRun {
    /// The injection point, in the syntax of `--inject`.
    pub point: String,
    /// The second fault, for a pair.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub second: Option<SecondInjection>,
    pub sim_ms: u64,
    /// `None`: it ended as expected.
    pub failure: Option<EnumerationFailure>,
}

impl EnumerationRun {
    /// Returns the injection points, which identify the run in its enumeration.
    pub(crate) fn key(&self) -> RunKey {
        let second = self.second.as_ref().map(|second| second.point.clone());
        RunKey { point: self.point.clone(), second }
    }
}

/// Injection points of a run, in the syntax of `--inject`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct RunKey {
    pub point: String,
    pub second: Option<String>,
}

/// The second fault of a pair, in a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SecondInjection {
    /// The injection point, in the syntax of `--inject`.
    pub point: String,
    /// Its fate.
    pub fate: SecondFate,
}

/// Fate of a second fault. The run differs from the recorded one after the first, so each of these is regular.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum SecondFate {
    /// It struck.
    Struck,
    /// Its operation occurred, and no later one to which the fault applies.
    StruckNothing,
    /// Its operation did not occur.
    NotReached,
    /// The run ended without a report, by a panic or a limit.
    Unknown,
}

impl SecondFate {
    /// Whether the fault struck, or may have.
    pub(crate) fn may_have_struck(self) -> bool {
        matches!(self, SecondFate::Struck | SecondFate::Unknown)
    }
}

/// A run that did not end as the scenario expects.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct EnumerationFailure {
    /// Cause, which groups failures.
    pub what: FailureCause,
    /// The injection point, in the syntax of `--inject`.
    pub point: String,
    /// That of the second fault, unless its operation did not occur: then the first fault alone fails in the same way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub second: Option<String>,
    /// Kind of the operation.
    pub op: OpKind,
    /// Its path, for a disk operation.
    pub path: String,
    /// Virtual time, milliseconds since 1970.
    pub at_ms: i64,
    /// Detail of the hang or the violation.
    pub detail: String,
}

impl EnumerationFailure {
    /// Returns the options of `run` that reproduce the failure.
    pub(crate) fn injections(&self) -> String {
        let points = std::iter::once(&self.point).chain(&self.second);
        points.map(|point| format!("--inject {point}")).collect::<Vec<_>>().join(" ")
    }
}

/// Why a run failed. Its text, in files and on screens, is the outcome and the worst violation, or why there is none.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", from = "String")]
pub(crate) enum FailureCause {
    /// It ended with another outcome than expected, with the fingerprint of its worst violation, if any.
    Ended(Outcome, Option<String>),
    /// The system under test panicked, with this message.
    Panicked(String),
    /// There is no verdict, for this reason.
    NoVerdict(String),
}

const PANICKED: &str = "panicked: ";

impl fmt::Display for FailureCause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            FailureCause::Ended(outcome, None) => f.write_str(outcome.name()),
            FailureCause::Ended(outcome, Some(fingerprint)) => write!(f, "{outcome} {fingerprint}"),
            FailureCause::Panicked(message) => write!(f, "{PANICKED}{message}"),
            FailureCause::NoVerdict(reason) => f.write_str(reason),
        }
    }
}

impl From<FailureCause> for String {
    fn from(cause: FailureCause) -> String {
        cause.to_string()
    }
}

impl From<String> for FailureCause {
    fn from(text: String) -> FailureCause {
        if let Some(message) = text.strip_prefix(PANICKED) {
            return FailureCause::Panicked(message.to_owned());
        }
        let (first, rest) = match text.split_once(' ') {
            Some((first, rest)) => (first, Some(rest.to_owned())),
            None => (text.as_str(), None),
        };
        match first.parse() {
            Ok(outcome) => FailureCause::Ended(outcome, rest),
            Err(_) => FailureCause::NoVerdict(text),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cause_is_read_back_from_its_text() {
        for (cause, text) in [
            (FailureCause::Ended(Outcome::Hung, None), "hung"),
            (FailureCause::Ended(Outcome::Violated, Some("W1:x:y:breach".into())), "violated W1:x:y:breach"),
            (FailureCause::Panicked("index out of bounds".into()), "panicked: index out of bounds"),
            (FailureCause::NoVerdict("internal error: x, at y".into()), "internal error: x, at y"),
        ] {
            assert_eq!(cause.to_string(), text);
            assert_eq!(FailureCause::from(text.to_owned()), cause);
        }
    }
}
