//! Requests in the tee, as the oracle compares them: one per tee record, identified by its digest.

use super::tee::{self, Method, TeeRecord};
use super::{FileTail, ReadError, ReadErrorKind};
use crate::ledger::request_digest;
use crate::view::FileView;
use std::sync::Arc;

/// One request in the tee.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TeedRequest {
    /// Edge that received it.
    pub edge: u16,
    /// The edge's sequence number of the request.
    pub sequence: u64,
    /// Arrival time, by the edge's clock.
    pub arrived_ms: i64,
    /// Digest of the request, by [`crate::request_digest`].
    pub digest: u128,
}

/// Returns the digest of a record's request.
pub(crate) fn digest_of(record: &TeeRecord) -> u128 {
    request_digest(
        record.method == Method::Post,
        &record.target,
        record.headers.iter().map(|(name, value)| (&name[..], &value[..])),
        &record.body,
    )
}

/// Decodes the requests of a tee file, for the decode cache.
pub(crate) fn teed_requests(file: &FileView) -> Result<Arc<Vec<TeedRequest>>, ReadError> {
    let read = tee::read(file)?;
    // A torn object was uploaded torn: its file had to be truncated before.
    if let (true, FileTail::Torn { at }) = (file.path.starts_with("objects/"), read.tail) {
        return Err(ReadError { path: file.path.clone(), offset: at, kind: ReadErrorKind::TornSealedFile });
    }
    let teed = |record: &TeeRecord| TeedRequest {
        edge: read.edge,
        sequence: record.sequence,
        arrived_ms: record.arrived_ms,
        digest: digest_of(record),
    };
    Ok(Arc::new(read.records.iter().map(teed).collect()))
}
