//! Sweeps: many seeds of some scenarios, each case in its own process.
//!
//! - `sweep_spec`: the cases, and what identifies a sweep. `results`: the file that grows during the run.
//! - `partition`: the slice that a scheduler's task runs.
//! - `runner`: runs the cases. `determinism_check`: runs a case twice. `summary`: the result.
//! - `junit`, `github`: output for continuous integration.
//!
//! The result of a sweep follows from its file alone: a whole sweep, a resumed one and one in slices are judged by the
//! same code.

mod determinism_check;
pub(crate) mod github;
pub(crate) mod junit;
pub(crate) mod partition;
pub(crate) mod results;
pub(crate) mod runner;
pub(crate) mod summary;
pub(crate) mod sweep_spec;
