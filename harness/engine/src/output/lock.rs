//! An advisory lock on a file that is about to be written: `.NAME.lock` next to it, held while it is written.
//!
//! The lock is not on the file itself, because that is replaced by a rename. The lock file is removed at the end; one
//! left by a killed process is not locked and has no effect.

use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

/// Raw errors of file systems without locks: `ENOLCK`, `ENOSYS`, `EOPNOTSUPP`.
const NO_LOCKS: [i32; 3] = [37, 38, 95];

/// The exclusive right to write a file, until it is dropped.
#[derive(Debug)]
pub(crate) struct FileLock {
    path: PathBuf,
    /// Closing it releases the lock.
    _file: File,
}

impl FileLock {
    /// Locks `of`; `None` while another process holds the lock.
    ///
    /// # Errors
    /// The lock file cannot be created.
    pub fn take(of: &Path) -> io::Result<Option<FileLock>> {
        let name = of.file_name().unwrap_or_default().to_string_lossy();
        let path = of.with_file_name(format!(".{name}.lock"));
        loop {
            let file = OpenOptions::new().create(true).write(true).truncate(false).open(&path)?;
            match file.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => return Ok(None),
                Err(TryLockError::Error(error)) if has_no_locks(&error) => {}
                Err(TryLockError::Error(error)) => return Err(error),
            }
            // The previous holder may have removed the file between the two calls: then this lock is on an unlinked
            // file.
            if is_at(&file, &path) {
                return Ok(Some(FileLock { path, _file: file }));
            }
        }
    }
}

impl Drop for FileLock {
    fn drop(&mut self) {
        // Before the release; afterwards it might be the lock file of the next holder.
        let _ = std::fs::remove_file(&self.path);
    }
}

fn has_no_locks(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::Unsupported
        || error.raw_os_error().is_some_and(|code| NO_LOCKS.contains(&code))
}

#[cfg(unix)]
fn is_at(file: &File, path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    match (file.metadata(), std::fs::metadata(path)) {
        (Ok(open), Ok(named)) => (open.dev(), open.ino()) == (named.dev(), named.ino()),
        _ => false,
    }
}

#[cfg(not(unix))]
fn is_at(_file: &File, _path: &Path) -> bool {
    true
}
