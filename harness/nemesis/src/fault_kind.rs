//! Kinds of faults that may be drawn.

use crate::targets::{FaultTargets, RunWindow};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use strum::VariantArray;

/// A kind of fault. The order of the variants is fixed, because draws are keyed by it: append new kinds.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, VariantArray, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum FaultKind {
    /// A process crashes and restarts.
    Crash,
    /// A process crashes repeatedly.
    CrashLoop,
    /// Half of the nodes that hold the data and one more node lose power at once.
    PowerLoss,
    /// A process is paused for 10 s to 10 min.
    Pause,
    /// A node restarts with an empty disk.
    NewDisk,
    /// A link is cut in one or both directions.
    CutLink,
    /// A node is isolated for 1 s, 1 min, 1 h, 4 h or 26 h.
    Isolate,
    /// A network partition between two groups of nodes.
    Partition,
    /// A node is isolated repeatedly.
    Flap,
    /// A node's links are 10 to 100 times slower, reorder and duplicate messages.
    SlowLink,
    /// A node's links lose up to a third of their messages.
    LossyLink,
    /// A request or a response is lost.
    LostMessage,
    /// I/O errors: once, several times, or for a period.
    DiskError,
    /// A failed sync that marks unwritten pages as clean.
    SyncFailure,
    /// A disk becomes full in the middle of a write.
    DiskFull,
    /// A disk is 10 to 100 times slower.
    SlowDisk,
    /// Reads return fewer bytes than requested.
    ShortRead,
    /// A block becomes unreadable.
    LatentSector,
    /// Bits of stored data flip.
    BitRot,
    /// A write lands at another place.
    MisdirectedWrite,
    /// A write is confirmed and never reaches the disk.
    LostWrite,
    /// After a crash, the unwritten tail of a file contains garbage.
    GarbageTails,
    /// A clock jumps by 1 s, 1 h or 1 day.
    ClockStep,
    /// A clock drifts by up to 50 ppm.
    ClockDrift,
    /// A condition of the system's own, such as an object store that answers 5xx or returns short listing pages.
    Condition,
    /// A directory of a disk is removed.
    RemovedDirectory,
}

impl FaultKind {
    /// All kinds.
    pub const ALL: &'static [FaultKind] = FaultKind::VARIANTS;

    /// Whether the fault removes durable bytes or makes them unreadable.
    #[must_use]
    pub fn is_damage(self) -> bool {
        use FaultKind::{BitRot, LatentSector, LostWrite, MisdirectedWrite, NewDisk, RemovedDirectory};
        matches!(self, NewDisk | LatentSector | BitRot | MisdirectedWrite | LostWrite | RemovedDirectory)
    }

    /// Whether the window is long enough: damage needs time until it is certainly repaired.
    #[must_use]
    pub fn has_time(self, window: &RunWindow) -> bool {
        !self.is_damage() || window.last_damage_ms > window.first_ms
    }

    /// Whether the system has a node that this fault can strike.
    #[must_use]
    pub fn has_targets(self, targets: &dyn FaultTargets) -> bool {
        let roles = targets.roles();
        match self {
            FaultKind::Condition => targets.conditions().is_some(),
            FaultKind::RemovedDirectory => targets.has_removable_directories(),
            FaultKind::NewDisk => roles[targets.data_role()].is_disk_replaceable,
            FaultKind::LatentSector
            | FaultKind::BitRot
            | FaultKind::MisdirectedWrite
            | FaultKind::LostWrite => !roles[targets.data_role()].damaged_paths.is_empty(),
            _ => true,
        }
    }
}
