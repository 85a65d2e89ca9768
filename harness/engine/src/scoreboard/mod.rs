//! The scoreboard of planted bugs: for each, whether a sweep reaches its trigger, whether it catches it, and after how
//! many seeds.
//!
//! - `bug`: what a system states about a planted bug. `search`: looks for the first seed that catches it. `record`: its
//!   result. `journal`: results as JSON lines.

mod bug;
mod journal;
mod record;
mod search;

pub use bug::PlantedBug;
pub(crate) use journal::BugsHeader;
pub(crate) use record::{BugRecord, BugResult, Catch, ShrunkCount};
pub(crate) use search::{SearchContext, SearchError};
