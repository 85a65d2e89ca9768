//! One data center while a backup is taken.
//!
//! A segment counts as held when it is listed with the right length and this process has read it back: when it put it,
//! or at the first backup since. What is listed and reads back otherwise is replaced, once its bytes are at hand from
//! elsewhere. Not done here: reading again what was read back before; a segment that rots later is found after the
//! next restart, or by a restore.

use super::catalog::{CatalogDay, CatalogSegment, SEGMENTS};
use super::error::BackupError;
use bytes::Bytes;
use latent_edge::object_api::{ObjectError, ObjectStore, StoreError};
use latent_ports::{Env, NodeId};
use std::collections::{BTreeMap, BTreeSet};

/// A data center that listed its segments.
pub(super) struct DataCenter<E> {
    /// From 1.
    pub number: usize,
    pub store: ObjectStore<E>,
    /// Length by hash.
    listed: BTreeMap<String, u64>,
    /// Hashes of segments that this process has read back there.
    verified: BTreeSet<String>,
    /// Why it takes no part in this backup any more.
    pub failed: Option<BackupError>,
}

impl<E: Env> DataCenter<E> {
    /// Lists what the data center has. `verified`: what this process has read back there before.
    pub async fn open(
        number: usize,
        store: ObjectStore<E>,
        mut verified: BTreeSet<String>,
    ) -> Result<Self, StoreError> {
        let listed = store.list(SEGMENTS).await?;
        let listed: BTreeMap<String, u64> =
            listed.into_iter().map(|info| (info.key[SEGMENTS.len()..].to_owned(), info.bytes)).collect();
        verified.retain(|hash| listed.contains_key(hash));
        Ok(DataCenter { number, store, listed, verified, failed: None })
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

    /// Whether every segment of a catalog is listed there with its length.
    pub fn lists_all<'a>(&self, mut segments: impl Iterator<Item = &'a CatalogSegment>) -> bool {
        segments.all(|segment| self.listed.get(&segment.hash) == Some(&segment.bytes))
    }

    /// What was read back there, to be known at the next backup.
    pub fn into_verified(self) -> BTreeSet<String> {
        self.verified
    }

    /// Whether a segment is there and reads back. A data center that cannot be asked fails.
    pub async fn holds(&mut self, segment: &CatalogSegment) -> bool {
        let is_listed = self.listed.get(&segment.hash) == Some(&segment.bytes);
        if !self.is_up() || !is_listed || self.verified.contains(&segment.hash) {
            return self.is_up() && is_listed;
        }
        match self.read(&segment.hash).await {
            Ok(bytes) => {
                if bytes.is_some() {
                    self.verified.insert(segment.hash.clone());
                }
                bytes.is_some()
            }
            Err(error) => {
                self.failed = Some(error.into());
                false
            }
        }
    }

    /// A segment's bytes; `None` when it is not there, or reads otherwise twice, or not at all though the store answers.
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

    /// Puts a segment that it does not hold, and reads it back. A data center that does not take it fails.
    pub async fn put(&mut self, segment: &CatalogSegment, bytes: &Bytes) {
        if !self.is_up() {
            return;
        }
        match self.try_to_put(&segment.hash, bytes).await {
            Ok(()) => {
                self.listed.insert(segment.hash.clone(), segment.bytes);
                self.verified.insert(segment.hash.clone());
            }
            Err(error) => self.failed = Some(error.into()),
        }
    }

    async fn try_to_put(&mut self, hash: &str, bytes: &Bytes) -> Result<(), StoreError> {
        let key = format!("{SEGMENTS}{hash}");
        if self.listed.remove(hash).is_some() {
            // What is there does not read back, and the right to overwrite is not needed for anything else.
            self.store.delete(&key).await?;
        }
        self.store.put_verified(&key, bytes.clone()).await
    }
}

/// Copies what these days name and a data center lacks from the others. One that still lacks something fails, unless
/// no data center has it, `all` of them having been asked: those hashes are returned.
pub(super) async fn complete<E: Env>(
    data_centers: &mut [DataCenter<E>],
    all: bool,
    days: &[CatalogDay],
) -> BTreeSet<String> {
    let mut gone = BTreeSet::new();
    for segment in days.iter().flat_map(|day| &day.segments) {
        for index in 0..data_centers.len() {
            let one = &mut data_centers[index];
            if one.holds(segment).await || !one.is_up() {
                continue;
            }
            match from_others(data_centers, index, &segment.hash).await {
                Some(Some(bytes)) => data_centers[index].put(segment, &bytes).await,
                Some(None) if all => drop(gone.insert(segment.hash.clone())),
                _ => {
                    let (data_center, hash) = (data_centers[index].number, segment.hash.clone());
                    data_centers[index].failed = Some(BackupError::Lacks { data_center, hash });
                }
            }
        }
    }
    gone
}

/// A segment's bytes from any data center but one; `Some(None)` when none of them has it, `None` when one of them could
/// not be asked.
async fn from_others<E: Env>(
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
