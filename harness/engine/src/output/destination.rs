//! Destination of a command's complete output text.

use super::{FileLock, OutputError, ReservedSpace, STANDARD, is_stream, replace};
use crate::case_file::CaseFile;
use crate::output_folder;
use crate::print::terminal;
use std::fs::OpenOptions;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

/// Length of the prefix that is read to detect a file's format.
const READ_BYTES: u64 = 4096;

/// Format of an output file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FileFormat {
    /// A case.
    Case,
    /// A sweep as JUnit XML.
    JUnit,
}

impl FileFormat {
    fn name(self) -> &'static str {
        match self {
            FileFormat::Case => "a case",
            FileFormat::JUnit => "JUnit XML",
        }
    }

    /// Whether a file may be overwritten: it has this format, or is empty.
    fn is_format_of(self, path: &Path) -> io::Result<bool> {
        match self {
            FileFormat::Case => {
                let Ok(text) = String::from_utf8(std::fs::read(path)?) else { return Ok(false) };
                // A damaged case, or one of another format version, still counts as a case.
                Ok(text.is_empty() || !matches!(CaseFile::read("", &text), Ok(None)))
            }
            FileFormat::JUnit => {
                let mut beginning = Vec::new();
                std::fs::File::open(path)?.take(READ_BYTES).read_to_end(&mut beginning)?;
                let text = String::from_utf8_lossy(&beginning);
                Ok(text.is_empty() || text.contains("<testsuites") || text.contains("<testsuite "))
            }
        }
    }
}

/// A path that is known to be writable, and is locked until this is dropped.
#[derive(Debug)]
pub(crate) struct Destination {
    path: PathBuf,
    /// `None`: a stream.
    lock: Option<FileLock>,
}

impl Destination {
    /// Checks, before any work, that `path` can be written and that no foreign file is lost. `force` overwrites files
    /// of any format.
    ///
    /// # Errors
    /// Another process writes it, it has another format, or it cannot be written.
    pub fn prepare(path: &Path, format: FileFormat, force: bool) -> Result<Destination, OutputError> {
        let unwritable = |error| OutputError::Unwritable(path.to_owned(), error);
        if is_stream(path) {
            return Ok(Destination { path: path.to_owned(), lock: None });
        }
        output_folder::for_file(path).map_err(unwritable)?;
        let lock = FileLock::take(path).map_err(unwritable)?;
        let lock = lock.ok_or_else(|| OutputError::Locked(path.to_owned()))?;
        if path.is_file() && !force && !format.is_format_of(path).map_err(unwritable)? {
            return Err(OutputError::Foreign(path.to_owned(), format.name()));
        }
        super::replace::probe(path).map_err(unwritable)?;
        Ok(Destination { path: path.to_owned(), lock: Some(lock) })
    }

    /// Allocates disk space for a text of up to `bytes`, for work whose result must not get lost on a disk that fills
    /// up meanwhile. A stream needs none.
    ///
    /// # Errors
    /// There is not so much space.
    pub fn reserve(&self, bytes: usize) -> Result<Option<ReservedSpace>, OutputError> {
        let reserved = self.lock.as_ref().map(|_| ReservedSpace::allocate(&self.path, bytes));
        reserved.transpose().map_err(|error| OutputError::Unwritable(self.path.clone(), error))
    }

    /// Whether it is the standard output: then a command prints its screen to the standard error.
    pub fn is_standard_output(&self) -> bool {
        self.path == Path::new(STANDARD)
    }

    /// Writes the complete text.
    ///
    /// # Errors
    /// It cannot be written; a previous file stays intact.
    pub fn write(&self, text: &str) -> Result<(), OutputError> {
        self.write_reserved(None, text)
    }

    /// Writes the complete text into reserved space.
    ///
    /// # Errors
    /// As [`Destination::write`].
    pub fn write_reserved(&self, reserved: Option<ReservedSpace>, text: &str) -> Result<(), OutputError> {
        let written = if self.is_standard_output() {
            terminal::print(text)
        } else if self.lock.is_none() {
            let file = OpenOptions::new().write(true).open(&self.path);
            file.and_then(|mut file| file.write_all(text.as_bytes()).and_then(|()| file.flush()))
        } else if let Some(reserved) = reserved {
            reserved.replace(&self.path, text)
        } else {
            replace(&self.path, text)
        };
        written.map_err(|error| OutputError::Failed(self.path.clone(), error))
    }
}
