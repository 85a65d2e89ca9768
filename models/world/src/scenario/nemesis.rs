//! Nemesis configuration: kinds of faults that the seed may draw, their number, and the fault budget.

use super::schema::pair_maximum;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use strum::VariantArray;

/// Faults drawn from the seed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NemesisConfig {
    /// Number of faults per week, all kinds together, minimum and maximum.
    #[schemars(transform = pair_maximum::<10_000>)]
    pub per_week: (u32, u32),
    /// Kinds of faults that may be drawn. Absent: all. Each run enables about half of them.
    #[serde(default)]
    pub kinds: Option<Vec<FaultKind>>,
    /// Maximum number of nodes that are damaged and not yet repaired at a time.
    #[serde(default)]
    pub budget: FaultBudget,
}

/// Maximum number of nodes that are damaged at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct FaultBudget {
    /// Disks of Arb: one less than the number that hold an acknowledged event.
    #[schemars(range(max = 16))]
    pub disks: u16,
    /// Data centers: each alone is sufficient for a restore.
    #[schemars(range(max = 16))]
    pub data_centers: u16,
    /// Edges and tee store together: each request is on two of them.
    #[schemars(range(max = 16))]
    pub tee: u16,
}

impl Default for FaultBudget {
    fn default() -> Self {
        FaultBudget { disks: 3, data_centers: 1, tee: 1 }
    }
}

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
    /// Half of the disks and one more node lose power at once.
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
    /// A data center or the tee store answers 5xx, throttles, interrupts uploads, loses answers or returns short
    /// listing pages.
    ObjectStore,
    /// A directory of a disk is removed.
    RemovedDirectory,
}

impl FaultKind {
    /// All kinds.
    pub const ALL: &'static [FaultKind] = FaultKind::VARIANTS;
}
