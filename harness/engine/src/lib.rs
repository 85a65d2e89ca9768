//! From a scenario to a verdict: the harness around any system under test.
//!
//! ```text
//! scenario + seed ──expand──▶ plan ──run, a process of its own──▶ trace ──judge──▶ verdict ──▶ report
//! ```
//!
//! A system says what it is by implementing [`System`]; its program is one call of [`main`]. `examples/wal.rs` is
//! the tutorial: a write-ahead log, its crash test and its planted bug in one file.
//!
//! Everything that a run decides stands in its [`Plan`], and everything that a plan holds follows from a scenario
//! and a seed. Real time, processes and terminals exist in this crate's parent side alone; what runs in a worker
//! sees its simulated [`World`](latent_sim::World) and nothing else.

mod case;
mod case_file;
mod cli;
mod enumerate;
pub mod exit;
pub mod explain;
mod folders;
mod output;
mod plan;
mod print;
mod profile;
mod reduction;
mod report;
mod scenario;
mod shrink;
mod sweep;
mod system;
mod target;
#[cfg(test)]
mod toy;

pub use case::run_here;
pub use cli::main;
pub use plan::{Plan, draw_seed, expand};
pub use print::{Screen, Text, words};
pub use reduction::{Case, Reduction};
pub use report::{FaultReport, NodeTally, OnRelease, Report};
pub use scenario::near::near as suggest;
pub use scenario::{BadScenario, Moment, NamedScenario, Problem, Scenario, Span, parse};
pub use system::{Cost, Judged, Notice, Progress, System};

pub use latent_sim as sim;
pub use latent_verdict as verdict;
