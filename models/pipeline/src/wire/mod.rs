//! Event API: decodes requests into events and encodes responses.
//!
//! Pure functions over bytes. The result depends only on a request's bytes and its arrival time, so a later replay
//! decodes it exactly as ingest did. Modelled: `/track` (raw JSON, form, base64, GET), `/import` (JSON array, NDJSON,
//! gzip), their limits and the shapes of their responses. Not modelled: profile updates, groups, `ip=1`, and other
//! parameters that do not affect which events are stored.
//!
//! An event is never re-serialized: it is stored as sent, without the white space between its tokens (see [`compact`]).
//!
//! All work beyond reading headers is bounded, and an import's credentials are checked before its body is read: a
//! request that will be refused must be cheap for ingest, and for audit and recovery, which decode it again.

mod event;
mod form;
mod key;
mod request;
mod response;
mod text;
mod time;

pub use event::{DecodedEvent, ItemError};
pub use form::{basic_user, query_value};
pub use key::key;
pub use request::decode;
pub use response::{StoreOutcome, error_response, response};
pub use text::{clip, compact};
pub use time::time_ms;

use bytes::Bytes;
use latent_storekit::http_message::{Headers, Method};

/// Maximum number of events in one request.
pub const MAX_EVENTS: usize = 2_000;
/// Maximum body size after decompression, in bytes (10 MB).
pub const MAX_BODY_BYTES: usize = 10 << 20;
/// Maximum number of gzip members in one body. Each costs some microseconds, even if empty. Tools that compress in
/// blocks of 64 KiB need 160 for the longest body.
pub const MAX_GZIP_MEMBERS: usize = 256;
/// Maximum compression ratio of a body that is longer than one event when decompressed.
pub const MAX_GZIP_RATIO: usize = 200;
/// Upper bound of an event's size, exclusive, in bytes (1 MB).
pub const MAX_EVENT_BYTES: usize = 1 << 20;
/// Upper bound of an event's number of properties, exclusive.
pub const MAX_PROPERTIES: usize = 255;
/// Maximum nesting of objects and arrays in a property's value, and in any other member's value.
pub const MAX_NESTING: usize = 3;
/// Maximum length of `$insert_id`, in bytes.
pub const MAX_INSERT_ID_BYTES: usize = 36;
/// Maximum length of an event name, in bytes.
pub const MAX_NAME_BYTES: usize = 255;
/// Maximum age of an event on arrival at `/track`, in milliseconds (5 days).
pub const TRACK_WINDOW_MS: i64 = 5 * 86_400_000;
/// Earliest event time that `/import` accepts, in Unix milliseconds: the start of 1971.
pub const IMPORT_FROM_MS: i64 = 31_536_000_000;
/// Maximum lead of an event's time over its arrival, in milliseconds (1 h), because clocks differ.
pub const MAX_AHEAD_MS: i64 = 3_600_000;

/// A request as an edge received it.
#[derive(Clone, Debug)]
pub struct RawRequest<'a> {
    /// GET or POST.
    pub method: Method,
    /// Path and query.
    pub target: &'a str,
    /// Headers, names in lower case.
    pub headers: &'a Headers,
    /// Body as received.
    pub body: Bytes,
    /// Arrival time at the edge, in Unix milliseconds. A replay passes the original time.
    pub arrived_ms: i64,
}

/// API of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Api {
    /// `/track`: all or nothing, answered `1` or `0`.
    Track {
        /// Whether the response contains an error message.
        verbose: bool,
    },
    /// `/import`: items fail individually.
    Import {
        /// `project_id`, if given.
        project: Option<u32>,
        /// Whether the response lists the failed items (the default). With `strict=0` it contains only a count, unless
        /// all items failed.
        strict: bool,
    },
}

/// A well-formed request; its items may be invalid.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DecodedRequest {
    /// API of the request.
    pub api: Api,
    /// Events in the order sent. Ingest may turn an item into an error (an unknown token) before it stores the events.
    pub items: Vec<Result<DecodedEvent, ItemError>>,
}

impl DecodedRequest {
    /// Returns the events to store. If one item of a `/track` request is invalid, none is stored: the client receives
    /// `0`.
    pub fn accepted(&self) -> impl Iterator<Item = &DecodedEvent> {
        let all_or_nothing = matches!(self.api, Api::Track { .. });
        let none = all_or_nothing && self.items.iter().any(Result::is_err);
        self.items.iter().filter_map(|item| item.as_ref().ok()).filter(move |_| !none)
    }

    /// Returns the invalid items.
    pub fn failed(&self) -> impl Iterator<Item = &ItemError> {
        self.items.iter().filter_map(|item| item.as_ref().err())
    }
}

/// Error of a request without usable events.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    /// The path is neither `/track` nor `/import`.
    #[error("no such path '{}': expected /track or /import", clip(.0))]
    UnknownPath(String),
    /// The path does not support the method.
    #[error("{method:?} {path}: expected {expected}")]
    Method {
        /// Method of the request.
        method: Method,
        /// Path of the request.
        path: &'static str,
        /// Methods that the path supports.
        expected: &'static str,
    },
    /// The credentials are missing or wrong.
    #[error("invalid credentials")]
    Unauthorized {
        /// API, which determines the shape of the response.
        api: Api,
    },
    /// The body is malformed.
    #[error("malformed request: {why}")]
    Malformed {
        /// API, which determines the shape of the response.
        api: Api,
        /// Description of the error.
        why: String,
    },
    /// Too many bytes or too many events.
    #[error("request too large: {why}; split it")]
    TooLarge {
        /// API, which determines the shape of the response.
        api: Api,
        /// Limit that is exceeded.
        why: String,
    },
}

#[cfg(test)]
mod tests;
