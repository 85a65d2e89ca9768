//! The raw copy of all traffic, taken before anything looks into it.
//!
//! A request is durable here, on this edge's disk and on its peer's, before it is forwarded. Files are hourly; a
//! while after the hour they go to the tee store, are read back, and leave both edges.
//!
//! - [`record`]: the bytes of a record and of a file.
//! - `writer`: this edge's own file, and the second copy's sending side.
//! - `peer`: what this edge asks of its peer.
//! - `copies`: the receiving side: what this edge keeps for its peer.
//! - `merge`: from several copies, damaged or not, the file that holds all that any of them holds.
//! - `upload`: files on their way to the tee store.

pub(crate) mod copies;
pub(crate) mod merge;
pub(crate) mod peer;
pub mod record;
pub(crate) mod upload;
pub(crate) mod writer;

pub use record::{TeeError, TeeFile, TeeName, TeeRecord};

/// Own files.
pub(crate) const OWN_DIR: &str = "tee";
/// The peer's files.
pub(crate) const PEER_DIR: &str = "tee-peer";
