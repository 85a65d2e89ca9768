//! What the oracle is given to read: files as plain bytes, never a live disk.
//!
//! A file is a list of chunks, in order. Where a simulated disk keeps files as ropes of shared bytes, passing the
//! ropes as they are spares a copy, and lets the memo know bytes again that it has read before.

use crate::reader::ReadErrorKind;
use bytes::Bytes;

/// One file: its path and its bytes, in one or several chunks.
#[derive(Clone, Debug)]
pub struct FileView {
    /// Path from the disk's root, such as `arb/17/2016-02-22/3.seg`.
    pub path: String,
    /// The bytes, in order. Empty chunks are allowed.
    pub chunks: Vec<Bytes>,
    /// The device cannot read some of them: to everyone in the world the file is a copy that does not read.
    pub unreadable: bool,
    /// A planned fault changed or took some of its bytes: what does not read of it is the device's doing.
    pub corrupted: bool,
}

impl FileView {
    /// A file in one piece.
    #[must_use]
    pub fn whole(path: impl Into<String>, bytes: Bytes) -> FileView {
        FileView { path: path.into(), chunks: vec![bytes], unreadable: false, corrupted: false }
    }

    /// Length of the file.
    #[must_use]
    pub fn len_bytes(&self) -> u64 {
        len_bytes(&self.chunks)
    }

    /// Its chunks, unless the device cannot read them.
    pub(crate) fn read(&self) -> Result<&[Bytes], (u64, ReadErrorKind)> {
        if self.unreadable { Err((0, ReadErrorKind::Unreadable)) } else { Ok(&self.chunks) }
    }
}

/// One disk, at one moment.
#[derive(Clone, Debug, Default)]
pub struct DiskView {
    /// The node's name.
    pub name: String,
    /// Its files, in any order.
    pub files: Vec<FileView>,
}

impl DiskView {
    /// Whether a planned fault changed or took bytes of the file at this path.
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

    /// Bytes read so far.
    pub(crate) fn at(&self) -> u64 {
        self.at
    }

    /// Bytes still to read.
    pub(crate) fn left(&self) -> u64 {
        self.left
    }

    /// The next `len` bytes, shared where they lie in one chunk; `None`, and nothing is read, if there are fewer.
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
