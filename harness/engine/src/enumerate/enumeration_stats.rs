//! Statistics of an enumeration: counts by kind of operation, and failures grouped by cause.

use super::enumeration_plan::{EnumerationPlan, PlannedRun};
use super::pair_stats::{PairKind, PairStats, count_pair};
use super::run_record::{EnumerationFailure, EnumerationRun, FailureCause, SecondFate, SecondInjection};
use crate::case::ipc::CaseResult;
use crate::case::parent::CaseError;
use crate::exit;
use latent_sim::OpKind;
use latent_verdict::{Expectation, Outcome, PendingWork, Violation};
use serde::Serialize;
use std::collections::BTreeMap;

/// Counts of one kind of operation. A pair counts by its first fault.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct OpKindStats {
    /// Operations.
    pub operations: u64,
    /// Crashes injected there, and those after which the case ended as expected.
    pub crashes: u64,
    /// See `crashes`.
    pub crashes_as_expected: u64,
    /// Errors injected there, and those after which the case ended as expected.
    pub errors: u64,
    /// See `errors`.
    pub errors_as_expected: u64,
}

/// Statistics of a plan's runs.
#[derive(Clone, Debug)]
pub(crate) struct EnumerationStats {
    /// By kind of operation.
    pub kinds: BTreeMap<OpKind, OpKindStats>,
    /// By kind of pair; empty if the faults are single.
    pub pairs: BTreeMap<PairKind, PairStats>,
    /// With the index in the plan, by which they are sorted.
    failures: Vec<(usize, EnumerationFailure)>,
    /// Number of completed runs.
    pub runs: u64,
    /// Virtual time of all of them, in milliseconds.
    pub sim_ms: u64,
    /// Number of faults, or pairs, that the completed runs cover.
    pub faults: u64,
    expected: Expectation,
}

impl EnumerationStats {
    pub(crate) fn new(plan: &EnumerationPlan, expected: Expectation) -> EnumerationStats {
        let mut kinds: BTreeMap<OpKind, OpKindStats> = BTreeMap::new();
        for op in &plan.ops {
            kinds.entry(op.op).or_default().operations += 1;
        }
        let pairs = BTreeMap::new();
        EnumerationStats { kinds, pairs, failures: Vec::new(), runs: 0, sim_ms: 0, faults: 0, expected }
    }

    /// Counts a completed run, and returns its record.
    pub(crate) fn note(
        &mut self,
        plan: &EnumerationPlan,
        index: usize,
        ended: &Result<CaseResult, CaseError>,
    ) -> EnumerationRun {
        let planned = &plan.runs[index];
        let struck = &plan.ops[planned.op];
        let (point, second) = (planned.point.to_string(), second_injection(planned, ended));
        let failure = self.failed(planned, ended).map(|(what, detail)| {
            let occurred = second.as_ref().filter(|second| second.fate != SecondFate::NotReached);
            let second = occurred.map(|second| second.point.clone());
            let (point, path) = (point.clone(), struck.path.clone());
            EnumerationFailure { what, point, second, op: struck.op, path, at_ms: struck.at_ms, detail }
        });
        let sim_ms = ended.as_ref().map_or(0, |judged| judged.sim_ms);
        let ran = EnumerationRun { point, second, sim_ms, failure };
        self.count(plan, index, &ran);
        ran
    }

    /// Counts a recorded run.
    pub(crate) fn count(&mut self, plan: &EnumerationPlan, index: usize, ran: &EnumerationRun) {
        let PlannedRun { point, op, stands_for, .. } = &plan.runs[index];
        self.runs += 1;
        self.faults += stands_for;
        self.sim_ms += ran.sim_ms;
        let as_expected = if ran.failure.is_none() { *stands_for } else { 0 };
        let counts = self.kinds.entry(plan.ops[*op].op).or_default();
        if point.kind.is_crash() {
            counts.crashes += stands_for;
            counts.crashes_as_expected += as_expected;
        } else {
            counts.errors += stands_for;
            counts.errors_as_expected += as_expected;
        }
        count_pair(&mut self.pairs, plan, index, ran);
        self.failures.extend(ran.failure.clone().map(|failure| (index, failure)));
    }

    /// Returns cause and detail of an unexpected run; `None` if it ended as expected.
    fn failed(
        &self,
        planned: &PlannedRun,
        ended: &Result<CaseResult, CaseError>,
    ) -> Option<(FailureCause, String)> {
        let judged = match ended {
            Ok(judged) => judged,
            Err(CaseError::TimedOut(_)) => {
                return Some((FailureCause::Ended(Outcome::Hung, None), error_text(ended)));
            }
            Err(CaseError::Panicked { message, .. }) => {
                return Some((FailureCause::Panicked(first_line(message)), error_text(ended)));
            }
            Err(error) => {
                return Some((FailureCause::NoVerdict(first_line(&error.to_string())), String::new()));
            }
        };
        // The run is identical to the recording run up to the first fault's operation: if the operation does not occur,
        // the run is nondeterministic. After it, the run may differ.
        let first = judged.faults.iter().rev().nth(usize::from(planned.second.is_some()));
        if first.is_none_or(|first| first.triggered_ms.is_none()) {
            let detail =
                "the operation did not occur again: the run differs from the recorded one".to_owned();
            return Some((FailureCause::Ended(Outcome::Nondeterministic, None), detail));
        }
        let outcome = judged.outcome;
        if self.expected.is_met_by(outcome) {
            return None;
        }
        let worst = judged.violations.iter().max_by_key(|v| (!v.loses_items, v.items));
        let what = FailureCause::Ended(outcome, worst.map(Violation::fingerprint));
        let found = worst.map(|v| v.detail.clone());
        Some((what, PendingWork::lines(&judged.hung).or(found).unwrap_or_default()))
    }

    /// Failures grouped by description: the most frequent first, each with its failures in order of time.
    pub(crate) fn failures(&self) -> Vec<(String, Vec<&EnumerationFailure>)> {
        let mut sorted: Vec<&(usize, EnumerationFailure)> = self.failures.iter().collect();
        sorted.sort_by_key(|(index, _)| *index);
        let mut by_what: BTreeMap<String, Vec<&EnumerationFailure>> = BTreeMap::new();
        for (_, failure) in sorted {
            by_what.entry(failure.what.to_string()).or_default().push(failure);
        }
        let mut groups: Vec<(String, Vec<&EnumerationFailure>)> = by_what.into_iter().collect();
        groups.sort_by_key(|(_, failures)| std::cmp::Reverse(failures.len()));
        groups
    }

    /// Whether every run ended as expected, and there was at least one.
    pub(crate) fn as_expected(&self) -> bool {
        self.runs > 0 && self.failures.is_empty()
    }

    /// Exit code: that of the worst failure.
    pub(crate) fn exit_code(&self) -> u8 {
        if self.runs == 0 {
            return exit::NOTHING_RAN;
        }
        let codes = self.failures.iter().map(|(_, failure)| self.code_of(&failure.what));
        codes.reduce(exit::worse).unwrap_or(exit::CLEAN)
    }

    /// Exit code of a failure.
    fn code_of(&self, cause: &FailureCause) -> u8 {
        match cause {
            FailureCause::Ended(outcome, _) => exit::of_run(*outcome, self.expected),
            FailureCause::Panicked(_) => exit::VIOLATION,
            FailureCause::NoVerdict(_) => exit::INTERNAL,
        }
    }

    /// Number of failed runs.
    pub(crate) fn failed_runs(&self) -> u64 {
        self.failures.len() as u64
    }

    /// The expected outcome.
    pub(crate) fn expected(&self) -> Expectation {
        self.expected
    }
}

/// Returns the second fault of a pair, which is the last one of its run, and its fate.
fn second_injection(planned: &PlannedRun, ended: &Result<CaseResult, CaseError>) -> Option<SecondInjection> {
    let second = planned.second.as_ref()?;
    let fate = match ended {
        Err(_) => SecondFate::Unknown,
        Ok(judged) if judged.faults.last().is_none_or(|last| last.triggered_ms.is_none()) => {
            SecondFate::NotReached
        }
        Ok(judged) if second.kind.is_crash() || judged.exhausted.contains(&(judged.faults.len() - 1)) => {
            SecondFate::Struck
        }
        Ok(_) => SecondFate::StruckNothing,
    };
    Some(SecondInjection { point: second.to_string(), fate })
}

fn error_text(ended: &Result<CaseResult, CaseError>) -> String {
    ended.as_ref().err().map(ToString::to_string).unwrap_or_default()
}

fn first_line(text: &str) -> String {
    text.lines().next().unwrap_or_default().to_owned()
}
