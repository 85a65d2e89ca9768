//! What the tee store holds, as events: read by the audit (new files only) and by recovery (all).
//!
//! A request stands in two objects or more, put there by the edges that held it and by the keeper: it counts once. Requests and items
//! that ingest rejects are rejected here again, by their original arrival time.

use crate::config::{Cluster, TeeStoreConfig};
use crate::ingest::events::accepted_of_tee;
use crate::record::Record;
use crate::zone::Day;
use latent_edge::frame::End;
use latent_edge::object_api::{ObjectStore, Patience, StoreError};
use latent_edge::tee::{TeeFile, TeeName, TeeObject, TeeRecord};
use latent_ports::Env;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// Prefix of the keys of tee files.
pub const TEE: &str = "tee/";
const CALL_TIMEOUT: Duration = Duration::from_secs(60);

/// Why the tee could not be read.
#[derive(Debug, Clone, thiserror::Error)]
pub enum TeeReadError {
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A file in it.
    #[error("tee file {key}: {why}")]
    File {
        /// Its key.
        key: String,
        /// What is wrong with it.
        why: String,
    },
}

/// Events of the tee, by project and day.
pub type TeeEvents = BTreeMap<(u32, Day), Vec<Record>>;

/// The tee store, and which of its files were read.
pub struct TeeReader<E> {
    store: ObjectStore<E>,
    /// Length by key: a file that was flushed early may be written again, with more records.
    read: BTreeMap<String, u64>,
}

impl<E: Env> TeeReader<E> {
    /// A reader that has read nothing yet.
    #[must_use]
    pub fn new(env: &E, tee: &TeeStoreConfig) -> Self {
        let store = ObjectStore::new(env.clone(), tee.store, CALL_TIMEOUT).patient(Patience::LONG);
        TeeReader { store, read: BTreeMap::new() }
    }

    /// The records of the files that came since the last call, file by file.
    ///
    /// # Errors
    /// When the store or a file cannot be read; no file counts as read then.
    pub async fn new_files(&mut self) -> Result<Vec<(TeeName, Vec<TeeRecord>)>, TeeReadError> {
        let listed = self.store.list(TEE).await?;
        let present: BTreeMap<String, u64> = listed.into_iter().map(|info| (info.key, info.bytes)).collect();
        self.read.retain(|key, _| present.contains_key(key));
        let (mut files, mut read) = (Vec::new(), Vec::new());
        for (key, bytes_listed) in present {
            if self.read.get(&key) == Some(&bytes_listed) {
                continue;
            }
            let (name, file) = self.file(&key).await?;
            if file.end != End::Clean {
                let why = format!("damaged at byte {}", file.valid_bytes);
                return Err(TeeReadError::File { key, why });
            }
            files.push((name, file.records));
            read.push((key, bytes_listed));
        }
        // Only now: what is read before another file fails is not handed out.
        self.read.extend(read);
        Ok(files)
    }

    /// The records of all files as far as they can be read, and what is wrong with the others: for a recovery, to which
    /// one damaged file must not cost all the others.
    ///
    /// # Errors
    /// When the store cannot be asked what it has.
    pub async fn readable(
        &self,
    ) -> Result<(Vec<(TeeName, Vec<TeeRecord>)>, Vec<TeeReadError>), TeeReadError> {
        let (mut files, mut damaged) = (Vec::new(), Vec::new());
        for info in self.store.list(TEE).await? {
            match self.file(&info.key).await {
                Ok((name, file)) => {
                    if file.end != End::Clean {
                        let why = format!("damaged at byte {}", file.valid_bytes);
                        damaged.push(TeeReadError::File { key: info.key, why });
                    }
                    files.push((name, file.records));
                }
                Err(error) => damaged.push(error),
            }
        }
        Ok((files, damaged))
    }

    async fn file(&self, key: &str) -> Result<(TeeName, TeeFile), TeeReadError> {
        let bad = |why: String| TeeReadError::File { key: key.to_owned(), why };
        let name = TeeObject::from_key(key).map_err(|e| bad(e.to_string()))?.file;
        let bytes = self.store.get(key).await?;
        let file = TeeFile::decode(&bytes).map_err(|e| bad(e.to_string()))?;
        Ok((name, file))
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
