//! Compaction: every night after a project's midnight its ended days are merged, de-duplicated and sorted.
//!
//! - `plan`: which files go into which run (pure).
//! - `merge`: what a run makes of them (pure).
//! - `worker`: the nightly job that holds the lease and orders the disks to work.

pub mod merge;
pub mod plan;
pub mod worker;
