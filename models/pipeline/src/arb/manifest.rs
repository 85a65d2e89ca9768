//! Manifest of a day: the set of live files. Pure: edits in, live set out.
//!
//! The log of edits is authoritative and only moves forward. An edit is atomic: it is one checksummed frame. The rules
//! of the format (`models/formats.md`) are checked whenever an edit is applied, on reading as on writing.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Kind of segment; a smaller tier is merged first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Tier {
    /// Events that arrived 2 h or more after their time: the tier of many small segments.
    Late = 0,
    /// Events that arrived in time.
    OnTime = 1,
    /// Output of a compaction run.
    Compacted = 2,
}

impl Tier {
    /// Converts the number in a segment's header.
    #[must_use]
    pub fn from_number(number: u16) -> Option<Tier> {
        [Tier::Late, Tier::OnTime, Tier::Compacted].into_iter().find(|tier| *tier as u16 == number)
    }
}

/// A live file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileEntry {
    /// Id of the file `<id>.seg`.
    pub id: u64,
    /// Its tier.
    pub tier: Tier,
    /// Whether the file is sealed. Sealed files never change; an open one still grows.
    pub sealed: bool,
    /// Length of a sealed file, in bytes; 0 while open.
    pub bytes: u64,
    /// Number of events in a sealed file; 0 while open.
    pub records: u64,
    /// BLAKE3 of a sealed file, in hex; empty while open.
    pub hash: String,
}

/// One edit of a manifest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ManifestEdit {
    /// Previous version plus one.
    pub version: u64,
    /// Fencing token of the job that made the edit; 0 without a job.
    pub token: u64,
    /// Files that become live, or open files that are sealed.
    pub add: Vec<FileEntry>,
    /// Files that are no longer live.
    pub remove: Vec<u64>,
    /// Greater than every id ever used.
    pub next_id: u64,
    /// Number of committed compaction runs.
    pub compactions: u64,
}

/// Error for an edit that does not follow the current state.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ManifestError {
    /// A version is missing or repeated.
    #[error("edit of version {found} where {expected} must follow")]
    Version {
        /// Expected version.
        expected: u64,
        /// Actual version.
        found: u64,
    },
    /// A removed id is not live.
    #[error("edit {version} removes file {id}, which is not live")]
    RemovesUnknown {
        /// Version of the edit.
        version: u64,
        /// The file.
        id: u64,
    },
    /// An added id was used before.
    #[error("edit {version} adds file {id} again")]
    ReusesId {
        /// Version of the edit.
        version: u64,
        /// The file.
        id: u64,
    },
}

/// A day's live files, and the state of its edit log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Manifest {
    /// Version of the last edit; 0 before the first.
    pub version: u64,
    /// Next free id, from 1.
    pub next_id: u64,
    /// Number of committed compaction runs.
    pub compactions: u64,
    /// Highest fencing token of any edit; 0 while no job made one.
    pub token: u64,
    /// Live files by id.
    pub live: BTreeMap<u64, FileEntry>,
}

impl Default for Manifest {
    fn default() -> Self {
        Manifest { version: 0, next_id: 1, compactions: 0, token: 0, live: BTreeMap::new() }
    }
}

impl Manifest {
    /// Whether a live file has not been compacted.
    #[must_use]
    pub fn is_dirty(&self) -> bool {
        self.live.values().any(|entry| entry.tier != Tier::Compacted)
    }

    /// Returns the next edit, without changes yet.
    #[must_use]
    pub fn next_edit(&self, token: u64) -> ManifestEdit {
        ManifestEdit {
            version: self.version + 1,
            token,
            add: Vec::new(),
            remove: Vec::new(),
            next_id: self.next_id,
            compactions: self.compactions,
        }
    }

    /// Checks that `edit` may follow this state.
    ///
    /// # Errors
    /// The edit does not follow the current state.
    pub fn check(&self, edit: &ManifestEdit) -> Result<(), ManifestError> {
        let version = edit.version;
        if version != self.version + 1 {
            return Err(ManifestError::Version { expected: self.version + 1, found: version });
        }
        if let Some(id) = edit.remove.iter().find(|id| !self.live.contains_key(id)) {
            return Err(ManifestError::RemovesUnknown { version, id: *id });
        }
        for entry in &edit.add {
            let seals = self.live.get(&entry.id).is_some_and(|old| !old.sealed && old.tier == entry.tier);
            if !seals && (entry.id < self.next_id || entry.id >= edit.next_id) {
                return Err(ManifestError::ReusesId { version, id: entry.id });
            }
        }
        Ok(())
    }

    /// Applies an edit.
    ///
    /// # Errors
    /// See [`Manifest::check`]; the state is then unchanged.
    pub fn apply(&mut self, edit: &ManifestEdit) -> Result<(), ManifestError> {
        self.check(edit)?;
        for id in &edit.remove {
            self.live.remove(id);
        }
        self.live.extend(edit.add.iter().map(|entry| (entry.id, entry.clone())));
        self.version = edit.version;
        self.next_id = self.next_id.max(edit.next_id);
        self.compactions = edit.compactions;
        self.token = self.token.max(edit.token);
        Ok(())
    }

    /// Returns the edit that commits a compaction run: it removes the inputs, adds the outputs, and removes all
    /// compacted files that are not in `keep`. Files that arrived during the run stay.
    #[must_use]
    pub fn commit_run(
        &self,
        token: u64,
        inputs: &[u64],
        keep: &[u64],
        outputs: Vec<FileEntry>,
    ) -> ManifestEdit {
        let mut edit = self.next_edit(token);
        let goes = |entry: &FileEntry| {
            inputs.contains(&entry.id) || (entry.tier == Tier::Compacted && !keep.contains(&entry.id))
        };
        edit.remove = self.live.values().filter(|entry| goes(entry)).map(|entry| entry.id).collect();
        edit.next_id = outputs.iter().map(|entry| entry.id + 1).fold(self.next_id, u64::max);
        edit.add = outputs;
        edit.compactions += 1;
        edit
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(id: u64, tier: Tier) -> FileEntry {
        FileEntry { id, tier, sealed: true, bytes: 1, records: 1, hash: String::new() }
    }

    fn day_of(entries: &[FileEntry]) -> Manifest {
        let mut manifest = Manifest::default();
        let mut edit = manifest.next_edit(0);
        edit.add = entries.to_vec();
        edit.next_id = entries.iter().map(|e| e.id + 1).max().unwrap_or(1);
        manifest.apply(&edit).unwrap();
        manifest
    }

    #[test]
    fn a_run_replaces_its_inputs_and_keeps_files_that_arrived_during_it() {
        let mut day = day_of(&[entry(1, Tier::Late), entry(2, Tier::OnTime), entry(3, Tier::Late)]);
        let edit = day.commit_run(9, &[1], &[], vec![entry(4, Tier::Compacted)]);
        day.apply(&edit).unwrap();
        assert_eq!(day.live.keys().copied().collect::<Vec<_>>(), [2, 3, 4]);
        assert_eq!(day.compactions, 1);
    }

    #[test]
    fn a_run_that_keeps_the_set_of_the_jobs_start_drops_the_run_before_it() {
        let mut day = day_of(&[entry(1, Tier::Late), entry(2, Tier::OnTime)]);
        for (input, output) in [(1, 3), (2, 4)] {
            let edit = day.commit_run(9, &[input], &[], vec![entry(output, Tier::Compacted)]);
            day.apply(&edit).unwrap();
        }
        assert_eq!(day.live.keys().copied().collect::<Vec<_>>(), [4], "the incident, in one line");
    }

    #[test]
    fn versions_increase_by_one_and_ids_are_not_reused() {
        let mut day = day_of(&[entry(1, Tier::Late)]);
        let mut skipped = day.next_edit(0);
        skipped.version += 1;
        assert!(matches!(day.apply(&skipped), Err(ManifestError::Version { .. })));
        let mut reused = day.next_edit(0);
        reused.add = vec![entry(1, Tier::Late)];
        assert!(matches!(day.apply(&reused), Err(ManifestError::ReusesId { .. })));
        let mut unknown = day.next_edit(0);
        unknown.remove = vec![7];
        assert!(matches!(day.apply(&unknown), Err(ManifestError::RemovesUnknown { .. })));
    }
}
