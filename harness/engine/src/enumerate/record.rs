//! The file of an enumeration's runs: JSON lines, a header, one line a run as it ends, a footer. What is interrupted goes on
//! from it.
//!
//! Each line is handed to the operating system at once, so whatever ends the program loses at most the runs under way. A
//! line that was cut off is not there.

use super::tally::Failure;
use crate::folders;
use crate::output::{Lock, OutputError, unused_aside};
use serde::{Deserialize, Serialize};
use std::fs::{File, OpenOptions};
use std::io::{Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

/// Which layout of files this program writes, and the only one that it reads.
const FORMAT: u32 = 1;

/// What is enumerated: two files with equal headers are of the same enumeration.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Header {
    format: u32,
    /// The program: version and commit.
    pub build: String,
    /// The words that enumerate it again, without `--resume`.
    pub of: String,
    /// The digest of the scenario's text.
    pub digest: String,
    /// How many runs there are.
    pub runs: usize,
}

impl Header {
    pub fn new(build: &str, of: String, digest: String, runs: usize) -> Header {
        Header { format: FORMAT, build: build.to_owned(), of, digest, runs }
    }

    /// What keeps this from being the same enumeration as another.
    fn differs_by(&self, other: &Header) -> Option<String> {
        if self.build != other.build {
            Some(format!("it was made by build {}, this is {}", self.build, other.build))
        } else if self.of != other.of {
            Some(format!("it is of `{}`, not of `{}`", self.of, other.of))
        } else {
            (self != other).then(|| "the scenario has changed since".to_owned())
        }
    }
}

/// One run that ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Ran {
    /// The strike, as it is written to repeat it.
    pub strike: String,
    pub sim_ms: u64,
    /// `None`: it ended as expected.
    pub failure: Option<Failure>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Line {
    Enumeration(Header),
    Ran(Ran),
    /// It came to its end, after so many runs.
    End(usize),
}

/// A file that grows. It is locked: of two enumerations with one file the second is refused.
pub(crate) struct Record {
    path: PathBuf,
    file: File,
    _lock: Lock,
}

impl Record {
    /// Begins a file. One that an interrupted enumeration left is put aside, and returned.
    ///
    /// # Errors
    /// It is something else's, another enumeration writes it, or it cannot be written.
    pub fn begin(path: &Path, header: &Header) -> Result<(Record, Option<PathBuf>), String> {
        let lock = lock(path)?;
        let there = std::fs::read_to_string(path).unwrap_or_default();
        let aside = match there.lines().next() {
            None => None,
            Some(_) if parse(&there).is_none() => {
                let shown = path.display();
                return Err(format!("{shown} is no file of an enumeration\n  give --results another one"));
            }
            Some(_) => {
                let is_unfinished = !there.lines().any(|line| matches!(read_line(line), Some(Line::End(_))));
                is_unfinished.then(|| put_aside(path)).transpose()?
            }
        };
        let mut record = Record::open(path, lock, true)?;
        record.put(&Line::Enumeration(header.clone()))?;
        Ok((record, aside))
    }

    /// Goes on with a file, and returns what ran before.
    ///
    /// # Errors
    /// There is none, it is of another enumeration, another one writes it, or it cannot be written.
    pub fn resume(path: &Path, header: &Header) -> Result<(Record, Vec<Ran>), String> {
        let shown = path.display();
        let nothing = |error| format!("{shown}: nothing to resume: {error}\n  leave --resume out to begin");
        std::fs::metadata(path).map_err(nothing)?;
        let lock = lock(path)?;
        let text = std::fs::read_to_string(path).map_err(nothing)?;
        let (before, ran) = parse(&text).ok_or_else(|| format!("{shown} is no file of an enumeration"))?;
        if let Some(why) = before.differs_by(header) {
            return Err(format!(
                "{shown}: of another enumeration: {why}\n  leave --resume out to begin again"
            ));
        }
        let record = Record::open(path, lock, false)?;
        // Behind the last whole line, without an end that may stand there.
        let whole: usize = text
            .split_inclusive('\n')
            .take_while(|line| line.ends_with('\n') && !matches!(read_line(line), None | Some(Line::End(_))))
            .map(str::len)
            .sum();
        let cannot = |error| format!("{}: {error}", path.display());
        record.file.set_len(whole as u64).map_err(cannot)?;
        (&record.file).seek(SeekFrom::End(0)).map_err(cannot)?;
        Ok((record, ran))
    }

    fn open(path: &Path, lock: Lock, is_new: bool) -> Result<Record, String> {
        let cannot = |error| format!("{}: {error}", path.display());
        let file = OpenOptions::new().write(true).create(true).truncate(false).open(path).map_err(cannot)?;
        if is_new {
            file.set_len(0).map_err(cannot)?;
        }
        Ok(Record { path: path.to_owned(), file, _lock: lock })
    }

    /// # Errors
    /// The line cannot be written.
    pub fn ran(&mut self, ran: &Ran) -> Result<(), String> {
        self.put(&Line::Ran(ran.clone()))
    }

    /// # Errors
    /// The line cannot be written.
    pub fn end(&mut self, runs: usize) -> Result<(), String> {
        self.put(&Line::End(runs))
    }

    fn put(&mut self, line: &Line) -> Result<(), String> {
        let text = serde_json::to_string(line).expect("lines hold plain data with text keys");
        self.file
            .write_all(format!("{text}\n").as_bytes())
            .map_err(|error| format!("{}: {error}", self.path.display()))
    }
}

fn read_line(line: &str) -> Option<Line> {
    serde_json::from_str(line).ok()
}

/// Header and runs, up to the first line that is damaged or cut off.
fn parse(text: &str) -> Option<(Header, Vec<Ran>)> {
    let mut lines = text.split_inclusive('\n').filter(|line| line.ends_with('\n')).map_while(read_line);
    let Some(Line::Enumeration(header)) = lines.next() else { return None };
    let ran = lines.filter_map(|line| if let Line::Ran(ran) = line { Some(ran) } else { None });
    (header.format == FORMAT).then(|| (header, ran.collect()))
}

fn lock(path: &Path) -> Result<Lock, String> {
    folders::for_file(path).map_err(|error| format!("{}: {error}", path.display()))?;
    let unwritable = |error| OutputError::Unwritable(path.to_owned(), error).to_string();
    Lock::take(path).map_err(unwritable)?.ok_or_else(|| OutputError::Locked(path.to_owned()).to_string())
}

fn put_aside(path: &Path) -> Result<PathBuf, String> {
    let aside = unused_aside(path);
    std::fs::rename(path, &aside).map_err(|error| format!("{}: {error}", path.display()))?;
    Ok(aside)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(name: &str) -> PathBuf {
        std::env::temp_dir().join(format!("latent-record-{}-{name}", std::process::id()))
    }

    fn ran(n: u64) -> Ran {
        Ran { strike: format!("error@disk-1:{n}"), sim_ms: 5, failure: None }
    }

    #[test]
    fn an_interrupted_enumeration_goes_on_behind_its_last_whole_line() {
        let path = path("resume");
        let header = Header::new("1 a", "enumerate x@1".into(), "d".into(), 3);
        let (mut record, _) = Record::begin(&path, &header).unwrap();
        record.ran(&ran(1)).unwrap();
        let refused = Record::resume(&path, &header).err().unwrap();
        assert!(refused.contains("another process is writing this file"), "{refused}");
        record.file.write_all(b"{\"ran\":{\"stri").unwrap();
        drop(record);
        let (mut record, before) = Record::resume(&path, &header).unwrap();
        assert_eq!(before, [ran(1)]);
        record.ran(&ran(2)).unwrap();
        record.end(2).unwrap();
        drop(record);
        let (_, before) = Record::resume(&path, &header).unwrap();
        assert_eq!(before, [ran(1), ran(2)]);
        let other = Header { of: "enumerate y@1".into(), ..header };
        assert!(Record::resume(&path, &other).err().unwrap().contains("of another enumeration"));
        std::fs::remove_file(&path).unwrap();
        assert!(Record::resume(&path, &other).err().unwrap().contains("nothing to resume"));
    }

    #[test]
    fn what_is_not_ours_stays_and_what_is_unfinished_is_put_aside() {
        let path = path("aside");
        std::fs::write(&path, "a letter\n").unwrap();
        let header = Header::new("1 a", "enumerate x@1".into(), "d".into(), 3);
        assert!(Record::begin(&path, &header).err().unwrap().contains("no file of an enumeration"));
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "a letter\n");
        std::fs::remove_file(&path).unwrap();
        let mut all = vec![path.clone()];
        for _ in 0..3 {
            let (record, aside) = Record::begin(&path, &header).unwrap();
            drop(record);
            all.extend(aside);
        }
        assert_eq!(all.len(), 3, "two were put aside, each under a name of its own");
        all.iter().for_each(|path| std::fs::remove_file(path).unwrap());
    }
}
