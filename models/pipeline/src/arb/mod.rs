//! Arb, the event store: append-only checksummed segments and a manifest per project and local day.
//!
//! One node of Arb is one disk. It appends what ingest sends, seals, merges when a worker orders it, and returns its
//! data to readers; it never decides by itself which files a day consists of.
//!
//! - `manifest`: the pure part: edits and the live set.
//! - `store`: the days of the disk, with operations in `recover` (at boot), `write`, `read`, `compact`, `replace` and
//!   `gc` (with `gc_queue`). `day_store`: one day. `segment`: segment files. `log`: durable logs.
//! - `scrub`: days that are read again before a comparison. `quarantine`, `missing_dirs`, `unreadable`: days that fail
//!   verification, days without their directory, and days that the device could not read at boot.
//! - `lease`: fencing tokens.
//! - `planted`: planted bugs that need more than a line.
//! - `api`, `write_call`, `server`: calls from other nodes.

pub mod api;
pub mod lease;
pub mod log;
pub mod manifest;
pub mod segment;
pub mod server;
pub mod store;
pub mod write_call;

mod compact;
mod day_store;
mod gc;
mod gc_queue;
mod missing_dirs;
mod planted;
mod quarantine;
mod read;
mod recover;
mod replace;
mod scrub;
mod unreadable;
mod write;
