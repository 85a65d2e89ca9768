//! One day on one disk: its manifest, its open segments, and what is cached of it.

use super::api::ArbFailure;
use super::log::DurableLog;
use super::manifest::{Manifest, ManifestEdit, Tier};
use crate::record::SetDigest;
use crate::release::{Bug, Release};
use crate::zone::Day;
use latent_ports::{Disk, Env};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// Header of a manifest.
pub(super) const MANIFEST_HEADER: &[u8] = b"LARBMAN1";

pub(super) type FileOf<E> = <<E as Env>::Disk as Disk>::File;

/// Segment that this process appends to.
pub(super) struct OpenSegment<F> {
    pub id: u64,
    pub file: F,
    pub bytes: u64,
    pub records: u64,
}

/// One project's day.
pub(super) struct DayStore<E: Env> {
    pub env: E,
    pub release: Arc<Release>,
    pub project: u32,
    pub day: Day,
    pub manifest: Manifest,
    pub log: DurableLog<FileOf<E>>,
    /// By tier. Only segments that this process created and whose end is known.
    pub open: BTreeMap<Tier, OpenSegment<FileOf<E>>>,
    /// Segments whose last append failed, with their durable length before it. Data after that length is not read, and
    /// is truncated before the segment is sealed.
    pub failed_appends: BTreeMap<u64, u64>,
    /// Ends of the open segments of an earlier process, as the boot verified and synced them. A bad frame below such an
    /// end is not a write that a crash cut short.
    pub recovered_bytes: BTreeMap<u64, u64>,
    /// Segments that were written and that no edit could name, since the last edit that could.
    pub unnamed: FailedEdits,
    /// Greater than every id that a file in the directory ever had, live or not.
    pub next_id: u64,
    /// Cached digest of all keys, with the state that it describes: manifest version, bytes of open segments, newest
    /// arrival.
    pub digest: Option<(u64, u64, i64, SetDigest)>,
    /// Cached digest of the full contents, with the state that it describes: manifest version and bytes of open
    /// segments.
    pub content_digest: Option<(u64, u64, SetDigest)>,
    /// Monotonic time of the last complete verification, initially this boot; `None` when the next comparison must
    /// verify.
    pub verified: Option<Duration>,
}

/// Edits of a manifest that failed in a row.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct FailedEdits {
    count: u32,
    /// Monotonic time until which no segment is written for another one.
    backoff_until: Duration,
}

impl FailedEdits {
    /// Number of failures that are retried at once.
    const RETRIED_AT_ONCE: u32 = 3;
    /// Backoff after further failures; it doubles with each, up to the maximum.
    const MIN_BACKOFF: Duration = Duration::from_secs(10);
    const MAX_BACKOFF: Duration = Duration::from_secs(600);

    pub fn is_backing_off(&self, now: Duration) -> bool {
        now < self.backoff_until
    }

    pub fn failed(&mut self, now: Duration) {
        self.count += 1;
        let Some(doublings) = self.count.checked_sub(FailedEdits::RETRIED_AT_ONCE) else { return };
        let backoff = FailedEdits::MIN_BACKOFF * 2_u32.pow(doublings.min(6));
        self.backoff_until = now + backoff.min(FailedEdits::MAX_BACKOFF);
    }
}

impl<E: Env> DayStore<E> {
    pub fn dir(&self) -> String {
        day_dir(self.project, self.day)
    }

    pub fn path(&self, id: u64) -> String {
        format!("{}/{id}.seg", self.dir())
    }

    /// Returns the durable length of a segment whose end this process wrote or verified; `None` for other segments.
    pub fn durable_bytes(&self, id: u64) -> Option<u64> {
        let open = || self.open.values().find(|segment| segment.id == id).map(|segment| segment.bytes);
        self.failed_appends.get(&id).copied().or_else(open).or_else(|| self.recovered_bytes.get(&id).copied())
    }

    /// Makes an edit durable, then applies it.
    pub async fn commit(&mut self, edit: &ManifestEdit) -> Result<(), ArbFailure> {
        // Not `Corrupt`: the data on the disk is intact, but this edit does not fit it.
        let refused = |error| ArbFailure::Refused(format!("{}: {error}", self.dir()));
        self.manifest.check(edit).map_err(refused)?;
        let text = serde_json::to_vec(edit).map_err(|e| ArbFailure::Refused(format!("edit: {e}")))?;
        // Planted bug: the log ends where its file ends.
        if self.release.has(Bug::EnospcTearsManifest) && self.log.accept_cut_append().await? {
            self.release.reached(&self.env, Bug::EnospcTearsManifest);
        }
        if let Err(error) = self.log.append(&text).await {
            // The device may be unable to read the block at the end of the log; then no edit will ever succeed.
            self.verified = None;
            return Err(error);
        }
        self.manifest.apply(edit)?;
        self.next_id = self.next_id.max(self.manifest.next_id);
        Ok(())
    }

    /// Persists the used ids, which so far only the name of a quarantine directory records.
    pub async fn persist_next_id(&mut self) -> Result<(), ArbFailure> {
        if self.manifest.version > 0 {
            return Ok(());
        }
        let mut edit = self.manifest.next_edit(0);
        edit.next_id = self.next_id;
        self.commit(&edit).await
    }

    /// Whether a file of this day has not been compacted.
    pub fn is_dirty(&self) -> bool {
        self.manifest.is_dirty()
    }
}

/// Returns the directory of a day.
#[must_use]
pub fn day_dir(project: u32, day: Day) -> String {
    format!("arb/{project}/{day}")
}
