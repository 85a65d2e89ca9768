//! Observation: what a run records while it executes, without a judgement.
//!
//! - `fault_log`: faults, boots and recoveries of the trace. `activity`: compactions, backups and detections of the
//!   trace. `client_state`: what the clients report.

pub(crate) mod activity;
pub(crate) mod client_state;
pub(crate) mod fault_log;
