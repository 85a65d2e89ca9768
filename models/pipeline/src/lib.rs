//! The system under test: ingest, the event store Arb, compaction, backup, replay, audit, releases.
//!
//! Real code, fit to run on a real machine: it names nothing but the ports. Planning (what to merge, what a
//! manifest becomes, what a backup lacks) is pure; thin async shells around it do the I/O.

pub mod access;
pub mod alarms;
pub mod arb;
pub mod audit;
pub mod backup;
pub mod codec;
pub mod common_time;
pub mod compaction;
pub mod compare;
pub mod config;
pub mod export;
pub mod heartbeat;
pub mod hold;
pub mod hostile;
pub mod ingest;
pub mod objects;
pub mod record;
pub mod recovery;
pub mod release;
pub mod repair;
pub mod schedule;
pub mod union;
pub mod wire;
pub mod zone;
