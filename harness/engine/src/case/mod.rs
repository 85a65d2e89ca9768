//! Runs a case in its own process.
//!
//! The parent starts the same program with a hidden argument, writes one [`ipc::CaseRequest`] to its standard input and
//! reads [`ipc::WorkerMessage`]s from its standard output. Leaks, allocations and crashes of a case end with its
//! process, and a new process makes two runs of a case comparable: same heap, same addresses, same first thread.

pub(crate) mod end_cause;
pub(crate) mod finding;
mod in_process;
pub(crate) mod ipc;
mod node_stats;
pub(crate) mod parent;
pub(crate) mod pool;
pub(crate) mod report_builder;
mod run;
pub(crate) mod strikes;
pub(crate) mod supervisor;
pub(crate) mod worker;

pub use in_process::run_in_process;

use std::time::Duration;

/// Default limit of a case's real time. A typical case takes less than a second; the largest built-in one 5 s on a
/// machine of 2024.
pub(crate) const CASE_TIME: Duration = Duration::from_secs(300);

/// Default limit of a case's memory, in megabytes. A typical case takes less than 100; the largest built-in one 1,000.
pub(crate) const CASE_MEMORY_MB: u64 = 4096;

/// Stack size of a case's thread: a system's recursion runs on it.
const STACK_BYTES: usize = 64 << 20;
