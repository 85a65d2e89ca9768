//! [`Disk`] on a directory of the real file system.
//!
//! Appends look up the end of the file and write there under a lock that all handles of one file share, since neither
//! O_APPEND (which would redirect writes at an offset too) nor a lock per handle would do. Errors come from the
//! operating system, except those for malformed paths and arguments and for writes through a read-only handle, which
//! are refused before they reach it.

use bytes::Bytes;
use latent_ports::{DirEntry, Disk, DiskError, DiskErrorKind, DiskOp, File, FileType, OpenMode};
use std::collections::BTreeMap;
use std::fs;
use std::io::{self, ErrorKind};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, Weak};

/// One append lock for each open file, by device and inode.
type AppendLocks = Mutex<BTreeMap<(u64, u64), Weak<Mutex<()>>>>;

/// A directory of the real file system as a disk. Cheap to clone.
#[derive(Clone, Debug)]
pub struct HostDisk {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    root: PathBuf,
    append_locks: AppendLocks,
}

/// An open file of the real file system. Cheap to clone.
#[derive(Clone, Debug)]
pub struct HostFile {
    shared: Arc<OpenFile>,
}

#[derive(Debug)]
struct OpenFile {
    file: fs::File,
    path: String,
    writable: bool,
    append_lock: Arc<Mutex<()>>,
}

impl HostDisk {
    /// Creates a disk whose root is the existing directory `root`.
    ///
    /// # Errors
    /// `root` cannot be found or is not a directory.
    pub fn new(root: impl AsRef<Path>) -> io::Result<HostDisk> {
        let root = root.as_ref().canonicalize()?;
        if !root.is_dir() {
            let message =
                format!("'{}' is not a directory: name one for the disk to live in", root.display());
            return Err(io::Error::new(ErrorKind::NotADirectory, message));
        }
        Ok(HostDisk { shared: Arc::new(Shared { root, append_locks: Mutex::default() }) })
    }

    async fn run<T: Send + 'static>(
        &self,
        op: DiskOp,
        path: &str,
        work: impl FnOnce(&Shared, &Path) -> io::Result<T> + Send + 'static,
    ) -> Result<T, DiskError> {
        let root_allowed = matches!(op, DiskOp::List | DiskOp::SyncDir);
        if !is_valid_path(path, root_allowed) {
            return Err(error(op, path, DiskErrorKind::InvalidInput));
        }
        let shared = self.shared.clone();
        let full = shared.root.join(path);
        blocking(op, path, move || work(&shared, &full)).await
    }
}

impl Disk for HostDisk {
    type File = HostFile;

    async fn open(&self, path: &str, mode: OpenMode) -> Result<HostFile, DiskError> {
        let name = path.to_owned();
        let work = move |shared: &Shared, full: &Path| {
            let mut options = fs::OpenOptions::new();
            options.read(true).write(mode != OpenMode::Read);
            match mode {
                OpenMode::Read | OpenMode::ReadWrite => {}
                OpenMode::Create => _ = options.create(true).truncate(false),
                OpenMode::CreateNew => _ = options.create_new(true),
            }
            let file = options.open(full)?;
            let metadata = file.metadata()?;
            if metadata.is_dir() {
                // Linux opens directories to read.
                return Err(ErrorKind::IsADirectory.into());
            }
            let append_lock = shared.append_lock((metadata.dev(), metadata.ino()));
            Ok(OpenFile { file, path: name, writable: mode != OpenMode::Read, append_lock })
        };
        Ok(HostFile { shared: Arc::new(self.run(DiskOp::Open, path, work).await?) })
    }

    async fn create_dir(&self, path: &str) -> Result<(), DiskError> {
        self.run(DiskOp::CreateDir, path, |_, full| fs::create_dir(full)).await
    }

    async fn remove_dir(&self, path: &str) -> Result<(), DiskError> {
        self.run(DiskOp::RemoveDir, path, |_, full| fs::remove_dir(full)).await
    }

    async fn rename(&self, from: &str, to: &str) -> Result<(), DiskError> {
        if !is_valid_path(to, false) {
            return Err(error(DiskOp::Rename, from, DiskErrorKind::InvalidInput));
        }
        let to = to.to_owned();
        self.run(DiskOp::Rename, from, move |shared, full| fs::rename(full, shared.root.join(to))).await
    }

    async fn remove(&self, path: &str) -> Result<(), DiskError> {
        self.run(DiskOp::Remove, path, |_, full| fs::remove_file(full)).await
    }

    async fn list(&self, path: &str) -> Result<Vec<DirEntry>, DiskError> {
        let work = |_: &Shared, full: &Path| {
            let mut entries =
                fs::read_dir(full)?.map(|entry| dir_entry(&entry?)).collect::<io::Result<Vec<_>>>()?;
            entries.sort();
            Ok(entries)
        };
        self.run(DiskOp::List, path, work).await
    }

    async fn sync_dir(&self, path: &str) -> Result<(), DiskError> {
        let work = |_: &Shared, full: &Path| {
            let dir = fs::File::open(full)?;
            if !dir.metadata()?.is_dir() {
                return Err(ErrorKind::NotADirectory.into());
            }
            dir.sync_all()
        };
        self.run(DiskOp::SyncDir, path, work).await
    }
}

impl Shared {
    fn append_lock(&self, inode: (u64, u64)) -> Arc<Mutex<()>> {
        let mut locks = self.append_locks.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(lock) = locks.get(&inode).and_then(Weak::upgrade) {
            return lock;
        }
        // Removes the locks of closed files; each open file has one entry.
        locks.retain(|_, lock| lock.strong_count() > 0);
        let lock = Arc::default();
        locks.insert(inode, Arc::downgrade(&lock));
        lock
    }
}

fn dir_entry(entry: &fs::DirEntry) -> io::Result<DirEntry> {
    let kind = if entry.file_type()?.is_dir() { FileType::Directory } else { FileType::File };
    let not_utf8 = |name| io::Error::new(ErrorKind::InvalidData, format!("name {name:?} is not UTF-8"));
    Ok(DirEntry { name: entry.file_name().into_string().map_err(not_utf8)?, kind })
}

impl HostFile {
    async fn run<T: Send + 'static>(
        &self,
        op: DiskOp,
        work: impl FnOnce(&OpenFile) -> io::Result<T> + Send + 'static,
    ) -> Result<T, DiskError> {
        let shared = self.shared.clone();
        blocking(op, &self.shared.path, move || work(&shared)).await
    }

    fn check_write(&self, op: DiskOp, offset: u64, len: usize) -> Result<(), DiskError> {
        let end = offset.checked_add(len as u64);
        if self.shared.writable && end.is_some_and(|end| i64::try_from(end).is_ok()) {
            return Ok(());
        }
        Err(error(op, &self.shared.path, DiskErrorKind::InvalidInput))
    }
}

impl File for HostFile {
    async fn append(&self, data: Bytes) -> Result<u64, DiskError> {
        self.check_write(DiskOp::Append, 0, data.len())?;
        let work = move |open: &OpenFile| {
            let _end_stays = open.append_lock.lock().unwrap_or_else(PoisonError::into_inner);
            let offset = open.file.metadata()?.len();
            open.file.write_all_at(&data, offset)?;
            Ok(offset)
        };
        self.run(DiskOp::Append, work).await
    }

    async fn write_at(&self, offset: u64, data: Bytes) -> Result<(), DiskError> {
        self.check_write(DiskOp::WriteAt, offset, data.len())?;
        self.run(DiskOp::WriteAt, move |open| open.file.write_all_at(&data, offset)).await
    }

    async fn truncate(&self, len_bytes: u64) -> Result<(), DiskError> {
        self.check_write(DiskOp::Truncate, len_bytes, 0)?;
        self.run(DiskOp::Truncate, move |open| open.file.set_len(len_bytes)).await
    }

    async fn read_at(&self, offset: u64, len_bytes: u64) -> Result<Bytes, DiskError> {
        self.run(DiskOp::Read, move |open| read_at(&open.file, offset, len_bytes)).await
    }

    fn path(&self) -> &str {
        &self.shared.path
    }

    async fn size_bytes(&self) -> Result<u64, DiskError> {
        self.run(DiskOp::Len, |open| Ok(open.file.metadata()?.len())).await
    }

    async fn sync(&self) -> Result<(), DiskError> {
        self.run(DiskOp::Sync, |open| open.file.sync_all()).await
    }
}

fn read_at(file: &fs::File, offset: u64, len_bytes: u64) -> io::Result<Bytes> {
    let there_bytes = file.metadata()?.len().saturating_sub(offset);
    let wanted_bytes = usize::try_from(len_bytes.min(there_bytes)).map_err(io::Error::other)?;
    let mut buffer = vec![0; wanted_bytes];
    let mut read = 0;
    while read < buffer.len() {
        match file.read_at(&mut buffer[read..], offset + read as u64) {
            // The file became shorter in the meantime.
            Ok(0) => break,
            Ok(count) => read += count,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    buffer.truncate(read);
    Ok(buffer.into())
}

async fn blocking<T: Send + 'static>(
    op: DiskOp,
    path: &str,
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> Result<T, DiskError> {
    let outcome = tokio::task::spawn_blocking(work).await;
    // The task fails only if the work panicked or the runtime is shutting down.
    outcome
        .unwrap_or_else(|failed| Err(io::Error::other(failed)))
        .map_err(|cause| error(op, path, kind_of(op, &cause)))
}

fn error(op: DiskOp, path: &str, kind: DiskErrorKind) -> DiskError {
    DiskError { kind, op, path: path.to_owned() }
}

fn kind_of(op: DiskOp, error: &io::Error) -> DiskErrorKind {
    match error.kind() {
        ErrorKind::NotFound => DiskErrorKind::NotFound,
        // Some file systems report this for a directory that has entries.
        ErrorKind::AlreadyExists if matches!(op, DiskOp::Rename | DiskOp::RemoveDir) => {
            DiskErrorKind::DirectoryNotEmpty
        }
        ErrorKind::AlreadyExists => DiskErrorKind::AlreadyExists,
        ErrorKind::NotADirectory => DiskErrorKind::NotADirectory,
        ErrorKind::IsADirectory => DiskErrorKind::IsADirectory,
        ErrorKind::DirectoryNotEmpty => DiskErrorKind::DirectoryNotEmpty,
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => DiskErrorKind::NoSpace,
        ErrorKind::InvalidInput | ErrorKind::InvalidFilename | ErrorKind::FileTooLarge => {
            DiskErrorKind::InvalidInput
        }
        _ => DiskErrorKind::Io,
    }
}

/// Whether the path has the form that the port requires, with names of at most 255 bytes, as in most file systems.
fn is_valid_path(path: &str, root_allowed: bool) -> bool {
    let is_valid_name = |name: &str| {
        !matches!(name, "" | "." | "..") && name.len() <= 255 && !name.bytes().any(|byte| byte == 0)
    };
    (path.is_empty() && root_allowed) || path.split('/').all(is_valid_name)
}
