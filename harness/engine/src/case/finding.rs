//! The finding of a run: its outcome, the fingerprint that groups equal findings, and a description.

use super::end_cause::{EndCause, ended};
use super::ipc::CaseResult;
use super::parent::CaseError;
use latent_verdict::{Outcome, ViolationGroup, group_by_fingerprint};
use serde::{Deserialize, Serialize};

/// The limit that a case exceeded; reproducing the case needs it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Limit {
    /// Real time, in milliseconds.
    CaseTimeMs(u64),
    /// Memory, in megabytes.
    CaseMemoryMb(u64),
}

impl Limit {
    /// The command-line flag that sets it.
    pub fn flag(self) -> String {
        match self {
            Limit::CaseTimeMs(ms) if ms.is_multiple_of(1000) => format!("--case-time {}s", ms / 1000),
            Limit::CaseTimeMs(ms) => format!("--case-time {ms}ms"),
            Limit::CaseMemoryMb(mb) => format!("--case-memory-mb {mb}"),
        }
    }
}

/// The finding of a run. It depends on the case alone, never on the machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Finding {
    /// Outcome of the run.
    pub outcome: Outcome,
    /// Fingerprint of the worst violation; empty if there is none.
    pub fingerprint: String,
    /// Number of items of the worst violation.
    pub items: u64,
    /// Description of the violation; empty if there is none.
    pub detail: String,
    /// Virtual time, in milliseconds.
    pub sim_ms: u64,
    /// Trace hash of the run: 32 hexadecimal digits, or empty if it did not end.
    pub trace_hash: String,
    /// Number of records in the trace.
    pub trace_records: u64,
    /// Number of items that the verdict rests on; with 0 the run is vacuous.
    pub judged: u64,
    /// The limit that ended the run, if one did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<Limit>,
}

impl Finding {
    /// Returns the finding of a judged run.
    pub fn of(judged: &CaseResult) -> Finding {
        let worst = group_by_fingerprint(&judged.violations).into_iter().next();
        let hung = judged.hung.first().filter(|_| judged.outcome == Outcome::Hung);
        let (fingerprint, items, detail) = match (hung, worst) {
            (Some(pending), _) => (pending.fingerprint(), 0, pending.what.clone()),
            (None, Some(worst)) => (worst.fingerprint, worst.items, worst.worst.detail.clone()),
            (None, None) => Default::default(),
        };
        Finding {
            outcome: judged.outcome,
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

    /// Returns the same finding for another violation of the run, not necessarily the worst.
    pub fn for_group(self, group: &ViolationGroup<'_>) -> Finding {
        let (fingerprint, items) = (group.fingerprint.clone(), group.items);
        Finding { fingerprint, items, detail: first_line(&group.worst.detail), ..self }
    }

    /// Returns the finding of a run without a verdict if the case caused it; otherwise the error.
    ///
    /// # Errors
    /// The case could not be run at all.
    pub fn from_error(error: CaseError) -> Result<Finding, CaseError> {
        let cause = match &error {
            CaseError::TimedOut(_) => EndCause::TimeLimit,
            CaseError::ExceededMemory(_) => EndCause::MemoryLimit,
            CaseError::Panicked { place, .. } => EndCause::Panicked(line_of(place)),
            CaseError::InternalPanic { place, .. } => EndCause::InternalPanic(line_of(place)),
            CaseError::Died(_) => EndCause::Died,
            CaseError::Start(_)
            | CaseError::InvalidMessage(_)
            | CaseError::Refused(_)
            | CaseError::ScenarioError(_) => return Err(error),
        };
        let limit = match &error {
            CaseError::TimedOut(ms) => Some(Limit::CaseTimeMs(*ms)),
            CaseError::ExceededMemory(mb) => Some(Limit::CaseMemoryMb(*mb)),
            _ => None,
        };
        let detail = first_line(&error.to_string());
        Ok(Finding {
            outcome: cause.outcome(),
            fingerprint: cause.to_string(),
            items: 0,
            detail,
            sim_ms: 0,
            trace_hash: String::new(),
            trace_records: 0,
            judged: 0,
            limit,
        })
    }

    /// Returns the finding of a run that differed in another process.
    pub fn differing(self, difference: String) -> Finding {
        let fingerprint = "nondeterministic".to_owned();
        Finding { outcome: Outcome::Nondeterministic, fingerprint, detail: difference, ..self }
    }

    /// Whether the run is clean but had no item that could have been lost.
    pub fn is_vacuous(&self) -> bool {
        self.outcome == Outcome::Clean && self.judged == 0
    }

    /// Name of the result: a process killed from outside gives no verdict on the code under test.
    pub fn ended(&self) -> &'static str {
        ended(self.outcome, &self.fingerprint)
    }
}

/// Returns file and line of `models/x.rs:12:3`, without machine-specific parts.
fn line_of(place: &str) -> String {
    let place = place.lines().next().unwrap_or_default();
    let mut parts = place.rsplitn(2, ':');
    let column = parts.next().unwrap_or_default();
    let file = parts.next().unwrap_or(column);
    // The last three components of an absolute path are enough.
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
    fn a_panic_is_identified_by_its_location_independent_of_the_machine() {
        assert_eq!(line_of("/home/me/latent/models/edge/src/run.rs:12:3"), "edge/src/run.rs:12");
        assert_eq!(line_of("models/edge/src/run.rs:12:3\nbacktrace"), "edge/src/run.rs:12");
        assert_eq!(line_of(""), "");
    }
}
