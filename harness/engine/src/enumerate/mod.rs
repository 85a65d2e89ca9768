//! Enumerated faults: the systematic sweep over one case.
//!
//! One run records the disk and network operations until faults would end; then the case runs again with one fault at
//! each of them in turn, or with a pair of faults: the first at each of them, the second within some operations after it. A crash is run three ways: no un-synced operation survives, all do, a random part does; where
//! nothing was un-synced the three are the same run, and it is run once and counted three times. An error fails a disk
//! operation once. A call has four ends; its two messages are lost, in turn, at the end that sends the request, so that
//! no message is lost twice.
//!
//! - `injection_point`: one fault at one operation. `second_faults`: what can follow it. `enumeration_plan`: all runs.
//! - `enumeration_stats`: the results; `pair_stats`: those of pairs.
//! - `journal`: the file from which an interrupted enumeration continues; `run_record`: one run in it.

mod enumeration_plan;
mod enumeration_stats;
mod injection_point;
mod journal;
mod pair_stats;
mod run_record;
mod second_faults;

pub(crate) use enumeration_plan::{EnumerationPlan, OpFilter, PlannedRun, TooManyRuns};
pub(crate) use enumeration_stats::{EnumerationStats, OpKindStats};
pub(crate) use injection_point::{FaultFilter, FaultGroup, InjectionPoint};
pub(crate) use journal::{EnumerationHeader, EnumerationJournal};
pub(crate) use pair_stats::{PairKind, PairStats};
pub(crate) use run_record::{EnumerationFailure, RunKey};
pub(crate) use second_faults::{PairOptions, SecondFaults};
