//! Compaction: every night after a project's midnight, its completed days are merged, de-duplicated and sorted.
//!
//! - `plan`: assigns files to runs (pure).
//! - `worker`: the nightly job, which holds the lease and orders the disks to merge.

pub mod plan;
pub mod worker;
