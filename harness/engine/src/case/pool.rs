//! Runs many cases in parallel, each in its own process.
//!
//! Threads of the parent only wait for their workers: a case never depends on the number of jobs.

use super::ipc::{CaseRequest, CaseResult};
use super::parent::{self, CaseError, WorkerLimits};
use super::supervisor;
use crate::print::terminal;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::Duration;

/// Default number of cases that run in parallel.
pub(crate) fn cores() -> usize {
    thread::available_parallelism().map_or(1, std::num::NonZero::get)
}

/// Parses a number of jobs from the command line.
pub(crate) fn parse_jobs(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(jobs) if jobs > 0 => Ok(jobs),
        _ => Err(format!("invalid number of jobs '{text}': write 1 or more, or omit it for all cores")),
    }
}

/// Returns the number of jobs: `asked`, or one for each core. More than [`MAX_JOBS_PER_CORE`] for each core only
/// compete for memory and time: such a number is likely a typing error, and is capped with a warning.
pub(crate) fn jobs(asked: Option<usize>) -> usize {
    let most = cores() * MAX_JOBS_PER_CORE;
    match asked {
        None => cores(),
        Some(jobs) if jobs > most => {
            terminal::eprint(&format!(
                "--jobs {jobs}: capped at {most}, {MAX_JOBS_PER_CORE} for each core\n"
            ));
            most
        }
        Some(jobs) => jobs.max(1),
    }
}

const MAX_JOBS_PER_CORE: usize = 16;

/// Runs the request of every item, `jobs` at a time. `on_done` receives each result on the calling thread, in order of
/// completion, with the item's index.
pub(crate) fn run_all<T: Sync>(
    items: &[T],
    jobs: usize,
    limits: WorkerLimits,
    request_of: impl Fn(&T) -> CaseRequest + Sync,
    mut on_done: impl FnMut(usize, Result<CaseResult, CaseError>),
) {
    run_until(&AtomicUsize::new(0), items, jobs, limits, request_of, |index, judged| {
        on_done(index, judged);
        true
    });
}

/// Interval at which a signal is checked.
const POLL_INTERVAL: Duration = Duration::from_millis(100);

/// As [`run_all`], until a signal arrives or `on_done` returns false. Then no case starts, and results of running ones are
/// dropped. A signal kills them.
pub(crate) fn run_until<T: Sync>(
    signal: &AtomicUsize,
    items: &[T],
    jobs: usize,
    limits: WorkerLimits,
    request_of: impl Fn(&T) -> CaseRequest + Sync,
    mut on_done: impl FnMut(usize, Result<CaseResult, CaseError>) -> bool,
) {
    let next = AtomicUsize::new(0);
    let (to_main, from_jobs) = mpsc::channel();
    thread::scope(|scope| {
        for _ in 0..jobs.clamp(1, items.len().max(1)) {
            let (next, request_of, to_main) = (&next, &request_of, to_main.clone());
            // A worker dies with the thread that started it, so each thread waits until its last worker has ended.
            scope.spawn(move || {
                loop {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    let Some(item) = items.get(index) else { return };
                    let judged = parent::run(&request_of(item), limits, |_| {});
                    if to_main.send((index, judged)).is_err() {
                        return;
                    }
                }
            });
        }
        drop(to_main);
        let mut is_stopped = false;
        loop {
            let received = from_jobs.recv_timeout(POLL_INTERVAL);
            if let Err(RecvTimeoutError::Disconnected) = received {
                return;
            }
            // The signal may have killed a worker that ended now: that is not a result.
            if signal.load(Ordering::Relaxed) != 0 {
                next.store(items.len(), Ordering::Relaxed);
                supervisor::kill_all();
                return;
            }
            if let Ok((index, judged)) = received
                && !is_stopped
                && !on_done(index, judged)
            {
                is_stopped = true;
                next.store(items.len(), Ordering::Relaxed);
            }
        }
    });
}
