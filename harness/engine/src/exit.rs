//! Exit codes of the command line: what a shell script may rely on. Documented here and nowhere else; `--help` prints
//! them.

use crate::case::finding::is_no_verdict;
use latent_verdict::Outcome;

/// Everything ran and ended as its scenario expects, or the command did what it was asked.
pub const CLEAN: u8 = 0;
/// The program itself failed: it panicked, a case's process cannot be started or dies without a word, output cannot be
/// written.
pub const INTERNAL: u8 = 1;
/// The command line, a scenario, a case or `latent.toml` is wrong. Nothing ran.
pub const USAGE: u8 = 2;
/// Nothing was shown: no case ran, or the system confirmed nothing that could have been lost.
pub const NOTHING_RAN: u8 = 4;
/// A run did not end as its scenario expects: a promise was broken, or the code under test panicked.
pub const VIOLATION: u8 = 100;
/// Two runs of one case differed, or a run is not the recorded one.
pub const NONDETERMINISTIC: u8 = 101;
/// A run did not come to rest, or passed its limit of time or memory.
pub const HUNG: u8 = 102;
/// A required mark was never reached, or a fault that was asked for never triggered.
pub const UNREACHED: u8 = 103;
/// Slices of a sweep do not add up: one is missing, doubled, cut off or of another sweep.
pub const SLICES: u8 = 104;
/// A run lost items that can be brought back, but did not notice in time, or did not bring them back whole.
pub const NOT_RECOVERED: u8 = 105;
/// A run ended with less harm than its scenario expects: the expectation is no longer true.
pub const BETTER: u8 = 106;
/// Interrupted (Ctrl-C): what ran is on disk, and `--resume` goes on; of a shrink, the smallest case so far.
pub const INTERRUPTED: u8 = 130;
/// Terminated (SIGTERM): as with [`INTERRUPTED`].
pub const TERMINATED: u8 = 143;

/// Each code with what it means, for the help text.
pub const MEANINGS: [(u8, &str); 13] = [
    (CLEAN, "clean, or as expected"),
    (INTERNAL, "internal error"),
    (USAGE, "wrong usage or bad scenario"),
    (NOTHING_RAN, "nothing ran, or nothing was there to be judged"),
    (VIOLATION, "violation"),
    (NONDETERMINISTIC, "nondeterministic"),
    (HUNG, "hung"),
    (UNREACHED, "required mark never reached, or fault never triggered"),
    (SLICES, "slices do not add up"),
    (NOT_RECOVERED, "recoverable, but missing or not noticed"),
    (BETTER, "better than expected"),
    (INTERRUPTED, "interrupted, resumable"),
    (TERMINATED, "terminated, resumable"),
];

/// The code of a command that this signal ended in order.
pub(crate) fn of_signal(number: usize) -> u8 {
    if number == signal_hook::consts::SIGTERM as usize { TERMINATED } else { INTERRUPTED }
}

/// The code of a run, with or without a verdict, that ended otherwise than its scenario expects.
pub(crate) fn of_finding(outcome: Outcome, expected: Outcome, fingerprint: &str) -> u8 {
    if is_no_verdict(fingerprint) { INTERNAL } else { of_run(outcome, expected) }
}

/// The code of a judged run that ended otherwise than its scenario expects.
#[must_use]
pub fn of_run(outcome: Outcome, expected: Outcome) -> u8 {
    if is_better(outcome, expected) { BETTER } else { of_unexpected(outcome) }
}

/// Whether a run ended with less harm than expected. Kinds of loss are compared with each other and with clean; of a run
/// that is expected to hang, or to break another promise, only a clean one is better.
#[must_use]
pub fn is_better(outcome: Outcome, expected: Outcome) -> bool {
    let is_loss = |one: Outcome| one > Outcome::Clean && one <= Outcome::UnrecoverableLoss;
    outcome < expected && (outcome == Outcome::Clean || is_loss(outcome) && is_loss(expected))
}

/// The code of a judged run that ended so and should not have.
#[must_use]
pub fn of_unexpected(outcome: Outcome) -> u8 {
    match outcome {
        Outcome::Nondeterministic => NONDETERMINISTIC,
        Outcome::Hung => HUNG,
        Outcome::RecoverableButMissing => NOT_RECOVERED,
        _ => VIOLATION,
    }
}

/// The worse of two codes of runs, of which a sweep or a corpus ends with one. Nondeterministic before hung before
/// the rest: what the first says of a case, the others cannot.
pub(crate) fn worse(one: u8, other: u8) -> u8 {
    let rank = |code: u8| match code {
        NONDETERMINISTIC => 8,
        HUNG => 7,
        VIOLATION => 6,
        NOT_RECOVERED => 5,
        USAGE => 4,
        UNREACHED => 3,
        BETTER => 2,
        INTERNAL => 1,
        _ => 0,
    };
    if rank(other) > rank(one) { other } else { one }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn less_harm_than_expected_is_no_violation() {
        use Outcome::{Clean, Hung, Recovered, UnrecoverableLoss, Violated};
        assert_eq!(of_run(Clean, Recovered), BETTER);
        assert_eq!(of_run(Recovered, UnrecoverableLoss), BETTER);
        assert_eq!(of_run(Clean, Hung), BETTER);
        assert_eq!(of_run(UnrecoverableLoss, Recovered), VIOLATION);
        assert_eq!(of_run(UnrecoverableLoss, Violated), VIOLATION, "another kind of harm");
        assert_eq!(of_run(Hung, Clean), HUNG);
        assert!(worse(BETTER, VIOLATION) == VIOLATION && worse(CLEAN, BETTER) == BETTER);
    }

    #[test]
    fn loss_for_good_outranks_loss_that_can_be_had_back() {
        let codes = [Outcome::RecoverableButMissing, Outcome::UnrecoverableLoss].map(of_unexpected);
        assert_eq!(codes, [NOT_RECOVERED, VIOLATION]);
        assert_eq!(worse(NOT_RECOVERED, VIOLATION), VIOLATION);
        assert_eq!(worse(VIOLATION, NOT_RECOVERED), VIOLATION);
        assert_eq!(worse(CLEAN, NOT_RECOVERED), NOT_RECOVERED);
        assert_eq!(worse(UNREACHED, NOT_RECOVERED), NOT_RECOVERED);
        assert_eq!(worse(HUNG, NONDETERMINISTIC), NONDETERMINISTIC);
    }
}
