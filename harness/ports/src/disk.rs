//! A file system as POSIX leaves it: what is not synced may be lost, in part and out of order.
//!
//! Paths are relative to the disk's root, separated by `/`, without `.`, `..`, leading or trailing `/`; the
//! root directory itself is `""`. A file handle stays valid when its name is renamed or removed, and dies with
//! the process that opened it.

use bytes::Bytes;
use std::fmt;
use std::future::Future;

/// The operation that failed or is being traced.
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

/// Why an operation failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DiskErrorKind {
    /// No such file or directory.
    NotFound,
    /// The name is taken.
    AlreadyExists,
    /// A file stands where a directory is needed.
    NotADirectory,
    /// A directory stands where a file is needed.
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

/// A failed disk operation: what was tried, on which path, and why it failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct DiskError {
    /// Why.
    pub kind: DiskErrorKind,
    /// What was tried.
    pub op: DiskOp,
    /// The path it was tried on (for a handle: the path it was opened by).
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

/// How [`Disk::open`] treats a name that exists, and one that does not.
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

/// What a directory entry names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum EntryKind {
    /// A file.
    File,
    /// A directory.
    Directory,
}

/// One entry of a directory.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Entry {
    /// The last component of its path.
    pub name: String,
    /// File or directory.
    pub kind: EntryKind,
}

/// The names of one node's file system.
pub trait Disk: Clone + Send + Sync + 'static {
    /// An open file.
    type File: File;

    /// Opens a file. The parent directory must exist.
    fn open(&self, path: &str, mode: OpenMode) -> impl Future<Output = Result<Self::File, DiskError>> + Send;

    /// Makes one directory; its parent must exist.
    fn create_dir(&self, path: &str) -> impl Future<Output = Result<(), DiskError>> + Send;

    /// Removes an empty directory.
    fn remove_dir(&self, path: &str) -> impl Future<Output = Result<(), DiskError>> + Send;

    /// Renames a file or directory, replacing a file (or empty directory) of the new name atomically.
    fn rename(&self, from: &str, to: &str) -> impl Future<Output = Result<(), DiskError>> + Send;

    /// Removes a file's name. Open handles keep working.
    fn remove(&self, path: &str) -> impl Future<Output = Result<(), DiskError>> + Send;

    /// The entries of a directory, sorted by name.
    fn list(&self, path: &str) -> impl Future<Output = Result<Vec<Entry>, DiskError>> + Send;

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

    /// Reads up to `len_bytes` from `offset`; fewer bytes only at the end of the file.
    fn read_at(&self, offset: u64, len_bytes: u64) -> impl Future<Output = Result<Bytes, DiskError>> + Send;

    /// The file's length in bytes.
    fn size_bytes(&self) -> impl Future<Output = Result<u64, DiskError>> + Send;

    /// Makes the file's bytes and length durable; not its name.
    fn sync(&self) -> impl Future<Output = Result<(), DiskError>> + Send;
}
