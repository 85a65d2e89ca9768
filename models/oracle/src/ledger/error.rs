//! Errors of the ledger.

use crate::day::ZoneError;

/// Misuse of the ledger: an error of the harness, never of the system.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LedgerError {
    /// An answer to a request that was not sent, or was answered before.
    #[error("request {0} is not in flight: record each request once, and each answer once")]
    NotInFlight(u64),
    /// A request id that was used before.
    #[error("request {0} is already in flight: give each request a new id, retries too")]
    DuplicateId(u64),
    /// An answer that rejects an item that the request does not have.
    #[error("request {request} has {items} items, its answer rejects item {item}")]
    NoSuchItem {
        /// The request.
        request: u64,
        /// The item, from 0.
        item: u32,
        /// Number of items of the request.
        items: usize,
    },
    /// The project has no zones.
    #[error(transparent)]
    Zone(#[from] ZoneError),
}
