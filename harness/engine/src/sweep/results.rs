//! The results file of a sweep: JSON lines, a header, one line a case in order of completion, a footer.
//!
//! Each line is passed to the operating system at once, so a crash loses only the cases in progress. A truncated line
//! is ignored.
//!
//! Real time is the only machine-dependent field: the same sweep has the same lines on any machine.

use super::sweep_spec::{FORMAT, SweepSpec};
use crate::case::end_cause::has_no_verdict;
use crate::case::finding::Finding;
use crate::case::strikes::Strikes;
use crate::output::{FileLock, OutputStream, replacement};
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
enum ResultsLine {
    Sweep(SweepSpec),
    Case(CaseRecord),
    #[serde(rename = "end")]
    Footer(ResultsFooter),
}

/// The result of one case.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct CaseRecord {
    /// The scenario as given on the command line.
    pub scenario: String,
    pub seed: u64,
    /// Whether it ended as its scenario expects. Not in the file: it follows from the outcome and the header.
    #[serde(skip)]
    pub as_expected: bool,
    /// Whether it was checked for determinism.
    pub determinism_checked: bool,
    pub finding: Finding,
    /// Number of times that each mark was reached.
    pub marks: BTreeMap<String, u64>,
    /// Operations that faults struck, by phase.
    #[serde(default, skip_serializing_if = "Strikes::is_empty")]
    pub strikes: Strikes,
    /// Real time, in milliseconds: the only machine-dependent field.
    pub wall_ms: u64,
}

/// The footer of a completed sweep.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ResultsFooter {
    /// Number of cases in the file.
    pub cases: u64,
    /// Real time of all sessions, in milliseconds.
    pub wall_ms: u64,
}

/// A parsed results file.
#[derive(Clone, Debug)]
pub(crate) struct SweepResults {
    pub spec: SweepSpec,
    pub records: Vec<CaseRecord>,
    /// `None`: the sweep did not complete, or the file is truncated.
    pub end: Option<ResultsFooter>,
    /// Length of the header and the complete cases, in bytes: the position at which a resumed sweep continues.
    resumed_at_bytes: u64,
}

/// Reason why a file is not a valid results file.
#[derive(Debug, Error)]
pub(crate) enum ResultsError {
    #[error("{0}: {1}")]
    Io(PathBuf, #[source] io::Error),
    #[error("{0}: not a sweep's results: {1}")]
    NoSweep(PathBuf, String),
    #[error("{0}: only a partial header: the sweep was ended at its start")]
    OnlyBegun(PathBuf),
    #[error("{0}:{1}: a damaged line: {2}")]
    Damaged(PathBuf, usize, String),
}

impl SweepResults {
    /// Reads a file. An incomplete last line was being written when the program ended: it is ignored.
    ///
    /// # Errors
    /// No such file, no header, a damaged line in the middle.
    pub fn read(path: &Path) -> Result<SweepResults, ResultsError> {
        let at = || path.to_owned();
        let bytes = std::fs::read(path).map_err(|error| ResultsError::Io(at(), error))?;
        // The file may be truncated within a character.
        let whole_bytes = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |last| last + 1);
        let text = std::str::from_utf8(&bytes[..whole_bytes])
            .map_err(|error| ResultsError::NoSweep(at(), error.to_string()))?;
        let mut lines = text.split_inclusive('\n').enumerate();
        let Some((_, first)) = lines.next() else {
            return Err(if is_begun_header(&bytes) {
                ResultsError::OnlyBegun(at())
            } else {
                ResultsError::NoSweep(at(), "it has no complete line".into())
            });
        };
        let mut resumed_at_bytes = first.len() as u64;
        let spec = header(first).map_err(|message| ResultsError::NoSweep(at(), message))?;
        let (mut records, mut end) = (Vec::new(), None);
        for (index, line) in lines {
            let damaged = |message: String| ResultsError::Damaged(path.to_owned(), index + 1, message);
            if end.is_some() {
                return Err(damaged("it follows the footer".into()));
            }
            // serde_json reports the position as if the line were a file.
            let message =
                |error: serde_json::Error| damaged(error.to_string().replace(" at line 1 ", " at "));
            match serde_json::from_str(line.trim_end()).map_err(message)? {
                ResultsLine::Case(mut one) => {
                    let expected = spec.expected(&one.scenario);
                    let expected = expected.ok_or_else(|| {
                        damaged(format!("scenario '{}' is not in the header", one.scenario))
                    })?;
                    contradiction(&one.finding).map_or(Ok(()), |message| Err(damaged(message.to_owned())))?;
                    one.as_expected = expected.is_met_by(one.finding.outcome);
                    records.push(one);
                    resumed_at_bytes += line.len() as u64;
                }
                ResultsLine::Footer(footer) => end = Some(footer),
                ResultsLine::Sweep(_) => return Err(damaged("a second header".into())),
            }
        }
        Ok(SweepResults { spec, records, end, resumed_at_bytes })
    }
}

/// Whether a file without a complete line is the start of a header, so that nothing can be lost.
fn is_begun_header(bytes: &[u8]) -> bool {
    let header = HEADER_START.as_bytes();
    bytes.starts_with(header) || header.starts_with(bytes)
}

/// Parses the header.
fn header(line: &str) -> Result<SweepSpec, String> {
    #[derive(Deserialize)]
    struct HeaderProbe {
        sweep: Format,
    }
    #[derive(Deserialize)]
    struct Format {
        format: u64,
    }
    // The format first: a header of another format may have other fields.
    let probe: HeaderProbe =
        serde_json::from_str(line).map_err(|_| "its first line is not a header".to_owned())?;
    let format = probe.sweep.format;
    if format != u64::from(FORMAT) {
        return Err(format!("format {format}, this program reads format {FORMAT}"));
    }
    match serde_json::from_str(line) {
        Ok(ResultsLine::Sweep(spec)) => spec.check().map(|()| spec),
        Ok(ResultsLine::Case(_) | ResultsLine::Footer(_)) => Err("its first line is not a header".to_owned()),
        Err(error) => Err(format!("a damaged header: {error}")),
    }
}

/// Returns a contradiction between the fields of a finding, which no run produces.
fn contradiction(finding: &Finding) -> Option<&'static str> {
    let is_clean = finding.outcome == Outcome::Clean;
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

/// The start of every results file.
const HEADER_START: &str = "{\"sweep\":{\"format\":";

/// Writes a results file or stream.
#[derive(Debug)]
pub(crate) struct ResultsWriter(ResultsSink);

#[derive(Debug)]
enum ResultsSink {
    /// Locked while it grows.
    File(File, FileLock),
    /// A pipe or a device.
    OutputStream(OutputStream),
}

impl ResultsWriter {
    /// Starts a file, replacing an existing one. The lock is held.
    ///
    /// # Errors
    /// It cannot be written; an existing file stays intact.
    pub fn begin(path: &Path, lock: FileLock, spec: &SweepSpec) -> io::Result<ResultsWriter> {
        Ok(ResultsWriter(ResultsSink::File(
            replacement(path, &line(&ResultsLine::Sweep(spec.clone()))?)?,
            lock,
        )))
    }

    /// Starts a stream.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn begin_stream(mut stream: OutputStream, spec: &SweepSpec) -> io::Result<ResultsWriter> {
        stream.put(line(&ResultsLine::Sweep(spec.clone()))?)?;
        Ok(ResultsWriter(ResultsSink::OutputStream(stream)))
    }

    /// Continues a file after its last complete case. Cases without a verdict are removed from it, and from `results`,
    /// because they run again.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn resume(path: &Path, lock: FileLock, results: &mut SweepResults) -> io::Result<ResultsWriter> {
        let before = results.records.len();
        results.records.retain(|one| !has_no_verdict(&one.finding.fingerprint));
        if results.records.len() < before {
            let cases = results.records.iter().cloned().map(ResultsLine::Case);
            let lines = std::iter::once(ResultsLine::Sweep(results.spec.clone())).chain(cases);
            let text = lines.map(|one| line(&one)).collect::<io::Result<String>>()?;
            return Ok(ResultsWriter(ResultsSink::File(replacement(path, &text)?, lock)));
        }
        let file = OpenOptions::new().write(true).open(path)?;
        file.set_len(results.resumed_at_bytes)?;
        drop(file);
        Ok(ResultsWriter(ResultsSink::File(OpenOptions::new().append(true).open(path)?, lock)))
    }

    /// Writes a case.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn case(&mut self, records: &CaseRecord) -> io::Result<()> {
        self.put(&ResultsLine::Case(records.clone()))
    }

    /// Checks that a stream is still written.
    ///
    /// # Errors
    /// It is not.
    pub fn check(&mut self) -> io::Result<()> {
        match &mut self.0 {
            ResultsSink::File(..) => Ok(()),
            ResultsSink::OutputStream(stream) => stream.check(),
        }
    }

    /// Writes the footer.
    ///
    /// # Errors
    /// It cannot be written or synced.
    pub fn end(mut self, end: &ResultsFooter) -> io::Result<()> {
        self.put(&ResultsLine::Footer(end.clone()))?;
        match self.0 {
            ResultsSink::File(file, _lock) => file.sync_all(),
            ResultsSink::OutputStream(stream) => stream.end(),
        }
    }

    fn put(&mut self, what: &ResultsLine) -> io::Result<()> {
        let text = line(what)?;
        match &mut self.0 {
            ResultsSink::File(file, _) => file.write_all(text.as_bytes()),
            ResultsSink::OutputStream(stream) => stream.put(text),
        }
    }
}

fn line(what: &ResultsLine) -> io::Result<String> {
    let mut text = serde_json::to_string(what)?;
    text.push('\n');
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: &str = r#"{"sweep":{"format":3,"build":"b","scenarios":[{"given":"a","digest":"","expect":"clean","required_marks":[]}],"seeds":{"range":[1,3]},"slice":{"index":1,"of":1},"release":null,"required_marks":[],"limits":{"for_ms":null,"case_time_ms":1000,"case_memory_mb":100}}}"#;
    const CASE: &str = r#"{"case":{"scenario":"a","seed":1,"determinism_checked":false,"finding":{"outcome":"violated","fingerprint":"W1:x","items":0,"detail":"","sim_ms":1,"trace_hash":"00","trace_records":1,"judged":1},"marks":{},"wall_ms":1}}"#;

    fn read(text: &str) -> Result<SweepResults, ResultsError> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.jsonl");
        std::fs::write(&path, text).unwrap();
        SweepResults::read(&path)
    }

    #[test]
    fn whether_a_case_ended_as_expected_follows_from_its_outcome() {
        let read_one =
            |case: &str| read(&format!("{HEADER}\n{case}\n")).map(|read| read.records[0].as_expected);
        assert!(!read_one(CASE).unwrap());
        let expecting = HEADER.replace("\"expect\":\"clean\"", "\"expect\":\"violated\"");
        assert!(read(&format!("{expecting}\n{CASE}\n")).unwrap().records[0].as_expected);
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
    fn a_header_with_impossible_values_is_refused() {
        for (right, wrong) in [
            ("\"of\":1", "\"of\":0"),
            ("\"index\":1", "\"index\":0"),
            ("\"index\":1,\"of\":1", "\"index\":1,\"of\":18446744073709551615"),
            ("[1,3]", "[3,1]"),
            ("\"format\":3", "\"format\":1"),
            (
                "\"scenarios\":[{\"given\":\"a\",\"digest\":\"\",\"expect\":\"clean\",\"required_marks\":[]}]",
                "\"scenarios\":[]",
            ),
        ] {
            assert!(HEADER.contains(right), "{right}");
            let error = read(&format!("{}\n{CASE}\n", HEADER.replacen(right, wrong, 1))).unwrap_err();
            assert!(matches!(error, ResultsError::NoSweep(..)), "{wrong}: {error}");
        }
    }
}
