//! The types of a verdict: violations, their fingerprints, and the outcome.
//!
//! Plain types, independent of the system: an *item* is a unit of data that the system under test stores (a record, a
//! row), a *subject* is the owner of items (a tenant, a file). What else places a violation is a labelled field, named by
//! the system. A violation stays data; text is rendered last, by the printing code.
//!
//! There are no dependencies by default. The feature `serde` gives the types their JSON form, `schemars` its schema.

mod expectation;
mod outcome;
mod violation;

pub use expectation::Expectation;
pub use outcome::{Outcome, OutcomeFacts, PendingWork, Restoration, UnknownOutcome, outcome};
pub use violation::{Label, Violation, ViolationGroup, group_by_fingerprint};
