//! Calls to an Arb disk and its responses.

use super::manifest::{FileEntry, Tier};
use crate::codec::{self, tag};
use crate::record::SetDigest;
use crate::zone::Day;
use bytes::Bytes;
use latent_ports::{Env, Net, NetError, NodeId};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// One block of a write: its day, its tier, and its length in the body.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WriteBlock {
    /// The day.
    pub day: Day,
    /// Tier: late or on-time.
    pub tier: Tier,
    /// Length of the block's frame in the body, in bytes. Frames are concatenated.
    pub frame_bytes: u32,
}

/// Call to an Arb disk.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ArbRequest {
    /// Append blocks, durably. The body holds their frames.
    Write {
        /// The project.
        project: u32,
        /// The blocks.
        parts: Vec<WriteBlock>,
        /// Skip events whose arrival id is present, for a replay. A record of a later repair replaces the present one.
        skip_present: bool,
    },
    /// Take or renew the compaction lease of a project.
    Lease {
        /// The project.
        project: u32,
        /// Duration, in ms.
        for_ms: u64,
    },
    /// List the files of a project's days.
    Days {
        /// The project.
        project: u32,
        /// Only days with files that have not been compacted.
        dirty_only: bool,
    },
    /// Merge files of a day and commit.
    Run {
        /// The project.
        project: u32,
        /// The day.
        day: Day,
        /// Fencing token of the worker's lease.
        token: u64,
        /// Files to merge.
        inputs: Vec<u64>,
        /// Compacted files to keep beside the output.
        keep: Vec<u64>,
    },
    /// Digest of a day's keys.
    Digest {
        /// The project.
        project: u32,
        /// The day.
        day: Day,
        /// Cut: only events that arrived before this time.
        arrived_before_ms: i64,
    },
    /// Digest of the full contents of a day's records, including duplicates of one key. Used by the audit, which
    /// compares contents.
    ContentDigest {
        /// The project.
        project: u32,
        /// The day.
        day: Day,
    },
    /// Digests of all days of a project at a cut.
    Digests {
        /// The project.
        project: u32,
        /// Cut: only events that arrived before this time.
        arrived_before_ms: i64,
    },
    /// Read all events of a day. The response's body holds blocks as frames.
    Read {
        /// The project.
        project: u32,
        /// The day.
        day: Day,
    },
    /// Seal a project's days and keep their files until `Unpin` or for `for_ms`.
    Pin {
        /// The project.
        project: u32,
        /// Maximum duration, in ms.
        for_ms: u64,
        /// Cut of the digests.
        arrived_before_ms: i64,
    },
    /// Read the bytes of one file.
    Fetch {
        /// The project.
        project: u32,
        /// The day.
        day: Day,
        /// The file.
        id: u64,
    },
    /// Move a corrupt day to quarantine, so that it can be filled from the other copies.
    Quarantine {
        /// The project.
        project: u32,
        /// The day.
        day: Day,
    },
    /// Read the disk's wall clock.
    Clock,
    /// Release a pin.
    Unpin {
        /// The project.
        project: u32,
    },
    /// A quarantined day was filled and equals its other copies: the quarantined data may be removed.
    ReleaseQuarantine {
        /// The project.
        project: u32,
        /// The day.
        day: Day,
    },
}

/// A day of a project on one disk.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DayFiles {
    /// The day.
    pub day: Day,
    /// Version of the manifest.
    pub version: u64,
    /// Live files. For an open file, records and bytes are the present values.
    pub files: Vec<FileEntry>,
    /// Digest of the day's keys, if the call asks for one; absent when the day fails verification.
    pub digest: Option<SetDigest>,
}

/// Response of a disk.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ArbResponse {
    /// The write is durable.
    Written {
        /// Number of events skipped because they were present.
        skipped: u64,
    },
    /// The caller holds the lease.
    Leased {
        /// Fencing token.
        token: u64,
    },
    /// Another worker holds the lease.
    LeaseHeld,
    /// Wall clock of the disk.
    Clock {
        /// Time, in ms since 1970.
        now_ms: i64,
    },
    /// Requested days.
    Days(Vec<DayFiles>),
    /// The run is committed.
    RunCommitted {
        /// Compacted files that are live now.
        compacted: Vec<u64>,
    },
    /// A digest.
    Digest(SetDigest),
    /// The body holds the data.
    Bytes,
    /// Success without data.
    Done,
    /// Failure.
    Failed(ArbFailure),
    /// Requested days, from a disk that still has quarantine directories.
    DaysAndQuarantined {
        /// Requested days.
        days: Vec<DayFiles>,
        /// Days with a quarantine directory.
        quarantined: Vec<Day>,
    },
}

/// Error of a disk.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum ArbFailure {
    /// The device failed.
    #[error("disk: {0}")]
    Disk(String),
    /// Durable bytes fail verification.
    #[error("corrupt: {0}; repair it from a peer")]
    Corrupt(String),
    /// The fencing token is stale.
    #[error("fencing token {given} is stale, {current} was granted since")]
    StaleToken {
        /// Token of the caller.
        given: u64,
        /// Newest token.
        current: u64,
    },
    /// The call does not fit the disk's state.
    #[error("{0}")]
    Refused(String),
}

/// Error of a call to a disk.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ArbError {
    /// No response.
    #[error(transparent)]
    Net(#[from] NetError),
    /// The disk reported a failure.
    #[error(transparent)]
    Failed(#[from] ArbFailure),
    /// The response does not match the request.
    #[error("disk {0} answered something else than was asked")]
    Unexpected(u16),
    /// Another worker holds the lease.
    #[error("another worker holds the lease on disk {0}")]
    LeaseHeld(u16),
}

/// Calls a disk.
pub async fn call<E: Env>(
    env: &E,
    disk: NodeId,
    call: &ArbRequest,
    body: Bytes,
    timeout: Duration,
) -> Result<(ArbResponse, Bytes), ArbError> {
    let message = codec::message_with(tag::ARB, call, body);
    let response = env.net().call(disk, message, timeout).await?;
    match codec::decode(tag::ARB, &response) {
        Ok(ArbResponse::Failed(failure)) => Err(failure.into()),
        Ok(decoded) => Ok((decoded, response.body)),
        Err(_) => Err(ArbError::Unexpected(disk.0)),
    }
}

impl From<latent_ports::DiskError> for ArbFailure {
    fn from(error: latent_ports::DiskError) -> Self {
        ArbFailure::Disk(error.to_string())
    }
}

impl From<crate::record::MalformedBlock> for ArbFailure {
    fn from(error: crate::record::MalformedBlock) -> Self {
        ArbFailure::Corrupt(error.to_string())
    }
}

impl From<super::manifest::ManifestError> for ArbFailure {
    fn from(error: super::manifest::ManifestError) -> Self {
        ArbFailure::Corrupt(format!("manifest: {error}"))
    }
}

impl From<latent_storekit::frame::InvalidPayloadLength> for ArbFailure {
    fn from(error: latent_storekit::frame::InvalidPayloadLength) -> Self {
        ArbFailure::Refused(error.to_string())
    }
}
