//! Determinism check: runs a case again in another process, and finds the first difference.

use crate::case::ipc::{CaseRequest, CaseResult, LogRecord, WorkerMessage};
use crate::case::parent::{self, CaseError, WorkerLimits};
use std::sync::mpsc;
use std::thread;

/// Number of log comparisons: a random difference may not appear in each of them.
const LOG_COMPARISONS: u32 = 4;
/// Number of records that one of the two runs may be ahead.
const QUEUED_RECORDS: usize = 4096;

/// Result of the second run.
pub(super) enum SecondRun {
    /// Identical.
    Same,
    /// Different: the first difference, in plain text.
    Differs(String),
    /// No result: its process was killed from outside, or exceeded a limit, so there is nothing to compare.
    Ended(CaseError),
}

/// Runs a case again and compares.
pub(super) fn rerun(
    request: &CaseRequest,
    limits: WorkerLimits,
    first: &Result<CaseResult, CaseError>,
) -> SecondRun {
    let second = parent::run(request, limits, |_| {});
    if is_same(first, &second) {
        return SecondRun::Same;
    }
    let second = match second {
        Err(error) if !matches!(error, CaseError::Panicked { .. }) => return SecondRun::Ended(error),
        second => second,
    };
    if !is_same_trace(first, &second) {
        for _ in 0..LOG_COMPARISONS {
            if let Some(place) = first_difference(request, limits) {
                return SecondRun::Differs(place);
            }
        }
    }
    SecondRun::Differs(describe(first, &second))
}

fn is_same(first: &Result<CaseResult, CaseError>, second: &Result<CaseResult, CaseError>) -> bool {
    match (first, second) {
        (Ok(first), Ok(second)) => {
            first.trace_hash == second.trace_hash
                && first.trace_records == second.trace_records
                && first.outcome == second.outcome
                && first.findings == second.findings
        }
        (
            Err(CaseError::Panicked { message, place, .. }),
            Err(CaseError::Panicked { message: again, place: there, .. }),
        ) => message == again && place.lines().next() == there.lines().next(),
        _ => false,
    }
}

fn is_same_trace(first: &Result<CaseResult, CaseError>, second: &Result<CaseResult, CaseError>) -> bool {
    matches!((first, second), (Ok(first), Ok(second)) if first.trace_hash == second.trace_hash)
}

/// Describes how two runs ended if no record differs.
fn describe(first: &Result<CaseResult, CaseError>, second: &Result<CaseResult, CaseError>) -> String {
    if let (Ok(first), Ok(second)) = (first, second)
        && first.trace_hash == second.trace_hash
    {
        let (one, other) = (&first.findings, &second.findings);
        let (ended, ended_then) = (first.outcome, second.outcome);
        return format!("the same trace, but {ended} with {one}\nthe other run:  {ended_then} with {other}");
    }
    let words = |ended: &Result<CaseResult, CaseError>| match ended {
        Ok(judged) => format!("trace {} of {} records", judged.trace_hash, judged.trace_records),
        Err(error) => error.to_string().replace("\n  ", " "),
    };
    format!("one run ended with {}\nthe other with     {}", words(first), words(second))
}

/// Runs the case twice in parallel and compares the logs, record by record.
fn first_difference(request: &CaseRequest, limits: WorkerLimits) -> Option<String> {
    let request = CaseRequest { log: true, ..request.clone() };
    thread::scope(|scope| {
        let read_log = || {
            let (sender, receiver) = mpsc::sync_channel::<LogRecord>(QUEUED_RECORDS);
            let request = &request;
            scope.spawn(move || {
                let _ = parent::run(request, limits, |line| {
                    if let WorkerMessage::Log(record) = line {
                        // The receiver is gone once a difference is found: the rest of the run is discarded.
                        let _ = sender.send(record.clone());
                    }
                });
            });
            receiver
        };
        let (one, other) = (read_log(), read_log());
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
