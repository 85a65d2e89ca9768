//! Faults as data: what stands in scenarios and plans. Nothing here happens yet.

use crate::CrashKeeps;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One fault of a plan.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub struct Fault {
    /// When it strikes.
    pub anchor: Anchor,
    /// What it does.
    pub action: Action,
}

/// When a fault strikes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Anchor {
    /// At an instant, as a person writes it (RFC 3339). Whoever reads the scenario turns it into `at_ms`.
    At(String),
    /// At an instant of true time, in milliseconds since 1970. An instant in the past is now.
    AtMs(i64),
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
        n: u64,
        /// Operations before this many milliseconds of the world do not count.
        #[serde(default)]
        after_ms: u64,
    },
    /// When a mark is reached for the n-th time.
    Mark {
        /// The mark's name.
        name: String,
        /// The first is 1.
        n: u64,
        /// Only at this node; `None`: counted over all nodes.
        #[serde(default)]
        node: Option<String>,
    },
}

/// What a fault does. Nodes are named.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Action {
    /// Kills the node's process.
    Kill {
        /// The node.
        node: String,
        /// Boots it again after this many milliseconds; `None`: it stays down.
        #[serde(default)]
        restart_after_ms: Option<u64>,
        /// What its disk keeps of what was not synced; `None`: the disk's own policy.
        #[serde(default)]
        keeps: Option<CrashKeeps>,
    },
    /// Stops the node's process in its tracks.
    Pause {
        /// The node.
        node: String,
        /// For how many milliseconds.
        for_ms: u64,
    },
    /// Cuts a link.
    CutLink {
        /// The sending node.
        from: String,
        /// The receiving node.
        to: String,
        /// Cuts the other direction too.
        #[serde(default)]
        both: bool,
        /// For how many milliseconds; `None`: for good.
        #[serde(default)]
        for_ms: Option<u64>,
    },
    /// Cuts every link of a node.
    Isolate {
        /// The node.
        node: String,
        /// For how many milliseconds; `None`: for good.
        #[serde(default)]
        for_ms: Option<u64>,
    },
    /// The next operations of a kind fail with an input/output error and have no effect.
    DiskError {
        /// The node.
        node: String,
        /// Which operations.
        op: OpKind,
        /// Only on paths that begin so. Empty: all.
        #[serde(default)]
        path_prefix: String,
        /// How many of them.
        times: u32,
    },
    /// The node's disk takes no more bytes and no more names.
    DiskFull {
        /// The node.
        node: String,
        /// For how many milliseconds; `None`: for good.
        #[serde(default)]
        for_ms: Option<u64>,
    },
    /// The node's wall clock jumps.
    ClockStep {
        /// The node.
        node: String,
        /// By how many milliseconds; negative: back.
        by_ms: i64,
    },
}

/// A kind of operation, for counting.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
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
    fn is_net(self) -> bool {
        matches!(self, OpKind::Send | OpKind::Receive | OpKind::Answer)
    }

    /// Whether `actual`, one single operation, is of this kind.
    pub(crate) fn covers(self, actual: OpKind) -> bool {
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
        let anchor = match &self.anchor {
            Anchor::NthOp { node, .. } => Some(node),
            Anchor::Mark { node, .. } => node.as_ref(),
            Anchor::At(_) | Anchor::AtMs(_) => None,
        };
        let (first, second) = match &self.action {
            Action::CutLink { from, to, .. } => (from, Some(to)),
            Action::Kill { node, .. }
            | Action::Pause { node, .. }
            | Action::Isolate { node, .. }
            | Action::DiskError { node, .. }
            | Action::DiskFull { node, .. }
            | Action::ClockStep { node, .. } => (node, None),
        };
        anchor.into_iter().chain([first]).chain(second).map(String::as_str)
    }
}

impl Action {
    /// Whether it befalls a process or its clock, and so strikes after the operation that it is anchored to.
    pub(super) fn is_process(&self) -> bool {
        matches!(self, Action::Kill { .. } | Action::Pause { .. } | Action::ClockStep { .. })
    }
}
