//! What a recovery did, day by day, and whether it may call itself complete.

use crate::zone::Day;
use serde::{Deserialize, Serialize};

/// How one day was recovered.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct DayReport {
    /// The project.
    pub project: u32,
    /// The day.
    pub day: Day,
    /// Position of the backup used; `None` when the tee alone was.
    pub backup_position_ms: Option<i64>,
    /// Events from the backup.
    pub restored: u64,
    /// Events that the tee added.
    pub replayed: u64,
    /// Events that production held otherwise than the tee or a backup says: they are replaced.
    pub replaced: u64,
    /// Whether the audit passed. False also when it could not run.
    pub audited: bool,
    /// Whether enough disks took the events, and production, read back, holds them as they are right.
    pub written: bool,
    /// Keys that production lacked when it was read back.
    pub left_missing: u64,
    /// Arrivals of which a copy still said something else when it was read back.
    pub left_altered: u64,
    /// Events that production shows once more under arrivals that nothing knows. They are named by marks, and stay: a
    /// recovery removes nothing.
    pub doubled: u64,
}

/// What a recovery did.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct RecoveryReport {
    /// When it began and ended, by the wall clock of the node that ran it.
    pub started_ms: i64,
    /// See `started_ms`.
    pub ended_ms: i64,
    /// Backups that could be read.
    pub backups: u64,
    /// Why the tee could not be read whole, if it could not: what could be read was used.
    pub tee_error: Option<String>,
    /// Whether every step was taken, and in an order in which each rests on those before it.
    pub by_the_book: bool,
    /// Each target day.
    pub days: Vec<DayReport>,
}

impl RecoveryReport {
    /// Whether every target passed its audit and was written. Not when the tee could not be read: there may be
    /// days that no source names; nor when steps of the runbook were left out or swapped.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.by_the_book
            && self.tee_error.is_none()
            && self.days.iter().all(|day| day.audited && day.written && day.doubled == 0)
    }
}
