//! Raw copy of all traffic, taken before any other processing.
//!
//! A request is durable on this edge's disk and on one other edge's disk before it is forwarded. Files are hourly. Some
//! time after the hour, each of the two edges uploads its copy to the tee store as an object of its own, reads it back,
//! and only then removes the local file. So each record is in two objects.
//!
//! - [`record`]: format of records and files.
//! - `writer`: this edge's own file, and the sending side of the second copy.
//! - `peer`: client of one other edge; `peers`: client of all other edges.
//! - `gaps`: requests that were forwarded although the tee lacked them.
//! - `peer_copies`: the receiving side, copies of other edges' files.
//! - [`merge`]: merges damaged copies.
//! - `upload_queue`: files that are waiting for upload.
//! - `upload`: upload of files to the tee store.
//! - [`object`]: object names in the tee store.
//! - [`calls`]: messages between edges about tee files.

pub mod calls;
pub(crate) mod gaps;
pub mod merge;
pub mod object;
pub(crate) mod peer;
pub(crate) mod peer_copies;
pub(crate) mod peers;
pub mod record;
pub(crate) mod upload;
pub(crate) mod upload_queue;
pub(crate) mod writer;

pub use object::{ObjectWriter, TeeObject};
pub use record::{TeeError, TeeFile, TeeName, TeeRecord};

/// Directory of this edge's own files.
pub(crate) const OWN_DIR: &str = "tee";
/// Directory of copies of other edges' files.
pub(crate) const PEER_DIR: &str = "tee-peer";
