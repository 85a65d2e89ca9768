//! The table of live workers: an interrupt kills them all, and a worker that exceeds its memory limit is killed.
//!
//! One thread polls the resident memory of each worker every 50 ms. It belongs to the parent: code in a worker cannot
//! observe it. Memory is known on Linux only; other systems have no limit.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

const POLL_INTERVAL: Duration = Duration::from_millis(50);

struct WorkerTable {
    /// By process id: the limit in megabytes, and whether the worker was killed for exceeding it.
    live: BTreeMap<u32, (Option<u64>, bool)>,
    is_looking: bool,
    /// The program is being interrupted: a worker that starts now is killed at once.
    is_over: bool,
}

static WORKERS: Mutex<WorkerTable> =
    Mutex::new(WorkerTable { live: BTreeMap::new(), is_looking: false, is_over: false });

fn lock() -> MutexGuard<'static, WorkerTable> {
    // No update under this lock can be left incomplete.
    WORKERS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A registered worker.
pub(super) struct SupervisedWorker(u32);

impl SupervisedWorker {
    /// Removes the worker from the table. Returns its limit in megabytes if it was killed for exceeding it: the memory
    /// measured at that moment varies from run to run.
    pub(super) fn end(self) -> Option<u64> {
        lock().live.remove(&self.0).and_then(|(limit_mb, ended)| limit_mb.filter(|_| ended))
    }
}

/// Registers a worker, before the parent waits for it.
pub(super) fn register(process: u32, limit_mb: Option<u64>) -> SupervisedWorker {
    let mut watch = lock();
    watch.live.insert(process, (limit_mb, false));
    if watch.is_over {
        kill(process);
    }
    if limit_mb.is_some() && !watch.is_looking {
        // Without this thread there is no limit; everything else works.
        watch.is_looking = thread::Builder::new().name("watch".into()).spawn(poll_memory).is_ok();
    }
    SupervisedWorker(process)
}

/// Kills every live worker, and every worker that starts afterwards.
pub(crate) fn kill_all() {
    let mut watch = lock();
    watch.is_over = true;
    watch.live.keys().for_each(|process| kill(*process));
}

#[expect(clippy::disallowed_methods, reason = "looks at real processes in real time")]
fn poll_memory() {
    loop {
        thread::sleep(POLL_INTERVAL);
        for (process, (limit_mb, ended)) in &mut lock().live {
            let Some(limit_mb) = limit_mb else { continue };
            if resident_mb(*process).is_some_and(|resident_mb| resident_mb > *limit_mb) {
                *ended = true;
                kill(*process);
            }
        }
    }
}

/// Resident memory of a process in megabytes, where the system reports it.
fn resident_mb(process: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok().map(|kb| kb / 1024)
}

#[cfg(unix)]
#[expect(unsafe_code, reason = "kill(2) is the only way to end a process by its number")]
fn kill(process: u32) {
    if let Ok(process) = libc::pid_t::try_from(process) {
        // SAFETY: a plain system call; the process is a child that was not waited for, so the process id is still
        // valid.
        unsafe { libc::kill(process, libc::SIGKILL) };
    }
}

#[cfg(not(unix))]
fn kill(_process: u32) {}
