//! The results file or stream of an enumeration: JSON lines, a header, one line a run in order of completion, a footer. An
//! interrupted enumeration continues from it.
//!
//! Each line is passed to the operating system at once, so a crash loses only the runs in progress. A truncated line is
//! ignored.

use super::run_record::EnumerationRun;
use crate::output::{FileLock, OutputError, OutputStream, unused_backup_path};
use crate::output_folder;
use serde::{Deserialize, Serialize};
use std::fs::{File, OpenOptions};
use std::io::{Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

/// Version of the file format, the only one that this program reads and writes.
const FORMAT: u32 = 2;

/// Identity of an enumeration: two files with equal headers are of the same enumeration.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct EnumerationHeader {
    format: u32,
    /// The program: version and commit.
    pub build: String,
    /// The arguments that repeat it, without `--resume`.
    pub command: String,
    /// Digest of the scenario's text.
    pub digest: String,
    /// Number of planned runs.
    pub runs: usize,
}

impl EnumerationHeader {
    pub fn new(build: &str, command: String, digest: String, runs: usize) -> EnumerationHeader {
        EnumerationHeader { format: FORMAT, build: build.to_owned(), command, digest, runs }
    }

    /// Describes the difference to another enumeration; `None` if they are the same.
    fn difference(&self, other: &EnumerationHeader) -> Option<String> {
        if self.build != other.build {
            Some(format!("it was made by build {}, this is {}", self.build, other.build))
        } else if self.command != other.command {
            Some(format!("it is of `{}`, not of `{}`", self.command, other.command))
        } else {
            (self != other).then(|| "the scenario has changed since".to_owned())
        }
    }
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum JournalLine {
    Enumeration(EnumerationHeader),
    Run(EnumerationRun),
    /// Footer: the enumeration completed, after this many runs.
    End(usize),
}

/// A growing file, or a stream.
pub(crate) struct EnumerationJournal {
    path: PathBuf,
    sink: JournalSink,
}

enum JournalSink {
    /// Locked: a second enumeration with the same file is refused.
    File { file: File, _lock: FileLock },
    /// A pipe or a device.
    Stream(OutputStream),
}

impl EnumerationJournal {
    /// Starts a file. That of an interrupted enumeration is moved, and its new path returned.
    ///
    /// # Errors
    /// It has another format, another enumeration writes it, or it cannot be written.
    pub fn begin(
        path: &Path,
        header: &EnumerationHeader,
    ) -> Result<(EnumerationJournal, Option<PathBuf>), String> {
        let lock = lock(path)?;
        let there = std::fs::read_to_string(path).unwrap_or_default();
        let aside = match there.lines().next() {
            None => None,
            Some(_) if parse(&there).is_none() => {
                let shown = path.display();
                return Err(format!(
                    "{shown} is not the results file of an enumeration\n  give --results another one"
                ));
            }
            Some(_) => {
                let is_unfinished =
                    !there.lines().any(|line| matches!(read_line(line), Some(JournalLine::End(_))));
                is_unfinished.then(|| move_aside(path)).transpose()?
            }
        };
        let file = File::create(path).map_err(|error| format!("{}: {error}", path.display()))?;
        let mut record =
            EnumerationJournal { path: path.to_owned(), sink: JournalSink::File { file, _lock: lock } };
        record.put(&JournalLine::Enumeration(header.clone()))?;
        Ok((record, aside))
    }

    /// Continues a file, and returns its runs.
    ///
    /// # Errors
    /// It does not exist, is of another enumeration, another one writes it, or it cannot be written.
    pub fn resume(
        path: &Path,
        header: &EnumerationHeader,
    ) -> Result<(EnumerationJournal, Vec<EnumerationRun>), String> {
        let shown = path.display();
        let nothing = |error| format!("{shown}: nothing to resume: {error}\n  omit --resume to start");
        std::fs::metadata(path).map_err(nothing)?;
        let lock = lock(path)?;
        let text = std::fs::read_to_string(path).map_err(nothing)?;
        let (before, ran) =
            parse(&text).ok_or_else(|| format!("{shown} is not the results file of an enumeration"))?;
        if let Some(why) = before.difference(header) {
            return Err(format!("{shown}: of another enumeration: {why}\n  omit --resume to start again"));
        }
        let mut file = OpenOptions::new()
            .write(true)
            .open(path)
            .map_err(|error| format!("{}: {error}", path.display()))?;
        // Truncates after the last complete run, removing a footer.
        let whole: usize = text
            .split_inclusive('\n')
            .take_while(|line| {
                line.ends_with('\n') && !matches!(read_line(line), None | Some(JournalLine::End(_)))
            })
            .map(str::len)
            .sum();
        let cannot = |error| format!("{}: {error}", path.display());
        file.set_len(whole as u64).map_err(cannot)?;
        file.seek(SeekFrom::End(0)).map_err(cannot)?;
        Ok((EnumerationJournal { path: path.to_owned(), sink: JournalSink::File { file, _lock: lock } }, ran))
    }

    /// Starts a stream. `signal` is other than 0 once the program is interrupted: then no write waits.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn begin_stream(
        path: &Path,
        header: &EnumerationHeader,
        signal: Arc<AtomicUsize>,
    ) -> Result<EnumerationJournal, String> {
        let stream =
            OutputStream::open(path, signal).map_err(|error| format!("{}: {error}", path.display()))?;
        let mut record = EnumerationJournal { path: path.to_owned(), sink: JournalSink::Stream(stream) };
        record.put(&JournalLine::Enumeration(header.clone()))?;
        Ok(record)
    }

    /// # Errors
    /// The line cannot be written.
    pub fn ran(&mut self, ran: &EnumerationRun) -> Result<(), String> {
        self.put(&JournalLine::Run(ran.clone()))
    }

    /// Writes the footer, and waits until all lines of a stream are written.
    ///
    /// # Errors
    /// They cannot be written.
    pub fn end(mut self, runs: usize) -> Result<(), String> {
        self.put(&JournalLine::End(runs))?;
        match self.sink {
            JournalSink::File { .. } => Ok(()),
            JournalSink::Stream(stream) => {
                stream.end().map_err(|error| format!("{}: {error}", self.path.display()))
            }
        }
    }

    fn put(&mut self, line: &JournalLine) -> Result<(), String> {
        let text = serde_json::to_string(line).expect("lines hold plain data with text keys");
        let text = format!("{text}\n");
        let written = match &mut self.sink {
            JournalSink::File { file, .. } => file.write_all(text.as_bytes()),
            JournalSink::Stream(stream) => stream.put(text),
        };
        written.map_err(|error| format!("{}: {error}", self.path.display()))
    }
}

fn read_line(line: &str) -> Option<JournalLine> {
    serde_json::from_str(line).ok()
}

/// Parses header and runs, up to the first line that is damaged or truncated.
fn parse(text: &str) -> Option<(EnumerationHeader, Vec<EnumerationRun>)> {
    let mut lines = text.split_inclusive('\n').filter(|line| line.ends_with('\n')).map_while(read_line);
    let Some(JournalLine::Enumeration(header)) = lines.next() else { return None };
    let ran = lines.filter_map(|line| if let JournalLine::Run(ran) = line { Some(ran) } else { None });
    (header.format == FORMAT).then(|| (header, ran.collect()))
}

fn lock(path: &Path) -> Result<FileLock, String> {
    output_folder::for_file(path).map_err(|error| format!("{}: {error}", path.display()))?;
    let unwritable = |error| OutputError::Unwritable(path.to_owned(), error).to_string();
    FileLock::take(path).map_err(unwritable)?.ok_or_else(|| OutputError::Locked(path.to_owned()).to_string())
}

fn move_aside(path: &Path) -> Result<PathBuf, String> {
    let aside = unused_backup_path(path);
    std::fs::rename(path, &aside).map_err(|error| format!("{}: {error}", path.display()))?;
    Ok(aside)
}

#[cfg(test)]
mod tests {
    use super::super::run_record::{SecondFate, SecondInjection};
    use super::*;

    fn path(name: &str) -> PathBuf {
        std::env::temp_dir().join(format!("latent-record-{}-{name}", std::process::id()))
    }

    fn ran(n: u64) -> EnumerationRun {
        let fate = if n == 1 { SecondFate::Struck } else { SecondFate::NotReached };
        let second = (n < 3).then(|| SecondInjection { point: format!("error@disk-2:{n}"), fate });
        EnumerationRun { point: format!("error@disk-1:{n}"), second, sim_ms: 5, failure: None }
    }

    #[test]
    fn an_interrupted_enumeration_resumes_after_its_last_complete_line() {
        let path = path("resume");
        let header = EnumerationHeader::new("1 a", "enumerate x@1".into(), "d".into(), 3);
        let (mut record, _) = EnumerationJournal::begin(&path, &header).unwrap();
        record.ran(&ran(1)).unwrap();
        let refused = EnumerationJournal::resume(&path, &header).err().unwrap();
        assert!(refused.contains("another process is writing this file"), "{refused}");
        let mut file = OpenOptions::new().append(true).open(&path).unwrap();
        file.write_all(b"{\"run\":{\"poin").unwrap();
        drop(record);
        let (mut record, before) = EnumerationJournal::resume(&path, &header).unwrap();
        assert_eq!(before, [ran(1)]);
        record.ran(&ran(2)).unwrap();
        record.end(2).unwrap();
        let (_, before) = EnumerationJournal::resume(&path, &header).unwrap();
        assert_eq!(before, [ran(1), ran(2)]);
        let other = EnumerationHeader { command: "enumerate y@1".into(), ..header };
        assert!(EnumerationJournal::resume(&path, &other).err().unwrap().contains("of another enumeration"));
        std::fs::remove_file(&path).unwrap();
        assert!(EnumerationJournal::resume(&path, &other).err().unwrap().contains("nothing to resume"));
    }

    #[test]
    fn foreign_files_stay_and_unfinished_ones_are_moved() {
        let path = path("aside");
        std::fs::write(&path, "a letter\n").unwrap();
        let header = EnumerationHeader::new("1 a", "enumerate x@1".into(), "d".into(), 3);
        assert!(
            EnumerationJournal::begin(&path, &header)
                .err()
                .unwrap()
                .contains("not the results file of an enumeration")
        );
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "a letter\n");
        std::fs::remove_file(&path).unwrap();
        let mut all = vec![path.clone()];
        for _ in 0..3 {
            let (record, aside) = EnumerationJournal::begin(&path, &header).unwrap();
            drop(record);
            all.extend(aside);
        }
        assert_eq!(all.len(), 3, "two were put aside, each under a name of its own");
        all.iter().for_each(|path| std::fs::remove_file(path).unwrap());
    }
}
