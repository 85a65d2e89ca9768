//! The workers that live: whoever interrupts the program ends them, and one that holds too much memory is ended.
//!
//! One thread looks every 50 ms at what the operating system says each worker holds. It is the parent's: what runs in a
//! worker never notices it. Memory is known on Linux alone; elsewhere there is no limit.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

const LOOK_EVERY: Duration = Duration::from_millis(50);

struct Watch {
    /// By process number: the limit in megabytes, and whether it was ended for passing it.
    live: BTreeMap<u32, (Option<u64>, bool)>,
    is_looking: bool,
    /// The program is being interrupted: whoever starts now is ended at once.
    is_over: bool,
}

static WATCH: Mutex<Watch> = Mutex::new(Watch { live: BTreeMap::new(), is_looking: false, is_over: false });

fn lock() -> MutexGuard<'static, Watch> {
    // Nothing is left half done under this lock.
    WATCH.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A worker under watch.
pub(super) struct Watched(u32);

impl Watched {
    /// Takes the worker out. Its limit in megabytes, if it was ended for passing it: how far it had come when somebody
    /// looked differs from time to time.
    pub(super) fn end(self) -> Option<u64> {
        lock().live.remove(&self.0).and_then(|(limit_mb, ended)| limit_mb.filter(|_| ended))
    }
}

/// Puts a worker under watch, from before it is waited for.
pub(super) fn watch(process: u32, limit_mb: Option<u64>) -> Watched {
    let mut watch = lock();
    watch.live.insert(process, (limit_mb, false));
    if watch.is_over {
        kill(process);
    }
    if limit_mb.is_some() && !watch.is_looking {
        // Without this thread there is no limit, and everything else works.
        watch.is_looking = thread::Builder::new().name("watch".into()).spawn(look).is_ok();
    }
    Watched(process)
}

/// Ends every worker that lives, and every one that is started from now on.
pub(crate) fn end_all() {
    let mut watch = lock();
    watch.is_over = true;
    watch.live.keys().for_each(|process| kill(*process));
}

#[expect(clippy::disallowed_methods, reason = "looks at real processes in real time")]
fn look() {
    loop {
        thread::sleep(LOOK_EVERY);
        for (process, (limit_mb, ended)) in &mut lock().live {
            let Some(limit_mb) = limit_mb else { continue };
            if held_mb(*process).is_some_and(|held_mb| held_mb > *limit_mb) {
                *ended = true;
                kill(*process);
            }
        }
    }
}

/// Megabytes that a process holds, where the system tells.
fn held_mb(process: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok().map(|kb| kb / 1024)
}

#[cfg(unix)]
#[expect(unsafe_code, reason = "kill(2) is the only way to end a process by its number")]
fn kill(process: u32) {
    if let Ok(process) = libc::pid_t::try_from(process) {
        // SAFETY: a plain system call; the process is a child that was not waited for, so the number is still its own.
        unsafe { libc::kill(process, libc::SIGKILL) };
    }
}

#[cfg(not(unix))]
fn kill(_process: u32) {}
