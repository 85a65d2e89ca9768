//! Output of commands: complete files, growing files, and streams.
//!
//! - A complete file is written to a temporary file next to it, synced and renamed ([`replace`]): after a crash, and on
//!   a full disk, either the old file or the new one exists.
//! - A file that the program did not write is not overwritten without `--force`, and writability is checked before the
//!   work starts ([`Destination`]).
//! - Two processes do not write one file at once: the second is refused ([`FileLock`]).
//! - A file that grows by lines, from which an interrupted run continues, has a header that says of what ([`Journal`]).
//! - A pipe or a device is written in place ([`stream`]). `-` is the standard output.
//!
//! Not handled: a file system without locks (there is no lock, then), and other programs that write the same file.

mod destination;
mod journal;
mod lock;
mod replace;
mod stream;

pub(crate) use destination::{Destination, FileFormat};
pub(crate) use journal::{Journal, JournalHeader};
pub(crate) use lock::FileLock;
pub(crate) use replace::{ReservedSpace, replace, replacement, unused_backup_path};
pub(crate) use stream::{OutputStream, STANDARD, is_stream};

use std::io;
use std::path::PathBuf;
use thiserror::Error;

/// Reason why a file cannot be written.
#[derive(Debug, Error)]
pub(crate) enum OutputError {
    /// Another process holds its lock.
    #[error(
        "{}: another process is writing this file\n  wait until it ends, or name another file",
        .0.display()
    )]
    Locked(PathBuf),
    /// It has another format.
    #[error(
        "{path}: this file is not {what}, so it is not overwritten\n  name another file, or give --force",
        path = .0.display(),
        what = .1
    )]
    Foreign(PathBuf, &'static str),
    /// It is the command's own input.
    #[error("{}: this is the input itself\n  name another file, or give --force to overwrite it", .0.display())]
    Input(PathBuf),
    /// The check before the work failed.
    #[error("{path}: cannot be written: {error}", path = .0.display(), error = .1)]
    Unwritable(PathBuf, #[source] io::Error),
    /// Writing the result failed.
    #[error("{path}: writing failed: {error}", path = .0.display(), error = .1)]
    Failed(PathBuf, #[source] io::Error),
}

#[cfg(test)]
mod tests;
