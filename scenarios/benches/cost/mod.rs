//! Resource usage of programs: real time, and the kernel's account of them and their children.

use std::io::Read;
use std::process::{Child, Command};
use std::time::Instant;

/// The program under measurement.
pub fn latent(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_latent"));
    command.args(arguments);
    command
}

/// Resource usage of a program.
#[derive(Clone, Copy, Debug)]
pub struct ResourceUsage {
    /// Real time from its start to its end.
    pub wall_seconds: f64,
    /// User and system time, workers included.
    pub cpu_seconds: f64,
    /// The largest resident set of the program or one of its workers.
    pub peak_mb: u64,
}

/// A running program.
pub struct RunningProgram {
    started: Instant,
    child: Child,
}

/// A completed program.
pub struct CompletedProgram {
    pub cost: ResourceUsage,
    /// Its exit code; `None` if a signal ended it.
    pub code: Option<i32>,
    /// Its standard output, if that was a pipe.
    pub printed: String,
}

impl RunningProgram {
    pub fn start(command: &mut Command) -> RunningProgram {
        let started = Instant::now();
        RunningProgram { started, child: command.spawn().expect("cargo built the binary") }
    }

    pub fn finish(mut self) -> CompletedProgram {
        let mut printed = String::new();
        if let Some(mut output) = self.child.stdout.take() {
            output.read_to_string(&mut printed).expect("what it prints is UTF-8");
        }
        let (status, usage) = wait(&self.child);
        let wall_seconds = self.started.elapsed().as_secs_f64();
        let cost = ResourceUsage {
            wall_seconds,
            cpu_seconds: cpu_seconds(&usage),
            peak_mb: usage.ru_maxrss.unsigned_abs() / 1024,
        };
        let code = libc::WIFEXITED(status).then(|| libc::WEXITSTATUS(status));
        CompletedProgram { cost, code, printed }
    }
}

/// Waits for a child that was not waited for.
#[expect(unsafe_code, reason = "std does not tell a child's resource usage; wait4 does")]
fn wait(child: &Child) -> (i32, libc::rusage) {
    let pid = libc::pid_t::try_from(child.id()).expect("process ids fit their own type");
    // SAFETY: rusage is plain numbers, for which zeros are a value.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    let mut status = 0;
    // SAFETY: both pointers are to live locals of the right types; the process is our child and not yet waited for.
    let waited = unsafe { libc::wait4(pid, &raw mut status, 0, &raw mut usage) };
    assert_eq!(waited, pid, "our own child can be waited for");
    (status, usage)
}

/// User and system time.
pub fn cpu_seconds(usage: &libc::rusage) -> f64 {
    let seconds = |time: libc::timeval| time.tv_sec as f64 + time.tv_usec as f64 / 1e6;
    seconds(usage.ru_utime) + seconds(usage.ru_stime)
}
