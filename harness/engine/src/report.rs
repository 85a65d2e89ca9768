//! The report of a run, as data. `print` renders it as text and JSON.

use crate::exit;
use latent_sim::Fault;
use latent_verdict::{Expectation, Outcome, PendingWork, Restoration, Violation};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The judged result of a run.
#[derive(Clone, Debug)]
pub struct Report<F> {
    /// The scenario's name, or the path that it was loaded from.
    pub scenario: String,
    /// The seed.
    pub seed: u64,
    /// Outcome of the run.
    pub outcome: Outcome,
    /// Expected outcome: the scenario's, or that of the requested release.
    pub expected: Expectation,
    /// The release given on the command line in place of the scenario's own.
    pub release: Option<ReleaseOverride>,
    /// Start of the world, milliseconds since 1970.
    pub start_ms: i64,
    /// Virtual time that passed, healing included, in seconds.
    pub sim_seconds: f64,
    /// Real time from the start of this process to the verdict, in seconds.
    pub wall_seconds: f64,
    /// Trace hash, which identifies the run: 32 hexadecimal digits.
    pub trace_hash: String,
    /// Number of records in the trace.
    pub trace_records: u64,
    /// Number of acknowledged items that the verdict rests on.
    pub items: u64,
    /// Requests of the command line that the run did not fulfil, one sentence each.
    pub unfulfilled: Vec<String>,
    /// How far the run shows that lost items can be restored.
    pub restoration: Restoration,
    /// Reasons why a restorable loss does not count as recovered, one a line.
    pub shortfall: Option<String>,
    /// Work that did not finish, the worst first.
    pub hung: Vec<PendingWork>,
    /// Faults that exceeded the system's fault budget, if any.
    pub beyond_budget: Option<String>,
    /// Detections, in order of time.
    pub detections: Vec<Detection>,
    /// Every violated invariant.
    pub violations: Vec<Violation>,
    /// Number of times that each mark was reached.
    pub marks: BTreeMap<String, u64>,
    /// Required marks that were not reached.
    pub marks_not_reached: Vec<String>,
    /// Result of each fault, in the plan's order.
    pub faults: Vec<FaultReport>,
    /// Statistics of each node, in order of creation.
    pub nodes: Vec<NodeStats>,
    /// The plan's choices in plain text.
    pub choices: Vec<String>,
    /// Whether address randomisation was off, as it should be.
    pub addresses_fixed: bool,
    /// The command that reproduces the run.
    pub repeat: String,
    /// The system's own part.
    pub findings: F,
}

impl<F> Report<F> {
    /// Whether the run ended as its scenario and the command line expect: the outcome, every required mark, every
    /// requested fault, and at least one item to check.
    #[must_use]
    pub fn as_expected(&self) -> bool {
        let did_all = self.marks_not_reached.is_empty() && self.unfulfilled.is_empty();
        self.expected.is_met_by(self.outcome) && did_all && !self.is_vacuous()
    }

    /// Whether the run is clean but had no item that could have been lost.
    #[must_use]
    pub fn is_vacuous(&self) -> bool {
        self.outcome == Outcome::Clean && self.items == 0
    }

    /// Exit code of a command that ran it.
    pub(crate) fn exit_code(&self) -> u8 {
        if self.as_expected() {
            exit::CLEAN
        } else if self.expected.is_met_by(self.outcome) && self.is_vacuous() {
            exit::NOTHING_RAN
        } else if self.expected.is_met_by(self.outcome) {
            exit::MARK_NOT_REACHED
        } else {
            exit::of_run(self.outcome, self.expected)
        }
    }
}

/// A release that overrides the scenario's own; it also overrides the expected outcome.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReleaseOverride {
    /// Name of the release.
    pub name: String,
    /// Outcome that the scenario expects of its own releases.
    pub expected_as_written: Expectation,
}

/// Result of one fault of the plan.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct FaultReport {
    /// The fault.
    pub fault: Fault,
    /// True virtual time at which it was triggered, in milliseconds since 1970; `None`: never.
    pub triggered_ms: Option<i64>,
    /// Number of operations or marks that matched its trigger.
    pub match_count: u64,
}

/// Number of trace records of each kind of one node.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct NodeStats {
    /// The node's name.
    pub name: String,
    /// Number of boots.
    pub boots: u64,
    /// Operations on its disk.
    pub disk_ops: u64,
    /// Messages sent or received.
    pub messages: u64,
    /// Marks reached.
    pub marks: u64,
}

/// A report by a detector inside the world.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Detection {
    /// Name of the detector: `checksum`, `reader`.
    pub by: String,
    /// True virtual time, in milliseconds since 1970.
    pub at_ms: i64,
    /// The detector's message.
    pub what: String,
}
