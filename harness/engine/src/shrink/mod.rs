//! From a case that fails to the smallest that fails in the same way.
//!
//! - `search`: leaves out and simplifies, as long as the fingerprint stays. `trial`: whether a candidate still fails.
//! - `faults`: what the engine itself knows to make smaller; the rest is the system's ([`crate::System::reductions`]).

mod faults;
mod search;
mod trial;

pub(crate) use search::{Found, Search};
pub(crate) use trial::{Trial, Wanted};
