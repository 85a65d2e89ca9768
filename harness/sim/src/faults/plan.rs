//! Faults as data: what stands in scenarios and plans. Each action is defined, and carried out, by its family's file.

use super::{clock, condition, corruption, disk, link, operator, process};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One fault of a plan.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub struct Fault {
    /// When it strikes.
    #[serde(rename = "anchor")]
    pub trigger: Trigger,
    /// What it does.
    pub action: FaultAction,
}

/// When a fault strikes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Trigger {
    /// At an instant, as a person writes it (RFC 3339). Whoever reads the scenario turns it into `at_ms`.
    At(String),
    /// At an instant of true time, in milliseconds since 1970. An instant in the past is now.
    AtMs(#[schemars(range(min = 631_152_000_000_i64, max = 4_102_444_800_000_i64))] i64),
    /// At the n-th operation of a kind at a node.
    NthOp {
        /// The node's name.
        node: String,
        /// Which operations count.
        op: OpKind,
        /// Only operations on paths that begin so; a rename counts by either name. Empty: all.
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
    /// When a mark is reached for the n-th time.
    Mark {
        /// The mark's name.
        name: String,
        /// The first is 1.
        #[schemars(range(min = 1, max = 1_000_000_000_000_u64))]
        n: u64,
        /// Only at this node; `None`: counted over all nodes.
        #[serde(default)]
        node: Option<String>,
        /// Marks before this many milliseconds of the world do not count.
        #[serde(default)]
        #[schemars(range(max = 31_622_400_000_u64))]
        after_ms: u64,
    },
}

/// What a fault does. Nodes are named.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum FaultAction {
    /// Kills a node's process.
    Kill(process::Kill),
    /// Stops a node's process in its tracks.
    Pause(process::Pause),
    /// Kills a node's process again and again.
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
    /// Cuts a node off, lets it back, and so on.
    Flap(link::Flap),
    /// Makes a link slow, lossy, doubling, reordering or narrow.
    DegradeLink(link::DegradeLink),
    /// Loses the next messages of a node.
    LoseMessage(link::LoseMessage),
    /// The node's wall clock jumps.
    ClockStep(clock::ClockStep),
    /// The node's wall clock runs fast or slow.
    ClockDrift(clock::ClockDrift),
    /// Operations of a kind fail with an input/output error and have no effect.
    DiskError(disk::DiskError),
    /// A sync fails and marks what it did not write as written.
    SyncFailure(disk::SyncFailure),
    /// The node's disk is full.
    DiskFull(disk::DiskFull),
    /// The node's disk is slow.
    SlowDisk(disk::SlowDisk),
    /// Reads return fewer bytes than there are.
    ShortRead(disk::ShortRead),
    /// A block of a file can no longer be read.
    LatentSector(corruption::LatentSector),
    /// Bits of a file change by themselves.
    BitRot(corruption::BitRot),
    /// A write goes to another place than it should.
    MisdirectedWrite(corruption::MisdirectedWrite),
    /// Writes are confirmed, synced, and not there.
    LostWrite(corruption::LostWrite),
    /// A crash leaves garbage, not zeros, where a file was extended and not written.
    GarbageTails(corruption::GarbageTails),
    /// Somebody removes a directory of a node.
    RemoveDirectory(operator::RemoveDirectory),
    /// A named condition holds at a node: what it means is the system's business.
    Condition(condition::Condition),
}

/// A kind of operation, for counting.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OpKind {
    /// Every operation below.
    Any,
    /// Every disk operation.
    Disk,
    /// Every disk operation that changes something or makes it durable.
    Change,
    /// Every network operation.
    Net,
    /// Opening a file that exists (or failing to).
    Open,
    /// Opening a file that does not exist, so that it is created.
    Create,
    /// Appending to a file.
    Append,
    /// Writing at an offset.
    WriteAt,
    /// Cutting or extending a file.
    Truncate,
    /// Reading from a file.
    Read,
    /// Asking for a file's length.
    Len,
    /// Syncing a file.
    Sync,
    /// Making a directory.
    CreateDir,
    /// Removing a directory.
    RemoveDir,
    /// Renaming.
    Rename,
    /// Removing a file.
    Remove,
    /// Listing a directory.
    List,
    /// Syncing a directory.
    SyncDir,
    /// Sending a request.
    Send,
    /// Taking a request from the queue.
    Receive,
    /// Answering a request.
    Answer,
}

impl OpKind {
    /// Whether it is a single kind of network operation.
    #[must_use]
    pub fn is_net(self) -> bool {
        matches!(self, OpKind::Send | OpKind::Receive | OpKind::Answer)
    }

    /// Whether `actual`, one single operation, is of this kind.
    #[must_use]
    pub fn covers(self, actual: OpKind) -> bool {
        match self {
            OpKind::Any => true,
            OpKind::Net => actual.is_net(),
            OpKind::Disk => !actual.is_net(),
            OpKind::Change => {
                !actual.is_net()
                    && !matches!(actual, OpKind::Open | OpKind::Read | OpKind::Len | OpKind::List)
            }
            _ => self == actual,
        }
    }
}

impl Fault {
    /// Every node that the fault names.
    pub fn nodes(&self) -> impl Iterator<Item = &str> {
        let trigger = match &self.trigger {
            Trigger::NthOp { node, .. } => Some(node.as_str()),
            Trigger::Mark { node, .. } => node.as_deref(),
            Trigger::At(_) | Trigger::AtMs(_) => None,
        };
        trigger.into_iter().chain(self.action.behavior().nodes())
    }
}

impl FaultAction {
    /// The family's code behind this action.
    pub(super) fn behavior(&self) -> &dyn super::FaultBehavior {
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

    /// Whether it befalls a process or its clock, and so strikes after the operation that it is anchored to.
    pub(super) fn is_process(&self) -> bool {
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

    /// Its name, as scenarios write it: `bit_rot`.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            FaultAction::Kill(_) => "kill",
            FaultAction::Pause(_) => "pause",
            FaultAction::CrashLoop(_) => "crash_loop",
            FaultAction::PowerLoss(_) => "power_loss",
            FaultAction::NewDisk(_) => "new_disk",
            FaultAction::CutLink(_) => "cut_link",
            FaultAction::Isolate(_) => "isolate",
            FaultAction::Partition(_) => "partition",
            FaultAction::Flap(_) => "flap",
            FaultAction::DegradeLink(_) => "degrade_link",
            FaultAction::LoseMessage(_) => "lose_message",
            FaultAction::ClockStep(_) => "clock_step",
            FaultAction::ClockDrift(_) => "clock_drift",
            FaultAction::DiskError(_) => "disk_error",
            FaultAction::SyncFailure(_) => "sync_failure",
            FaultAction::DiskFull(_) => "disk_full",
            FaultAction::SlowDisk(_) => "slow_disk",
            FaultAction::ShortRead(_) => "short_read",
            FaultAction::LatentSector(_) => "latent_sector",
            FaultAction::BitRot(_) => "bit_rot",
            FaultAction::MisdirectedWrite(_) => "misdirected_write",
            FaultAction::LostWrite(_) => "lost_write",
            FaultAction::GarbageTails(_) => "garbage_tails",
            FaultAction::RemoveDirectory(_) => "remove_directory",
            FaultAction::Condition(_) => "condition",
        }
    }
}
