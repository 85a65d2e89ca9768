//! Backups: incremental, content-addressed, to two data centers, each alone enough to restore.
//!
//! - `catalog`: what a backup consists of (pure).
//! - `take`: the daily (or weekly) job.
//! - `shrunk`: what a backup does not let go of, whatever production says (pure).
//! - `restore`: reading a backup back.

pub mod catalog;
pub mod restore;
pub mod shrunk;
pub mod take;
