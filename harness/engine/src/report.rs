//! What a run came to, as data. Text and JSON are made from it in `print`.

use crate::exit;
use crate::system::Notice;
use latent_sim::Fault;
use latent_verdict::{Outcome, Recovery, Violation};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A run, judged.
#[derive(Clone, Debug)]
pub struct Report<F> {
    /// The scenario's name, or the path it was run by.
    pub scenario: String,
    /// The seed.
    pub seed: u64,
    /// How it ended.
    pub outcome: Outcome,
    /// How it should end: as the scenario says, or as the release that was asked for says.
    pub expected: Outcome,
    /// The release that was asked for in place of the scenario's own, if one was.
    pub release: Option<OnRelease>,
    /// When its world began, milliseconds since 1970.
    pub start_ms: i64,
    /// Virtual time that passed, healing included, in seconds.
    pub sim_seconds: f64,
    /// Real time from the start of the process that was asked to the verdict, in seconds.
    pub wall_seconds: f64,
    /// The run's identity: 32 hexadecimal digits.
    pub trace_hash: String,
    /// How many records the trace has.
    pub trace_records: u64,
    /// Items that the system had confirmed, on which the verdict rests.
    pub items: u64,
    /// What the command line asked for and the run never did, one sentence each.
    pub unmet: Vec<String>,
    /// What was shown about getting lost items back.
    pub recovery: Recovery,
    /// What keeps a loss that can be had back from counting as recovered, one reason a line.
    pub shortfall: Option<String>,
    /// What did not come to rest, if anything: one reason a line, the worst first.
    pub hung: Option<String>,
    /// What exceeded the faults that the system promises to survive, if anything did.
    pub beyond_budget: Option<String>,
    /// Who noticed, in order of time.
    pub noticed: Vec<Notice>,
    /// Every promise that did not hold.
    pub violations: Vec<Violation>,
    /// How often each mark was reached.
    pub marks: BTreeMap<String, u64>,
    /// Required marks that were never reached.
    pub missing_marks: Vec<String>,
    /// What became of each fault, in the plan's order.
    pub faults: Vec<FaultReport>,
    /// What each node did, in order of creation.
    pub nodes: Vec<NodeTally>,
    /// The choices of the plan in words.
    pub choices: Vec<String>,
    /// Whether address randomisation was off, as it should be.
    pub addresses_fixed: bool,
    /// The line that repeats the run.
    pub repeat: String,
    /// The system's own part.
    pub findings: F,
}

impl<F> Report<F> {
    /// Whether the run did what its scenario and the command line expect: the outcome, every required mark and every fault
    /// that was asked for; and whether there was anything to be judged.
    #[must_use]
    pub fn as_expected(&self) -> bool {
        let did_all = self.missing_marks.is_empty() && self.unmet.is_empty();
        self.outcome == self.expected && did_all && !self.shows_nothing()
    }

    /// Whether nothing was violated, and nothing was there that could have been.
    #[must_use]
    pub fn shows_nothing(&self) -> bool {
        self.outcome == Outcome::Clean && self.items == 0
    }

    /// What a command that ran it exits with.
    pub(crate) fn exit_code(&self) -> u8 {
        if self.as_expected() {
            exit::CLEAN
        } else if self.outcome == self.expected && self.shows_nothing() {
            exit::NOTHING_RAN
        } else if self.outcome == self.expected {
            exit::UNREACHED
        } else {
            exit::of_run(self.outcome, self.expected)
        }
    }
}

/// A release in place of the scenario's own: it replaces what the scenario expects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OnRelease {
    /// Its name.
    pub name: String,
    /// How the scenario says that its own releases end.
    pub expected_as_written: Outcome,
}

/// What became of one fault of the plan.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FaultReport {
    /// The fault.
    pub fault: Fault,
    /// When it struck, true virtual time in milliseconds since 1970; `None`: never.
    pub struck_ms: Option<i64>,
    /// How many operations or marks of its trigger there were.
    pub counted: u64,
}

/// How many trace records of each kind one node has.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeTally {
    /// The node's name.
    pub name: String,
    /// Times it booted.
    pub boots: u64,
    /// Operations on its disk.
    pub disk_ops: u64,
    /// Messages it sent or received.
    pub messages: u64,
    /// Marks it reached.
    pub marks: u64,
}
