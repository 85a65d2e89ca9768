//! Judgement: the oracle's checks of a run, and the faults that excuse late work.
//!
//! - `phases`: the judge from its inputs to its result. `inputs`: the data that the run supplies to it.
//!   `judgement`: the result.
//! - `checker`: checks of disks during a run. `compacted_days`: days whose manifests changed. `durability_sampler`,
//!   `tee_sampler`: checks at acknowledgements; `acknowledged`: what these share. `removal_watcher`: checks at removals
//!   of files. `liveness`: backlogs that remain after healing.
//! - `job_dependencies`, `excuses`, `corrupt_days`: times at which faults kept a job from working. `tee_retention`:
//!   times of a longer retention.
//! - `bad_release`: releases whose harm is a loss to be restored. `disk_views`: disks as the oracle reads them.

mod acknowledged;
mod bad_release;
pub(crate) mod checker;
mod compacted_days;
mod corrupt_days;
mod disk_views;
pub(crate) mod durability_sampler;
mod excuses;
pub(crate) mod inputs;
mod job_dependencies;
pub(crate) mod judgement;
mod liveness;
pub(crate) mod phases;
pub(crate) mod removal_watcher;
mod tee_retention;
pub(crate) mod tee_sampler;
