//! Result of a recovery, by day, and whether it is complete.

use crate::zone::Day;
use serde::{Deserialize, Serialize};

/// Result of the recovery of one day.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct DayReport {
    /// The project.
    pub project: u32,
    /// The day.
    pub day: Day,
    /// Position of the backup used; `None` if only the tee was used.
    pub backup_position_ms: Option<i64>,
    /// Number of events from the backup.
    pub restored: u64,
    /// Number of events added from the tee.
    pub replayed: u64,
    /// Number of events that differed in production and were replaced.
    pub replaced: u64,
    /// Whether the audit passed. Also false when it could not run.
    pub audited: bool,
    /// Whether enough disks accepted the events, and production holds them correctly when read back.
    pub written: bool,
    /// Number of keys missing from production when read back.
    pub missing_after: u64,
    /// Number of arrivals that still differ in some copy when read back.
    pub altered_after: u64,
    /// Number of duplicate events in production under unknown arrivals. They are reported by marks and stay: a recovery
    /// removes nothing.
    pub duplicates: u64,
}

/// Result of a recovery.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct RecoveryReport {
    /// Start time, by the wall clock of the node that ran it, in ms.
    pub started_ms: i64,
    /// End time; see `started_ms`.
    pub ended_ms: i64,
    /// Number of readable backups.
    pub backups: u64,
    /// Error, if the tee could not be read completely. Its readable part was used.
    pub tee_error: Option<String>,
    /// Whether every step was executed, in an order in which each step follows those that it depends on.
    pub followed_runbook: bool,
    /// Results of the target days.
    pub days: Vec<DayReport>,
}

impl RecoveryReport {
    /// Whether every target passed its audit and was written. False if the tee could not be read, since days may exist
    /// that no source names, and if steps of the runbook were left out or swapped.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.followed_runbook
            && self.tee_error.is_none()
            && self.days.iter().all(|day| day.audited && day.written && day.duplicates == 0)
    }
}
