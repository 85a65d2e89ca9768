//! What other nodes ask of an Arb disk, and what it answers.

use super::manifest::{FileEntry, Tier};
use crate::codec::{self, tag};
use crate::record::SetDigest;
use crate::zone::Day;
use bytes::Bytes;
use latent_ports::{Env, Net, NetError, NodeId};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// One block of a write: which day and tier it goes to, and its length in the body.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    /// The day.
    pub day: Day,
    /// The tier: late or on-time.
    pub tier: Tier,
    /// Length of its frame in the body, in bytes; frames stand one after the other.
    pub frame_bytes: u32,
}

/// A call to an Arb disk.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ArbCall {
    /// Append blocks, durably. The body holds their frames.
    Write {
        /// The project.
        project: u32,
        /// The blocks.
        parts: Vec<Part>,
        /// Leave out events whose arrival id is present: a replay. A record of a later repair takes the place of the
        /// present one.
        skip_present: bool,
    },
    /// Take or renew the compaction lease of a project.
    Lease {
        /// The project.
        project: u32,
        /// For how long, ms.
        for_ms: u64,
    },
    /// The files of a project's days; with `seal_before`, days before it are sealed first.
    Days {
        /// The project.
        project: u32,
        /// Only days with files that no compaction has seen.
        dirty_only: bool,
    },
    /// Merge files of a day and commit.
    Run {
        /// The project.
        project: u32,
        /// The day.
        day: Day,
        /// The token under which the worker holds the lease.
        token: u64,
        /// Files to merge.
        inputs: Vec<u64>,
        /// Compacted files that stay beside the output.
        keep: Vec<u64>,
    },
    /// Digest of a day's keys.
    Digest {
        /// The project.
        project: u32,
        /// The day.
        day: Day,
        /// Only events that arrived before this time (the cut).
        arrived_before_ms: i64,
    },
    /// Digest of all that a day's records say, copies of one key included: for the audit, which compares contents.
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
        /// Only events that arrived before this time (the cut).
        arrived_before_ms: i64,
    },
    /// All events of a day; the answer's body holds blocks as frames.
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
        /// For how long at most, ms.
        for_ms: u64,
        /// Digests are taken at this cut.
        arrived_before_ms: i64,
    },
    /// The bytes of one file.
    Fetch {
        /// The project.
        project: u32,
        /// The day.
        day: Day,
        /// The file.
        id: u64,
    },
    /// Move a corrupt day out of the way, so that it can be filled from the other copies.
    SetAside {
        /// The project.
        project: u32,
        /// The day.
        day: Day,
    },
    /// The disk's wall clock.
    Clock,
    /// Let go of a pin.
    Unpin {
        /// The project.
        project: u32,
    },
    /// A day that was set aside was filled anew and equals its other copies: what was set aside may go.
    LetAsideGo {
        /// The project.
        project: u32,
        /// The day.
        day: Day,
    },
}

/// A day of a project, as one disk has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DayFiles {
    /// The day.
    pub day: Day,
    /// The manifest's version.
    pub version: u64,
    /// Live files; an open one has its present records and bytes filled in.
    pub files: Vec<FileEntry>,
    /// Digest of its keys, where the call asks for one; absent when the day does not verify.
    pub digest: Option<SetDigest>,
}

/// A disk's answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ArbAnswer {
    /// Written and durable; how many events were left out because they were present.
    Written {
        /// Events left out.
        skipped: u64,
    },
    /// The lease is the caller's.
    Leased {
        /// The fencing token.
        token: u64,
    },
    /// Somebody else holds it.
    Held,
    /// What the wall clock says, ms since 1970.
    Clock {
        /// The time.
        now_ms: i64,
    },
    /// The days asked for.
    Days(Vec<DayFiles>),
    /// The run is committed; the compacted files that are live now.
    Ran {
        /// Live compacted files.
        compacted: Vec<u64>,
    },
    /// A digest.
    Digest(SetDigest),
    /// In the body.
    Bytes,
    /// Done.
    Done,
    /// It failed.
    Failed(ArbFailure),
    /// The days asked for, of a disk that still has directories of some days that were set aside.
    DaysAndAside {
        /// The days asked for.
        days: Vec<DayFiles>,
        /// Days of which something was set aside.
        aside: Vec<Day>,
    },
}

/// Why a disk failed a call.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum ArbFailure {
    /// The device failed.
    #[error("disk: {0}")]
    Disk(String),
    /// Bytes that were durable do not verify.
    #[error("corrupt: {0}; repair it from a peer")]
    Corrupt(String),
    /// The token is not the newest.
    #[error("fencing token {given} is stale, {current} was granted since")]
    StaleToken {
        /// The caller's.
        given: u64,
        /// The newest.
        current: u64,
    },
    /// The call does not fit the disk's state.
    #[error("{0}")]
    Refused(String),
}

/// A call to a disk that brought nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ArbError {
    /// No answer.
    #[error(transparent)]
    Net(#[from] NetError),
    /// A failure.
    #[error(transparent)]
    Failed(#[from] ArbFailure),
    /// An answer of the wrong kind.
    #[error("disk {0} answered something else than was asked")]
    Unexpected(u16),
    /// Another worker holds the lease.
    #[error("another worker holds the lease on disk {0}")]
    Held(u16),
}

/// Calls a disk.
pub async fn call<E: Env>(
    env: &E,
    disk: NodeId,
    call: &ArbCall,
    body: Bytes,
    timeout: Duration,
) -> Result<(ArbAnswer, Bytes), ArbError> {
    let message = codec::message_with(tag::ARB, call, body);
    let answer = env.net().call(disk, message, timeout).await?;
    match codec::decode(tag::ARB, &answer) {
        Ok(ArbAnswer::Failed(failure)) => Err(failure.into()),
        Ok(decoded) => Ok((decoded, answer.body)),
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

impl From<latent_edge::frame::PayloadLength> for ArbFailure {
    fn from(error: latent_edge::frame::PayloadLength) -> Self {
        ArbFailure::Refused(error.to_string())
    }
}
