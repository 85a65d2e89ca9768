//! State of one data center while a backup is taken.
//!
//! A segment counts as held when it is listed with the right length and this process has read it back: when it put the
//! segment, or at the first backup since. A segment that is listed but reads back differently is replaced once its
//! bytes are available from elsewhere. Not covered: segments are not read back again; one that rots later is found
//! after the next restart, or by a restore.

use super::catalog::{CatalogDay, CatalogSegment, SEGMENTS};
use super::error::BackupError;
use crate::release::{Bug, Release};
use bytes::Bytes;
use latent_ports::{Env, NodeId};
use latent_storekit::object_store::{ObjectError, ObjectStore, StoreError};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// A data center with its listing of segments.
pub(super) struct DataCenter<E> {
    /// Number, from 1.
    pub number: usize,
    pub store: ObjectStore<E>,
    /// Length by hash.
    listed: BTreeMap<String, u64>,
    /// Hashes of segments that this process has read back from it.
    verified: BTreeSet<String>,
    env: E,
    release: Arc<Release>,
    /// Error that excluded it from this backup.
    pub failed: Option<BackupError>,
}

impl<E: Env> DataCenter<E> {
    /// Lists the data center's segments. `verified` holds the segments that this process has read back earlier.
    pub async fn open(
        env: &E,
        release: &Arc<Release>,
        number: usize,
        store: ObjectStore<E>,
        mut verified: BTreeSet<String>,
    ) -> Result<Self, StoreError> {
        let listed = store.list(SEGMENTS).await?;
        let listed: BTreeMap<String, u64> =
            listed.into_iter().map(|info| (info.key[SEGMENTS.len()..].to_owned(), info.bytes)).collect();
        // Planted bug: what was read back once stays so.
        if !release.has(Bug::IncrementalOnBrokenBase) {
            verified.retain(|hash| listed.contains_key(hash));
        }
        let (env, release) = (env.clone(), release.clone());
        Ok(DataCenter { number, store, listed, verified, env, release, failed: None })
    }

    pub fn node(&self) -> NodeId {
        self.store.node()
    }

    pub fn is_up(&self) -> bool {
        self.failed.is_none()
    }

    pub fn lists(&self, hash: &str) -> bool {
        self.listed.contains_key(hash)
    }

    /// Whether every segment of a catalog is listed with its length.
    pub fn lists_all<'a>(&self, mut segments: impl Iterator<Item = &'a CatalogSegment>) -> bool {
        segments.all(|segment| self.listed.get(&segment.hash) == Some(&segment.bytes))
    }

    /// Returns the segments that were read back, for the next backup.
    pub fn into_verified(self) -> BTreeSet<String> {
        self.verified
    }

    /// Whether a segment is present and reads back. A data center that cannot be queried is marked as failed.
    pub async fn holds(&mut self, segment: &CatalogSegment) -> bool {
        let is_listed = self.listed.get(&segment.hash) == Some(&segment.bytes);
        if self.is_up() && !is_listed && self.has_name_or_memory_of(&segment.hash) {
            return true;
        }
        if !self.is_up() || !is_listed || self.verified.contains(&segment.hash) {
            return self.is_up() && is_listed;
        }
        match self.read(&segment.hash).await {
            Ok(bytes) => {
                if bytes.is_some() {
                    self.verified.insert(segment.hash.clone());
                }
                bytes.is_some() || self.takes_length_for_bytes(&segment.hash)
            }
            Err(_) if self.takes_length_for_bytes(&segment.hash) => true,
            Err(error) => {
                self.failed = Some(error.into());
                false
            }
        }
    }

    /// Planted bugs: a segment that is listed with another length, or was read back once and is not listed, is held.
    fn has_name_or_memory_of(&self, hash: &str) -> bool {
        let bug = match self.lists(hash) {
            true => Bug::PartialUploadComplete,
            false if self.verified.contains(hash) => Bug::IncrementalOnBrokenBase,
            false => return false,
        };
        self.reaches(bug)
    }

    /// Planted bug: a segment that does not read back is held, as its length is right.
    fn takes_length_for_bytes(&mut self, hash: &str) -> bool {
        let is_taken = self.reaches(Bug::VerifyReadsBackNothing);
        if is_taken {
            self.verified.insert(hash.to_owned());
        }
        is_taken
    }

    /// Whether the release has a bug that makes a difference here.
    fn reaches(&self, bug: Bug) -> bool {
        let is_planted = self.release.has(bug);
        if is_planted {
            self.release.reached(&self.env, bug);
        }
        is_planted
    }

    /// Reads a segment; `None` when it is missing, reads back differently twice, or cannot be read although the store
    /// responds.
    pub async fn read(&self, hash: &str) -> Result<Option<Bytes>, StoreError> {
        for _ in 0..2 {
            match self.store.get(&format!("{SEGMENTS}{hash}")).await {
                Ok(bytes) if blake3::hash(&bytes).to_hex().as_str() == hash => return Ok(Some(bytes)),
                Ok(_) => {}
                Err(StoreError::Object {
                    error: ObjectError::NotFound | ObjectError::Unavailable(_),
                    ..
                }) => {
                    return Ok(None);
                }
                Err(error) => return Err(error),
            }
        }
        Ok(None)
    }

    /// Puts a segment that is not held, and reads it back. A data center that does not accept it is marked as failed.
    pub async fn put(&mut self, segment: &CatalogSegment, bytes: &Bytes) {
        if !self.is_up() {
            return;
        }
        let put = match self.put_or_replace(&segment.hash, bytes).await {
            Err(StoreError::Mismatch { put_bytes, got_bytes, .. })
                if put_bytes == got_bytes && self.reaches(Bug::VerifyReadsBackNothing) =>
            {
                Ok(())
            }
            put => put,
        };
        match put {
            Ok(()) => {
                self.listed.insert(segment.hash.clone(), segment.bytes);
                self.verified.insert(segment.hash.clone());
            }
            Err(error) => self.failed = Some(error.into()),
        }
    }

    async fn put_or_replace(&mut self, hash: &str, bytes: &Bytes) -> Result<(), StoreError> {
        let key = format!("{SEGMENTS}{hash}");
        if self.listed.remove(hash).is_some() {
            // The existing object does not read back. Deleting it first avoids the need for the right to overwrite.
            self.store.delete(&key).await?;
        }
        self.store.put_verified(&key, bytes.clone()).await
    }
}

/// Segments that some data center lacks and no other provided.
#[derive(Debug, Default)]
pub(super) struct LackingSegments {
    /// Segments that no data center has.
    pub gone: BTreeSet<String>,
    /// Segments that none has read back, while one does not respond: that one may have them.
    pub waiting: BTreeSet<String>,
    /// The segments that could not be copied, each with the index of a data center that lacks it.
    lacking: BTreeSet<(usize, String)>,
}

impl LackingSegments {
    /// Takes the waiting segments: no data center fails for lack of one.
    pub fn take_waiting(&mut self) -> BTreeSet<String> {
        let waiting = std::mem::take(&mut self.waiting);
        self.lacking.retain(|(_, hash)| !waiting.contains(hash));
        waiting
    }

    /// Marks the data centers that lack a segment as failed.
    pub fn fail<E: Env>(self, data_centers: &mut [DataCenter<E>]) {
        for (index, hash) in self.lacking {
            let DataCenter { number, failed, .. } = &mut data_centers[index];
            failed.get_or_insert(BackupError::MissingSegment { data_center: *number, hash });
        }
    }
}

/// Copies segments of these days that a data center lacks from the others. `all` tells whether every data center
/// responds: then a segment that none of them has is gone.
pub(super) async fn replicate_segments<E: Env>(
    data_centers: &mut [DataCenter<E>],
    all: bool,
    days: &[CatalogDay],
) -> LackingSegments {
    let mut lacking = LackingSegments::default();
    for segment in days.iter().flat_map(|day| &day.segments) {
        for index in 0..data_centers.len() {
            let one = &mut data_centers[index];
            if one.holds(segment).await || !one.is_up() {
                continue;
            }
            match read_from_others(data_centers, index, &segment.hash).await {
                Some(Some(bytes)) => data_centers[index].put(segment, &bytes).await,
                Some(None) if all => drop(lacking.gone.insert(segment.hash.clone())),
                _ => {
                    lacking.waiting.insert(segment.hash.clone());
                    lacking.lacking.insert((index, segment.hash.clone()));
                }
            }
        }
    }
    lacking.waiting.retain(|hash| !data_centers.iter().any(|one| one.is_up() && one.verified.contains(hash)));
    lacking
}

/// Reads a segment from any data center but one; `Some(None)` when none has it, `None` when one could not be queried.
async fn read_from_others<E: Env>(
    data_centers: &[DataCenter<E>],
    but: usize,
    hash: &str,
) -> Option<Option<Bytes>> {
    let mut nowhere = Some(None);
    for (index, other) in data_centers.iter().enumerate() {
        if index == but || !other.lists(hash) {
            continue;
        }
        match other.read(hash).await {
            Ok(Some(bytes)) => return Some(Some(bytes)),
            Ok(None) => {}
            Err(_) => nowhere = None,
        }
    }
    nowhere
}
