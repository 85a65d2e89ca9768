//! The results file: JSON lines, a header, then one line for each bug and scenario. An interrupted run continues from it.

use super::record::BugRecord;
use crate::output::FileLock;
use crate::output_folder;
use serde::{Deserialize, Serialize};
use std::fs::{File, OpenOptions};
use std::io::{Seek as _, SeekFrom, Write as _};
use std::path::Path;

/// Version of the file format, the only one that this program reads and writes.
const FORMAT: u32 = 1;

/// What makes the results of two runs comparable.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct BugsHeader {
    format: u32,
    /// The program: version and commit.
    pub build: String,
    /// First seed of each search.
    pub first_seeds: Vec<u64>,
    /// Number of seeds after which a search ends.
    pub limit: u64,
}

impl BugsHeader {
    pub fn new(build: &str, first_seeds: Vec<u64>, limit: u64) -> BugsHeader {
        BugsHeader { format: FORMAT, build: build.to_owned(), first_seeds, limit }
    }
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum JournalLine {
    Bugs(BugsHeader),
    Bug(BugRecord),
}

/// A growing file, locked against a second run.
pub(crate) struct BugsJournal {
    file: File,
    _lock: FileLock,
}

impl BugsJournal {
    /// Starts the file; with `resume`, continues it and returns its records.
    ///
    /// # Errors
    /// The file is not one of ours, is of another build or of other seeds, is in use, or cannot be written.
    pub fn open(
        path: &Path,
        header: &BugsHeader,
        resume: bool,
    ) -> Result<(BugsJournal, Vec<BugRecord>), String> {
        let shown = path.display();
        let cannot = |error: std::io::Error| format!("{shown}: {error}");
        output_folder::for_file(path).map_err(cannot)?;
        let lock = FileLock::take(path).map_err(cannot)?;
        let lock = lock.ok_or_else(|| format!("{shown} is in use by another process"))?;
        let text = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound && !resume => String::new(),
            Err(error) => {
                return Err(format!("{shown}: nothing to resume: {error}\n  omit --resume to start"));
            }
        };
        let before = parse(&text);
        if before.is_none() && (resume || !text.is_empty()) {
            return Err(format!("{shown} is not a results file of `bugs`\n  give --json another one"));
        }
        let Some(before) = before.filter(|_| resume) else {
            let mut journal = BugsJournal { file: File::create(path).map_err(cannot)?, _lock: lock };
            journal.put(&JournalLine::Bugs(header.clone())).map_err(cannot)?;
            return Ok((journal, Vec::new()));
        };
        if before.header != *header {
            let message = format!("{shown} is of build {} or of other seeds", before.header.build);
            return Err(format!("{message}\n  omit --resume to start again"));
        }
        let mut file = OpenOptions::new().write(true).open(path).map_err(cannot)?;
        file.set_len(before.whole_bytes).map_err(cannot)?;
        file.seek(SeekFrom::End(0)).map_err(cannot)?;
        Ok((BugsJournal { file, _lock: lock }, before.records))
    }

    /// Adds the result of a bug.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn record(&mut self, record: &BugRecord) -> std::io::Result<()> {
        self.put(&JournalLine::Bug(record.clone()))
    }

    fn put(&mut self, line: &JournalLine) -> std::io::Result<()> {
        let mut text = serde_json::to_string(line)?;
        text.push('\n');
        self.file.write_all(text.as_bytes())
    }
}

/// A results file as it was found.
struct FoundJournal {
    header: BugsHeader,
    records: Vec<BugRecord>,
    /// Length without a truncated last line.
    whole_bytes: u64,
}

/// Returns what the file holds; `None` if it is not a results file of `bugs`.
fn parse(text: &str) -> Option<FoundJournal> {
    let mut lines = text.split_inclusive('\n').filter(|line| line.ends_with('\n'));
    let first = lines.next()?;
    let JournalLine::Bugs(header) = serde_json::from_str(first).ok()? else { return None };
    let mut found = FoundJournal { header, records: Vec::new(), whole_bytes: first.len() as u64 };
    for line in lines {
        let Ok(JournalLine::Bug(record)) = serde_json::from_str(line) else { break };
        found.records.push(record);
        found.whole_bytes += line.len() as u64;
    }
    (found.header.format == FORMAT).then_some(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tempfile::tempdir;

    fn record(bug: &str) -> BugRecord {
        let (bug, scenario) = (bug.to_owned(), "generated".to_owned());
        BugRecord { bug, scenario, equivalent: None, searches: Vec::new(), shrunk: Vec::new() }
    }

    #[test]
    fn an_interrupted_run_continues_after_its_last_whole_line() {
        let folder = tempdir().unwrap();
        let path = folder.path().join("bugs.jsonl");
        let header = BugsHeader::new("0.1.0 abc", vec![1, 1001], 500);
        let (mut journal, before) = BugsJournal::open(&path, &header, false).unwrap();
        assert_eq!(before, []);
        journal.record(&record("late-ack")).unwrap();
        drop(journal);
        let whole = std::fs::read_to_string(&path).unwrap();
        std::fs::write(&path, format!("{whole}{{\"bug\":{{\"bug\":\"hal")).unwrap();
        let (mut journal, before) = BugsJournal::open(&path, &header, true).unwrap();
        assert_eq!(before, [record("late-ack")]);
        journal.record(&record("lost-ack")).unwrap();
        drop(journal);
        let (_, before) = BugsJournal::open(&path, &header, true).unwrap();
        assert_eq!(before, [record("late-ack"), record("lost-ack")]);
    }

    #[test]
    fn a_file_of_another_build_or_of_something_else_is_refused() {
        let folder = tempdir().unwrap();
        let path = folder.path().join("bugs.jsonl");
        let header = BugsHeader::new("0.1.0 abc", vec![1], 500);
        assert!(BugsJournal::open(&path, &header, true).err().unwrap().contains("nothing to resume"));
        drop(BugsJournal::open(&path, &header, false).unwrap());
        let other = BugsHeader::new("0.1.0 def", vec![1], 500);
        assert!(BugsJournal::open(&path, &other, true).err().unwrap().contains("of build 0.1.0 abc"));
        std::fs::write(&path, "a letter\n").unwrap();
        for resume in [false, true] {
            let refused = BugsJournal::open(&path, &header, resume).err().unwrap();
            assert!(refused.contains("is not a results file"), "{refused}");
        }
    }
}
