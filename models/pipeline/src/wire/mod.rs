//! The event API as its clients speak it: requests into events, outcomes into answers.
//!
//! Pure functions over bytes. A request's meaning depends on its bytes and its arrival time alone, so a replay
//! days later decodes it exactly as ingest did. Modelled: `/track` (raw JSON, form, base64, GET), `/import` (JSON
//! array, NDJSON, gzip), their limits and the shapes of their answers. Not modelled: profile updates, groups,
//! `ip=1`, and other parameters that do not change which events are stored.
//!
//! An event's text is never printed again: what is stored is the event as sent, without the white space between its
//! tokens (see [`compact`]).
//!
//! Everything that costs more than reading headers is bounded, and an import's credentials are looked at before its
//! body is: a request that will be refused must be cheap, for ingest, and for audit and recovery, which decode it
//! again.

mod answer;
mod event;
mod form;
mod key;
mod request;
mod text;
mod time;

pub use answer::{Outcome, answer, refuse};
pub use event::{DecodedEvent, ItemError};
pub use form::{basic_user, query_value};
pub use key::key;
pub use request::decode;
pub use text::{clip, compact};
pub use time::time_ms;

use bytes::Bytes;
use latent_edge::message::{Headers, Method};

/// The most events in one request.
pub const MAX_EVENTS: usize = 2_000;
/// The longest body after decompression, in bytes (10 MB).
pub const MAX_BODY_BYTES: usize = 10 << 20;
/// The most gzip members in one body. Each costs some microseconds, be it empty; tools that cut what they compress into
/// blocks of 64 KiB need 160 for the longest body.
pub const MAX_GZIP_MEMBERS: usize = 256;
/// A body that is longer than one event decompressed may be so many times as long as it was compressed.
pub const MAX_GZIP_RATIO: usize = 200;
/// An event's text is shorter than this, in bytes (1 MB).
pub const MAX_EVENT_BYTES: usize = 1 << 20;
/// An event has fewer properties than this.
pub const MAX_PROPERTIES: usize = 255;
/// Objects and arrays go this deep inside a property's value, and inside any other member's.
pub const MAX_NESTING: usize = 3;
/// The longest `$insert_id`, in bytes.
pub const MAX_INSERT_ID_BYTES: usize = 36;
/// The longest event name, in bytes.
pub const MAX_NAME_BYTES: usize = 255;
/// `/track` takes events no older than this when they arrive, in milliseconds (5 days).
pub const TRACK_WINDOW_MS: i64 = 5 * 86_400_000;
/// `/import` takes events from the start of 1971, in Unix milliseconds.
pub const IMPORT_FROM_MS: i64 = 31_536_000_000;
/// An event may be this far ahead of its arrival, in milliseconds (1 h): clocks differ.
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
    /// The body as received.
    pub body: Bytes,
    /// When it arrived at the edge, in Unix milliseconds. A replay gives the original time.
    pub arrived_ms: i64,
}

/// Which API a request used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Api {
    /// `/track`: all or nothing, answered `1` or `0`.
    Track {
        /// Answer with a reason.
        verbose: bool,
    },
    /// `/import`: items fail one by one.
    Import {
        /// `project_id`, if it was given.
        project: Option<u32>,
        /// Say which items failed (the default). With `strict=0` only the count tells, unless all of them failed.
        strict: bool,
    },
}

/// A request whose form was right; its items may still be wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decoded {
    /// Which API.
    pub api: Api,
    /// The events in the order sent. Ingest may turn an item into an error (an unknown token) before it stores.
    pub items: Vec<Result<DecodedEvent, ItemError>>,
}

impl Decoded {
    /// The events to store. None at all when one item of a `/track` request is wrong: its client is told `0`, and
    /// what was rejected must not be stored.
    pub fn accepted(&self) -> impl Iterator<Item = &DecodedEvent> {
        let all_or_nothing = matches!(self.api, Api::Track { .. });
        let none = all_or_nothing && self.items.iter().any(Result::is_err);
        self.items.iter().filter_map(|item| item.as_ref().ok()).filter(move |_| !none)
    }

    /// The items that are wrong.
    pub fn failed(&self) -> impl Iterator<Item = &ItemError> {
        self.items.iter().filter_map(|item| item.as_ref().err())
    }
}

/// Why a request holds no events at all.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    /// Neither `/track` nor `/import`.
    #[error("no such path '{}': expected /track or /import", clip(.0))]
    UnknownPath(String),
    /// The path does not take the method.
    #[error("{method:?} {path}: expected {expected}")]
    Method {
        /// What was used.
        method: Method,
        /// On which path.
        path: &'static str,
        /// What the path takes.
        expected: &'static str,
    },
    /// The credentials are missing or wrong.
    #[error("invalid credentials")]
    Unauthorized {
        /// Which API, for the shape of the answer.
        api: Api,
    },
    /// The body is not what the API takes.
    #[error("malformed request: {why}")]
    Malformed {
        /// Which API, for the shape of the answer.
        api: Api,
        /// What is wrong with it.
        why: String,
    },
    /// Too many bytes or too many events.
    #[error("request too large: {why}; split it")]
    TooLarge {
        /// Which API, for the shape of the answer.
        api: Api,
        /// What is too large.
        why: String,
    },
}

#[cfg(test)]
mod tests;
