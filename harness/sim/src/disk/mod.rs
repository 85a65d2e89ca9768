//! In-memory disks that lose un-synced data.
//!
//! Modelled: a page cache (every change is visible to reads at once, and takes no time), syncs that take time and
//! make durable what was pending when they were called, directory entries that are durable only once their directory
//! was synced, crashes that keep any legal part of the rest, a capacity that may be reached part-way through a write,
//! errors on request, and handles that die with their process.
//!
//! Not modelled: permissions, links, timestamps, seeks, the time that reads and writes take (except on a slow disk).
//! A file's full length counts against the capacity, gaps included, also after its removal while it is open or while
//! a crash could still undo the removal.
//!
//! Faults of the plan add further failures: see the headers of the families in `faults/disk.rs` (visible faults) and
//! `faults/corruption.rs` (silent faults).

mod bad_blocks;
mod chunk_dedup;
mod corruption;
mod corruption_target;
mod crash;
mod dir_tree;
mod disk_faults;
mod disk_op;
mod image;
mod inode;
mod rope;
mod sim_disk;
mod spec;
mod store;
mod tree_walk;

pub(crate) use bad_blocks::BLOCK_BYTES;
pub(crate) use chunk_dedup::ChunkDedup;
pub(crate) use corruption_target::{CorruptionTarget, target_key};
pub use disk_faults::ReadsAfterFailedSync;
pub(crate) use disk_faults::{DiskFaultEffect, DiskFaultRule};
pub use image::{DiskImage, FileImage};
pub use sim_disk::{SimDisk, SimFile};
pub use spec::{CrashPolicy, DiskSpec, DiskStats};
pub(crate) use store::DiskStore;
