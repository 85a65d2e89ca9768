//! Contents of a disk at an instant, by reference: O(files) to take, independent of their size.
//!
//! An image of what reads see includes the page cache. A disk made from it has all of that durably, also writes that
//! would not have survived a crash. Unreadable blocks stay unreadable.

use super::rope::Rope;
use bytes::Bytes;
use std::collections::BTreeMap;
use std::ops::{Bound, Range};
use std::sync::Arc;

#[derive(Clone, Debug)]
pub(crate) enum ImageEntry {
    Directory,
    File(Arc<Rope>),
}

/// Files and directories of one disk at an instant. Shares its bytes with the disk; clones are free. Cheap to send to
/// a fork.
#[derive(Clone, Debug, Default)]
pub struct DiskImage {
    entries: Arc<BTreeMap<Arc<str>, ImageEntry>>,
}

/// One file of an image.
#[derive(Clone, Debug)]
pub struct FileImage {
    rope: Arc<Rope>,
}

impl FileImage {
    pub(crate) fn new(rope: Arc<Rope>) -> FileImage {
        FileImage { rope }
    }

    /// Returns the length in bytes.
    #[must_use]
    pub fn len_bytes(&self) -> u64 {
        self.rope.len_bytes()
    }

    /// Returns the bytes, in the pieces in which they were appended. Pieces are shared: an unchanged file has the
    /// same pieces, at the same addresses, in every image, so a reader can cache its decoded form.
    #[must_use]
    pub fn chunks(&self) -> &[Bytes] {
        self.rope.chunks()
    }

    /// Returns the byte ranges that a node cannot read: blocks of 4 KiB, cut at the end of the file, in order. The
    /// image itself contains those bytes. A node that boots from the image (a fork's) cannot read them either.
    #[must_use]
    pub fn unreadable(&self) -> Vec<Range<u64>> {
        self.rope.unreadable()
    }

    /// Whether a node cannot read some of the bytes.
    #[must_use]
    pub fn has_unreadable(&self) -> bool {
        self.rope.is_unreadable(0, u64::MAX)
    }

    /// Whether a fault changed or removed some of the bytes: bit rot, unreadable blocks, lost and misdirected writes.
    /// The flag follows the file through renames, until it is truncated to nothing; a copy of its bytes does not have
    /// it.
    #[must_use]
    pub fn is_corrupted(&self) -> bool {
        self.rope.is_corrupted()
    }

    /// Returns the pieces of the file without what bit rot, unreadable blocks and the misdirected writes of other files
    /// changed. A write of this file that was lost or went elsewhere is missing here too: no reader can know of it.
    #[must_use]
    pub fn chunks_as_written(&self) -> &[Bytes] {
        self.rope.as_written().chunks()
    }

    /// Returns the bytes in one piece; copied if the file has several.
    #[must_use]
    pub fn bytes(&self) -> Bytes {
        self.rope.read(0, u64::MAX)
    }
}

impl DiskImage {
    /// Returns an empty disk.
    #[must_use]
    pub fn new() -> DiskImage {
        DiskImage::default()
    }

    pub(crate) fn from_entries(entries: BTreeMap<Arc<str>, ImageEntry>) -> DiskImage {
        DiskImage { entries: Arc::new(entries) }
    }

    pub(crate) fn entries(&self) -> impl Iterator<Item = (&str, &ImageEntry)> {
        self.entries.iter().map(|(path, entry)| (&**path, entry))
    }

    /// Returns every file with its path, sorted by path.
    pub fn files(&self) -> impl Iterator<Item = (&str, FileImage)> {
        self.entries().filter_map(|(path, entry)| Some((path, file_of(entry)?)))
    }

    /// Returns every directory but the root, sorted.
    pub fn directories(&self) -> impl Iterator<Item = &str> {
        self.entries().filter(|(_, entry)| matches!(entry, ImageEntry::Directory)).map(|(path, _)| path)
    }

    /// Returns the file at `path`.
    #[must_use]
    pub fn file(&self, path: &str) -> Option<FileImage> {
        file_of(self.entries.get(path)?)
    }

    /// Returns the bytes of the file at `path`; copied if it has several pieces.
    #[must_use]
    pub fn read(&self, path: &str) -> Option<Bytes> {
        Some(self.file(path)?.bytes())
    }

    /// Returns the pieces of the file at `path`, by reference; empty if there is no such file.
    #[must_use]
    pub fn chunks(&self, path: &str) -> &[Bytes] {
        match self.entries.get(path) {
            Some(ImageEntry::File(rope)) => rope.chunks(),
            _ => &[],
        }
    }

    /// Returns the files at any depth under the directory `dir` (`""`: all), with their full paths.
    pub fn list<'i>(&'i self, dir: &'i str) -> impl Iterator<Item = (&'i str, FileImage)> {
        let below = move |path: &str| {
            dir.is_empty() || path.strip_prefix(dir).is_some_and(|rest| rest.starts_with('/'))
        };
        let from = self.entries.range::<str, _>((Bound::Included(dir), Bound::Unbounded));
        from.take_while(move |(path, _)| path.starts_with(dir))
            .filter(move |(path, _)| below(path))
            .filter_map(|(path, entry)| Some((&**path, file_of(entry)?)))
    }

    /// Whether the disk has neither files nor directories.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Returns the total length of all files.
    #[must_use]
    pub fn len_bytes(&self) -> u64 {
        self.files().map(|(_, file)| file.len_bytes()).sum()
    }

    /// Adds a file and its parent directories, replacing any file at that path.
    #[must_use]
    pub fn with_file(mut self, path: &str, data: Bytes) -> DiskImage {
        let entries = Arc::make_mut(&mut self.entries);
        for (at, _) in path.match_indices('/') {
            entries.entry(path[..at].into()).or_insert(ImageEntry::Directory);
        }
        let mut rope = Rope::default();
        rope.push(data);
        entries.insert(path.into(), ImageEntry::File(Arc::new(rope)));
        self
    }
}

fn file_of(entry: &ImageEntry) -> Option<FileImage> {
    match entry {
        ImageEntry::File(rope) => Some(FileImage { rope: rope.clone() }),
        ImageEntry::Directory => None,
    }
}
