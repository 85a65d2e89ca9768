//! The kinds of faults that the nemesis draws.

use super::fault_budget::REPAIRED_AFTER_MS;
use super::fault_sampler::WARM_UP_MS;
use crate::scenario::WorldConfig;
use crate::topology::NodeNames;
use latent_engine::Scenario;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// A kind of fault. The order of the variants is fixed, because draws are keyed by it: append new kinds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
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
    pub const ALL: [FaultKind; 26] = [
        FaultKind::Crash,
        FaultKind::CrashLoop,
        FaultKind::PowerLoss,
        FaultKind::Pause,
        FaultKind::NewDisk,
        FaultKind::CutLink,
        FaultKind::Isolate,
        FaultKind::Partition,
        FaultKind::Flap,
        FaultKind::SlowLink,
        FaultKind::LossyLink,
        FaultKind::LostMessage,
        FaultKind::DiskError,
        FaultKind::SyncFailure,
        FaultKind::DiskFull,
        FaultKind::SlowDisk,
        FaultKind::ShortRead,
        FaultKind::LatentSector,
        FaultKind::BitRot,
        FaultKind::MisdirectedWrite,
        FaultKind::LostWrite,
        FaultKind::GarbageTails,
        FaultKind::ClockStep,
        FaultKind::ClockDrift,
        FaultKind::ObjectStore,
        FaultKind::RemovedDirectory,
    ];

    /// Returns true if the fault removes durable bytes or makes them unreadable.
    pub(super) fn is_damage(self) -> bool {
        use FaultKind::{BitRot, LatentSector, LostWrite, MisdirectedWrite, NewDisk, RemovedDirectory};
        matches!(self, NewDisk | LatentSector | BitRot | MisdirectedWrite | LostWrite | RemovedDirectory)
    }

    /// Returns true if the scenario is long enough: damage needs days until it is certainly repaired.
    pub(crate) fn has_time(self, scenario: &Scenario<WorldConfig>) -> bool {
        let ms = |time: Duration| i64::try_from(time.as_millis()).unwrap_or(i64::MAX / 4);
        let all_ms = ms(scenario.run_for.0) + ms(scenario.config.healing.0);
        !self.is_damage() || all_ms > REPAIRED_AFTER_MS + WARM_UP_MS.cast_signed()
    }

    /// Returns true if the topology has a node that this fault can affect.
    pub(crate) fn has_targets(self, names: &NodeNames) -> bool {
        self != FaultKind::ObjectStore || !names.stores().is_empty()
    }
}
