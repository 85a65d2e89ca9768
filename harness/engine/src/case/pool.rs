//! Many cases, each in a process of its own, as many at a time as asked.
//!
//! Threads of the parent only wait for their workers: what a case does never depends on how many run beside it.

use super::parent::{self, CaseError, Manner};
use super::wire::{Judged, Work};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::thread;

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

/// Runs the work of every item, `jobs` at a time. `on_done` hears of each as it ends, on the calling thread; the order
/// is that of time, so it is told the item's index.
pub(crate) fn run_all<T: Sync>(
    items: &[T],
    jobs: usize,
    manner: Manner,
    work_of: impl Fn(&T) -> Work + Sync,
    mut on_done: impl FnMut(usize, Result<Judged, CaseError>),
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
        for (index, judged) in from_jobs {
            on_done(index, judged);
        }
    });
}
