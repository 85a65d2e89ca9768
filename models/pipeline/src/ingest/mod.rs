//! Ingest: decodes requests, writes their events to all copies, acknowledges when enough disks hold them.
//!
//! - `events`: from a raw request to records (pure).
//! - `copies`: writing to all disks; the acknowledgement rule.
//! - `hints`: hand-offs for disks that did not take a write.
//! - `server`: the node.

pub mod copies;
pub mod events;
pub mod hints;
pub mod server;
