//! The guarantees of a POSIX file system: data that is not synced may be lost, in part and out of order.
//!
//! Paths are relative to the disk's root, separated by `/`, without `.`, `..`, leading or trailing `/`; the root
//! directory itself is `""`. A file handle stays valid when its name is renamed or removed, and becomes invalid with
//! the process that opened it.

use bytes::{Bytes, BytesMut};
use std::fmt;
use std::future::Future;

/// A disk operation, for errors and traces.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DiskOp {
    /// [`Disk::open`]
    Open,
    /// [`File::append`]
    Append,
    /// [`File::write_at`]
    WriteAt,
    /// [`File::truncate`]
    Truncate,
    /// [`File::read_at`]
    Read,
    /// [`File::sync`]
    Sync,
    /// [`File::size_bytes`]
    Len,
    /// [`Disk::create_dir`]
    CreateDir,
    /// [`Disk::remove_dir`]
    RemoveDir,
    /// [`Disk::rename`]
    Rename,
    /// [`Disk::remove`]
    Remove,
    /// [`Disk::list`]
    List,
    /// [`Disk::sync_dir`]
    SyncDir,
}

/// Reason why an operation failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DiskErrorKind {
    /// No such file or directory.
    NotFound,
    /// The name already exists.
    AlreadyExists,
    /// A file exists where a directory is needed.
    NotADirectory,
    /// A directory exists where a file is needed.
    IsADirectory,
    /// The directory to remove or replace has entries.
    DirectoryNotEmpty,
    /// The device is full (ENOSPC). An append may have written a prefix of its bytes.
    NoSpace,
    /// The device failed (EIO).
    Io,
    /// The handle belongs to an earlier incarnation of the node: its process is dead.
    Fenced,
    /// The path or the arguments are malformed.
    InvalidInput,
}

/// A failed disk operation: the operation, its path, and the reason.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct DiskError {
    /// The reason.
    pub kind: DiskErrorKind,
    /// The operation.
    pub op: DiskOp,
    /// The path of the operation (for a handle: the path it was opened by).
    pub path: String,
}

impl fmt::Display for DiskError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let why = match self.kind {
            DiskErrorKind::NotFound => "no such file or directory",
            DiskErrorKind::AlreadyExists => "already exists",
            DiskErrorKind::NotADirectory => "not a directory",
            DiskErrorKind::IsADirectory => "is a directory",
            DiskErrorKind::DirectoryNotEmpty => "directory not empty",
            DiskErrorKind::NoSpace => "no space left on device",
            DiskErrorKind::Io => "input/output error",
            DiskErrorKind::Fenced => "handle of a dead process",
            DiskErrorKind::InvalidInput => "malformed path or argument",
        };
        write!(f, "{:?} of '{}': {why}", self.op, self.path)
    }
}

/// Treatment of an existing or missing file by [`Disk::open`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum OpenMode {
    /// The file must exist; reads only.
    Read,
    /// The file must exist; reads and writes.
    ReadWrite,
    /// Creates the file if it does not exist; reads and writes.
    Create,
    /// The file must not exist; reads and writes.
    CreateNew,
}

/// Type of a directory entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FileType {
    /// A file.
    File,
    /// A directory.
    Directory,
}

/// One entry of a directory.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct DirEntry {
    /// The last component of its path.
    pub name: String,
    /// File or directory.
    pub kind: FileType,
}

/// The file system of one node.
pub trait Disk: Clone + Send + Sync + 'static {
    /// An open file.
    type File: File;

    /// Opens a file. The parent directory must exist.
    fn open(&self, path: &str, mode: OpenMode) -> impl Future<Output = Result<Self::File, DiskError>> + Send;

    /// Creates one directory; its parent must exist.
    fn create_dir(&self, path: &str) -> impl Future<Output = Result<(), DiskError>> + Send;

    /// Removes an empty directory.
    fn remove_dir(&self, path: &str) -> impl Future<Output = Result<(), DiskError>> + Send;

    /// Renames a file or directory, replacing a file (or empty directory) of the new name atomically.
    fn rename(&self, from: &str, to: &str) -> impl Future<Output = Result<(), DiskError>> + Send;

    /// Removes a file's name. Open handles keep working.
    fn remove(&self, path: &str) -> impl Future<Output = Result<(), DiskError>> + Send;

    /// Returns the entries of a directory, sorted by name.
    fn list(&self, path: &str) -> impl Future<Output = Result<Vec<DirEntry>, DiskError>> + Send;

    /// Makes the entries of a directory durable (not those of its subdirectories, nor any file's bytes).
    fn sync_dir(&self, path: &str) -> impl Future<Output = Result<(), DiskError>> + Send;
}

/// An open file.
pub trait File: Clone + Send + Sync + 'static {
    /// Appends `data` at the end and returns the offset at which it starts. Not durable before [`File::sync`].
    /// After an error a prefix of `data` may have been written.
    fn append(&self, data: Bytes) -> impl Future<Output = Result<u64, DiskError>> + Send;

    /// Writes `data` at `offset`, which may lie past the end (the gap reads as zeros).
    fn write_at(&self, offset: u64, data: Bytes) -> impl Future<Output = Result<(), DiskError>> + Send;

    /// Cuts or extends (with zeros) the file to `len_bytes`.
    fn truncate(&self, len_bytes: u64) -> impl Future<Output = Result<(), DiskError>> + Send;

    /// Reads up to `len_bytes` from `offset`. May return fewer bytes than exist; an empty result means the end of the
    /// file (or that `len_bytes` is 0). Use [`read_full`] to read all of them.
    fn read_at(&self, offset: u64, len_bytes: u64) -> impl Future<Output = Result<Bytes, DiskError>> + Send;

    /// The path it was opened by; the file may have been renamed since.
    fn path(&self) -> &str;

    /// The file's length in bytes.
    fn size_bytes(&self) -> impl Future<Output = Result<u64, DiskError>> + Send;

    /// Makes the file's bytes and length durable; not its name.
    fn sync(&self) -> impl Future<Output = Result<(), DiskError>> + Send;
}

/// Limit of the reads of one [`read_full`]: a file that returns less at a time is treated as failed.
pub const MOST_READS: u32 = 1_024;

/// Reads `len_bytes` from `offset`, repeating after each short read; returns fewer bytes only if the file ends there.
/// If the first read returns all of them, it is the only one: ask for a length that the file has.
///
/// # Errors
/// If a read fails; [`DiskErrorKind::Io`] if [`MOST_READS`] reads did not return all, or one returned more than
/// requested.
pub async fn read_full<F: File>(file: &F, offset: u64, len_bytes: u64) -> Result<Bytes, DiskError> {
    let failed = || DiskError { kind: DiskErrorKind::Io, op: DiskOp::Read, path: file.path().to_owned() };
    let mut out = BytesMut::new();
    for _ in 0..MOST_READS {
        let got_bytes = out.len() as u64;
        let piece = file.read_at(offset.saturating_add(got_bytes), len_bytes - got_bytes).await?;
        if piece.len() as u64 > len_bytes - got_bytes {
            return Err(failed());
        }
        // A single piece is passed on without a copy: it may be shared.
        if piece.len() as u64 == len_bytes {
            return Ok(piece);
        }
        out.extend_from_slice(&piece);
        if piece.is_empty() || out.len() as u64 == len_bytes {
            return Ok(out.freeze());
        }
    }
    Err(failed())
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::future::FutureExt;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};

    /// A file that returns a limited number of bytes at a time (or more than requested), and counts its reads.
    #[derive(Clone)]
    struct ShortReadFile {
        bytes: Bytes,
        max_read_bytes: usize,
        returns_too_much: bool,
        reads: Arc<AtomicU32>,
    }

    impl ShortReadFile {
        fn new(len: usize, max_read_bytes: usize) -> ShortReadFile {
            let bytes = (0..len).map(|at| u8::try_from(at % 251).unwrap_or(0)).collect::<Vec<_>>().into();
            ShortReadFile { bytes, max_read_bytes, returns_too_much: false, reads: Arc::default() }
        }

        fn read(&self, offset: u64, len_bytes: u64) -> (Result<Bytes, DiskErrorKind>, u32) {
            let read = read_full(self, offset, len_bytes).now_or_never().expect("it never waits");
            if let Err(error) = &read {
                assert_eq!((error.op, error.path.as_str()), (DiskOp::Read, "dribble"));
            }
            (read.map_err(|error| error.kind), self.reads.swap(0, Ordering::Relaxed))
        }
    }

    impl File for ShortReadFile {
        async fn append(&self, _: Bytes) -> Result<u64, DiskError> {
            unreachable!("it is only read")
        }

        async fn write_at(&self, _: u64, _: Bytes) -> Result<(), DiskError> {
            unreachable!("it is only read")
        }

        async fn truncate(&self, _: u64) -> Result<(), DiskError> {
            unreachable!("it is only read")
        }

        async fn sync(&self) -> Result<(), DiskError> {
            unreachable!("it is only read")
        }

        async fn read_at(&self, offset: u64, len_bytes: u64) -> Result<Bytes, DiskError> {
            self.reads.fetch_add(1, Ordering::Relaxed);
            let from = usize::try_from(offset).unwrap_or(usize::MAX).min(self.bytes.len());
            let asked = usize::try_from(len_bytes).unwrap_or(usize::MAX) + usize::from(self.returns_too_much);
            let to = self.bytes.len().min(from.saturating_add(asked.min(self.max_read_bytes)));
            Ok(self.bytes.slice(from..to))
        }

        fn path(&self) -> &str {
            "dribble"
        }

        async fn size_bytes(&self) -> Result<u64, DiskError> {
            Ok(self.bytes.len() as u64)
        }
    }

    #[test]
    fn a_complete_read_is_passed_on_without_a_copy() {
        let file = ShortReadFile::new(100, 1_000);
        let (read, reads) = file.read(10, 90);
        let read = read.expect("it is there");
        assert_eq!((read.as_ptr(), read.len(), reads), (file.bytes[10..].as_ptr(), 90, 1));
        assert_eq!(file.read(0, 0), (Ok(Bytes::new()), 1));
    }

    #[test]
    fn short_reads_are_asked_again_until_all_came_or_the_file_ended() {
        let file = ShortReadFile::new(100, 7);
        assert_eq!(file.read(0, 100), (Ok(file.bytes.clone()), 15));
        assert_eq!(file.read(3, 14), (Ok(file.bytes.slice(3..17)), 2));
        assert_eq!(file.read(90, 50), (Ok(file.bytes.slice(90..)), 3), "the last read finds the end");
        assert_eq!(file.read(90, u64::MAX), (Ok(file.bytes.slice(90..)), 3));
        assert_eq!(file.read(200, 50), (Ok(Bytes::new()), 1));
    }

    #[test]
    fn a_file_that_gives_too_little_at_a_time_or_too_much_is_an_error() {
        let most = MOST_READS as usize;
        assert_eq!(
            ShortReadFile::new(most, 1).read(0, u64::from(MOST_READS)).0.map(|read| read.len()),
            Ok(most)
        );
        let (read, reads) = ShortReadFile::new(most + 1, 1).read(0, u64::from(MOST_READS) + 1);
        assert_eq!((read, reads), (Err(DiskErrorKind::Io), MOST_READS));
        let file = ShortReadFile { returns_too_much: true, ..ShortReadFile::new(100, 1_000) };
        assert_eq!(file.read(0, 50), (Err(DiskErrorKind::Io), 1));
    }
}
