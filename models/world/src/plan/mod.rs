//! The plan of a run: what a seed and a scenario decide before the first step.
//!
//! - `world_plan`: the choices. `expand`: their expansion. `draws`: how a draw becomes a number.
//! - `workload`, `load`, `streams`: the requests of clients. `nemesis`: drawn faults. `drill_schedule`: drills
//!   and their triggers. `time_limits`: time limits of the liveness laws.
//! - `generate`: whole scenarios from bytes.

pub(crate) mod draws;
mod drill_schedule;
mod expand;
pub(crate) mod generate;
pub(crate) mod load;
pub(crate) mod nemesis;
pub(crate) mod streams;
pub(crate) mod time_limits;
pub mod workload;
mod world_plan;

pub use drill_schedule::{DrillTrigger, PlannedDrill};
pub(crate) use expand::{expand, largest_spec};
pub use world_plan::{PlannedExport, Tenant, WorldPlan};
