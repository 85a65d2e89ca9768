//! The raw copy of all traffic, taken before anything looks into it.
//!
//! A request is durable on this edge's disk and on one other edge's before it is forwarded. Files are hourly; a while
//! after the hour each of the two edges puts what it holds into the tee store, as an object of its own, reads it back,
//! and only then removes it: so each record is in two objects.
//!
//! - [`record`]: the bytes of a record and of a file.
//! - `writer`: this edge's own file, and the second copy's sending side.
//! - `peer`: what this edge asks of one other edge; `peers`: of all of them.
//! - `gaps`: requests that were let through although the tee lacked them.
//! - `copies`: the receiving side: what this edge keeps for others.
//! - [`merge`]: from several copies, damaged or not, the file that holds all that any of them holds.
//! - `upload`: files on their way to the tee store.
//! - [`object`]: what they are called there.

pub(crate) mod copies;
pub(crate) mod gaps;
pub mod merge;
pub mod object;
pub(crate) mod peer;
pub(crate) mod peers;
pub mod record;
pub(crate) mod upload;
pub(crate) mod writer;

pub use object::{TeeObject, Uploader};
pub use record::{TeeError, TeeFile, TeeName, TeeRecord};

/// Own files.
pub(crate) const OWN_DIR: &str = "tee";
/// Copies of other edges' files.
pub(crate) const PEER_DIR: &str = "tee-peer";
