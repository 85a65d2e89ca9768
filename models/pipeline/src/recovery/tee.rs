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
/// A store that fails for so many files in a row is away: each more would cost the client's whole patience.
const REFUSALS_IN_A_ROW: u32 = 3;

/// A file of the tee of which not all can be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("tee file {object}: {why}")]
pub struct TeeReadError {
    /// Its key.
    pub object: String,
    /// What is wrong with it.
    pub why: String,
}

/// What one pass over the tee store's files brought.
#[derive(Debug, Default)]
pub struct TeeRead {
    /// Files with the records that can be read of each.
    pub files: Vec<(TeeName, Vec<TeeRecord>)>,
    /// Files of which not all can be read, each with what is wrong.
    pub unreadable: Vec<TeeReadError>,
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

    /// The records of the files that came since the last call, and of those that could not be read whole then, as far as
    /// they can be read: one damaged file costs no other. What cannot be read is named, and tried again by the next call.
    ///
    /// # Errors
    /// When the store cannot be asked what it has.
    pub async fn new_files(&mut self) -> Result<TeeRead, StoreError> {
        let listed = self.store.list(TEE).await?;
        let present: BTreeMap<String, u64> = listed.into_iter().map(|info| (info.key, info.bytes)).collect();
        self.read.retain(|key, _| present.contains_key(key));
        let mut found = TeeRead::default();
        let (mut refused_in_a_row, mut not_asked_for) = (0, 0_u64);
        for (key, bytes_listed) in present {
            if self.read.get(&key) == Some(&bytes_listed) {
                continue;
            }
            if refused_in_a_row >= REFUSALS_IN_A_ROW {
                not_asked_for += 1;
                continue;
            }
            let read = self.file(&key).await;
            refused_in_a_row =
                if matches!(read, Err(FileError::Store(_))) { refused_in_a_row + 1 } else { 0 };
            let why = match read {
                Ok((name, file)) => {
                    found.files.push((name, file.records));
                    match file.end {
                        End::Clean => {
                            self.read.insert(key, bytes_listed);
                            continue;
                        }
                        _ => format!("damaged at byte {}", file.valid_bytes),
                    }
                }
                // It expired since it was listed.
                Err(FileError::Store(error)) if error.is_not_found() => continue,
                Err(FileError::Store(error)) => error.to_string(),
                Err(FileError::Malformed(why)) => why,
            };
            found.unreadable.push(TeeReadError { object: key, why });
        }
        if not_asked_for > 0 {
            let why = format!("{not_asked_for} more files: the store failed for those before them");
            found.unreadable.push(TeeReadError { object: TEE.to_owned(), why });
        }
        Ok(found)
    }

    async fn file(&self, key: &str) -> Result<(TeeName, TeeFile), FileError> {
        let object = TeeObject::from_key(key).map_err(|error| FileError::Malformed(error.to_string()))?;
        let name = object.file;
        let bytes = self.store.get(key).await.map_err(FileError::Store)?;
        let file = TeeFile::decode(&bytes).map_err(|error| FileError::Malformed(error.to_string()))?;
        Ok((name, file))
    }
}

/// Why a file could not be read at all.
enum FileError {
    Store(StoreError),
    Malformed(String),
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
