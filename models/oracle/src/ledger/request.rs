//! Requests as clients send them, and the events in them.

use crate::identity::{DedupKey, EventDigest, ProjectDay};

/// One event as a client sends it.
#[derive(Clone, Copy, Debug)]
pub struct SentEvent<'a> {
    /// Its JSON text as it is sent, byte for byte.
    pub json: &'a [u8],
    /// Its name.
    pub name: &'a str,
    /// Its `distinct_id` as text: a string's content, a number's JSON text, empty when absent.
    pub distinct_id: &'a str,
    /// Its `$insert_id`.
    pub insert_id: Option<&'a str>,
    /// Its time in milliseconds since 1970; absent: its arrival counts.
    pub time_ms: Option<i64>,
}

/// One request as a client sends it. A retry is a request of its own, with the same events.
#[derive(Clone, Copy, Debug)]
pub struct ClientRequest<'a> {
    /// The client's number for the request, never used twice.
    pub id: u64,
    /// The project that its token stands for.
    pub project: u32,
    /// When it is sent, by the world's clock.
    pub sent_at_ms: i64,
    /// Digest of the request, by [`request_digest`]: the tee must hold it.
    pub digest: u128,
    /// Its events, in the order sent.
    pub events: &'a [SentEvent<'a>],
}

/// Digest of what a replay needs of a request: method, path and query, body, and those headers that say how to read
/// it. Both sides of the comparison come through here: the client's request, and the tee's record of it.
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

/// What an event is known by within a project's day.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum EventIdentity {
    /// By its key.
    Keyed(DedupKey),
    /// By nothing but its content.
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
    /// Its project.
    pub project: u32,
    /// The first and the last of the days it may belong to; equal unless it is floating.
    pub days: (i32, i32),
    /// What it is known by.
    pub identity: EventIdentity,
}

impl EventId {
    pub(crate) fn is_floating(&self) -> bool {
        self.days.0 != self.days.1
    }

    /// Its day; the first of its days if it is floating.
    #[must_use]
    pub fn project_day(&self) -> ProjectDay {
        ProjectDay { project: self.project, day: self.days.0 }
    }
}
