//! The kinds of trouble.

use super::budget::REPAIRED_AFTER_MS;
use super::site::WARM_UP_MS;
use crate::scenario::Topic;
use crate::topology::Names;
use latent_engine::Scenario;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// A kind of trouble. The order is fixed: draws are keyed by it, and new kinds go to the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// A process dies and boots again.
    Crash,
    /// A process dies again and again.
    CrashLoop,
    /// Half of a replica set, or two other nodes, lose power at once.
    PowerLoss,
    /// A process stops for 10 s to 10 min.
    Pause,
    /// A machine comes back with an empty disk.
    NewDisk,
    /// One link is cut, one way or both.
    CutLink,
    /// One node is cut off for 1 s, 1 min, 4 h or 26 h.
    Isolate,
    /// Two groups of disks and workers do not reach each other.
    Partition,
    /// A node is cut off again and again.
    Flap,
    /// Links of a node are 10 to 100 times as slow, reorder and double.
    SlowLink,
    /// Links of a node lose up to a third of their messages.
    LossyLink,
    /// A request or an answer is lost.
    LostMessage,
    /// Input/output errors: once, a few times, for a while.
    DiskError,
    /// A failed sync that marks what it did not write as written.
    SyncFailure,
    /// A full disk, part-way through a write.
    DiskFull,
    /// A disk 10 to 100 times as slow.
    SlowDisk,
    /// Reads that come short.
    ShortRead,
    /// A block that cannot be read.
    LatentSector,
    /// Bits that change by themselves.
    BitRot,
    /// A write that goes elsewhere.
    MisdirectedWrite,
    /// A write that is confirmed and never happened.
    LostWrite,
    /// Garbage where a crash left a file extended and not written.
    GarbageTails,
    /// A clock that jumps by 1 s, 1 h or 1 day.
    ClockStep,
    /// A clock that drifts by up to 50 ppm.
    ClockDrift,
    /// A data center or the tee store answers 5xx, throttles, breaks uploads off, loses answers or lists in short pages.
    ObjectStore,
    /// Somebody removes a directory of a disk.
    RemovedDirectory,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Kind; 26] = [
        Kind::Crash,
        Kind::CrashLoop,
        Kind::PowerLoss,
        Kind::Pause,
        Kind::NewDisk,
        Kind::CutLink,
        Kind::Isolate,
        Kind::Partition,
        Kind::Flap,
        Kind::SlowLink,
        Kind::LossyLink,
        Kind::LostMessage,
        Kind::DiskError,
        Kind::SyncFailure,
        Kind::DiskFull,
        Kind::SlowDisk,
        Kind::ShortRead,
        Kind::LatentSector,
        Kind::BitRot,
        Kind::MisdirectedWrite,
        Kind::LostWrite,
        Kind::GarbageTails,
        Kind::ClockStep,
        Kind::ClockDrift,
        Kind::ObjectStore,
        Kind::RemovedDirectory,
    ];

    /// Whether it takes durable bytes away, or makes them unreadable.
    pub(super) fn is_damage(self) -> bool {
        use Kind::{BitRot, LatentSector, LostWrite, MisdirectedWrite, NewDisk, RemovedDirectory};
        matches!(self, NewDisk | LatentSector | BitRot | MisdirectedWrite | LostWrite | RemovedDirectory)
    }

    /// Whether a scenario is long enough: damage needs days until it is surely repaired.
    pub(crate) fn has_time(self, scenario: &Scenario<Topic>) -> bool {
        let ms = |time: Duration| i64::try_from(time.as_millis()).unwrap_or(i64::MAX / 4);
        let all_ms = ms(scenario.run_for.0) + ms(scenario.config.healing.0);
        !self.is_damage() || all_ms > REPAIRED_AFTER_MS + WARM_UP_MS.cast_signed()
    }

    /// Whether there is anything that it could befall.
    pub(crate) fn has_victims(self, names: &Names) -> bool {
        self != Kind::ObjectStore || !names.stores().is_empty()
    }
}
