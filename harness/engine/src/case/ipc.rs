//! Messages between parent and worker: one JSON value a line.

use super::strikes::Strikes;
use crate::report::{Detection, FaultReport, NodeStats};
use latent_sim::{Fault, OpKind};
use latent_verdict::{Outcome, PendingWork, Restoration, Violation};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// The argument that makes the program a worker.
pub(crate) const WORKER: &str = "__worker";

/// Prefix of each line of a worker. Other output is forwarded to the parent's standard error: debug output of a system
/// under test does not break the run.
pub(crate) const PREFIX: &str = "\u{1}latent ";

/// Node name of event-log records that belong to no node.
pub(crate) const WORLD: &str = "world";

/// Request to run a case.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct CaseRequest {
    /// The file to name in errors.
    pub file: String,
    /// The scenario's text.
    pub text: String,
    /// The seed to expand it with.
    pub seed: u64,
    /// A stored plan to run instead of the one that scenario and seed make.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plan: Option<Value>,
    /// Faults in addition to the plan's.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub faults: Vec<Fault>,
    /// Whether to record every operation.
    #[serde(default, skip_serializing_if = "is_false")]
    pub survey: bool,
    /// Whether to send the event log.
    #[serde(default, skip_serializing_if = "is_false")]
    pub log: bool,
    /// Ends the run at this time, milliseconds since 1970, without a verdict.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until_ms: Option<i64>,
}

impl CaseRequest {
    /// Request with a scenario's text and a seed only.
    pub(crate) fn of(file: String, text: String, seed: u64) -> CaseRequest {
        CaseRequest {
            file,
            text,
            seed,
            plan: None,
            faults: Vec::new(),
            survey: false,
            log: false,
            until_ms: None,
        }
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands out references")]
fn is_false(it: &bool) -> bool {
    !*it
}

/// One recorded operation.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct SerializedOp {
    /// The node's name.
    pub node: String,
    /// Kind of operation.
    pub op: OpKind,
    /// 1-based index of the operation on its node.
    pub n: u64,
    /// Virtual time, milliseconds since 1970.
    pub at_ms: i64,
    /// The path, for a disk operation.
    pub path: String,
    /// Name of the node at the other end, for a message.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peer: Option<String>,
    /// Whether un-synced data exists, so that crashes here can differ.
    pub leaves_unsynced: bool,
}

/// Message of a worker.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum WorkerMessage {
    /// Progress of virtual time.
    Time {
        /// Since the world's start.
        sim_ms: u64,
    },
    /// The current phase.
    Phase(String),
    /// One record of the event log.
    Log(LogRecord),
    /// The run reached the time at which it was to stop.
    Stopped {
        /// The trace's hash so far.
        trace_hash: String,
        /// Number of records so far.
        trace_records: u64,
    },
    /// The result of a run.
    #[serde(rename = "judged")]
    Result(Box<CaseResult>),
    /// The request cannot be run.
    Refused(String),
    /// The run showed that the scenario is invalid.
    ScenarioError(String),
    /// The run panicked.
    Panicked {
        /// The panic message.
        message: String,
        /// File and line, where known, and a backtrace if requested.
        place: String,
        /// The node of the system under test whose code panicked; absent if the tool panicked.
        node: Option<String>,
    },
}

/// One record of the event log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct LogRecord {
    /// Nanoseconds since the world's start.
    #[serde(rename = "t")]
    pub time_ns: u64,
    /// The node's name.
    #[serde(rename = "n")]
    pub node: String,
    /// Description of the record.
    #[serde(rename = "w")]
    pub what: String,
}

impl std::fmt::Display for LogRecord {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (secs, nanos) = (self.time_ns / 1_000_000_000, self.time_ns % 1_000_000_000);
        write!(f, "{secs:>7}.{nanos:09} {:<12} {}", self.node, self.what)
    }
}

/// The worker's part of a report.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct CaseResult {
    pub sim_ms: u64,
    pub trace_hash: String,
    pub trace_records: u64,
    /// Number of items that the verdict rests on.
    pub items: u64,
    pub outcome: Outcome,
    pub restoration: Restoration,
    pub shortfall: Option<String>,
    pub hung: Vec<PendingWork>,
    pub beyond_budget: Option<String>,
    pub detections: Vec<Detection>,
    pub violations: Vec<Violation>,
    pub marks: BTreeMap<String, u64>,
    pub faults: Vec<FaultReport>,
    /// Indices of those faults that were limited to a number of operations or calls and have affected them all.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub exhausted: BTreeSet<usize>,
    pub nodes: Vec<NodeStats>,
    /// Operations that faults struck, by phase.
    pub strikes: Strikes,
    pub addresses_fixed: bool,
    /// Every operation, if they were recorded.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ops: Vec<SerializedOp>,
    pub findings: Value,
}
