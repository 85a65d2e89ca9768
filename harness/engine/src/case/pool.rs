//! Many cases, each in a process of its own, as many at a time as asked.
//!
//! Threads of the parent only wait for their workers: what a case does never depends on how many run beside it.

use super::parent::{self, CaseError, Manner};
use super::watch;
use super::wire::{Judged, Work};
use crate::print::out;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::Duration;

/// How many cases run side by side when nobody says.
pub(crate) fn cores() -> usize {
    thread::available_parallelism().map_or(1, std::num::NonZero::get)
}

/// A number of cases to run side by side, as somebody types it.
pub(crate) fn parse_jobs(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(jobs) if jobs > 0 => Ok(jobs),
        _ => Err(format!("'{text}' is no number of jobs: write 1 or more, or leave it out for all cores")),
    }
}

/// Cases to run at a time: as asked, or one a core. More than [`MOST_PER_CORE`] a core only take each other's memory and
/// time: such a number is a slip, is capped, and that is said.
pub(crate) fn jobs(asked: Option<usize>) -> usize {
    let most = cores() * MOST_PER_CORE;
    match asked {
        None => cores(),
        Some(jobs) if jobs > most => {
            out::complain(&format!("--jobs {jobs}: capped at {most}, {MOST_PER_CORE} for each core\n"));
            most
        }
        Some(jobs) => jobs.max(1),
    }
}

const MOST_PER_CORE: usize = 16;

/// Runs the work of every item, `jobs` at a time. `on_done` hears of each as it ends, on the calling thread; the order
/// is that of time, so it is told the item's index.
pub(crate) fn run_all<T: Sync>(
    items: &[T],
    jobs: usize,
    manner: Manner,
    work_of: impl Fn(&T) -> Work + Sync,
    mut on_done: impl FnMut(usize, Result<Judged, CaseError>),
) {
    run_until(&AtomicUsize::new(0), items, jobs, manner, work_of, |index, judged| {
        on_done(index, judged);
        true
    });
}

/// How long a signal may wait until it is obeyed.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// The same until the number of a signal comes, or `on_done` has enough: then what is under way is ended, and nothing
/// more is heard.
pub(crate) fn run_until<T: Sync>(
    signal: &AtomicUsize,
    items: &[T],
    jobs: usize,
    manner: Manner,
    work_of: impl Fn(&T) -> Work + Sync,
    mut on_done: impl FnMut(usize, Result<Judged, CaseError>) -> bool,
) {
    let next = AtomicUsize::new(0);
    let (to_main, from_jobs) = mpsc::channel();
    thread::scope(|scope| {
        for _ in 0..jobs.clamp(1, items.len().max(1)) {
            let (next, work_of, to_main) = (&next, &work_of, to_main.clone());
            // A worker dies with the thread that started it, so each thread stays until its last worker has ended.
            scope.spawn(move || {
                loop {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    let Some(item) = items.get(index) else { return };
                    let judged = parent::run(&work_of(item), manner, |_| {});
                    if to_main.send((index, judged)).is_err() {
                        return;
                    }
                }
            });
        }
        drop(to_main);
        loop {
            let told = from_jobs.recv_timeout(LOOK_EVERY);
            if let Err(RecvTimeoutError::Disconnected) = told {
                return;
            }
            // What ended as the signal came may have been ended by it: that is no result.
            let is_over = signal.load(Ordering::Relaxed) != 0;
            if is_over || told.is_ok_and(|(index, judged)| !on_done(index, judged)) {
                next.store(items.len(), Ordering::Relaxed);
                watch::end_all();
                return;
            }
        }
    });
}
