//! The file of a sweep's results: JSON lines, a header, one line a case as it ends, a footer.
//!
//! Each line is handed to the operating system at once, so whatever ends the program loses at most the cases that were
//! under way. A line that was cut off is not there.
//!
//! What this file says of the machine it ran on is real time alone: the same sweep has the same lines anywhere.

use super::order::{FORMAT, Order};
use crate::case::finding::{DIED, Finding};
use crate::folders;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use thiserror::Error;

/// A line of the file.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
enum Line {
    Sweep(Order),
    Case(Ran),
    End(End),
}

/// One case that ran.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Ran {
    /// The scenario as it was given.
    pub scenario: String,
    pub seed: u64,
    /// Whether it ended as its scenario expects.
    pub as_expected: bool,
    /// Whether it was run a second time.
    pub twice: bool,
    pub finding: Finding,
    /// How often each mark was reached.
    pub marks: BTreeMap<String, u64>,
    /// Real time, in milliseconds: the one field that differs from machine to machine.
    pub wall_ms: u64,
}

/// What ends a file whose sweep came to its end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct End {
    /// How many cases stand above.
    pub cases: u64,
    /// Real time of all sittings, in milliseconds.
    pub wall_ms: u64,
}

/// A file that was read.
#[derive(Clone, Debug)]
pub(crate) struct Results {
    pub order: Order,
    pub ran: Vec<Ran>,
    /// `None`: the sweep did not come to its end, or the file is cut off.
    pub end: Option<End>,
    /// Bytes of the header and of whole cases: where a sweep that is resumed goes on.
    resumed_at_bytes: u64,
}

/// How a file is called while it is written anew.
const ANEW: &str = "anew";

/// Why a file cannot be read as a sweep's results.
#[derive(Debug, Error)]
pub(crate) enum BadResults {
    #[error("{0}: {1}")]
    Io(PathBuf, #[source] io::Error),
    #[error("{0}: no results of a sweep: {1}")]
    NoSweep(PathBuf, String),
    #[error("{0}: nothing but the beginning of a header: its sweep was ended as it began")]
    OnlyBegun(PathBuf),
    #[error("{0}:{1}: a damaged line: {2}")]
    Damaged(PathBuf, usize, String),
}

impl Results {
    /// Reads a file. A last line without an end was being written when the program ended: it is left out.
    ///
    /// # Errors
    /// No such file, no header, a damaged line in the middle.
    pub fn read(path: &Path) -> Result<Results, BadResults> {
        let at = || path.to_owned();
        let bytes = std::fs::read(path).map_err(|error| BadResults::Io(at(), error))?;
        // What was cut off may have been cut off within a character.
        let whole_bytes = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |last| last + 1);
        let text = std::str::from_utf8(&bytes[..whole_bytes])
            .map_err(|error| BadResults::NoSweep(at(), error.to_string()))?;
        let mut lines = text.split_inclusive('\n').enumerate();
        let Some((_, first)) = lines.next() else {
            return Err(if is_begun_header(&bytes) {
                BadResults::OnlyBegun(at())
            } else {
                BadResults::NoSweep(at(), "it has no whole line".into())
            });
        };
        let mut resumed_at_bytes = first.len() as u64;
        let order = match serde_json::from_str(first) {
            Ok(Line::Sweep(order)) if order.format == FORMAT => order,
            Ok(Line::Sweep(order)) => {
                let said = format!("format {}, this program reads format {FORMAT}", order.format);
                return Err(BadResults::NoSweep(at(), said));
            }
            Ok(_) | Err(_) => return Err(BadResults::NoSweep(at(), "its first line is no header".into())),
        };
        let (mut ran, mut end) = (Vec::new(), None);
        for (index, line) in lines {
            let damaged = |said: String| BadResults::Damaged(path.to_owned(), index + 1, said);
            if end.is_some() {
                return Err(damaged("it stands behind the footer".into()));
            }
            // The error speaks of the line as if it were a file.
            let said = |error: serde_json::Error| damaged(error.to_string().replace(" at line 1 ", " at "));
            match serde_json::from_str(line.trim_end()).map_err(said)? {
                Line::Case(one) => {
                    ran.push(one);
                    resumed_at_bytes += line.len() as u64;
                }
                Line::End(footer) => end = Some(footer),
                Line::Sweep(_) => return Err(damaged("a second header".into())),
            }
        }
        Ok(Results { order, ran, end, resumed_at_bytes })
    }
}

/// Whether a file without a whole line is what a sweep leaves that was ended as it began: nothing to lose.
fn is_begun_header(bytes: &[u8]) -> bool {
    let header = HEADER_START.as_bytes();
    bytes.starts_with(header) || header.starts_with(bytes)
}

/// How every file of results begins.
const HEADER_START: &str = "{\"sweep\":{\"format\":";

/// A file that grows.
pub(crate) struct Writer {
    file: File,
}

impl Writer {
    /// Begins a file, in place of one that may be there.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn begin(path: &Path, order: &Order) -> io::Result<Writer> {
        folders::for_file(path)?;
        let mut writer = Writer { file: File::create(path)? };
        writer.put(&Line::Sweep(order.clone()))?;
        Ok(writer)
    }

    /// Goes on with a file, behind its last whole case. Cases without a verdict are taken out of it, and of `results`: they
    /// are to run again.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn resume(path: &Path, results: &mut Results) -> io::Result<Writer> {
        let before = results.ran.len();
        results.ran.retain(|one| one.finding.fingerprint != DIED);
        if results.ran.len() < before {
            // In a file of its own, so that whatever ends this loses nothing.
            let anew = path.with_added_extension(ANEW);
            let mut writer = Writer::begin(&anew, &results.order)?;
            results.ran.iter().try_for_each(|one| writer.case(one))?;
            writer.file.sync_all()?;
            std::fs::rename(&anew, path)?;
            return Ok(writer);
        }
        let file = OpenOptions::new().write(true).open(path)?;
        file.set_len(results.resumed_at_bytes)?;
        drop(file);
        Ok(Writer { file: OpenOptions::new().append(true).open(path)? })
    }

    /// Writes down a case.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn case(&mut self, ran: &Ran) -> io::Result<()> {
        self.put(&Line::Case(ran.clone()))
    }

    /// Ends the file.
    ///
    /// # Errors
    /// It cannot be written, or not be made durable.
    pub fn end(mut self, end: &End) -> io::Result<()> {
        self.put(&Line::End(end.clone()))?;
        self.file.sync_all()
    }

    fn put(&mut self, line: &Line) -> io::Result<()> {
        let mut text = serde_json::to_string(line)?;
        text.push('\n');
        self.file.write_all(text.as_bytes())
    }
}
