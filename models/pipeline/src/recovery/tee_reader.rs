//! Reads the tee store as events: for the audit (new files only) and for recovery (all files).
//!
//! For an object that is damaged or that the store fails to read, the records come from all objects of its file
//! together. The object is reported unless these hold at least as many bytes as it had: in that case nothing is
//! missing, and the scrub reports the damage (`tee_scrub`).
//!
//! A request is in two or more objects, from the edges that held it and from the scrub, and counts once. Requests and
//! items that ingest rejects are rejected here too, by their original arrival time.

use crate::backup::restore::list;
use crate::config::{Cluster, TeeStoreConfig};
use crate::ingest::classify::accepted_of_tee;
use crate::record::Record;
use crate::release::Release;
use crate::zone::Day;
use bytes::Bytes;
use latent_edge::tee::merge::TeeMerge;
use latent_edge::tee::{TeeFile, TeeName, TeeObject, TeeRecord};
use latent_ports::Env;
use latent_storekit::frame::ScanEnd;
use latent_storekit::object_store::{ObjectStore, StoreError, StoreRetryPolicy};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

/// Key prefix of tee files.
pub const TEE: &str = "tee/";
const CALL_TIMEOUT: Duration = Duration::from_secs(60);
/// Consecutive failures after which the store counts as unavailable: each further attempt would cost a full retry
/// cycle.
const MAX_CONSECUTIVE_FAILURES: u32 = 3;

/// Error for a tee object that cannot be read completely.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("tee file {object}: {why}")]
pub struct TeeReadError {
    /// Its key.
    pub object: String,
    /// Description of the error.
    pub why: String,
}

/// Result of one pass over the tee store's files.
#[derive(Debug, Default)]
pub struct TeeRead {
    /// Files with their readable records. A file occurs once for each of its objects.
    pub files: Vec<(TeeName, Vec<TeeRecord>)>,
    /// Objects that cannot be read completely and whose records the file's other objects do not hold either.
    pub unreadable: Vec<TeeReadError>,
}

/// Events of the tee, by project and day.
pub type TeeEvents = BTreeMap<(u32, Day), Vec<Record>>;

/// Reader of the tee store, which records the files it has read.
pub struct TeeReader<E> {
    env: E,
    release: Arc<Release>,
    store: ObjectStore<E>,
    /// Length by key: a file that was flushed early may be written again, with more records.
    read: BTreeMap<String, u64>,
}

impl<E: Env> TeeReader<E> {
    /// Creates a reader that has read nothing yet.
    #[must_use]
    pub fn new(env: &E, tee: &TeeStoreConfig, release: &Arc<Release>) -> Self {
        let store =
            ObjectStore::new(env.clone(), tee.store, CALL_TIMEOUT).with_retries(StoreRetryPolicy::LONG);
        TeeReader { env: env.clone(), release: release.clone(), store, read: BTreeMap::new() }
    }

    /// Planted bug: takes all present files for read. Returns whether there are any.
    ///
    /// # Errors
    /// The store cannot be listed.
    pub async fn begin_at_the_newest(&mut self) -> Result<bool, StoreError> {
        let listed = self.store.list(TEE).await?;
        self.read = listed.into_iter().map(|info| (info.key, info.bytes)).collect();
        Ok(!self.read.is_empty())
    }

    /// Reads the files that are new since the last call, and retries those that could not be read completely. Files are
    /// independent: a damaged one does not affect others. Objects that cannot be read are reported, and retried by the
    /// next call.
    ///
    /// # Errors
    /// The store cannot be listed.
    pub async fn new_files(&mut self) -> Result<TeeRead, StoreError> {
        let listed = list(&self.env, &self.release, &self.store, TEE).await?;
        let present: BTreeMap<String, u64> = listed.into_iter().map(|info| (info.key, info.bytes)).collect();
        self.read.retain(|key, _| present.contains_key(key));
        let mut found = TeeRead::default();
        let mut suspects: Vec<SuspectObject> = Vec::new();
        let (mut consecutive_failures, mut skipped) = (0, 0_u64);
        for (key, &len_bytes) in &present {
            if self.read.get(key) == Some(&len_bytes) {
                continue;
            }
            if consecutive_failures >= MAX_CONSECUTIVE_FAILURES {
                skipped += 1;
                continue;
            }
            let suspect = |bytes, why| SuspectObject { key: key.clone(), len_bytes, bytes, why };
            match self.store.get(key).await {
                Ok(bytes) => match read_whole(key, &bytes) {
                    Ok(file) => {
                        found.files.push(file);
                        self.read.insert(key.clone(), len_bytes);
                    }
                    Err(why) => suspects.push(suspect(Some(bytes), why)),
                },
                // The object expired after the listing.
                Err(error) if error.is_not_found() => {}
                Err(error) => {
                    suspects.push(suspect(None, error.to_string()));
                    consecutive_failures += 1;
                    continue;
                }
            }
            consecutive_failures = 0;
        }
        let is_unavailable = skipped > 0;
        for (file, suspects) in by_file(suspects) {
            let uncovered = match file {
                Some(file) => self.read_merged(file, suspects, &present, is_unavailable, &mut found).await,
                None => suspects,
            };
            let unreadable = uncovered.into_iter().map(|one| TeeReadError { object: one.key, why: one.why });
            found.unreadable.extend(unreadable);
        }
        if is_unavailable {
            let why = format!("{skipped} more files: the store failed for those before them");
            found.unreadable.push(TeeReadError { object: TEE.to_owned(), why });
        }
        Ok(found)
    }

    /// Adds the merged records of all objects of a file; only of the suspect ones if the store `is_unavailable`. Returns the
    /// suspect objects of which records may be missing.
    async fn read_merged(
        &self,
        file: TeeName,
        suspects: Vec<SuspectObject>,
        present: &BTreeMap<String, u64>,
        is_unavailable: bool,
        found: &mut TeeRead,
    ) -> Vec<SuspectObject> {
        let mut all = TeeMerge::new(file);
        suspects.iter().filter_map(|one| one.bytes.as_ref()).for_each(|bytes| _ = all.add(bytes));
        if !is_unavailable {
            let was_read = suspects.iter().filter(|one| one.bytes.is_some());
            let was_read: BTreeSet<&str> = was_read.map(|one| one.key.as_str()).collect();
            let prefix = TeeObject::key_prefix(file);
            let siblings = present.range(prefix.clone()..).take_while(|(key, _)| key.starts_with(&prefix));
            for (key, _) in siblings.filter(|(key, _)| !was_read.contains(key.as_str())) {
                if let Ok(bytes) = self.store.get(key).await {
                    all.add(&bytes);
                }
            }
        }
        let merged = all.file();
        if let Ok(read) = TeeFile::decode(&merged) {
            found.files.push((file, read.records));
        }
        let is_short = |one: &SuspectObject| all.records() == 0 || (merged.len() as u64) < one.len_bytes;
        suspects.into_iter().filter(is_short).collect()
    }
}

/// Groups suspect objects by file; objects with invalid keys are grouped under `None`.
fn by_file(suspects: Vec<SuspectObject>) -> BTreeMap<Option<TeeName>, Vec<SuspectObject>> {
    let mut files: BTreeMap<Option<TeeName>, Vec<SuspectObject>> = BTreeMap::new();
    for suspect in suspects {
        let file = TeeObject::from_key(&suspect.key).ok().map(|object| object.file);
        files.entry(file).or_default().push(suspect);
    }
    files
}

/// An object that could not be read completely.
struct SuspectObject {
    key: String,
    /// Listed length.
    len_bytes: u64,
    /// `None` if the store did not return the bytes.
    bytes: Option<Bytes>,
    why: String,
}

/// Decodes an object's records.
///
/// # Errors
/// A description of the damage.
fn read_whole(key: &str, bytes: &Bytes) -> Result<(TeeName, Vec<TeeRecord>), String> {
    let TeeObject { file, .. } = TeeObject::from_key(key).map_err(|error| error.to_string())?;
    let read = TeeFile::decode(bytes).map_err(|error| error.to_string())?;
    match read.end {
        ScanEnd::Clean => Ok((file, read.records)),
        _ => Err(format!("damaged at byte {}", read.valid_bytes)),
    }
}

/// Decodes tee records into events, each request once.
#[must_use]
pub fn events_of(cluster: &Cluster, files: Vec<(TeeName, Vec<TeeRecord>)>) -> TeeEvents {
    let mut seen: BTreeSet<(u16, u64)> = BTreeSet::new();
    let mut events = TeeEvents::new();
    for record in files.into_iter().flat_map(|(_, records)| records) {
        if !seen.insert((record.edge, record.sequence)) {
            continue;
        }
        for ((project, day, _), records) in accepted_of_tee(cluster, &record) {
            events.entry((project, day)).or_default().extend(records);
        }
    }
    events
}
