//! The parent process: starts a worker, sends it a request, reads its messages, and explains how it failed.

use super::ipc::{CaseRequest, CaseResult, PREFIX, WORKER, WorkerMessage};
use super::{CASE_MEMORY_MB, supervisor};
use std::io::{self, BufRead, BufReader, Write};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;
use thiserror::Error;

/// mimalloc settings for worker processes; ignored by other allocators. A worker lives for one case and reuses most of
/// the memory that it frees, so returning memory to the system only causes page faults; and a small worker should not
/// clear 2 MB huge pages for a few kilobytes. Together they save 0.9 ms of 10.2 of a nearly empty case, and 1.6 of 45.6
/// of a `one-day`. Memory of `quiet-week`: 83 MB without, 100 with the first alone, 67 with the second alone, 75 with
/// both.
const HEAP: [(&str, &str); 2] = [("MIMALLOC_PURGE_DELAY", "-1"), ("MIMALLOC_ALLOW_THP", "0")];

/// Longer limits count as no limit; this one fits any `time_t`.
#[cfg(target_os = "linux")]
const MAX_LIMIT_S: u64 = i32::MAX as u64;

/// `1 s`, `100 ms`.
fn format_limit(ms: u64) -> String {
    if ms.is_multiple_of(1000) { format!("{} s", ms / 1000) } else { format!("{ms} ms") }
}

/// Reason why a case has no report.
#[derive(Debug, Error)]
pub(crate) enum CaseError {
    /// The worker could not be started, or its pipes failed.
    #[error("the process of the case cannot be started: {0}")]
    Start(#[source] io::Error),
    /// The worker sent an invalid message.
    #[error("invalid message from the process of the case: {0}")]
    InvalidMessage(String),
    /// The worker rejected the request.
    #[error("{0}")]
    Refused(String),
    /// The scenario names a node that its world does not have.
    #[error("{0}")]
    ScenarioError(String),
    /// The system under test panicked.
    #[error("the code of {node} panicked: {message}\n  at {place}")]
    Panicked {
        /// The panic message.
        message: String,
        /// Location of the panic.
        place: String,
        /// The node in whose task it happened.
        node: String,
    },
    /// The tool itself panicked: the run gives no verdict on the system under test.
    #[error("internal error: {message}, at {}", place.lines().next().unwrap_or_default())]
    InternalPanic {
        /// The panic message.
        message: String,
        /// Location of the panic.
        place: String,
    },
    /// It exceeded the limit of real time, in milliseconds.
    #[error("the case was stopped after {} of real time", format_limit(*.0))]
    TimedOut(u64),
    /// It exceeded the limit of memory, in megabytes.
    #[error("the case was stopped: it used more than {0} MB")]
    ExceededMemory(u64),
    /// It exited without a report.
    #[error("the process of the case exited without a report: {0}")]
    Died(ExitStatus),
}

/// Limits and process settings of a worker.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct WorkerLimits {
    /// Leaves addresses random, to prove that nothing depends on them.
    pub keep_randomisation: bool,
    /// Limit of real time, in milliseconds; `None`: no limit.
    pub limit_ms: Option<u64>,
    /// Limit of memory, in megabytes; `None`: no limit.
    pub limit_mb: Option<u64>,
    /// Whether a panic reports its backtrace even if `RUST_BACKTRACE` is not set.
    pub backtrace: bool,
}

impl WorkerLimits {
    /// Limits of real time, to the millisecond, and of memory; `None` selects the default limit of memory.
    pub fn limited(case_time: Option<Duration>, case_memory_mb: Option<u64>) -> WorkerLimits {
        let ms = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX).max(1);
        WorkerLimits {
            keep_randomisation: false,
            limit_ms: case_time.map(ms),
            limit_mb: Some(case_memory_mb.unwrap_or(CASE_MEMORY_MB)),
            backtrace: false,
        }
    }
}

/// Runs one case in its own process and returns its result. `on_message` receives time, phases, the log and an early stop.
///
/// # Errors
/// The worker cannot start, rejects the request, panics or dies.
pub(crate) fn run(
    request: &CaseRequest,
    limits: WorkerLimits,
    mut on_message: impl FnMut(&WorkerMessage),
) -> Result<CaseResult, CaseError> {
    let mut child = start(limits).map_err(CaseError::Start)?;
    let supervised = supervisor::register(child.id(), limits.limit_mb);
    let last_message = read_messages(&mut child, request, &mut on_message);
    // Leaves no worker behind; killing a worker that has ended has no effect.
    if last_message.is_err() {
        let _ = child.kill();
    }
    // Before the wait: afterwards the process id may belong to another process.
    let over_mb = supervised.end();
    let status = child.wait().map_err(CaseError::Start)?;
    if let Some(limit_mb) = over_mb {
        return Err(CaseError::ExceededMemory(limit_mb));
    }
    match last_message? {
        Some(WorkerMessage::Result(judged)) => Ok(*judged),
        Some(WorkerMessage::Refused(why)) => Err(CaseError::Refused(why)),
        Some(WorkerMessage::ScenarioError(bad)) => Err(CaseError::ScenarioError(bad)),
        Some(WorkerMessage::Panicked { message, place, node }) => Err(match node {
            Some(node) => CaseError::Panicked { message, place, node },
            None => CaseError::InternalPanic { message, place },
        }),
        Some(WorkerMessage::Stopped { .. }) => {
            Err(CaseError::InvalidMessage("it stopped without a request".to_owned()))
        }
        Some(WorkerMessage::Time { .. } | WorkerMessage::Phase(_) | WorkerMessage::Log(_)) | None => {
            Err(exit_error(status, limits))
        }
    }
}

fn start(limits: WorkerLimits) -> io::Result<Child> {
    let mut command = Command::new(std::env::current_exe()?);
    command.arg(WORKER).envs(HEAP).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::inherit());
    if limits.backtrace {
        command.env("RUST_BACKTRACE", "1");
    }
    prepare(&mut command, limits);
    #[cfg(unix)]
    {
        // Ctrl-C goes to the parent, which ends its workers itself.
        use std::os::unix::process::CommandExt;
        command.process_group(0);
    }
    command.spawn()
}

/// Configures the child before exec: fixed addresses, death with the parent, and a timer.
#[cfg(target_os = "linux")]
#[expect(
    unsafe_code,
    reason = "personality(2), prctl(2) and setitimer(2) must be called between fork and exec"
)]
fn prepare(command: &mut Command, limits: WorkerLimits) {
    use std::os::unix::process::CommandExt;
    let change = move || {
        // SAFETY: all are plain system calls on integers; they allocate nothing and take no lock, which is all that is
        // allowed between fork and exec. A sandbox may refuse them: the run continues, and the worker reports whether
        // its addresses are fixed.
        unsafe {
            libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
            // The timer survives the exec, and its signal ends a process without a handler.
            let limit_ms = limits.limit_ms.unwrap_or(0);
            let value = libc::timeval {
                tv_sec: (limit_ms / 1000).min(MAX_LIMIT_S) as libc::time_t,
                tv_usec: (limit_ms % 1000 * 1000) as libc::suseconds_t,
            };
            let never = libc::timeval { tv_sec: 0, tv_usec: 0 };
            let timer = libc::itimerval { it_interval: never, it_value: value };
            libc::setitimer(libc::ITIMER_REAL, &raw const timer, std::ptr::null_mut());
            if !limits.keep_randomisation {
                let now = libc::personality(0xffff_ffff);
                if now >= 0 {
                    libc::personality(now as libc::c_ulong | libc::ADDR_NO_RANDOMIZE as libc::c_ulong);
                }
            }
        }
        Ok(())
    };
    // SAFETY: the closure makes system calls only, see above.
    unsafe { command.pre_exec(change) };
}

#[cfg(not(target_os = "linux"))]
fn prepare(_command: &mut Command, _manner: WorkerLimits) {}

/// Reason why a worker exited without a result: the timer, or another cause.
fn exit_error(status: ExitStatus, limits: WorkerLimits) -> CaseError {
    #[cfg(unix)]
    {
        use std::os::unix::process::ExitStatusExt;
        if let (Some(libc::SIGALRM), Some(limit_ms)) = (status.signal(), limits.limit_ms) {
            return CaseError::TimedOut(limit_ms);
        }
    }
    CaseError::Died(status)
}

/// Sends the request and reads all messages. Returns the final message, if any.
fn read_messages(
    child: &mut Child,
    request: &CaseRequest,
    on_message: &mut impl FnMut(&WorkerMessage),
) -> Result<Option<WorkerMessage>, CaseError> {
    let input = child.stdin.take().expect("it was asked for as a pipe");
    let output = child.stdout.take().expect("it was asked for as a pipe");
    send_request(input, request).map_err(CaseError::Start)?;
    let mut end = None;
    for line in BufReader::new(output).split(b'\n') {
        let line = String::from_utf8_lossy(&line.map_err(CaseError::Start)?).into_owned();
        let Some(text) = line.strip_prefix(PREFIX) else {
            // Output of the system under test, forwarded for debugging.
            let _ = writeln!(io::stderr(), "{line}");
            continue;
        };
        match serde_json::from_str(text).map_err(|error| CaseError::InvalidMessage(error.to_string()))? {
            passing @ (WorkerMessage::Time { .. } | WorkerMessage::Phase(_) | WorkerMessage::Log(_)) => {
                on_message(&passing)
            }
            // The caller that asked for a stop handles it here; for any other caller it is an error, see above.
            stopped @ WorkerMessage::Stopped { .. } => {
                on_message(&stopped);
                end = Some(stopped);
            }
            ending => end = Some(ending),
        }
    }
    Ok(end)
}

/// A worker reads all of its input before it writes, so this cannot block on a full pipe. If the worker dies before
/// reading, the pipe breaks; its exit status explains more, so this is not an error yet.
fn send_request(mut input: impl Write, request: &CaseRequest) -> io::Result<()> {
    let text = serde_json::to_string(request)?;
    match input.write_all(text.as_bytes()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error),
        _ => Ok(()),
    }
}
