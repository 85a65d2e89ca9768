//! Judgement: the oracle's checks of a run, and the faults that excuse late work.
//!
//! - `checker`: checks of disks during a run. `compacted_days`: days whose manifests changed. `durability_sampler`:
//!   checks at acknowledgements. `liveness`: backlogs that remain after healing.
//! - `job_dependencies`, `excuses`: times at which faults kept a job from working. `tee_retention`: times of a longer
//!   retention.
//! - `disk_views`: disks as the oracle reads them.

pub(crate) mod checker;
mod compacted_days;
mod disk_views;
pub(crate) mod durability_sampler;
mod excuses;
mod job_dependencies;
mod liveness;
mod tee_retention;
