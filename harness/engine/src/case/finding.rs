//! What a run came to, in short: how it ended, what makes it the same finding as another, and what to say of it.

use super::parent::CaseError;
use super::wire::Judged;
use crate::scenario::AsWritten;
use latent_verdict::{Group, Outcome, by_fingerprint};
use serde::{Deserialize, Serialize};

/// The fingerprint of a run whose process was killed, or ended itself, without a word.
pub(crate) const DIED: &str = "died";
/// The fingerprint of a run that passed its limit of real time, and of one that passed its limit of memory.
const HUNG_TIME: &str = "hung:real-time";
const HUNG_MEMORY: &str = "hung:memory";
/// What begins the fingerprint of a run that panicked; the place follows.
const PANICKED: &str = "panicked:";
/// What begins the fingerprint of a run in which the tool itself panicked; the place follows.
const TOOL_PANICKED: &str = "internal-error:";

/// A limit that a case passed: it has to be known to see the same again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Limit {
    /// Real time, in milliseconds.
    CaseTimeMs(u64),
    /// Memory, in megabytes.
    CaseMemoryMb(u64),
}

impl Limit {
    /// What sets it on a command line.
    pub fn flag(self) -> String {
        match self {
            Limit::CaseTimeMs(ms) if ms.is_multiple_of(1000) => format!("--case-time {}s", ms / 1000),
            Limit::CaseTimeMs(ms) => format!("--case-time {ms}ms"),
            Limit::CaseMemoryMb(mb) => format!("--case-memory-mb {mb}"),
        }
    }
}

/// What a run came to. Everything in it follows from the case: nothing of the machine that it ran on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Finding {
    /// How it ended.
    pub outcome: AsWritten,
    /// The worst of what was found; empty for nothing.
    pub fingerprint: String,
    /// Items that the worst concerns.
    pub items: u64,
    /// What was found, in words; empty for nothing.
    pub detail: String,
    /// Virtual time, in milliseconds.
    pub sim_ms: u64,
    /// The run's identity: 32 hexadecimal digits, or empty if it never ended.
    pub trace_hash: String,
    /// Records of its trace.
    pub trace_records: u64,
    /// Items on which the verdict rests; 0: it shows nothing.
    pub judged: u64,
    /// The limit that ended it, if one did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<Limit>,
}

impl Finding {
    /// What a run that was judged came to.
    pub fn of(judged: &Judged) -> Finding {
        let violations: Vec<_> = judged.violations.iter().map(|line| line.0.clone()).collect();
        let worst = by_fingerprint(&violations).into_iter().next();
        let hung = judged.hung.as_deref().filter(|_| judged.outcome() == Outcome::Hung);
        let (fingerprint, items, detail) = match (hung, worst) {
            (Some(why), _) => (hung_fingerprint(why), 0, first_line(why)),
            (None, Some(worst)) => (worst.fingerprint, worst.items, worst.worst.detail.clone()),
            (None, None) => Default::default(),
        };
        Finding {
            outcome: AsWritten(judged.outcome()),
            fingerprint,
            items,
            detail: first_line(&detail),
            sim_ms: judged.sim_ms,
            trace_hash: judged.trace_hash.clone(),
            trace_records: judged.trace_records,
            judged: judged.items,
            limit: None,
        }
    }

    /// The same run, seen for one of its findings that need not be the worst.
    pub fn of_group(self, group: &Group<'_>) -> Finding {
        let (fingerprint, items) = (group.fingerprint.clone(), group.items);
        Finding { fingerprint, items, detail: first_line(&group.worst.detail), ..self }
    }

    /// What a run without a verdict came to, if that is the fault of what ran; an error of ours is none.
    ///
    /// # Errors
    /// It could not be run at all.
    pub fn of_broken(error: CaseError) -> Result<Finding, CaseError> {
        let (outcome, fingerprint) = match &error {
            CaseError::TookTooLong(_) => (Outcome::Hung, HUNG_TIME.to_owned()),
            CaseError::TookTooMuch(_) => (Outcome::Hung, HUNG_MEMORY.to_owned()),
            CaseError::Panicked { place, .. } => (Outcome::Violated, format!("{PANICKED}{}", line_of(place))),
            CaseError::ToolPanicked { place, .. } => {
                (Outcome::Violated, format!("{TOOL_PANICKED}{}", line_of(place)))
            }
            CaseError::Died(_) => (Outcome::Violated, DIED.to_owned()),
            CaseError::Start(_)
            | CaseError::Garbled(_)
            | CaseError::Refused(_)
            | CaseError::BadScenario(_) => return Err(error),
        };
        let limit = match &error {
            CaseError::TookTooLong(ms) => Some(Limit::CaseTimeMs(*ms)),
            CaseError::TookTooMuch(mb) => Some(Limit::CaseMemoryMb(*mb)),
            _ => None,
        };
        let detail = first_line(&error.to_string());
        Ok(Finding {
            outcome: AsWritten(outcome),
            fingerprint,
            items: 0,
            detail,
            sim_ms: 0,
            trace_hash: String::new(),
            trace_records: 0,
            judged: 0,
            limit,
        })
    }

    /// A run that another process ran differently.
    pub fn differing(self, difference: String) -> Finding {
        let fingerprint = "nondeterministic".to_owned();
        Finding { outcome: AsWritten(Outcome::Nondeterministic), fingerprint, detail: difference, ..self }
    }

    /// How it ended.
    pub fn outcome(&self) -> Outcome {
        self.outcome.0
    }

    /// Whether nothing was violated, and nothing was there that could have been.
    pub fn shows_nothing(&self) -> bool {
        self.outcome() == Outcome::Clean && self.judged == 0
    }

    /// How it ended, in words: what killed its process from outside is no verdict on the code under test.
    pub fn ended(&self) -> &'static str {
        ended(self.outcome(), &self.fingerprint)
    }
}

/// Whether a run with this fingerprint did not come to its end, and so has no trace.
pub(crate) fn never_ended(fingerprint: &str) -> bool {
    let is_hung = [HUNG_TIME, HUNG_MEMORY].contains(&fingerprint);
    is_hung || fingerprint.starts_with(PANICKED) || is_no_verdict(fingerprint)
}

/// How a run with this outcome and fingerprint ended, in words.
pub(crate) fn ended(outcome: Outcome, fingerprint: &str) -> &'static str {
    if is_no_verdict(fingerprint) { "no verdict" } else { outcome.name() }
}

/// Whether a run with this fingerprint says nothing of the system under test: something killed its process from outside, or
/// the tool itself panicked.
pub(crate) fn is_no_verdict(fingerprint: &str) -> bool {
    fingerprint == DIED || fingerprint.starts_with(TOOL_PANICKED)
}

/// `hung:L1` of `L1 p7 2016-02-22 disk-3 …`: the law that did not come to hold.
fn hung_fingerprint(why: &str) -> String {
    let word: String = why.chars().take_while(|c| c.is_ascii_alphanumeric()).collect();
    format!("hung:{word}")
}

/// File and line of `models/x.rs:12:3`, with nothing of the machine in it.
fn line_of(place: &str) -> String {
    let place = place.lines().next().unwrap_or_default();
    let mut parts = place.rsplitn(2, ':');
    let column = parts.next().unwrap_or_default();
    let file = parts.next().unwrap_or(column);
    // Of an absolute path, the last three parts say enough.
    let names: Vec<&str> = file.split('/').collect();
    names[names.len().saturating_sub(3)..].join("/")
}

fn first_line(text: &str) -> String {
    text.lines().next().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_hangs_is_told_apart_by_its_law() {
        assert_eq!(hung_fingerprint("L2 p3 2016-02-22 disk-1 dirty, since 2016"), "hung:L2");
        assert_eq!(hung_fingerprint("the log stopped at record 7"), "hung:the");
    }

    #[test]
    fn what_panics_is_told_apart_by_its_place_and_not_by_the_machine() {
        assert_eq!(line_of("/home/me/latent/models/edge/src/run.rs:12:3"), "edge/src/run.rs:12");
        assert_eq!(line_of("models/edge/src/run.rs:12:3\nbacktrace"), "edge/src/run.rs:12");
        assert_eq!(line_of(""), "");
    }
}
