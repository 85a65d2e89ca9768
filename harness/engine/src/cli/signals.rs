//! Ctrl-C and SIGTERM: the first stops the work in an orderly way, a later one ends the program at once.
//!
//! GNU `timeout`, and a terminal that closes, send one signal to the process and one to its group almost
//! simultaneously: signals within a second of the first count as one.

use super::CliError;
use crate::exit;
use crate::sweep::runner::now;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// Signals within this time are one.
const ONE_SIGNAL: Duration = Duration::from_secs(1);

/// The work is done: the next signal ends the program at once.
static IS_OVER: AtomicBool = AtomicBool::new(false);

/// Installs the handlers. Returns the number of the signal that interrupts the program: 0 until one arrives.
pub(super) fn install() -> Result<Arc<AtomicUsize>, CliError> {
    let cannot = |error| CliError::Internal(format!("signals cannot be caught: {error}"));
    let mut signals = Signals::new([SIGINT, SIGTERM]).map_err(cannot)?;
    let signal = Arc::new(AtomicUsize::new(0));
    let stored = signal.clone();
    let listen = move || {
        let mut first: Option<Instant> = None;
        for number in signals.forever() {
            if IS_OVER.load(Ordering::Relaxed) || first.is_some_and(|first| first.elapsed() >= ONE_SIGNAL) {
                // Not `std::process::exit`: it may wait for a blocked thread.
                signal_hook::low_level::exit(i32::from(exit::of_signal(number.unsigned_abs() as usize)));
            }
            if first.is_none() {
                first = Some(now());
                stored.store(number.unsigned_abs() as usize, Ordering::Relaxed);
            }
        }
    };
    thread::Builder::new().name("signals".into()).spawn(listen).map_err(cannot)?;
    Ok(signal)
}

/// Makes the next signal end the program at once: only printing is left, which may block.
pub(super) fn exit_on_next_signal() {
    IS_OVER.store(true, Ordering::Relaxed);
}
