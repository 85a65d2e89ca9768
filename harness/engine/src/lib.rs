//! The harness around a system under test: it turns a scenario into a verdict.
//!
//! ```text
//! scenario + seed ──expand──▶ plan ──run, in its own process──▶ trace ──judge──▶ verdict ──▶ report
//! ```
//!
//! A system implements [`System`]; its program is one call of [`main`]. `examples/wal.rs` is the tutorial: a
//! write-ahead log, its crash test and its planted bug in one file.
//!
//! A [`Plan`] holds everything that a run decides, and a plan follows from a scenario and a seed alone. Only the parent
//! side of this crate uses real time, processes and terminals; code in a worker sees its simulated
//! [`World`](latent_sim::World) only.

mod case;
mod case_file;
mod case_source;
mod cli;
mod compare;
mod enumerate;
pub mod exit;
mod expand;
pub mod explain;
mod output;
mod output_folder;
mod plan;
mod print;
mod problem;
mod profile;
mod reduction;
mod report;
mod scenario;
mod scoreboard;
mod shrink;
mod sweep;
mod system;
#[cfg(test)]
mod test_system;
mod variant;

pub use case::run_in_process;
pub use cli::main;
pub use compare::{Measure, MeasureValue};
pub use expand::expand;
pub use plan::{Plan, draw_seed};
pub use print::{Screen, StyledText, humanize};
pub use problem::Problem;
pub use reduction::{Case, Reduction};
pub use report::{Detection, FaultReport, NodeStats, ReleaseOverride, Report};
pub use scenario::suggest::suggest;
pub use scenario::{NamedScenario, Scenario, ScenarioError, ScenarioProblem, Span, Timestamp, parse};
pub use scoreboard::PlantedBug;
pub use system::{
    CaseOf, CostEstimate, Generator, PhaseReporter, ReductionOf, System, SystemRun, Verdict, run_system,
};

pub use variant::{Variant, VariantAxis};

pub use latent_sim as sim;
pub use latent_verdict as verdict;
