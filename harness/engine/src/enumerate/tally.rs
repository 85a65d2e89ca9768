//! What became of the strikes: counted by kind of operation, and the failures by what failed.

use super::outline::{Outline, Planned};
use super::record::Ran;
use crate::case::parent::CaseError;
use crate::case::wire::Judged;
use crate::exit;
use crate::scenario::Expect;
use latent_sim::OpKind;
use latent_verdict::Outcome;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What begins the text of a failure in which the system under test panicked.
const PANICKED: &str = "panicked: ";

/// A run that did not end as the scenario expects.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Failure {
    /// What it has in common with others: outcome and worst violation, or why there is no verdict.
    pub what: String,
    /// The strike, as it is written to repeat it.
    pub strike: String,
    /// The operation that was struck.
    pub op: OpKind,
    /// Its path, for a disk operation.
    pub path: String,
    /// When, milliseconds since 1970.
    pub at_ms: i64,
    /// What it waited for or what was found, in words.
    pub detail: String,
}

/// Counts of one kind of operation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct OfKind {
    /// Operations.
    pub operations: u64,
    /// Crashes struck there, and those after which the case ended as expected.
    pub crashes: u64,
    /// See `crashes`.
    pub crashes_as_expected: u64,
    /// Errors struck there, and those after which the case ended as expected.
    pub errors: u64,
    /// See `errors`.
    pub errors_as_expected: u64,
}

/// What became of an outline's strikes.
#[derive(Clone, Debug)]
pub(crate) struct Tally {
    /// By kind of operation.
    pub kinds: BTreeMap<OpKind, OfKind>,
    /// In the order of the outline, once sorted.
    failures: Vec<(usize, Failure)>,
    /// Runs that ended.
    pub runs: u64,
    /// Virtual time of all of them, in milliseconds.
    pub sim_ms: u64,
    /// Faults that the runs which ended stand for.
    pub faults: u64,
    expected: Outcome,
}

impl Tally {
    pub(crate) fn new(outline: &Outline, expected: Outcome) -> Tally {
        let mut kinds: BTreeMap<OpKind, OfKind> = BTreeMap::new();
        for op in &outline.ops {
            kinds.entry(op.op).or_default().operations += 1;
        }
        Tally { kinds, failures: Vec::new(), runs: 0, sim_ms: 0, faults: 0, expected }
    }

    /// One run ended: counts it, and returns what is to be written down of it.
    pub(crate) fn note(&mut self, outline: &Outline, index: usize, ended: &Result<Judged, CaseError>) -> Ran {
        let Planned { strike, op, .. } = &outline.strikes[index];
        let struck = &outline.ops[*op];
        let failure = self.failed(ended).map(|(what, detail)| {
            let (strike, path) = (strike.to_string(), struck.path.clone());
            Failure { what, strike, op: struck.op, path, at_ms: struck.at_ms, detail }
        });
        let sim_ms = ended.as_ref().map_or(0, |judged| judged.sim_ms);
        let ran = Ran { strike: strike.to_string(), sim_ms, failure };
        self.count(outline, index, &ran);
        ran
    }

    /// Counts a run that is written down.
    pub(crate) fn count(&mut self, outline: &Outline, index: usize, ran: &Ran) {
        let Planned { strike, op, stands_for } = &outline.strikes[index];
        self.runs += 1;
        self.faults += stands_for;
        self.sim_ms += ran.sim_ms;
        let as_expected = if ran.failure.is_none() { *stands_for } else { 0 };
        let counts = self.kinds.entry(outline.ops[*op].op).or_default();
        if strike.kind.is_crash() {
            counts.crashes += stands_for;
            counts.crashes_as_expected += as_expected;
        } else {
            counts.errors += stands_for;
            counts.errors_as_expected += as_expected;
        }
        self.failures.extend(ran.failure.clone().map(|failure| (index, failure)));
    }

    /// Why a run is none that was expected, if it is none: in short, and in words.
    fn failed(&self, ended: &Result<Judged, CaseError>) -> Option<(String, String)> {
        let judged = match ended {
            Ok(judged) => judged,
            Err(CaseError::TookTooLong(_)) => return Some(("hung".to_owned(), words(ended))),
            Err(CaseError::Panicked { message, .. }) => {
                return Some((format!("{PANICKED}{}", first_line(message)), words(ended)));
            }
            Err(error) => return Some((first_line(&error.to_string()), String::new())),
        };
        // The run up to the operation is the surveyed one: a strike that finds no such operation was another run.
        if judged.faults.last().is_none_or(|last| last.struck_ms.is_none()) {
            let detail = "the operation was not met again: the run differs from the surveyed one".to_owned();
            return Some((Outcome::Nondeterministic.to_string(), detail));
        }
        let outcome = judged.outcome();
        if outcome == self.expected {
            return None;
        }
        let worst = judged.violations.iter().map(|line| &line.0).max_by_key(|v| (!v.loses_items, v.items));
        let what = worst.map_or_else(|| outcome.to_string(), |v| format!("{outcome} {}", v.fingerprint()));
        let found = worst.map(|v| v.detail.clone());
        Some((what, judged.hung.clone().or(found).unwrap_or_default()))
    }

    /// The failures, by what failed: the most frequent first, each with its failures in order of time.
    pub(crate) fn failures(&self) -> Vec<(String, Vec<&Failure>)> {
        let mut sorted: Vec<&(usize, Failure)> = self.failures.iter().collect();
        sorted.sort_by_key(|(index, _)| *index);
        let mut by_what: BTreeMap<&str, Vec<&Failure>> = BTreeMap::new();
        for (_, failure) in sorted {
            by_what.entry(&failure.what).or_default().push(failure);
        }
        let mut groups: Vec<(String, Vec<&Failure>)> =
            by_what.into_iter().map(|(what, failures)| (what.to_owned(), failures)).collect();
        groups.sort_by_key(|(_, failures)| std::cmp::Reverse(failures.len()));
        groups
    }

    /// Whether every strike ended as expected, and there was one.
    pub(crate) fn as_expected(&self) -> bool {
        self.runs > 0 && self.failures.is_empty()
    }

    /// The exit code: that of the worst failure.
    pub(crate) fn exit_code(&self) -> u8 {
        if self.runs == 0 {
            return exit::NOTHING_RAN;
        }
        let codes = self.failures.iter().map(|(_, failure)| self.code_of(&failure.what));
        codes.reduce(exit::worse).unwrap_or(exit::CLEAN)
    }

    /// The code of a failure, by what begins its text: an outcome, or why there is no verdict.
    fn code_of(&self, what: &str) -> u8 {
        match what.split(' ').next().unwrap_or_default().parse::<Outcome>() {
            Ok(outcome) => exit::of_run(outcome, self.expected),
            Err(_) if what.starts_with(PANICKED) => exit::VIOLATION,
            Err(_) => exit::INTERNAL,
        }
    }

    /// How many runs did not.
    pub(crate) fn failed_runs(&self) -> u64 {
        self.failures.len() as u64
    }

    /// What was expected.
    pub(crate) fn expected(&self) -> Expect {
        self.expected.into()
    }
}

fn words(ended: &Result<Judged, CaseError>) -> String {
    ended.as_ref().err().map(ToString::to_string).unwrap_or_default()
}

fn first_line(text: &str) -> String {
    text.lines().next().unwrap_or_default().to_owned()
}
