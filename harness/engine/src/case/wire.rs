//! What parent and worker say to each other: one JSON value a line.
//!
//! `latent-verdict` has no dependencies, so its types are mirrored here.

use crate::report::{FaultReport, NodeTally};
use crate::scenario::Expect;
use crate::system::Notice;
use latent_sim::{Fault, OpKind};
use latent_verdict::{Outcome, Recovery, Violation};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;

/// The argument that makes the program a worker.
pub(crate) const WORKER: &str = "__worker";

/// What begins each of a worker's lines. Anything else on its output is passed on to the parent's error output:
/// a system under test that prints for debugging does not break the run.
pub(crate) const PREFIX: &str = "\u{1}latent ";

/// What a record of the event log that is of no node says for its node.
pub(crate) const WORLD: &str = "world";

/// What to run.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Work {
    /// The file to name in errors.
    pub file: String,
    /// The scenario's text.
    pub text: String,
    /// The seed to expand it with.
    pub seed: u64,
    /// A stored plan to run instead of the one that scenario and seed make.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plan: Option<Value>,
    /// Faults besides the plan's.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub faults: Vec<Fault>,
    /// Whether every operation is to be written down.
    #[serde(default, skip_serializing_if = "is_false")]
    pub survey: bool,
    /// Whether the event log is to be told.
    #[serde(default, skip_serializing_if = "is_false")]
    pub log: bool,
    /// Ends the run at this instant, milliseconds since 1970, without a verdict.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until_ms: Option<i64>,
}

impl Work {
    /// A scenario's text and a seed, and nothing besides.
    pub(crate) fn of(file: String, text: String, seed: u64) -> Work {
        Work { file, text, seed, plan: None, faults: Vec::new(), survey: false, log: false, until_ms: None }
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands out references")]
fn is_false(it: &bool) -> bool {
    !*it
}

/// One operation of a survey.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct OpLine {
    /// The node's name.
    pub node: String,
    /// What it was.
    pub op: OpKind,
    /// The how-manieth of its node.
    pub n: u64,
    /// When, milliseconds since 1970.
    pub at_ms: i64,
    /// The path, for a disk operation.
    pub path: String,
    /// Whether a crash here has something to decide.
    pub leaves_unsynced: bool,
}

/// What a worker says.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Line {
    /// Virtual time passed.
    Time {
        /// Since the world's start.
        sim_ms: u64,
    },
    /// Something else is being done now.
    Phase(String),
    /// One record of the event log.
    Log(LogRecord),
    /// The run came to the instant at which it was to stop.
    Stopped {
        /// The trace's hash so far.
        trace_hash: String,
        /// Records so far.
        trace_records: u64,
    },
    /// The end of a run.
    Judged(Box<Judged>),
    /// The work cannot be run.
    Refused(String),
    /// The scenario turned out to be wrong once it ran.
    BadScenario(String),
    /// The run panicked.
    Panicked {
        /// What the panic said.
        message: String,
        /// File and line, where known, and a backtrace if one was asked for.
        place: String,
        /// The node of the system under test whose code it was; absent: the tool's own.
        node: Option<String>,
    },
}

/// One record of the event log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct LogRecord {
    /// Nanoseconds since the world began.
    #[serde(rename = "t")]
    pub time_ns: u64,
    /// The node's name.
    #[serde(rename = "n")]
    pub node: String,
    /// What happened.
    #[serde(rename = "w")]
    pub what: String,
}

impl std::fmt::Display for LogRecord {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (secs, nanos) = (self.time_ns / 1_000_000_000, self.time_ns % 1_000_000_000);
        write!(f, "{secs:>7}.{nanos:09} {:<12} {}", self.node, self.what)
    }
}

/// A report as the worker knows it.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Judged {
    pub sim_ms: u64,
    pub trace_hash: String,
    pub trace_records: u64,
    /// Items on which the verdict rests.
    pub items: u64,
    pub outcome: Expect,
    pub recovery: RecoveryLine,
    pub shortfall: Option<String>,
    pub hung: Option<String>,
    pub beyond_budget: Option<String>,
    pub noticed: Vec<Notice>,
    pub violations: Vec<ViolationLine>,
    pub marks: BTreeMap<String, u64>,
    pub faults: Vec<FaultReport>,
    pub nodes: Vec<NodeTally>,
    pub addresses_fixed: bool,
    /// Every operation, if a survey was asked for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ops: Vec<OpLine>,
    pub findings: Value,
}

impl Judged {
    pub(crate) fn outcome(&self) -> Outcome {
        self.outcome.into()
    }
}

/// Mirror of [`Recovery`].
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(remote = "Recovery", rename_all = "kebab-case")]
enum RecoveryMirror {
    NotShown,
    Partial,
    Complete,
}

/// [`Recovery`] on the wire.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct RecoveryLine(#[serde(with = "RecoveryMirror")] pub Recovery);

/// Mirror of [`Violation`].
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(remote = "Violation")]
struct ViolationMirror {
    invariant: String,
    kind: String,
    stage: String,
    subject: String,
    day: Option<String>,
    items: u64,
    keys: Vec<String>,
    at_ms: i64,
    loses_items: bool,
    detail: String,
}

/// [`Violation`] on the wire.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct ViolationLine(#[serde(with = "ViolationMirror")] pub Violation);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_violation_crosses_the_wire_whole() {
        let sent = Violation::new("I4", "missing", "after-compaction")
            .of("p17", 812)
            .on("2016-02-22")
            .keys(["a", "b"])
            .at(-5)
            .losing()
            .because("812 of 900 are gone");
        let text = serde_json::to_string(&ViolationLine(sent.clone())).unwrap();
        let read: ViolationLine = serde_json::from_str(&text).unwrap();
        assert_eq!(read.0, sent);
    }
}
