//! Configuration and counters of a disk.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Resolution of un-synced operations in a crash.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum CrashPolicy {
    /// Any legal part of them, drawn: a power loss.
    #[default]
    Drawn,
    /// None of them: the worst power loss.
    Nothing,
    /// All of them, still un-synced: only the process died, the page cache survives.
    Everything,
}

/// Configuration of a node's disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DiskSpec {
    /// Maximum of the total length of all files.
    pub capacity_bytes: u64,
    /// Resolution of un-synced operations in a kill that does not specify one.
    pub crash_policy: CrashPolicy,
    /// Blocks of this size are written atomically; a crash tears writes only between them.
    pub tear_bytes: u32,
    /// Duration of a sync in microseconds: minimum and maximum, drawn uniformly.
    pub sync_latency_us: (u32, u32),
}

impl Default for DiskSpec {
    /// Returns 1 TiB, drawn crashes, 512-byte blocks, syncs of 0.5 to 4 ms (a data-center SSD).
    fn default() -> DiskSpec {
        DiskSpec {
            capacity_bytes: 1 << 40,
            crash_policy: CrashPolicy::Drawn,
            tear_bytes: 512,
            sync_latency_us: (500, 4_000),
        }
    }
}

/// Counters of one disk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DiskStats {
    /// Total length of all files, including those removed but not yet durably.
    pub used_bytes: u64,
    /// Number of files that have a name.
    pub file_count: u64,
    /// Number of operations since the start of the world, failed ones included.
    pub op_count: u64,
    /// Number of changes of names that are not yet durable.
    pub unsynced_name_changes: u64,
}
