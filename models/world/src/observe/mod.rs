//! Observation: what a run records while it executes, without a judgement.
//!
//! - `fault_log`: faults and boots of the trace, and files that were created. `disk_activity`: manifests and catalogs
//!   that were written. `observed_reads`: segments and objects of the tee that were read. `alarm_calls`: alarms that were
//!   not delivered. `client_state`: what the clients report.
//!
//! No observer uses a mark: marks are statements of the system about itself, and `without_marks` keeps them away.

pub(crate) mod alarm_calls;
pub(crate) mod client_state;
pub(crate) mod disk_activity;
pub(crate) mod fault_log;
pub(crate) mod observed_reads;
pub(crate) mod without_marks;
