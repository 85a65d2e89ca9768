//! The cause of a run that ended before its checks: what killed its process, or whose code panicked.
//!
//! Files and screens show a cause as a fingerprint, which groups equal findings and does not depend on the machine.

use latent_verdict::Outcome;
use std::fmt;

/// Cause of the end of a run that has no result. The text is written out here, because strum cannot parse a variant with
/// data back from its text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum EndCause {
    /// Its process was killed from outside, or exited without a report.
    Died,
    /// It exceeded its limit of real time.
    TimeLimit,
    /// It exceeded its limit of memory.
    MemoryLimit,
    /// The code under test panicked, at this file and line.
    Panicked(String),
    /// The tool itself panicked, at this file and line.
    InternalPanic(String),
}

const DIED: &str = "died";
const TIME_LIMIT: &str = "hung:real-time";
const MEMORY_LIMIT: &str = "hung:memory";
const PANICKED: &str = "panicked:";
const INTERNAL_PANIC: &str = "internal-error:";

impl EndCause {
    /// Returns the cause that a fingerprint states; `None` for that of a run with a result.
    pub(crate) fn of_fingerprint(fingerprint: &str) -> Option<EndCause> {
        match fingerprint {
            DIED => Some(EndCause::Died),
            TIME_LIMIT => Some(EndCause::TimeLimit),
            MEMORY_LIMIT => Some(EndCause::MemoryLimit),
            other => {
                let panicked = other.strip_prefix(PANICKED).map(|place| EndCause::Panicked(place.to_owned()));
                panicked
                    .or_else(|| Some(EndCause::InternalPanic(other.strip_prefix(INTERNAL_PANIC)?.to_owned())))
            }
        }
    }

    /// Whether it says something about the code under test. A process that was killed from outside, or a panic of the
    /// tool itself, does not.
    pub(crate) fn is_verdict(&self) -> bool {
        !matches!(self, EndCause::Died | EndCause::InternalPanic(_))
    }

    /// Outcome of a run that ended so.
    pub(crate) fn outcome(&self) -> Outcome {
        match self {
            EndCause::TimeLimit | EndCause::MemoryLimit => Outcome::Hung,
            EndCause::Died | EndCause::Panicked(_) | EndCause::InternalPanic(_) => Outcome::Violated,
        }
    }
}

/// Its fingerprint.
impl fmt::Display for EndCause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            EndCause::Died => f.write_str(DIED),
            EndCause::TimeLimit => f.write_str(TIME_LIMIT),
            EndCause::MemoryLimit => f.write_str(MEMORY_LIMIT),
            EndCause::Panicked(place) => write!(f, "{PANICKED}{place}"),
            EndCause::InternalPanic(place) => write!(f, "{INTERNAL_PANIC}{place}"),
        }
    }
}

/// Whether a run with this fingerprint did not end, and so has no trace.
pub(crate) fn has_no_trace(fingerprint: &str) -> bool {
    EndCause::of_fingerprint(fingerprint).is_some()
}

/// Whether a run with this fingerprint gives no verdict on the system under test.
pub(crate) fn has_no_verdict(fingerprint: &str) -> bool {
    EndCause::of_fingerprint(fingerprint).is_some_and(|cause| !cause.is_verdict())
}

/// Name of the result of a run with this outcome and fingerprint.
pub(crate) fn ended(outcome: Outcome, fingerprint: &str) -> &'static str {
    if has_no_verdict(fingerprint) { "no verdict" } else { outcome.name() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cause_is_read_back_from_its_fingerprint() {
        let place = || "edge/src/run.rs:12".to_owned();
        for (cause, fingerprint, is_verdict) in [
            (EndCause::Died, "died", false),
            (EndCause::TimeLimit, "hung:real-time", true),
            (EndCause::MemoryLimit, "hung:memory", true),
            (EndCause::Panicked(place()), "panicked:edge/src/run.rs:12", true),
            (EndCause::InternalPanic(place()), "internal-error:edge/src/run.rs:12", false),
        ] {
            assert_eq!(cause.to_string(), fingerprint);
            assert_eq!(EndCause::of_fingerprint(fingerprint), Some(cause));
            assert_eq!((has_no_trace(fingerprint), has_no_verdict(fingerprint)), (true, !is_verdict));
        }
        for judged in ["", "hung:L1", "nondeterministic", "I4:missing:day-end:loss", "died:x"] {
            assert_eq!(EndCause::of_fingerprint(judged), None, "{judged}");
        }
    }
}
