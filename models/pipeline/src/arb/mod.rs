//! Arb, the event store: per project and local day, append-only checksummed segments and a manifest.
//!
//! One node of Arb is one disk. It appends what ingest sends, seals, merges on a worker's order, and gives its
//! bytes to readers; it never decides by itself what a day consists of.
//!
//! - `manifest`: the pure part: edits, and what they leave live.
//! - `store`: the day's files on the disk; `write`, `read`, `compact`, `replace`, `retire` are its verbs. `log`: durable logs.
//! - `aside`, `vanished`: days that do not verify, days whose directory is gone.
//! - `lease`: fencing tokens.
//! - `api`, `server`: what other nodes may ask.

pub mod api;
pub mod lease;
pub mod log;
pub mod manifest;
pub mod server;
pub mod store;

mod aside;
mod compact;
mod read;
mod replace;
mod retire;
mod vanished;
mod write;
