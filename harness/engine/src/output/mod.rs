//! What commands write: whole files, files that grow, and streams.
//!
//! - A whole file is written to a temporary file beside it, synced and renamed ([`replace`]): whatever ends the program,
//!   and on a full disk, either the old file or the new one is there.
//! - A file that the program did not write is not overwritten without `--force`, and whether a file can be written is
//!   tried before the work begins ([`Destination`]).
//! - Two processes do not write one file at once: the second is refused ([`Lock`]).
//! - A pipe or a device is written to as it is ([`stream`]). `-` is the standard output.
//!
//! Not handled: a file system without locks (there is none, then), and other programs that write the same file.

mod destination;
mod lock;
mod replace;
mod stream;

pub(crate) use destination::{Destination, Format};
pub(crate) use lock::Lock;
pub(crate) use replace::{replace, replacement, unused_aside};
pub(crate) use stream::{STANDARD, Stream, is_stream};

use std::io;
use std::path::PathBuf;
use thiserror::Error;

/// Why something cannot be written.
#[derive(Debug, Error)]
pub(crate) enum OutputError {
    /// Another process holds its lock.
    #[error(
        "{}: another process is writing this file\n  wait until it ends, or name another file",
        .0.display()
    )]
    Locked(PathBuf),
    /// It was not written by this program.
    #[error(
        "{path}: this file is not {what}, so it is not overwritten\n  name another file, or give --force",
        path = .0.display(),
        what = .1
    )]
    Foreign(PathBuf, &'static str),
    /// It is the command's own input.
    #[error("{}: this is the input itself\n  name another file, or give --force to overwrite it", .0.display())]
    Input(PathBuf),
    /// It turned out before the work that it cannot be written.
    #[error("{path}: it cannot be written: {error}", path = .0.display(), error = .1)]
    Unwritable(PathBuf, #[source] io::Error),
    /// It turned out after the work that it cannot be written.
    #[error("{path}: it could not be written: {error}", path = .0.display(), error = .1)]
    Failed(PathBuf, #[source] io::Error),
}

#[cfg(test)]
mod tests;
