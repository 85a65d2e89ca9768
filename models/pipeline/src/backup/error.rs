//! Why a backup was not taken, or not whole.

use crate::common_time::NoCommonTime;
use latent_edge::object_api::StoreError;

/// Why a backup was not taken, or not whole.
#[derive(Debug, Clone, thiserror::Error)]
pub enum BackupError {
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Too few disks.
    #[error("project {project}: {answered} disks could be pinned, {needed} are needed")]
    TooFewDisks {
        /// The project.
        project: u32,
        /// How many could.
        answered: usize,
        /// How many must.
        needed: usize,
    },
    /// The time.
    #[error(transparent)]
    Time(#[from] NoCommonTime),
    /// A file could not be copied from any disk that has it.
    #[error("project {project}: segment {hash} could not be read from any disk")]
    Unreadable {
        /// The project.
        project: u32,
        /// The file's hash.
        hash: String,
    },
    /// The catalog could not be written as text.
    #[error("catalog: {0}")]
    Text(String),
    /// No data center could be asked what the newest backup holds.
    #[error("no data center says what the newest backup holds: the catalog waits until one does")]
    NothingKnown,
    /// A data center lacks a segment that the catalog names, and the data center that may have it cannot be asked.
    #[error("dc-{data_center} lacks segment {hash}: its catalog waits until another data center has it")]
    Lacks {
        /// Its number, from 1.
        data_center: usize,
        /// The segment's hash.
        hash: String,
    },
    /// Some projects or data centers have no backup of this interval yet.
    #[error("{projects} projects and {data_centers} data centers wait for the next try: {why}")]
    Incomplete {
        /// How many projects stay at an earlier position.
        projects: usize,
        /// How many data centers lack the catalog.
        data_centers: usize,
        /// The first failure.
        why: String,
    },
}

impl BackupError {
    /// The project that it is about, if it is about one.
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
