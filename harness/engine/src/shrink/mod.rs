//! Shrinking: from a failing case to the smallest that fails in the same way.
//!
//! - `search`: removes and simplifies while the fingerprint stays. `candidate`: runs a candidate.
//! - `faults`: the engine's own reductions; the rest are the system's ([`crate::System::reductions`]).

mod candidate;
mod faults;
mod search;

pub(crate) use candidate::{CandidateRunner, TargetFailure};
pub(crate) use search::{Shrinker, SmallestCase};
