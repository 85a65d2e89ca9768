//! Recovery: the newest backup whose restore, with the tee replayed from its position, passes the audit.
//!
//! - `tee`: what the tee holds, as events.
//! - `expire`: how long it holds it; `scrub`: that it still does, twice.
//! - `plan`: what a project-day should consist of, and whether that passes the audit (pure).
//! - `runbook`: its steps, as data: people leave some out.
//! - `report`: what was done.
//! - `run`: the procedure: into an empty cluster, or into the live one for damaged project-days only.

pub mod expire;
pub mod plan;
pub mod report;
pub mod run;
pub mod runbook;
pub(crate) mod scrub;
pub mod tee;
