//! The types of a verdict: violations, their fingerprints, and the outcome.
//!
//! Plain types without dependencies, independent of the system: an *item* is a unit of data that the system under test
//! stores (an event, a log record), a *subject* is the owner of items (a project, a file). A violation stays data; text
//! is rendered last, by the printing code.

mod outcome;
mod violation;

pub use outcome::{Outcome, OutcomeFacts, Recovery, UnknownOutcome, outcome};
pub use violation::{Violation, ViolationGroup, group_by_fingerprint};
