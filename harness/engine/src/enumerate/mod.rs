//! Enumerated faults: the systematic sweep over one case.
//!
//! One run records the disk and network operations until faults would end; then the case runs again with one fault at
//! each of them in turn. A crash is run three ways: no un-synced operation survives, all do, a random part does; where
//! nothing was un-synced the three are the same run, and it is run once and counted three times. An error fails a disk
//! operation once. A call has four ends; its two messages are lost, in turn, at the end that sends the request, so that
//! no message is lost twice.
//!
//! - `injection_point`: one fault at one operation. `enumeration_plan`: all of them. `enumeration_stats`: the results.
//! - `journal`: the file from which an interrupted enumeration continues; `run_record`: one run in it.

mod enumeration_plan;
mod enumeration_stats;
mod injection_point;
mod journal;
mod run_record;

pub(crate) use enumeration_plan::{EnumerationPlan, OpFilter, PlannedRun};
pub(crate) use enumeration_stats::{EnumerationStats, OpKindStats};
pub(crate) use injection_point::{FaultFilter, InjectionPoint};
pub(crate) use journal::{EnumerationHeader, EnumerationJournal};
pub(crate) use run_record::EnumerationFailure;
