//! What the tee store holds, as events: read by the audit (new files only) and by recovery (all).
//!
//! Of an object that is damaged or that the store fails to read, the records come from all objects of its file together.
//! It is named, unless these hold at least as many bytes as it had: then nothing is missing, and the keeper reports the
//! damage (`scrub`).
//!
//! A request stands in two objects or more, put there by the edges that held it and by the keeper: it counts once. Requests and items
//! that ingest rejects are rejected here again, by their original arrival time.

use crate::config::{Cluster, TeeStoreConfig};
use crate::ingest::events::accepted_of_tee;
use crate::record::Record;
use crate::zone::Day;
use bytes::Bytes;
use latent_edge::frame::End;
use latent_edge::object_api::{ObjectStore, Patience, StoreError};
use latent_edge::tee::merge::Merge;
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
    /// Files with the records that can be read of each. A file comes once for each of its objects.
    pub files: Vec<(TeeName, Vec<TeeRecord>)>,
    /// Objects of which not all can be read, and whose records the other objects of the file do not hold either, each
    /// with what is wrong.
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
        let mut suspects: Vec<Suspect> = Vec::new();
        let (mut refused_in_a_row, mut not_asked_for) = (0, 0_u64);
        for (key, &len_bytes) in &present {
            if self.read.get(key) == Some(&len_bytes) {
                continue;
            }
            if refused_in_a_row >= REFUSALS_IN_A_ROW {
                not_asked_for += 1;
                continue;
            }
            let suspect = |bytes, why| Suspect { key: key.clone(), len_bytes, bytes, why };
            match self.store.get(key).await {
                Ok(bytes) => match read_whole(key, &bytes) {
                    Ok(file) => {
                        found.files.push(file);
                        self.read.insert(key.clone(), len_bytes);
                    }
                    Err(why) => suspects.push(suspect(Some(bytes), why)),
                },
                // It expired since it was listed.
                Err(error) if error.is_not_found() => {}
                Err(error) => {
                    suspects.push(suspect(None, error.to_string()));
                    refused_in_a_row += 1;
                    continue;
                }
            }
            refused_in_a_row = 0;
        }
        let is_away = not_asked_for > 0;
        for (file, suspects) in by_file(suspects) {
            let uncovered = match file {
                Some(file) => self.read_together(file, suspects, &present, is_away, &mut found).await,
                None => suspects,
            };
            let unreadable = uncovered.into_iter().map(|one| TeeReadError { object: one.key, why: one.why });
            found.unreadable.extend(unreadable);
        }
        if is_away {
            let why = format!("{not_asked_for} more files: the store failed for those before them");
            found.unreadable.push(TeeReadError { object: TEE.to_owned(), why });
        }
        Ok(found)
    }

    /// Adds the records that all objects of a file hold together; of the suspects among them alone where the store `is_away`.
    /// Returns the suspects of which something may be missing.
    async fn read_together(
        &self,
        file: TeeName,
        suspects: Vec<Suspect>,
        present: &BTreeMap<String, u64>,
        is_away: bool,
        found: &mut TeeRead,
    ) -> Vec<Suspect> {
        let mut all = Merge::new(file);
        suspects.iter().filter_map(|one| one.bytes.as_ref()).for_each(|bytes| _ = all.add(bytes));
        if !is_away {
            let was_read = suspects.iter().filter(|one| one.bytes.is_some());
            let was_read: BTreeSet<&str> = was_read.map(|one| one.key.as_str()).collect();
            let prefix = TeeObject::keys_of(file);
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
        let is_short = |one: &Suspect| all.records() == 0 || (merged.len() as u64) < one.len_bytes;
        suspects.into_iter().filter(is_short).collect()
    }
}

/// Suspects of one file together; those whose keys are no object's are on their own.
fn by_file(suspects: Vec<Suspect>) -> BTreeMap<Option<TeeName>, Vec<Suspect>> {
    let mut files: BTreeMap<Option<TeeName>, Vec<Suspect>> = BTreeMap::new();
    for suspect in suspects {
        let file = TeeObject::from_key(&suspect.key).ok().map(|object| object.file);
        files.entry(file).or_default().push(suspect);
    }
    files
}

/// An object that could not be read whole.
struct Suspect {
    key: String,
    /// As listed.
    len_bytes: u64,
    /// `None`: the store failed to answer with them.
    bytes: Option<Bytes>,
    why: String,
}

/// An object's records, or what is wrong with it.
fn read_whole(key: &str, bytes: &Bytes) -> Result<(TeeName, Vec<TeeRecord>), String> {
    let TeeObject { file, .. } = TeeObject::from_key(key).map_err(|error| error.to_string())?;
    let read = TeeFile::decode(bytes).map_err(|error| error.to_string())?;
    match read.end {
        End::Clean => Ok((file, read.records)),
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
