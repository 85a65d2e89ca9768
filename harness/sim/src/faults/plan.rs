//! Faults as data, as scenarios and plans contain them. The file of each family defines and implements its actions.

use super::behavior::FaultBehavior;
use super::{clock, condition, corruption, disk, link, operator, process};
use crate::op_kind::OpKind;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use strum::IntoStaticStr;

/// One fault of a plan.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub struct Fault {
    /// When the fault triggers.
    pub trigger: Trigger,
    /// Effect of the fault.
    pub action: FaultAction,
}

/// Trigger of a fault.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Trigger {
    /// An instant as people write it (RFC 3339). The reader of the scenario converts it to `at_ms`.
    At(String),
    /// An instant of true time, in milliseconds since 1970. A past instant means now.
    AtMs(#[schemars(range(min = 631_152_000_000_i64, max = 4_102_444_800_000_i64))] i64),
    /// The n-th operation of a kind at a node.
    NthOp {
        /// Name of the node.
        node: String,
        /// Kind of the operations that count.
        op: OpKind,
        /// Prefix of the paths that match; a rename matches with either name. Empty: all.
        #[serde(default)]
        path_prefix: String,
        /// The first is 1.
        #[schemars(range(min = 1, max = 1_000_000_000_000_u64))]
        n: u64,
        /// Operations before this many milliseconds of the world do not count.
        #[serde(default)]
        #[schemars(range(max = 31_622_400_000_u64))]
        after_ms: u64,
    },
    /// The n-th time that a mark is reached.
    Mark {
        /// Name of the mark.
        name: String,
        /// The first is 1.
        #[schemars(range(min = 1, max = 1_000_000_000_000_u64))]
        n: u64,
        /// Counts this node only; `None`: all nodes.
        #[serde(default)]
        node: Option<String>,
        /// Marks before this many milliseconds of the world do not count.
        #[serde(default)]
        #[schemars(range(max = 31_622_400_000_u64))]
        after_ms: u64,
    },
}

/// Action of a fault. Nodes are given by name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema, IntoStaticStr)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
#[strum(serialize_all = "snake_case")]
pub enum FaultAction {
    /// Kills a node's process.
    Kill(process::Kill),
    /// Pauses a node's process.
    Pause(process::Pause),
    /// Kills a node's process repeatedly.
    CrashLoop(process::CrashLoop),
    /// Kills every node of a rack or data center at once.
    PowerLoss(process::PowerLoss),
    /// Kills a node and boots it with an empty disk.
    NewDisk(process::NewDisk),
    /// Cuts a link.
    CutLink(link::CutLink),
    /// Cuts every link of a node.
    Isolate(link::Isolate),
    /// Cuts every link between two groups of nodes.
    Partition(link::Partition),
    /// Isolates and reconnects a node repeatedly.
    Flap(link::Flap),
    /// Makes a link slow, lossy, duplicating, reordering or narrow.
    DegradeLink(link::DegradeLink),
    /// Loses messages of a node's next calls.
    LoseMessage(link::LoseMessage),
    /// Steps the node's wall clock.
    ClockStep(clock::ClockStep),
    /// Makes the node's wall clock run fast or slow.
    ClockDrift(clock::ClockDrift),
    /// Fails operations of a kind with an input/output error, without effect.
    DiskError(disk::DiskError),
    /// Fails a sync and marks the unwritten pages as clean.
    SyncFailure(disk::SyncFailure),
    /// Fills the node's disk.
    DiskFull(disk::DiskFull),
    /// Slows the node's disk.
    SlowDisk(disk::SlowDisk),
    /// Makes reads return fewer bytes than there are.
    ShortRead(disk::ShortRead),
    /// Makes a block of a file unreadable.
    LatentSector(corruption::LatentSector),
    /// Flips bits of a file.
    BitRot(corruption::BitRot),
    /// Misdirects a write to another location.
    MisdirectedWrite(corruption::MisdirectedWrite),
    /// Loses writes that are confirmed and synced.
    LostWrite(corruption::LostWrite),
    /// Makes a crash leave garbage, not zeros, where a file was extended and not written.
    GarbageTails(corruption::GarbageTails),
    /// Removes a directory of a node.
    RemoveDirectory(operator::RemoveDirectory),
    /// Activates a named condition at a node. The system defines its meaning.
    Condition(condition::Condition),
}

impl Fault {
    /// Returns every node that the fault names.
    pub fn nodes(&self) -> impl Iterator<Item = &str> {
        let trigger = match &self.trigger {
            Trigger::NthOp { node, .. } => Some(node.as_str()),
            Trigger::Mark { node, .. } => node.as_deref(),
            Trigger::At(_) | Trigger::AtMs(_) => None,
        };
        trigger.into_iter().chain(self.action.nodes())
    }
}

impl FaultAction {
    /// Returns every node that the action names.
    #[must_use]
    pub fn nodes(&self) -> Vec<&str> {
        self.behavior().nodes()
    }

    /// Returns the implementation of this action.
    pub(crate) fn behavior(&self) -> &dyn FaultBehavior {
        match self {
            FaultAction::Kill(it) => it,
            FaultAction::Pause(it) => it,
            FaultAction::CrashLoop(it) => it,
            FaultAction::PowerLoss(it) => it,
            FaultAction::NewDisk(it) => it,
            FaultAction::CutLink(it) => it,
            FaultAction::Isolate(it) => it,
            FaultAction::Partition(it) => it,
            FaultAction::Flap(it) => it,
            FaultAction::DegradeLink(it) => it,
            FaultAction::LoseMessage(it) => it,
            FaultAction::ClockStep(it) => it,
            FaultAction::ClockDrift(it) => it,
            FaultAction::DiskError(it) => it,
            FaultAction::SyncFailure(it) => it,
            FaultAction::DiskFull(it) => it,
            FaultAction::SlowDisk(it) => it,
            FaultAction::ShortRead(it) => it,
            FaultAction::LatentSector(it) => it,
            FaultAction::BitRot(it) => it,
            FaultAction::MisdirectedWrite(it) => it,
            FaultAction::LostWrite(it) => it,
            FaultAction::GarbageTails(it) => it,
            FaultAction::RemoveDirectory(it) => it,
            FaultAction::Condition(it) => it,
        }
    }

    /// Whether the action affects a process or its clock, and so is injected after the operation that triggers it.
    #[must_use]
    pub fn is_process_fault(&self) -> bool {
        matches!(
            self,
            FaultAction::Kill(_)
                | FaultAction::Pause(_)
                | FaultAction::CrashLoop(_)
                | FaultAction::PowerLoss(_)
                | FaultAction::NewDisk(_)
                | FaultAction::ClockStep(_)
        )
    }

    /// Returns the action's name, as scenarios write it: `bit_rot`.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.into()
    }
}
