//! Backups: incremental, content-addressed, to two data centers, each alone enough to restore.
//!
//! - `catalog`: what a backup consists of (pure).
//! - `take`: the daily (or weekly) job. Its parts: `project` (copying one), `data_center` (one, while a backup is taken),
//!   `expire` (its catalogs), `memory` (what is remembered from one backup to the next).
//! - `shrunk`: what a backup does not let go of, whatever production says (pure).
//! - `restore`: reading a backup back.
//! - `watch`: whether backups still come, asked by another node.

pub mod catalog;
mod data_center;
pub mod error;
mod expire;
pub mod memory;
mod project;
pub mod restore;
pub mod shrunk;
pub mod take;
pub mod watch;
