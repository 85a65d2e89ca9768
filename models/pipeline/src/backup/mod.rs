//! Backups: incremental, content-addressed, to two data centers, each of them enough to restore.
//!
//! - `catalog`: contents of a backup (pure).
//! - `take`: the daily (or weekly) job. Its parts: `project_copy` (copies one project), `data_center` (state of one
//!   data center), `expire` (its catalogs), `state` (state kept from one backup to the next), `first_boot` (when the
//!   first backup is due).
//! - `shrink_guard`: keeps data of earlier backups that production lost (pure).
//! - `restore`: reads a backup back.
//! - `missing_keys`: compares two versions of a day. `planted`: planted bugs.
//! - `monitor`: checks from another node that backups are taken.

pub mod catalog;
mod data_center;
pub mod error;
mod expire;
mod first_boot;
mod missing_keys;
pub mod monitor;
mod planted;
mod project_copy;
pub mod restore;
pub mod shrink_guard;
pub mod state;
pub mod take;
