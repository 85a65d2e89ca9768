//! An advisory lock on a file that is about to be written: `.NAME.lock` beside it, held for as long as it is written.
//!
//! The lock is not on the file itself, because that is replaced by a rename. The lock file is removed at the end; one
//! that a killed process leaves behind is not locked and does no harm.

use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

/// Raw errors of file systems that have no locks: `ENOLCK`, `ENOSYS`, `EOPNOTSUPP`.
const NO_LOCKS: [i32; 3] = [37, 38, 95];

/// The right to write a file, until it is dropped.
#[derive(Debug)]
pub(crate) struct Lock {
    path: PathBuf,
    /// Closing it releases the lock.
    _file: File,
}

impl Lock {
    /// Locks `of`; `None` while another process holds the lock.
    ///
    /// # Errors
    /// No file can be created beside it.
    pub fn take(of: &Path) -> io::Result<Option<Lock>> {
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
            // The holder before may have removed it between the two calls: then this lock is on no file's name.
            if is_at(&file, &path) {
                return Ok(Some(Lock { path, _file: file }));
            }
        }
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // Before it is released, or it might be the lock file of the next holder.
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
