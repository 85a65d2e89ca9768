//! The file of a sweep's results: JSON lines, a header, one line a case as it ends, a footer.
//!
//! Each line is handed to the operating system at once, so whatever ends the program loses at most the cases that were
//! under way. A line that was cut off is not there.
//!
//! What this file says of the machine it ran on is real time alone: the same sweep has the same lines anywhere.

use super::order::{FORMAT, Order};
use crate::case::finding::{Finding, is_no_verdict};
use crate::output::{Lock, Stream, replacement};
use latent_verdict::Outcome;
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
    /// Whether it ended as its scenario expects. In no file: it follows from the outcome and the header.
    #[serde(skip)]
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
        let order = header(first).map_err(|said| BadResults::NoSweep(at(), said))?;
        let (mut ran, mut end) = (Vec::new(), None);
        for (index, line) in lines {
            let damaged = |said: String| BadResults::Damaged(path.to_owned(), index + 1, said);
            if end.is_some() {
                return Err(damaged("it stands behind the footer".into()));
            }
            // The error speaks of the line as if it were a file.
            let said = |error: serde_json::Error| damaged(error.to_string().replace(" at line 1 ", " at "));
            match serde_json::from_str(line.trim_end()).map_err(said)? {
                Line::Case(mut one) => {
                    let expected = order.expected(&one.scenario);
                    let expected = expected.ok_or_else(|| {
                        damaged(format!("scenario '{}' is not in the header", one.scenario))
                    })?;
                    contradiction(&one.finding).map_or(Ok(()), |said| Err(damaged(said.to_owned())))?;
                    one.as_expected = one.finding.outcome() == expected;
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

/// Reads a header.
fn header(line: &str) -> Result<Order, String> {
    #[derive(Deserialize)]
    struct Probe {
        sweep: Format,
    }
    #[derive(Deserialize)]
    struct Format {
        format: u64,
    }
    // First the format alone: a header of another one may have other fields.
    let probe: Probe = serde_json::from_str(line).map_err(|_| "its first line is no header".to_owned())?;
    let format = probe.sweep.format;
    if format != u64::from(FORMAT) {
        return Err(format!("format {format}, this program reads format {FORMAT}"));
    }
    match serde_json::from_str(line) {
        Ok(Line::Sweep(order)) => order.check().map(|()| order),
        Ok(Line::Case(_) | Line::End(_)) => Err("its first line is no header".to_owned()),
        Err(error) => Err(format!("a damaged header: {error}")),
    }
}

/// Fields of a finding that contradict each other: no run ends so.
fn contradiction(finding: &Finding) -> Option<&'static str> {
    let is_clean = finding.outcome() == Outcome::Clean;
    if is_clean && !finding.fingerprint.is_empty() {
        Some("its outcome is clean, but it has a fingerprint")
    } else if !is_clean && finding.fingerprint.is_empty() {
        Some("its outcome is not clean, but it has no fingerprint")
    } else if finding.trace_hash.is_empty() != (finding.trace_records == 0) {
        Some("it has a trace without records, or records without a trace")
    } else {
        None
    }
}

/// How every file of results begins.
const HEADER_START: &str = "{\"sweep\":{\"format\":";

/// A file or a stream that grows.
#[derive(Debug)]
pub(crate) struct Writer(To);

#[derive(Debug)]
enum To {
    /// Locked for as long as it grows.
    File(File, Lock),
    /// A pipe or a device.
    Stream(Stream),
}

impl Writer {
    /// Begins a file, in place of one that may be there, for which the lock is held.
    ///
    /// # Errors
    /// It cannot be written; what was there still is.
    pub fn begin(path: &Path, lock: Lock, order: &Order) -> io::Result<Writer> {
        Ok(Writer(To::File(replacement(path, &line(&Line::Sweep(order.clone()))?)?, lock)))
    }

    /// Begins with a pipe or a device.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn begin_stream(mut stream: Stream, order: &Order) -> io::Result<Writer> {
        stream.put(line(&Line::Sweep(order.clone()))?)?;
        Ok(Writer(To::Stream(stream)))
    }

    /// Goes on with a file, behind its last whole case. Cases without a verdict are taken out of it, and of `results`: they
    /// are to run again.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn resume(path: &Path, lock: Lock, results: &mut Results) -> io::Result<Writer> {
        let before = results.ran.len();
        results.ran.retain(|one| !is_no_verdict(&one.finding.fingerprint));
        if results.ran.len() < before {
            let cases = results.ran.iter().cloned().map(Line::Case);
            let lines = std::iter::once(Line::Sweep(results.order.clone())).chain(cases);
            let text = lines.map(|one| line(&one)).collect::<io::Result<String>>()?;
            return Ok(Writer(To::File(replacement(path, &text)?, lock)));
        }
        let file = OpenOptions::new().write(true).open(path)?;
        file.set_len(results.resumed_at_bytes)?;
        drop(file);
        Ok(Writer(To::File(OpenOptions::new().append(true).open(path)?, lock)))
    }

    /// Writes down a case.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn case(&mut self, ran: &Ran) -> io::Result<()> {
        self.put(&Line::Case(ran.clone()))
    }

    /// Looks whether a stream is still written.
    ///
    /// # Errors
    /// It is not.
    pub fn check(&mut self) -> io::Result<()> {
        match &mut self.0 {
            To::File(..) => Ok(()),
            To::Stream(stream) => stream.check(),
        }
    }

    /// Ends the file.
    ///
    /// # Errors
    /// It cannot be written, or not be made durable.
    pub fn end(mut self, end: &End) -> io::Result<()> {
        self.put(&Line::End(end.clone()))?;
        match self.0 {
            To::File(file, _lock) => file.sync_all(),
            To::Stream(stream) => stream.end(),
        }
    }

    fn put(&mut self, what: &Line) -> io::Result<()> {
        let text = line(what)?;
        match &mut self.0 {
            To::File(file, _) => file.write_all(text.as_bytes()),
            To::Stream(stream) => stream.put(text),
        }
    }
}

fn line(what: &Line) -> io::Result<String> {
    let mut text = serde_json::to_string(what)?;
    text.push('\n');
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: &str = r#"{"sweep":{"format":2,"build":"b","scenarios":[{"given":"a","digest":"","expect":"clean","required_marks":[]}],"seeds":{"range":[1,3]},"slice":{"index":1,"of":1},"release":null,"required_marks":[],"limits":{"for_ms":null,"case_time_ms":1000,"case_memory_mb":100}}}"#;
    const CASE: &str = r#"{"case":{"scenario":"a","seed":1,"twice":false,"finding":{"outcome":"violated","fingerprint":"W1:x","items":0,"detail":"","sim_ms":1,"trace_hash":"00","trace_records":1,"judged":1},"marks":{},"wall_ms":1}}"#;

    fn read(text: &str) -> Result<Results, BadResults> {
        let here = tempfile::tempdir().unwrap();
        let path = here.path().join("a.jsonl");
        std::fs::write(&path, text).unwrap();
        Results::read(&path)
    }

    #[test]
    fn whether_a_case_ended_as_expected_follows_from_its_outcome() {
        let read_one = |case: &str| read(&format!("{HEADER}\n{case}\n")).map(|read| read.ran[0].as_expected);
        assert!(!read_one(CASE).unwrap());
        let expecting = HEADER.replace("\"expect\":\"clean\"", "\"expect\":\"violated\"");
        assert!(read(&format!("{expecting}\n{CASE}\n")).unwrap().ran[0].as_expected);
        for (right, wrong) in [
            ("\"seed\":1", "\"seed\":1,\"as_expected\":true"),
            ("\"violated\"", "\"clean\""),
            ("\"W1:x\"", "\"\""),
            ("\"trace_records\":1", "\"trace_records\":0"),
            ("\"scenario\":\"a\"", "\"scenario\":\"b\""),
        ] {
            let error = read_one(&CASE.replace(right, wrong)).unwrap_err().to_string();
            assert!(error.contains(":2: a damaged line: "), "{wrong}: {error}");
        }
    }

    #[test]
    fn a_header_that_orders_the_impossible_is_refused() {
        for (right, wrong) in [
            ("\"of\":1", "\"of\":0"),
            ("\"index\":1", "\"index\":0"),
            ("\"index\":1,\"of\":1", "\"index\":1,\"of\":18446744073709551615"),
            ("[1,3]", "[3,1]"),
            ("\"format\":2", "\"format\":1"),
            (
                "\"scenarios\":[{\"given\":\"a\",\"digest\":\"\",\"expect\":\"clean\",\"required_marks\":[]}]",
                "\"scenarios\":[]",
            ),
        ] {
            assert!(HEADER.contains(right), "{right}");
            let error = read(&format!("{}\n{CASE}\n", HEADER.replacen(right, wrong, 1))).unwrap_err();
            assert!(matches!(error, BadResults::NoSweep(..)), "{wrong}: {error}");
        }
    }
}
