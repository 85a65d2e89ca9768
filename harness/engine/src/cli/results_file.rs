//! The file of a sweep's results: begun, gone on with, or put aside.

use super::Failure;
use super::sweep::Args;
use crate::folders;
use crate::output::{Lock, OutputError, Stream, is_stream, unused_aside};
use crate::print::out;
use crate::sweep::order::Order;
use crate::sweep::results::{BadResults, Ran, Results, Writer};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

/// A file to write to, what stands in it already, and the milliseconds that this took.
pub(super) type Opened = (Writer, Vec<Ran>, u64);

/// Opens the file of results: a new one, or the one to go on with, with what stands in it.
pub(super) fn open(
    arguments: &Args,
    order: &Order,
    jobs: usize,
    signal: Arc<AtomicUsize>,
) -> Result<Opened, Failure> {
    let path = &arguments.json;
    let unwritable = |error| OutputError::Unwritable(path.clone(), error);
    if is_stream(path) {
        if arguments.resume {
            return Err(Failure::Usage(format!(
                "{}: nothing to resume: this is a stream\n  give --json the file of the sweep to go on with",
                path.display()
            )));
        }
        let stream = Stream::open(path, signal).map_err(unwritable)?;
        return Ok((Writer::begin_stream(stream, order).map_err(unwritable)?, Vec::new(), 0));
    }
    if arguments.resume && !path.exists() {
        return Err(nothing_to_resume(path));
    }
    folders::for_file(path).map_err(unwritable)?;
    let lock = Lock::take(path).map_err(unwritable)?.ok_or_else(|| OutputError::Locked(path.clone()))?;
    let mut before = match path.exists().then(|| Results::read(path)) {
        Some(Ok(before)) => before,
        None | Some(Err(BadResults::OnlyBegun(_))) => return begin(path, lock, order),
        Some(Err(error)) => {
            return Err(Failure::Usage(format!("{error}\n  give --json another file, or remove it")));
        }
    };
    if arguments.resume {
        if let Some(why) = before.order.differs_by(order) {
            let said = format!("{}: of another sweep, nothing to resume: {why}", path.display());
            let hint = "give the flags it was begun with, or leave --resume out to begin again";
            return Err(Failure::Usage(format!("{said}\n  {hint}")));
        }
        // A sitting without an end did not say how long it was: no less than its cases took, side by side.
        let busy_ms = crate::sweep::summary::sum(before.ran.iter().map(|one| one.wall_ms));
        let before_ms = before.end.as_ref().map_or(busy_ms / jobs as u64, |end| end.wall_ms);
        let writer = Writer::resume(path, lock, &mut before).map_err(unwritable)?;
        return Ok((writer, before.ran, before_ms));
    }
    if before.end.is_none() && !before.ran.is_empty() {
        let aside = unused_aside(path);
        std::fs::rename(path, &aside).map_err(unwritable)?;
        out::complain(&format!(
            "{} held an unfinished sweep of {} cases: it is in {} now\n",
            path.display(),
            before.ran.len(),
            aside.display()
        ));
    }
    begin(path, lock, order)
}

fn begin(path: &Path, lock: Lock, order: &Order) -> Result<Opened, Failure> {
    let writer = Writer::begin(path, lock, order);
    let writer = writer.map_err(|error| OutputError::Unwritable(path.to_owned(), error))?;
    Ok((writer, Vec::new(), 0))
}

pub(super) fn nothing_to_resume(path: &Path) -> Failure {
    let said = format!("{}: nothing to resume: no such file", path.display());
    let hint = "give --json the file of the sweep to go on with, or leave --resume out to begin";
    Failure::Usage(format!("{said}\n  {hint}"))
}
