//! Input of the oracle: files as plain bytes, never a live disk.
//!
//! A file is a list of chunks, in order. A simulated disk stores files as ropes of shared bytes; passing the ropes
//! unchanged saves a copy, and lets the decode cache recognize bytes by address.

use crate::reader::ReadErrorKind;
use bytes::Bytes;

/// One file: its path and its bytes, in one or several chunks.
#[derive(Clone, Debug)]
pub struct FileView {
    /// Path from the disk's root, such as `arb/17/2016-02-22/3.seg`.
    pub path: String,
    /// Bytes, in order. Empty chunks are allowed.
    pub chunks: Vec<Bytes>,
    /// The device cannot read some of the bytes: the file is unreadable to every reader.
    pub unreadable: bool,
    /// A planned fault corrupted or destroyed some of the bytes: unreadable parts are the device's fault.
    pub corrupted: bool,
    /// The bytes that the system wrote, where planned faults corrupted others; empty if none did.
    pub as_written: Vec<Bytes>,
}

impl FileView {
    /// Creates a file in one chunk.
    #[must_use]
    pub fn whole(path: impl Into<String>, bytes: Bytes) -> FileView {
        FileView {
            path: path.into(),
            chunks: vec![bytes],
            unreadable: false,
            corrupted: false,
            as_written: Vec::new(),
        }
    }

    /// Returns the length of the file.
    #[must_use]
    pub fn len_bytes(&self) -> u64 {
        len_bytes(&self.chunks)
    }

    /// Returns the chunks, unless the device cannot read them.
    pub(crate) fn read(&self) -> Result<&[Bytes], (u64, ReadErrorKind)> {
        if self.unreadable { Err((0, ReadErrorKind::Unreadable)) } else { Ok(&self.chunks) }
    }
}

/// One disk at one point in time.
#[derive(Clone, Debug, Default)]
pub struct DiskView {
    /// Name of the node.
    pub name: String,
    /// Files, in any order.
    pub files: Vec<FileView>,
}

impl DiskView {
    /// Whether a planned fault corrupted or destroyed bytes of the file at this path.
    #[must_use]
    pub fn is_corrupted(&self, path: &str) -> bool {
        self.files.iter().any(|file| file.corrupted && file.path == path)
    }
}

pub(crate) fn len_bytes(chunks: &[Bytes]) -> u64 {
    chunks.iter().map(|chunk| chunk.len() as u64).sum()
}

/// Reads chunks from front to back.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cursor<'a> {
    chunks: &'a [Bytes],
    in_chunk: usize,
    at: u64,
    left: u64,
}

impl<'a> Cursor<'a> {
    pub(crate) fn new(chunks: &'a [Bytes]) -> Cursor<'a> {
        Cursor { chunks, in_chunk: 0, at: 0, left: len_bytes(chunks) }
    }

    /// Returns the number of bytes read so far.
    pub(crate) fn at(&self) -> u64 {
        self.at
    }

    /// Returns the number of bytes still to read.
    pub(crate) fn left(&self) -> u64 {
        self.left
    }

    /// Returns the next `len` bytes, shared if they are in one chunk; `None` if there are fewer, and nothing is read.
    pub(crate) fn take(&mut self, len: usize) -> Option<Bytes> {
        if (len as u64) > self.left {
            return None;
        }
        self.skip_spent();
        self.at += len as u64;
        self.left -= len as u64;
        if let Some(chunk) = self.chunks.first().filter(|chunk| chunk.len() - self.in_chunk >= len) {
            let bytes = chunk.slice(self.in_chunk..self.in_chunk + len);
            self.in_chunk += len;
            return Some(bytes);
        }
        let mut copy = Vec::with_capacity(len);
        while copy.len() < len {
            self.skip_spent();
            let rest = &self.chunks[0][self.in_chunk..];
            let part = rest.len().min(len - copy.len());
            copy.extend_from_slice(&rest[..part]);
            self.in_chunk += part;
        }
        Some(Bytes::from(copy))
    }

    fn skip_spent(&mut self) {
        while self.chunks.first().is_some_and(|chunk| chunk.len() == self.in_chunk) {
            self.chunks = &self.chunks[1..];
            self.in_chunk = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_read_as_one_file() {
        let chunks = ["ab", "", "cdef", "g"].map(Bytes::from);
        let mut cursor = Cursor::new(&chunks);
        assert_eq!(cursor.take(1).unwrap(), "a");
        assert_eq!(cursor.take(4).unwrap(), "bcde");
        assert_eq!((cursor.at(), cursor.left()), (5, 2));
        assert_eq!(cursor.take(3), None);
        assert_eq!(cursor.take(2).unwrap(), "fg");
        assert_eq!(cursor.take(0).unwrap(), "");
    }

    #[test]
    fn bytes_within_one_chunk_are_shared() {
        let chunk = Bytes::from_static(b"abcdef");
        let chunks = [chunk.clone()];
        let mut cursor = Cursor::new(&chunks);
        cursor.take(2).unwrap();
        assert_eq!(cursor.take(3).unwrap().as_ptr(), chunk[2..].as_ptr());
    }
}
