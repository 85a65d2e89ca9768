//! Ctrl-C and SIGTERM: the first ends the work in order, a later one ends the program at once.
//!
//! GNU `timeout`, and a terminal that closes, send one signal to the process and one to its group within a moment: what
//! comes within a second of the first is the first.

use super::Failure;
use crate::exit;
use crate::sweep::go::now;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// Signals within this time are one.
const ONE_SIGNAL: Duration = Duration::from_secs(1);

/// The work is over: there is nothing left to end in order.
static IS_OVER: AtomicBool = AtomicBool::new(false);

/// The number of the signal that interrupts the program: 0 as long as none does.
pub(super) fn interrupts() -> Result<Arc<AtomicUsize>, Failure> {
    let cannot = |error| Failure::Internal(format!("signals cannot be caught: {error}"));
    let mut signals = Signals::new([SIGINT, SIGTERM]).map_err(cannot)?;
    let signal = Arc::new(AtomicUsize::new(0));
    let told = signal.clone();
    let listen = move || {
        let mut first: Option<Instant> = None;
        for number in signals.forever() {
            if IS_OVER.load(Ordering::Relaxed) || first.is_some_and(|first| first.elapsed() >= ONE_SIGNAL) {
                // Not `std::process::exit`: it may wait for what is blocked.
                signal_hook::low_level::exit(i32::from(exit::of_signal(number.unsigned_abs() as usize)));
            }
            if first.is_none() {
                first = Some(now());
                told.store(number.unsigned_abs() as usize, Ordering::Relaxed);
            }
        }
    };
    thread::Builder::new().name("signals".into()).spawn(listen).map_err(cannot)?;
    Ok(signal)
}

/// From now on the first signal ends the program at once: what is left to do is to print, which may block.
pub(super) fn end_at_once() {
    IS_OVER.store(true, Ordering::Relaxed);
}
