//! Ingest: decodes requests, writes their events to all copies, and acknowledges when enough disks hold them.
//!
//! - `classify`: converts a raw request to records (pure).
//! - `replicate`: writes to all disks and applies the acknowledgement rule.
//! - `hints`: hinted hand-off for disks that did not accept a write.
//! - `planted`: steps of planted bugs that take more than a line.
//! - `server`: the node.

pub mod classify;
pub mod hints;
mod planted;
pub mod replicate;
pub mod server;
