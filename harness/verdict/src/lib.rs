//! What a run is judged by: violations, their fingerprints, and the outcome they add up to.
//!
//! Plain types without dependencies. Nothing here knows what a system stores: an *item* is whatever the system
//! under test was trusted with (an event, a log record), a *subject* is whatever items belong to (a project, a
//! file). Text is rendered last, by whoever prints; here a violation stays data.

mod outcome;
mod violation;

pub use outcome::{Facts, Outcome, Recovery, UnknownOutcome, outcome};
pub use violation::{Group, Violation, by_fingerprint};
