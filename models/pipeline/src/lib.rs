//! The system under test: ingest, the event store Arb, compaction, backup, replay, audit, releases.
//!
//! Production code that depends only on the ports. Planning (compaction inputs, manifest edits, backup contents) is
//! pure; thin async shells around it do the I/O. A node starts at [`boot`]; `roles` says which tasks each kind of node
//! runs.

pub mod access;
pub mod alarms;
pub mod anti_entropy;
pub mod arb;
pub mod audit;
pub mod backup;
mod boot_config;
pub mod codec;
pub mod compaction;
pub mod compare;
pub mod config;
pub mod export;
pub mod heartbeat;
pub mod hold;
pub mod ingest;
pub mod marks;
pub mod median_clock;
pub mod merge;
pub mod objects;
pub mod record;
pub mod recovery;
pub mod release;
mod roles;
pub mod schedule;
pub mod union;
pub mod wire;
pub mod zone;

pub use boot_config::BootConfigError;
pub use roles::{Role, boot, boot_with_interceptor};
