//! Kinds of operations at the ports, for triggers of faults and rules of disks.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Kind of operation, for triggers and rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OpKind {
    /// Every operation.
    Any,
    /// Every disk operation.
    Disk,
    /// Every disk operation that changes something or makes it durable.
    Change,
    /// Every network operation.
    Net,
    /// Opening a file that exists, or failing to open one.
    Open,
    /// Opening a file that does not exist, which creates it.
    Create,
    /// Appending to a file.
    Append,
    /// Writing at an offset.
    WriteAt,
    /// Shortening or extending a file.
    Truncate,
    /// Reading from a file.
    Read,
    /// Reading a file's length.
    Len,
    /// Syncing a file.
    Sync,
    /// Creating a directory.
    CreateDir,
    /// Removing a directory.
    RemoveDir,
    /// Renaming a file or directory.
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
    /// Whether this is a single kind of network operation.
    #[must_use]
    pub fn is_net(self) -> bool {
        matches!(self, OpKind::Send | OpKind::Receive | OpKind::Answer)
    }

    /// Whether `actual`, a single kind, belongs to this kind.
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
