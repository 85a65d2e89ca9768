//! Where a command writes one whole text at its end.

use super::{Lock, OutputError, STANDARD, is_stream, replace};
use crate::case_file::CaseFile;
use crate::folders;
use crate::print::out;
use std::fs::OpenOptions;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

/// The beginning of a file that is read to see what it is.
const READ_BYTES: u64 = 4096;

/// What a file holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    /// A case.
    Case,
    /// A sweep as JUnit XML.
    JUnit,
}

impl Format {
    fn name(self) -> &'static str {
        match self {
            Format::Case => "a case",
            Format::JUnit => "JUnit XML",
        }
    }

    /// Whether a file may be overwritten: it is of this format, or empty.
    fn is_format_of(self, path: &Path) -> io::Result<bool> {
        match self {
            Format::Case => {
                let Ok(text) = String::from_utf8(std::fs::read(path)?) else { return Ok(false) };
                // A case of another format or a damaged one is a case all the same.
                Ok(text.is_empty() || !matches!(CaseFile::read("", &text), Ok(None)))
            }
            Format::JUnit => {
                let mut beginning = Vec::new();
                std::fs::File::open(path)?.take(READ_BYTES).read_to_end(&mut beginning)?;
                let text = String::from_utf8_lossy(&beginning);
                Ok(text.is_empty() || text.contains("<testsuites") || text.contains("<testsuite "))
            }
        }
    }
}

/// A place that was found to be writable, and is locked until this is dropped.
#[derive(Debug)]
pub(crate) struct Destination {
    path: PathBuf,
    /// `None`: a stream.
    lock: Option<Lock>,
}

impl Destination {
    /// Makes sure, before any work, that `path` can be written and that nothing foreign is lost. `force` overwrites files of
    /// any format.
    ///
    /// # Errors
    /// Another process writes it, it holds something else, or it cannot be written.
    pub fn prepare(path: &Path, format: Format, force: bool) -> Result<Destination, OutputError> {
        let unwritable = |error| OutputError::Unwritable(path.to_owned(), error);
        if is_stream(path) {
            return Ok(Destination { path: path.to_owned(), lock: None });
        }
        folders::for_file(path).map_err(unwritable)?;
        let lock = Lock::take(path).map_err(unwritable)?;
        let lock = lock.ok_or_else(|| OutputError::Locked(path.to_owned()))?;
        if path.is_file() && !force && !format.is_format_of(path).map_err(unwritable)? {
            return Err(OutputError::Foreign(path.to_owned(), format.name()));
        }
        super::replace::probe(path).map_err(unwritable)?;
        Ok(Destination { path: path.to_owned(), lock: Some(lock) })
    }

    /// Whether it is the standard output: then a command prints for people elsewhere.
    pub fn is_standard_output(&self) -> bool {
        self.path == Path::new(STANDARD)
    }

    /// Writes the whole text.
    ///
    /// # Errors
    /// It cannot be written; of a file, what stood there before still does.
    pub fn write(&self, text: &str) -> Result<(), OutputError> {
        let written = if self.is_standard_output() {
            out::print(text)
        } else if self.lock.is_none() {
            let file = OpenOptions::new().write(true).open(&self.path);
            file.and_then(|mut file| file.write_all(text.as_bytes()).and_then(|()| file.flush()))
        } else {
            replace(&self.path, text)
        };
        written.map_err(|error| OutputError::Failed(self.path.clone(), error))
    }
}
