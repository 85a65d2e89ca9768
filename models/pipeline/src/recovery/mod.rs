//! Recovery: uses the newest backup whose restore, with the tee replayed from its position, passes the audit.
//!
//! - `tee_reader`: reads the tee as events.
//! - `tee_expiry`: retention of the tee store; `tee_scrub`: verifies that each record is in two objects.
//! - `plan`: computes the contents of a project-day and whether it passes the audit (pure).
//! - `runbook`: the steps of a recovery as data, since operators may leave some out.
//! - `report`: the result.
//! - `run`: the procedure, into an empty cluster, or into the live one for damaged project-days only. `production`:
//!   reads days from the disks of the cluster, and writes them.

pub mod plan;
pub mod report;
pub mod run;
pub mod runbook;
pub mod tee_expiry;
pub mod tee_reader;
pub(crate) mod tee_scrub;

mod production;
