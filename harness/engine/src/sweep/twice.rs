//! Whether a case runs the same in another process, and if not, where the two part.

use crate::case::parent::{self, CaseError, Manner};
use crate::case::wire::{Judged, Line, LogRecord, Work};
use std::sync::mpsc;
use std::thread;

/// How often two logs are taken to find the place: what differs by chance may agree in between.
const TRIES: u32 = 4;
/// Records that one of the two may be ahead.
const AHEAD: usize = 4096;

/// Runs a case again. `None` if it ran the same; else where the two differ, in words.
///
/// # Errors
/// It could not be run at all.
pub(super) fn differs(work: &Work, manner: Manner, first: &Judged) -> Result<Option<String>, CaseError> {
    let second = parent::run(work, manner, |_| {});
    let is_same = matches!(&second, Ok(second) if second.trace_hash == first.trace_hash
        && second.trace_records == first.trace_records
        && second.outcome() == first.outcome()
        && second.findings == first.findings);
    if is_same {
        return Ok(None);
    }
    for _ in 0..TRIES {
        if let Some(place) = first_difference(work, manner) {
            return Ok(Some(place));
        }
    }
    let other = match &second {
        Ok(second) => format!("{} after {} records", second.trace_hash, second.trace_records),
        Err(error) => error.to_string(),
    };
    let (hash, records) = (&first.trace_hash, first.trace_records);
    Ok(Some(format!("one run ended with trace {hash} after {records} records, another with {other}")))
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
                    return Some(format!("first difference: '{}', once '{}'", words(one), words(other)));
                }
            }
        }
    })
}
