//! Manifests: `arb/<project>/<day>/manifest`, the edits that define which files of a day are live.
//!
//! The reader checks the shape of each edit and the sequence of versions. Invariant I9 checks the edits against each
//! other (never reuse a name, never remove a file that is not live).

use super::arb_path;
use super::frame::{self, FileTail};
use super::segment::Tier;
use super::{ReadErrorKind, is_hash};
use crate::identity::ProjectDay;
use bytes::Bytes;
use serde::Deserialize;
use std::collections::BTreeMap;

const MAGIC: [u8; 8] = *b"LARBMAN1";

/// One edit of a manifest.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ManifestEdit {
    /// Version, counted from 1 without gaps.
    pub version: u64,
    /// Fencing token under which the edit was made; 0 if no job made it.
    pub token: u64,
    /// Files that become live.
    pub add: Vec<ManifestEntry>,
    /// Files that stop being live; removed before `add` is applied.
    pub remove: Vec<u64>,
    /// Greater than every id ever used.
    pub next_id: u64,
    /// Number of compaction runs committed on this day.
    pub compactions: u64,
}

/// A live file.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ManifestEntry {
    /// Segment id.
    pub id: u64,
    /// Tier of the segment.
    pub tier: Tier,
    /// Whether the file will never change again.
    pub sealed: bool,
    /// Length of a sealed file; 0 for an open one.
    pub bytes: u64,
    /// Records in a sealed file; 0 for an open one.
    pub records: u64,
    /// BLAKE3-256 of a sealed file, in hex; empty for an open one.
    pub hash: String,
}

/// A decoded manifest.
#[derive(Clone, Debug, Default)]
pub struct Manifest {
    /// Edits, from version 1.
    pub edits: Vec<ManifestEdit>,
    /// Live files after the last edit, by id.
    pub live: BTreeMap<u64, ManifestEntry>,
    /// End of the file.
    pub tail: FileTail,
    /// Digest of each edit's bytes together with all before it: equal digests mean equal histories.
    pub history: Vec<[u8; 32]>,
}

impl Manifest {
    /// Returns the last edit's version; 0 without edits.
    #[must_use]
    pub fn version(&self) -> u64 {
        self.edits.last().map_or(0, |edit| edit.version)
    }

    /// Whether an edit added the segment at this path.
    pub(crate) fn has_added(&self, project_day: ProjectDay, path: &str) -> bool {
        self.edits
            .iter()
            .flat_map(|edit| &edit.add)
            .any(|entry| arb_path::segment_path(project_day, entry.id) == path)
    }

    /// Reads a manifest.
    pub(crate) fn read(chunks: &[Bytes]) -> Result<Manifest, (u64, ReadErrorKind)> {
        let (_, frames, tail) = frame::read_file(chunks, MAGIC, 8)?;
        let mut manifest = Manifest { tail, ..Manifest::default() };
        let mut hasher = blake3::Hasher::new();
        for frame in frames {
            let edit: ManifestEdit = serde_json::from_slice(&frame.payload)
                .map_err(|e| (frame.at, ReadErrorKind::MalformedJson(e.to_string())))?;
            manifest.push(edit).map_err(|flaw| (frame.at, flaw))?;
            hasher.update(&frame.payload);
            manifest.history.push(*hasher.finalize().as_bytes());
        }
        Ok(manifest)
    }

    fn push(&mut self, edit: ManifestEdit) -> Result<(), ReadErrorKind> {
        let expected = self.version() + 1;
        if edit.version != expected {
            return Err(ReadErrorKind::VersionGap { found: edit.version, expected });
        }
        edit.add.iter().try_for_each(check_entry)?;
        for id in &edit.remove {
            self.live.remove(id);
        }
        self.live.extend(edit.add.iter().map(|entry| (entry.id, entry.clone())));
        self.edits.push(edit);
        Ok(())
    }
}

fn check_entry(entry: &ManifestEntry) -> Result<(), ReadErrorKind> {
    match entry.sealed {
        true if !is_hash(&entry.hash) => {
            Err(ReadErrorKind::RuleViolated("a sealed entry's hash is not 64 lower-case hex digits"))
        }
        false if (entry.bytes, entry.records, entry.hash.as_str()) != (0, 0, "") => {
            Err(ReadErrorKind::RuleViolated("an open entry states bytes, records or a hash"))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_support::frame;

    fn read(edits: &[&str]) -> Result<Manifest, (u64, ReadErrorKind)> {
        let frames: Vec<u8> = edits.iter().flat_map(|edit| frame(edit.as_bytes())).collect();
        Manifest::read(&[Bytes::from([&MAGIC[..], &frames].concat())])
    }

    const OPEN: &str = r#"{"version":1,"token":0,"add":[{"id":1,"tier":"on-time","sealed":false,"bytes":0,"records":0,"hash":""},
        {"id":2,"tier":"late","sealed":false,"bytes":0,"records":0,"hash":""}],"remove":[],"next_id":3,"compactions":0}"#;

    #[test]
    fn the_last_edit_defines_the_live_files() {
        let hash = "a".repeat(64);
        let merge = format!(
            r#"{{"version":2,"token":3,"add":[{{"id":3,"tier":"compacted","sealed":true,"bytes":81,"records":4,"hash":"{hash}"}}],
            "remove":[1],"next_id":4,"compactions":1}}"#
        );
        let manifest = read(&[OPEN, &merge]).unwrap();
        assert_eq!(manifest.version(), 2);
        assert_eq!(manifest.live.keys().copied().collect::<Vec<_>>(), [2, 3]);
        assert_eq!(manifest.live[&3].tier, Tier::Compacted);
        assert_eq!(read(&[OPEN]).unwrap().history[0], manifest.history[0]);
    }

    #[test]
    fn versions_rise_by_one() {
        assert_eq!(read(&[OPEN, OPEN]).unwrap_err().1, ReadErrorKind::VersionGap { found: 1, expected: 2 });
        assert_eq!(read(&[&OPEN.replace("\"version\":1", "\"version\":2")]).unwrap_err().0, 8);
    }

    #[test]
    fn malformed_edits_are_rejected() {
        let flaw = |edit: &str| read(&[edit]).unwrap_err().1.to_string();
        assert!(flaw(&OPEN.replace("\"token\":0,", "")).contains("missing field `token`"));
        assert!(flaw(&OPEN.replace("late", "later")).contains("unknown variant `later`"));
        assert!(
            flaw(&OPEN.replace("\"token\"", "\"tokens\":1,\"token\"")).contains("unknown field `tokens`")
        );
        assert!(flaw(&OPEN.replacen("\"bytes\":0", "\"bytes\":5", 1)).contains("open entry states bytes"));
        assert!(
            flaw(&OPEN.replacen("\"sealed\":false", "\"sealed\":true", 1)).contains("sealed entry's hash")
        );
    }
}
