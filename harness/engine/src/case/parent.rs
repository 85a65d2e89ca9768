//! The parent: starts a worker, feeds it, listens to it, and makes a clear error of whatever kills it.

use super::wire::{Judged, Line, PREFIX, WORKER, Work};
use super::{CASE_MEMORY_MB, watch};
use std::io::{self, BufRead, BufReader, Write};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;
use thiserror::Error;

/// How a worker's heap meets the system; read by mimalloc, when it is the allocator. A worker lives for one case and
/// needs again most of what it frees, so giving that back only to fault it in anew is a waste; and a small one should
/// not have 2 MB cleared for a few kilobytes. Both together took 0.9 ms of the 10.2 of a case in which next to nothing
/// happens, and 1.6 of the 45.6 of a `one-day`. `quiet-week` took 83 MB, 100 with the first alone, 67 with the second
/// alone, 75 with both.
const HEAP: [(&str, &str); 2] = [("MIMALLOC_PURGE_DELAY", "-1"), ("MIMALLOC_ALLOW_THP", "0")];

/// More seconds than this are as good as no limit, and fit any `time_t`.
#[cfg(target_os = "linux")]
const MOST_LIMIT_S: u64 = i32::MAX as u64;

/// `1 s`, `100 ms`.
fn limit_words(ms: u64) -> String {
    if ms.is_multiple_of(1000) { format!("{} s", ms / 1000) } else { format!("{ms} ms") }
}

/// Why a case has no report.
#[derive(Debug, Error)]
pub(crate) enum CaseError {
    /// The worker could not be started or spoken to.
    #[error("the process of the case cannot be started: {0}")]
    Start(#[source] io::Error),
    /// It said something that is no line.
    #[error("the process of the case said something unreadable: {0}")]
    Garbled(String),
    /// It would not run the work.
    #[error("{0}")]
    Refused(String),
    /// The scenario names what its world does not have.
    #[error("{0}")]
    BadScenario(String),
    /// The system under test panicked.
    #[error("the code of {node} panicked: {message}\n  at {place}")]
    Panicked {
        /// What the panic said.
        message: String,
        /// Where.
        place: String,
        /// The node in whose task it happened.
        node: String,
    },
    /// The tool itself panicked: the run says nothing of the system under test.
    #[error("internal error: {message}, at {}", place.lines().next().unwrap_or_default())]
    ToolPanicked {
        /// What the panic said.
        message: String,
        /// Where.
        place: String,
    },
    /// It ran longer than a case may.
    #[error("the case was stopped after {} of real time", limit_words(*.0))]
    TookTooLong(u64),
    /// It took more memory than a case may.
    #[error("the case was stopped: it held more than {0} MB")]
    TookTooMuch(u64),
    /// It died without a word.
    #[error("the process of the case died without a report: {0}")]
    Died(ExitStatus),
}

/// In what manner a case's process runs.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Manner {
    /// Leaves its addresses random: a proof that nothing depends on them.
    pub keep_randomisation: bool,
    /// Ends it after so many milliseconds of real time; `None`: no limit.
    pub limit_ms: Option<u64>,
    /// Ends it when it holds more than so many megabytes; `None`: no limit.
    pub limit_mb: Option<u64>,
    /// Whether a panic comes with its backtrace, also where `RUST_BACKTRACE` does not say so.
    pub backtrace: bool,
}

impl Manner {
    /// With limits of real time, to the millisecond, and of memory; `None` for the usual one of memory.
    pub fn limited(case_time: Option<Duration>, case_memory_mb: Option<u64>) -> Manner {
        let ms = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX).max(1);
        Manner {
            keep_randomisation: false,
            limit_ms: case_time.map(ms),
            limit_mb: Some(case_memory_mb.unwrap_or(CASE_MEMORY_MB)),
            backtrace: false,
        }
    }
}

/// Runs one case in a process of its own and returns what it found. `on_line` hears of time, phases, the log and an early stop.
///
/// # Errors
/// The worker cannot start, refuses, panics or dies.
pub(crate) fn run(work: &Work, manner: Manner, mut on_line: impl FnMut(&Line)) -> Result<Judged, CaseError> {
    let mut child = start(manner).map_err(CaseError::Start)?;
    let watched = watch::watch(child.id(), manner.limit_mb);
    let heard = listen(&mut child, work, &mut on_line);
    // Whatever happened, no worker is left behind; killing one that has ended does nothing.
    if heard.is_err() {
        let _ = child.kill();
    }
    // Before it is waited for: afterwards its number may be another process's.
    let over_mb = watched.end();
    let status = child.wait().map_err(CaseError::Start)?;
    if let Some(limit_mb) = over_mb {
        return Err(CaseError::TookTooMuch(limit_mb));
    }
    match heard? {
        Some(Line::Judged(judged)) => Ok(*judged),
        Some(Line::Refused(why)) => Err(CaseError::Refused(why)),
        Some(Line::BadScenario(bad)) => Err(CaseError::BadScenario(bad)),
        Some(Line::Panicked { message, place, node }) => Err(match node {
            Some(node) => CaseError::Panicked { message, place, node },
            None => CaseError::ToolPanicked { message, place },
        }),
        Some(Line::Stopped { .. }) => {
            Err(CaseError::Garbled("it stopped, and nobody asked it to".to_owned()))
        }
        Some(Line::Time { .. } | Line::Phase(_) | Line::Log(_)) | None => Err(died(status, manner)),
    }
}

fn start(manner: Manner) -> io::Result<Child> {
    let mut command = Command::new(std::env::current_exe()?);
    command.arg(WORKER).envs(HEAP).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::inherit());
    if manner.backtrace {
        command.env("RUST_BACKTRACE", "1");
    }
    prepare(&mut command, manner);
    #[cfg(unix)]
    {
        // A Ctrl-C is for the parent, which ends its workers itself.
        use std::os::unix::process::CommandExt;
        command.process_group(0);
    }
    command.spawn()
}

/// In the child, before it becomes the worker: fixed addresses, death with the parent, and an alarm clock.
#[cfg(target_os = "linux")]
#[expect(
    unsafe_code,
    reason = "personality(2), prctl(2) and setitimer(2) must be called between fork and exec"
)]
fn prepare(command: &mut Command, manner: Manner) {
    use std::os::unix::process::CommandExt;
    let change = move || {
        // SAFETY: all are plain system calls on integers; they allocate nothing and take no lock, which is all
        // that may be done between fork and exec. A sandbox may refuse them: the run goes on, and the worker
        // reports whether its addresses are fixed.
        unsafe {
            libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
            // It survives the exec, and its signal ends a process that has not asked for another end.
            let limit_ms = manner.limit_ms.unwrap_or(0);
            let value = libc::timeval {
                tv_sec: (limit_ms / 1000).min(MOST_LIMIT_S) as libc::time_t,
                tv_usec: (limit_ms % 1000 * 1000) as libc::suseconds_t,
            };
            let never = libc::timeval { tv_sec: 0, tv_usec: 0 };
            let timer = libc::itimerval { it_interval: never, it_value: value };
            libc::setitimer(libc::ITIMER_REAL, &raw const timer, std::ptr::null_mut());
            if !manner.keep_randomisation {
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
fn prepare(_command: &mut Command, _manner: Manner) {}

/// What killed a worker that said nothing: the alarm clock, or something else.
fn died(status: ExitStatus, manner: Manner) -> CaseError {
    #[cfg(unix)]
    {
        use std::os::unix::process::ExitStatusExt;
        if let (Some(libc::SIGALRM), Some(limit_ms)) = (status.signal(), manner.limit_ms) {
            return CaseError::TookTooLong(limit_ms);
        }
    }
    CaseError::Died(status)
}

/// Feeds the worker and hears it out. The last line that ends a case, or none if there was none.
fn listen(
    child: &mut Child,
    work: &Work,
    on_line: &mut impl FnMut(&Line),
) -> Result<Option<Line>, CaseError> {
    let input = child.stdin.take().expect("it was asked for as a pipe");
    let output = child.stdout.take().expect("it was asked for as a pipe");
    feed(input, work).map_err(CaseError::Start)?;
    let mut end = None;
    for line in BufReader::new(output).split(b'\n') {
        let line = String::from_utf8_lossy(&line.map_err(CaseError::Start)?).into_owned();
        let Some(text) = line.strip_prefix(PREFIX) else {
            // Not ours: the system under test printed it. Whoever debugs it wants to see it.
            let _ = writeln!(io::stderr(), "{line}");
            continue;
        };
        match serde_json::from_str(text).map_err(|error| CaseError::Garbled(error.to_string()))? {
            passing @ (Line::Time { .. } | Line::Phase(_) | Line::Log(_)) => on_line(&passing),
            // Whoever asked for a stop wants to hear of it; to anybody else it is an error, above.
            stopped @ Line::Stopped { .. } => {
                on_line(&stopped);
                end = Some(stopped);
            }
            ending => end = Some(ending),
        }
    }
    Ok(end)
}

/// A worker reads all of its input before it says anything, so this cannot block on a full pipe for ever. One that
/// dies before reading gives a broken pipe here; its exit status tells more, so that is no error yet.
fn feed(mut input: impl Write, work: &Work) -> io::Result<()> {
    let text = serde_json::to_string(work)?;
    match input.write_all(text.as_bytes()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error),
        _ => Ok(()),
    }
}
