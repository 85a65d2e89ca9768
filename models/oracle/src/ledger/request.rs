//! Requests as clients send them, and their events.

use crate::identity::{DedupKey, EventDigest, ProjectDay};

/// One event as a client sends it.
#[derive(Clone, Copy, Debug)]
pub struct SentEvent<'a> {
    /// JSON text as sent, byte for byte.
    pub json: &'a [u8],
    /// Event name.
    pub name: &'a str,
    /// `distinct_id` as text: a string's content, a number's JSON text, empty when absent.
    pub distinct_id: &'a str,
    /// `$insert_id`, if any.
    pub insert_id: Option<&'a str>,
    /// Event time in milliseconds since 1970; absent: the arrival counts.
    pub time_ms: Option<i64>,
}

/// One request as a client sends it. A retry is a separate request with the same events.
#[derive(Clone, Copy, Debug)]
pub struct ClientRequest<'a> {
    /// The client's request id, never reused.
    pub id: u64,
    /// Project of the request's token.
    pub project: u32,
    /// Time of sending, by the world's clock.
    pub sent_at_ms: i64,
    /// Digest of the request, by [`request_digest`]: the tee must hold it.
    pub digest: u128,
    /// Events, in the order sent.
    pub events: &'a [SentEvent<'a>],
}

/// Returns a digest of the parts of a request that a replay needs: method, path and query, body, and the headers that
/// determine how to read it. Both sides of the comparison use it: the client's request, and the tee's record of it.
#[must_use]
pub fn request_digest<'a>(
    is_post: bool,
    target: &[u8],
    headers: impl Iterator<Item = (&'a [u8], &'a [u8])>,
    body: &[u8],
) -> u128 {
    const NEEDED: [&[u8]; 3] = [b"authorization", b"content-encoding", b"content-type"];
    let mut needed: Vec<(Vec<u8>, &[u8])> = headers
        .map(|(name, value)| (name.to_ascii_lowercase(), value))
        .filter(|(name, _)| NEEDED.contains(&name.as_slice()))
        .collect();
    needed.sort();
    let mut hasher = blake3::Hasher::new();
    let mut part = |bytes: &[u8]| {
        hasher.update(&(bytes.len() as u64).to_le_bytes());
        hasher.update(bytes);
    };
    part(&[u8::from(is_post)]);
    part(target);
    for (name, value) in &needed {
        part(name);
        part(value);
    }
    part(body);
    crate::identity::truncate_to_128_bits(&hasher)
}

/// Identity of an event within a project-day.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum EventIdentity {
    /// Identified by its key.
    Keyed(DedupKey),
    /// Identified by its content alone.
    Anonymous(EventDigest),
}

impl std::fmt::Display for EventIdentity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            EventIdentity::Keyed(key) => key.fmt(f),
            EventIdentity::Anonymous(content) => write!(f, "content {content}"),
        }
    }
}

/// One event of one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EventId {
    /// Project number.
    pub project: u32,
    /// First and last day that it may belong to; equal unless it is floating.
    pub days: (i32, i32),
    /// Identity within the project-day.
    pub identity: EventIdentity,
}

impl EventId {
    pub(crate) fn is_floating(&self) -> bool {
        self.days.0 != self.days.1
    }

    /// Returns its day; the first of its days if it is floating.
    #[must_use]
    pub fn project_day(&self) -> ProjectDay {
        ProjectDay { project: self.project, day: self.days.0 }
    }
}
