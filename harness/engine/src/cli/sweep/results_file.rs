//! Opens the results file of a sweep: starts, continues, or moves it.

use super::args::Args;
use crate::cli::context::CliError;
use crate::output::{FileLock, OutputError, OutputStream, is_stream, unused_backup_path};
use crate::output_folder;
use crate::print::terminal;
use crate::sweep::results::{CaseRecord, ResultsError, ResultsWriter, SweepResults};
use crate::sweep::sweep_spec::SweepSpec;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

/// An opened results file.
pub(super) struct OpenedResults {
    pub(super) writer: ResultsWriter,
    /// The results in the file.
    pub(super) records: Vec<CaseRecord>,
    /// Real time of these results, in milliseconds.
    pub(super) before_ms: u64,
}

impl OpenedResults {
    /// A file without results.
    fn new(writer: ResultsWriter) -> OpenedResults {
        OpenedResults { writer, records: Vec::new(), before_ms: 0 }
    }
}

/// Opens the results file: a new one, or the one to continue, with its results.
pub(super) fn open(
    arguments: &Args,
    spec: &SweepSpec,
    jobs: usize,
    signal: Arc<AtomicUsize>,
) -> Result<OpenedResults, CliError> {
    let path = &arguments.json;
    let unwritable = |error| OutputError::Unwritable(path.clone(), error);
    if is_stream(path) {
        if arguments.resume {
            return Err(CliError::Usage(format!(
                "{}: nothing to resume: this is a stream\n  give --json the file of the sweep to continue",
                path.display()
            )));
        }
        let stream = OutputStream::open(path, signal).map_err(unwritable)?;
        return Ok(OpenedResults::new(ResultsWriter::begin_stream(stream, spec).map_err(unwritable)?));
    }
    if arguments.resume && !path.exists() {
        return Err(nothing_to_resume(path));
    }
    output_folder::for_file(path).map_err(unwritable)?;
    let lock = FileLock::take(path).map_err(unwritable)?.ok_or_else(|| OutputError::Locked(path.clone()))?;
    let mut before = match path.exists().then(|| SweepResults::read(path)) {
        Some(Ok(before)) => before,
        None | Some(Err(ResultsError::OnlyBegun(_))) => return begin(path, lock, spec),
        Some(Err(error)) => {
            return Err(CliError::Usage(format!("{error}\n  give --json another file, or remove it")));
        }
    };
    if arguments.resume {
        if let Some(why) = before.spec.difference(spec) {
            let message = format!("{}: of another sweep, nothing to resume: {why}", path.display());
            let hint = "give the original flags, or omit --resume to start again";
            return Err(CliError::Usage(format!("{message}\n  {hint}")));
        }
        // An interrupted session did not record its duration: at least that of its cases, run in parallel.
        let busy_ms = crate::sweep::summary::sum(before.records.iter().map(|one| one.wall_ms));
        let before_ms = before.end.as_ref().map_or(busy_ms / jobs as u64, |end| end.wall_ms);
        let writer = ResultsWriter::resume(path, lock, &mut before).map_err(unwritable)?;
        return Ok(OpenedResults { writer, records: before.records, before_ms });
    }
    if before.end.is_none() && !before.records.is_empty() {
        let aside = unused_backup_path(path);
        std::fs::rename(path, &aside).map_err(unwritable)?;
        terminal::eprint(&format!(
            "{} held an unfinished sweep of {} cases, which was moved to {}\n",
            path.display(),
            before.records.len(),
            aside.display()
        ));
    }
    begin(path, lock, spec)
}

fn begin(path: &Path, lock: FileLock, spec: &SweepSpec) -> Result<OpenedResults, CliError> {
    let writer = ResultsWriter::begin(path, lock, spec);
    let writer = writer.map_err(|error| OutputError::Unwritable(path.to_owned(), error))?;
    Ok(OpenedResults::new(writer))
}

pub(super) fn nothing_to_resume(path: &Path) -> CliError {
    let message = format!("{}: nothing to resume: no such file", path.display());
    let hint = "give --json the file of the sweep to continue, or omit --resume to start";
    CliError::Usage(format!("{message}\n  {hint}"))
}
