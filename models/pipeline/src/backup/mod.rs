//! Backups: incremental, content-addressed, to two data centers, each alone enough to restore.
//!
//! - `catalog`: what a backup consists of (pure).
//! - `take`: the daily (or weekly) job.
//! - `shrunk`: what a backup does not let go of, whatever production says (pure).
//! - `restore`: reading a backup back.
//! - `watch`: whether backups still come, asked by another node.

pub mod catalog;
pub mod restore;
pub mod shrunk;
pub mod take;
pub mod watch;
