//! Error of a backup.

use crate::median_clock::TooFewClocks;
use latent_storekit::object_store::StoreError;

/// Reason that a backup was not taken, or not completely.
#[derive(Debug, Clone, thiserror::Error)]
pub enum BackupError {
    /// Error of an object store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Too few disks could be pinned.
    #[error("project {project}: {answered} disks could be pinned, {needed} are needed")]
    TooFewDisks {
        /// The project.
        project: u32,
        /// Number of disks that could be pinned.
        answered: usize,
        /// Number of disks needed.
        needed: usize,
    },
    /// The time could not be determined.
    #[error(transparent)]
    Time(#[from] TooFewClocks),
    /// A file could not be copied from any disk that has it.
    #[error("project {project}: segment {hash} could not be read from any disk")]
    Unreadable {
        /// The project.
        project: u32,
        /// Hash of the file.
        hash: String,
    },
    /// The catalog could not be encoded.
    #[error("catalog: {0}")]
    Text(String),
    /// No data center could be queried for the newest backup.
    #[error("no data center says what the newest backup holds: the catalog waits until one does")]
    NoBaseline,
    /// A data center lacks a segment of the catalog, and the data center that may have it cannot be queried.
    #[error("dc-{data_center} lacks segment {hash}: its catalog waits until another data center has it")]
    MissingSegment {
        /// Number of the data center, from 1.
        data_center: usize,
        /// Hash of the segment.
        hash: String,
    },
    /// Some projects or data centers have no backup of this interval yet.
    #[error("{projects} projects and {data_centers} data centers wait for the next try: {why}")]
    Incomplete {
        /// Number of projects that stay at an earlier position.
        projects: usize,
        /// Number of data centers that lack the catalog.
        data_centers: usize,
        /// The first failure.
        why: String,
    },
}

impl BackupError {
    /// Returns the project of the error, if there is one.
    #[must_use]
    pub fn project(&self) -> Option<u32> {
        match self {
            BackupError::TooFewDisks { project, .. } | BackupError::Unreadable { project, .. } => {
                Some(*project)
            }
            _ => None,
        }
    }
}
