//! Exit codes of the command line: a stable interface for shell scripts. Documented here only; `--help` prints them.

use crate::case::end_cause::has_no_verdict;
use latent_verdict::{Expectation, Outcome};

/// Every run ended as its scenario expects, or the command succeeded.
pub const CLEAN: u8 = 0;
/// The program itself failed: it panicked, a case's process cannot be started or exits without a report, output cannot
/// be written.
pub const INTERNAL: u8 = 1;
/// The command line, a scenario, a case or `latent.toml` is invalid. Nothing ran.
pub const USAGE: u8 = 2;
/// No case ran, or the system acknowledged no item that could have been lost.
pub const NOTHING_RAN: u8 = 4;
/// A run did not end as its scenario expects: an invariant was violated, or the code under test panicked.
pub const VIOLATION: u8 = 100;
/// Two runs of one case differed, or a run differs from the recorded one.
pub const NONDETERMINISTIC: u8 = 101;
/// A run did not finish, or exceeded its limit of time or memory.
pub const HUNG: u8 = 102;
/// A required mark was not reached, or a requested fault was not triggered.
pub const MARK_NOT_REACHED: u8 = 103;
/// Slices of a sweep do not add up: one is missing, duplicated, truncated or of another sweep.
pub const SLICES: u8 = 104;
/// A run lost items that can be restored, but the loss was not detected in time, or they were not restored completely.
pub const NOT_RECOVERED: u8 = 105;
/// A run ended better than its scenario expects: the expectation is out of date.
pub const BETTER_THAN_EXPECTED: u8 = 106;
/// Interrupted (Ctrl-C): finished cases are on disk, and `--resume` continues; `shrink` writes its smallest case so
/// far.
pub const INTERRUPTED: u8 = 130;
/// Terminated (SIGTERM): as with [`INTERRUPTED`].
pub const TERMINATED: u8 = 143;

/// Each code with its meaning, for the help text.
pub const MEANINGS: [(u8, &str); 13] = [
    (CLEAN, "clean, or as expected"),
    (INTERNAL, "internal error"),
    (USAGE, "wrong usage or invalid scenario"),
    (NOTHING_RAN, "0 cases ran, or the run was vacuous"),
    (VIOLATION, "violation"),
    (NONDETERMINISTIC, "nondeterministic"),
    (HUNG, "hung"),
    (MARK_NOT_REACHED, "required mark not reached, or fault not triggered"),
    (SLICES, "slices do not add up"),
    (NOT_RECOVERED, "recoverable, but not restored or not detected"),
    (BETTER_THAN_EXPECTED, "better than expected"),
    (INTERRUPTED, "interrupted, resumable"),
    (TERMINATED, "terminated, resumable"),
];

/// Returns the code of a command that a signal ended in an orderly way.
pub(crate) fn of_signal(number: usize) -> u8 {
    if number == signal_hook::consts::SIGTERM as usize { TERMINATED } else { INTERRUPTED }
}

/// Returns the code of a run, with or without a verdict, that did not end as its scenario expects.
pub(crate) fn of_finding(outcome: Outcome, expected: Expectation, fingerprint: &str) -> u8 {
    if has_no_verdict(fingerprint) { INTERNAL } else { of_run(outcome, expected) }
}

/// Returns the code of a judged run that did not end as its scenario expects.
#[must_use]
pub fn of_run(outcome: Outcome, expected: Expectation) -> u8 {
    if expected.is_exceeded_by(outcome) { BETTER_THAN_EXPECTED } else { of_unexpected_outcome(outcome) }
}

/// Returns the code of a judged run with an unexpected outcome.
#[must_use]
pub fn of_unexpected_outcome(outcome: Outcome) -> u8 {
    match outcome {
        Outcome::Nondeterministic => NONDETERMINISTIC,
        Outcome::Hung => HUNG,
        Outcome::RecoverableButMissing => NOT_RECOVERED,
        _ => VIOLATION,
    }
}

/// Returns the worse of two codes, for a sweep or a corpus that ends with one. Nondeterminism ranks first, then hangs:
/// they make the other results unreliable.
pub(crate) fn worse(one: u8, other: u8) -> u8 {
    let rank = |code: u8| match code {
        NONDETERMINISTIC => 8,
        HUNG => 7,
        VIOLATION => 6,
        NOT_RECOVERED => 5,
        USAGE => 4,
        MARK_NOT_REACHED => 3,
        BETTER_THAN_EXPECTED => 2,
        INTERNAL => 1,
        _ => 0,
    };
    if rank(other) > rank(one) { other } else { one }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_better_outcome_than_expected_is_not_a_violation() {
        use Outcome::{Clean, Hung, Recovered, UnrecoverableLoss, Violated};
        let code = |outcome, expected: Outcome| of_run(outcome, expected.into());
        assert_eq!(code(Clean, Recovered), BETTER_THAN_EXPECTED);
        assert_eq!(code(Recovered, UnrecoverableLoss), BETTER_THAN_EXPECTED);
        assert_eq!(code(Clean, Hung), BETTER_THAN_EXPECTED);
        assert_eq!(code(UnrecoverableLoss, Recovered), VIOLATION);
        assert_eq!(code(UnrecoverableLoss, Violated), VIOLATION, "another kind of harm");
        assert_eq!(code(Hung, Clean), HUNG);
        assert!(
            worse(BETTER_THAN_EXPECTED, VIOLATION) == VIOLATION
                && worse(CLEAN, BETTER_THAN_EXPECTED) == BETTER_THAN_EXPECTED
        );
    }

    #[test]
    fn permanent_loss_outranks_recoverable_loss() {
        let codes = [Outcome::RecoverableButMissing, Outcome::UnrecoverableLoss].map(of_unexpected_outcome);
        assert_eq!(codes, [NOT_RECOVERED, VIOLATION]);
        assert_eq!(worse(NOT_RECOVERED, VIOLATION), VIOLATION);
        assert_eq!(worse(VIOLATION, NOT_RECOVERED), VIOLATION);
        assert_eq!(worse(CLEAN, NOT_RECOVERED), NOT_RECOVERED);
        assert_eq!(worse(MARK_NOT_REACHED, NOT_RECOVERED), NOT_RECOVERED);
        assert_eq!(worse(HUNG, NONDETERMINISTIC), NONDETERMINISTIC);
    }
}
