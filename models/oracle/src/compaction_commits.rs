//! Compaction runs as manifests show them: the edits that raise `compactions`, since the last look.

use crate::decode_cache::DecodeCache;
use crate::identity::ProjectDay;
use crate::reader::{ReadError, manifest::Manifest};
use crate::view::FileView;
use std::collections::BTreeMap;

/// Edits of a manifest since the last look.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ManifestChange {
    /// Number of new edits.
    pub edits: usize,
    /// Positions of the runs among the new edits, counted from 0.
    pub runs: Vec<usize>,
    /// Whether a new edit removes a live file.
    pub has_removals: bool,
}

/// Reads manifests from look to look.
#[derive(Clone, Debug, Default)]
pub struct CompactionCommits {
    /// By disk and day: version, and digest of the history up to it.
    last: BTreeMap<(String, ProjectDay), (u64, [u8; 32])>,
}

impl CompactionCommits {
    /// Drops the state of a disk that was replaced or emptied: a refilled manifest may repeat the edits of the old one.
    pub fn forget(&mut self, disk: &str) {
        self.last.retain(|(name, _), _| name != disk);
    }

    /// Reads the manifest of a day. One with another history than the last time (a new disk, a quarantined day) is new
    /// as a whole.
    ///
    /// # Errors
    /// It is unreadable.
    pub fn read(
        &mut self,
        cache: &mut DecodeCache,
        disk: &str,
        project_day: ProjectDay,
        file: &FileView,
    ) -> Result<ManifestChange, ReadError> {
        let manifest = file.read().and_then(|chunks| cache.manifest(chunks));
        let manifest = manifest.map_err(|wrong| ReadError::new(&file.path, wrong))?;
        let key = (disk.to_owned(), project_day);
        let known = self.last.get(&key).and_then(|(version, history)| {
            let position = usize::try_from(*version).ok()?;
            (manifest.history.get(position.checked_sub(1)?) == Some(history)).then_some(position)
        });
        let change = change_since(&manifest, known.unwrap_or(0));
        if let Some(history) = manifest.history.last() {
            self.last.insert(key, (manifest.version(), *history));
        }
        Ok(change)
    }
}

fn change_since(manifest: &Manifest, known: usize) -> ManifestChange {
    let mut compactions = known.checked_sub(1).map_or(0, |last| manifest.edits[last].compactions);
    let new = &manifest.edits[known..];
    let mut runs = Vec::new();
    for (position, edit) in new.iter().enumerate() {
        if edit.compactions > compactions {
            runs.push(position);
        }
        compactions = edit.compactions;
    }
    ManifestChange { edits: new.len(), runs, has_removals: new.iter().any(|edit| !edit.remove.is_empty()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_support::frame;
    use bytes::Bytes;

    const DAY: ProjectDay = ProjectDay { project: 17, day: 16_853 };

    fn edit(version: u64, remove: &str, compactions: u64) -> String {
        format!(
            r#"{{"version":{version},"token":0,"add":[],"remove":[{remove}],"next_id":3,"compactions":{compactions}}}"#
        )
    }

    fn manifest(edits: &[String]) -> FileView {
        let frames: Vec<u8> = edits.iter().flat_map(|edit| frame(edit.as_bytes())).collect();
        FileView::whole("arb/17/2016-02-22/manifest", Bytes::from([&b"LARBMAN1"[..], &frames].concat()))
    }

    #[test]
    fn a_run_is_returned_once() {
        let (mut commits, mut cache) = (CompactionCommits::default(), DecodeCache::default());
        let mut read = |edits: &[String]| {
            let change = commits.read(&mut cache, "disk-1", DAY, &manifest(edits)).unwrap();
            (change.edits, change.runs, change.has_removals)
        };
        let edits = [edit(1, "", 0), edit(2, "1", 1), edit(3, "", 1), edit(4, "2", 2)];
        assert_eq!(read(&edits[..1]), (1, vec![], false));
        assert_eq!(read(&edits), (3, vec![0, 2], true));
        assert_eq!(read(&edits), (0, vec![], false));
        let restarted = [edit(1, "", 1), edit(2, "", 1)];
        assert_eq!(read(&restarted), (2, vec![0], false), "another history");
        assert_eq!(read(&restarted[..1]), (1, vec![0], false), "it moved back");
    }

    #[test]
    fn a_run_is_new_on_a_new_disk_although_the_edits_are_those_of_the_old_one() {
        let (mut commits, mut cache) = (CompactionCommits::default(), DecodeCache::default());
        let file = manifest(&[edit(1, "", 0), edit(2, "1", 1)]);
        let runs = |commits: &mut CompactionCommits, cache: &mut DecodeCache, disk: &str| {
            commits.read(cache, disk, DAY, &file).unwrap().runs.len()
        };
        let mut read = |disk: &str| runs(&mut commits, &mut cache, disk);
        assert_eq!([read("disk-1"), read("disk-1"), read("disk-2")], [1, 0, 1]);
        commits.forget("disk-1");
        let mut read = |disk: &str| runs(&mut commits, &mut cache, disk);
        assert_eq!([read("disk-1"), read("disk-2")], [1, 0]);
    }

    #[test]
    fn a_damaged_manifest_is_an_error() {
        let file = FileView { unreadable: true, ..manifest(&[edit(1, "", 0)]) };
        let read = CompactionCommits::default().read(&mut DecodeCache::default(), "disk-1", DAY, &file);
        assert!(read.is_err());
    }
}
