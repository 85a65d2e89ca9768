//! Whether a case runs the same in another process, and if not, where the two part.

use crate::case::parent::{self, CaseError, Manner};
use crate::case::wire::{Judged, Line, LogRecord, Work};
use std::sync::mpsc;
use std::thread;

/// How often two logs are taken to find the place: what differs by chance may agree in between.
const TRIES: u32 = 4;
/// Records that one of the two may be ahead.
const AHEAD: usize = 4096;

/// What a case came to when it ran a second time.
pub(super) enum Second {
    /// The same.
    Same,
    /// Something else: where the two part, in words.
    Differs(String),
    /// Nothing: its process was ended from outside, or by a limit, which says nothing of what ran.
    Ended(CaseError),
}

/// Runs a case again.
pub(super) fn again(work: &Work, manner: Manner, first: &Result<Judged, CaseError>) -> Second {
    let second = parent::run(work, manner, |_| {});
    if is_same(first, &second) {
        return Second::Same;
    }
    let second = match second {
        Err(error) if !matches!(error, CaseError::Panicked { .. }) => return Second::Ended(error),
        second => second,
    };
    if !is_same_trace(first, &second) {
        for _ in 0..TRIES {
            if let Some(place) = first_difference(work, manner) {
                return Second::Differs(place);
            }
        }
    }
    Second::Differs(in_words(first, &second))
}

fn is_same(first: &Result<Judged, CaseError>, second: &Result<Judged, CaseError>) -> bool {
    match (first, second) {
        (Ok(first), Ok(second)) => {
            first.trace_hash == second.trace_hash
                && first.trace_records == second.trace_records
                && first.outcome() == second.outcome()
                && first.findings == second.findings
        }
        (
            Err(CaseError::Panicked { message, place, .. }),
            Err(CaseError::Panicked { message: again, place: there, .. }),
        ) => message == again && place.lines().next() == there.lines().next(),
        _ => false,
    }
}

fn is_same_trace(first: &Result<Judged, CaseError>, second: &Result<Judged, CaseError>) -> bool {
    matches!((first, second), (Ok(first), Ok(second)) if first.trace_hash == second.trace_hash)
}

/// How two runs ended, where no record tells them apart.
fn in_words(first: &Result<Judged, CaseError>, second: &Result<Judged, CaseError>) -> String {
    if let (Ok(first), Ok(second)) = (first, second)
        && first.trace_hash == second.trace_hash
    {
        let (one, other) = (&first.findings, &second.findings);
        let (ended, ended_then) = (first.outcome(), second.outcome());
        return format!("the same trace, but {ended} with {one}\nthe other run:  {ended_then} with {other}");
    }
    let words = |ended: &Result<Judged, CaseError>| match ended {
        Ok(judged) => format!("trace {} of {} records", judged.trace_hash, judged.trace_records),
        Err(error) => error.to_string().replace("\n  ", " "),
    };
    format!("one run ended with {}\nthe other with     {}", words(first), words(second))
}

/// Runs the case twice at once and compares what the two tell, record by record.
fn first_difference(work: &Work, manner: Manner) -> Option<String> {
    let work = Work { log: true, ..work.clone() };
    thread::scope(|scope| {
        let tell = || {
            let (to_us, told) = mpsc::sync_channel::<LogRecord>(AHEAD);
            let work = &work;
            scope.spawn(move || {
                let _ = parent::run(work, manner, |line| {
                    if let Line::Log(record) = line {
                        // Nobody listens any more once the place is found: the rest is run to its end in vain.
                        let _ = to_us.send(record.clone());
                    }
                });
            });
            told
        };
        let (one, other) = (tell(), tell());
        loop {
            match (one.recv().ok(), other.recv().ok()) {
                (None, None) => return None,
                (one, other) if one == other => {}
                (one, other) => {
                    let words = |record: Option<LogRecord>| {
                        record.map_or_else(
                            || "the end".to_owned(),
                            |record| record.to_string().trim().to_owned(),
                        )
                    };
                    return Some(format!(
                        "first difference: {}\nthe other run:    {}",
                        words(one),
                        words(other)
                    ));
                }
            }
        }
    })
}
