//! A growing results file: JSON lines, a header, then one line for each result. An interrupted run continues from it.

use crate::output::FileLock;
use crate::output_folder;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use std::fs::{File, OpenOptions};
use std::io::{Seek as _, SeekFrom, Write as _};
use std::marker::PhantomData;
use std::path::Path;

/// The first line of a journal: what makes the results of two runs comparable. Each line is an object with one field.
pub(crate) trait JournalHeader: Serialize + DeserializeOwned + PartialEq {
    /// The other lines.
    type Record: Serialize + DeserializeOwned;
    /// The field of the first line, which is also the command that writes the file.
    const COMMAND: &'static str;
    /// The field of the other lines.
    const RECORD: &'static str;
    /// Version of the format, the only one that this program reads and writes.
    const FORMAT: u32;

    /// Version of the format of this header.
    fn format(&self) -> u32;
    /// The program that wrote it: version and commit.
    fn build(&self) -> &str;
}

/// A growing file, locked against a second run.
pub(crate) struct Journal<H> {
    file: File,
    header: PhantomData<H>,
    _lock: FileLock,
}

impl<H: JournalHeader> Journal<H> {
    /// Starts the file; with `resume`, continues it and returns its records.
    ///
    /// # Errors
    /// The file is not one of ours, is of another build or of other cases, is in use, or cannot be written.
    pub fn open(path: &Path, header: &H, resume: bool) -> Result<(Journal<H>, Vec<H::Record>), String> {
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
        let before = parse::<H>(&text);
        if before.is_none() && (resume || !text.is_empty()) {
            let command = H::COMMAND;
            return Err(format!("{shown} is not a results file of `{command}`\n  give --json another one"));
        }
        let Some(before) = before.filter(|_| resume) else {
            let file = File::create(path).map_err(cannot)?;
            let mut journal = Journal { file, header: PhantomData, _lock: lock };
            journal.put(H::COMMAND, header).map_err(cannot)?;
            return Ok((journal, Vec::new()));
        };
        if before.header != *header {
            let message = format!("{shown} is of build {} or of other cases", before.header.build());
            return Err(format!("{message}\n  omit --resume to start again"));
        }
        let mut file = OpenOptions::new().write(true).open(path).map_err(cannot)?;
        file.set_len(before.whole_bytes).map_err(cannot)?;
        file.seek(SeekFrom::End(0)).map_err(cannot)?;
        Ok((Journal { file, header: PhantomData, _lock: lock }, before.records))
    }

    /// Adds a result.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn record(&mut self, record: &H::Record) -> std::io::Result<()> {
        self.put(H::RECORD, record)
    }

    fn put(&mut self, field: &str, value: &impl Serialize) -> std::io::Result<()> {
        let line = Map::from_iter([(field.to_owned(), serde_json::to_value(value)?)]);
        let mut text = serde_json::to_string(&line)?;
        text.push('\n');
        self.file.write_all(text.as_bytes())
    }
}

/// A journal as it was found.
struct FoundJournal<H: JournalHeader> {
    header: H,
    records: Vec<H::Record>,
    /// Length without a truncated last line.
    whole_bytes: u64,
}

/// Returns what the file holds; `None` if it is not a journal of this kind.
fn parse<H: JournalHeader>(text: &str) -> Option<FoundJournal<H>> {
    let mut lines = text.split_inclusive('\n').filter(|line| line.ends_with('\n'));
    let first = lines.next()?;
    let header: H = field(first, H::COMMAND)?;
    let mut found = FoundJournal { header, records: Vec::new(), whole_bytes: first.len() as u64 };
    for line in lines {
        let Some(record) = field(line, H::RECORD) else { break };
        found.records.push(record);
        found.whole_bytes += line.len() as u64;
    }
    (found.header.format() == H::FORMAT).then_some(found)
}

/// Returns the only field of a line.
fn field<T: DeserializeOwned>(line: &str, name: &str) -> Option<T> {
    let mut fields: Map<String, Value> = serde_json::from_str(line).ok()?;
    let value = fields.remove(name).filter(|_| fields.is_empty())?;
    serde_json::from_value(value).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scoreboard::{BugRecord, BugsHeader};
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
        let (mut journal, before) = Journal::open(&path, &header, false).unwrap();
        assert_eq!(before, []);
        journal.record(&record("late-ack")).unwrap();
        drop(journal);
        let whole = std::fs::read_to_string(&path).unwrap();
        std::fs::write(&path, format!("{whole}{{\"bug\":{{\"bug\":\"hal")).unwrap();
        let (mut journal, before) = Journal::open(&path, &header, true).unwrap();
        assert_eq!(before, [record("late-ack")]);
        journal.record(&record("lost-ack")).unwrap();
        drop(journal);
        let (_, before) = Journal::open(&path, &header, true).unwrap();
        assert_eq!(before, [record("late-ack"), record("lost-ack")]);
    }

    #[test]
    fn a_file_of_another_build_or_of_something_else_is_refused() {
        let folder = tempdir().unwrap();
        let path = folder.path().join("bugs.jsonl");
        let header = BugsHeader::new("0.1.0 abc", vec![1], 500);
        assert!(Journal::open(&path, &header, true).err().unwrap().contains("nothing to resume"));
        drop(Journal::open(&path, &header, false).unwrap());
        let other = BugsHeader::new("0.1.0 def", vec![1], 500);
        assert!(Journal::open(&path, &other, true).err().unwrap().contains("of build 0.1.0 abc"));
        std::fs::write(&path, "a letter\n").unwrap();
        for resume in [false, true] {
            let refused = Journal::open(&path, &header, resume).err().unwrap();
            assert!(refused.contains("is not a results file"), "{refused}");
        }
    }
}
