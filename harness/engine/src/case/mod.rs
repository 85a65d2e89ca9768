//! One case in a process of its own.
//!
//! The parent starts the same program again with a hidden argument, writes one [`wire::Work`] to its input and
//! reads [`wire::Line`]s from its output. What a case leaks, allocates or breaks dies with its process, and a
//! fresh process is what makes two runs of a case comparable: same heap, same addresses, same first thread.

pub(crate) mod assemble;
pub(crate) mod finding;
mod here;
pub(crate) mod parent;
pub(crate) mod pool;
mod run;
mod tally;
pub(crate) mod watch;
pub(crate) mod wire;
pub(crate) mod worker;

pub use here::run_here;

use std::time::Duration;

/// The longest that a case may take in real time, unless somebody says otherwise. A usual case takes less than a second;
/// the largest built-in one 5 s on a machine of 2024.
pub(crate) const CASE_TIME: Duration = Duration::from_secs(300);

/// The most megabytes that a case may hold, unless somebody says otherwise. A usual case takes less than 100; the largest
/// built-in one 1,000.
pub(crate) const CASE_MEMORY_MB: u64 = 4096;

/// A world's main future may be deep: a system's recursion runs on this stack.
const STACK_BYTES: usize = 64 << 20;
