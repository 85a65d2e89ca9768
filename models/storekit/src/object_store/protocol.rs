//! Object store protocol: requests, responses and their encoding.
//!
//! Objects are atomic: an upload becomes visible as a whole or not at all, and replaces an older object with the same
//! key. The protocol has the error cases of a real store in a data center: listings are paged, a call may time out
//! after it took effect, and the store may throttle. Multi-part uploads are not modelled: an object travels as one
//! message body of at most [`MAX_OBJECT_BYTES`].

use crate::message::{MessageError, decode_head, encode_head, tag};
use bytes::Bytes;
use latent_ports::{Message, NetError};
use serde::{Deserialize, Serialize};

/// Maximum object size, in bytes.
pub const MAX_OBJECT_BYTES: usize = 1 << 30;

/// Maximum key length, in bytes.
pub const MAX_KEY_BYTES: usize = 512;

/// Maximum number of keys in one page of a listing.
pub const MAX_PAGE: u32 = 1_000;

/// Call to an object store.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ObjectRequest {
    /// Store the message's body under `key`. Answered with [`ObjectResponse::Done`] once durable.
    Put {
        /// Key of the object.
        key: String,
    },
    /// Read an object. Answered with [`ObjectResponse::Bytes`]; the message's body holds the bytes.
    Get {
        /// Key of the object.
        key: String,
        /// Part of the object to read. A range past the end returns the bytes that exist.
        range: Option<ByteRange>,
    },
    /// Read an object's metadata. Answered with [`ObjectResponse::Info`].
    Head {
        /// Key of the object.
        key: String,
    },
    /// List the keys that begin with `prefix` and sort after `after`, in order. Answered with [`ObjectResponse::Page`].
    List {
        /// Prefix of the keys; may be empty.
        prefix: String,
        /// Last key of the previous page; empty for the first page.
        after: String,
        /// Maximum number of keys; the store may return fewer.
        limit: u32,
    },
    /// Remove the object if it exists. Answered with [`ObjectResponse::Done`] once the removal is durable.
    Delete {
        /// Key of the object.
        key: String,
    },
}

/// Byte range of an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ByteRange {
    /// Offset of the first byte.
    pub offset: u64,
    /// Length, in bytes.
    pub len_bytes: u64,
}

/// Metadata of an object.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObjectInfo {
    /// Its key.
    pub key: String,
    /// Length, in bytes.
    pub bytes: u64,
}

/// Successful response of an object store.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ObjectResponse {
    /// The put or delete is durable.
    Done,
    /// The message's body holds the bytes.
    Bytes {
        /// Length of the whole object, in bytes.
        total_bytes: u64,
    },
    /// The object exists.
    Info(ObjectInfo),
    /// Page of a listing.
    Page {
        /// Objects, sorted by key.
        objects: Vec<ObjectInfo>,
        /// Whether more keys follow.
        more: bool,
    },
}

/// Error response of an object store.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum ObjectError {
    /// The key does not exist.
    #[error("no such object")]
    NotFound,
    /// Too many requests.
    #[error("throttled: ask again in {retry_after_ms} ms")]
    Throttled {
        /// Delay before the next attempt, in ms.
        retry_after_ms: u32,
    },
    /// Transient failure inside the store (5xx).
    #[error("the store failed: {0}; ask again")]
    Unavailable(String),
    /// The caller's credentials do not allow the call.
    #[error("denied: renew the credentials")]
    Denied,
    /// The store is full.
    #[error("no space left in the store")]
    NoSpace,
    /// The key or the request is malformed.
    #[error("bad request: {0}")]
    BadRequest(String),
}

/// Error of a call to an object store.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// No response. After a timeout the call may have taken effect.
    #[error(transparent)]
    Net(#[from] NetError),
    /// The store returned an error.
    #[error("object '{key}': {error}")]
    Object {
        /// Key of the object, or prefix of the listing.
        key: String,
        /// Error that the store returned.
        error: ObjectError,
    },
    /// The response could not be decoded.
    #[error("object '{key}': {error}")]
    Message {
        /// Key of the object, or prefix of the listing.
        key: String,
        /// Decoding error.
        error: MessageError,
    },
    /// The response does not match the request.
    #[error("object '{key}': the store answered another question; the two sides disagree about the protocol")]
    UnexpectedResponse {
        /// Key of the object, or prefix of the listing.
        key: String,
    },
    /// The bytes read back differ from the bytes put.
    #[error("object '{key}': read back {got_bytes} bytes that differ from the {put_bytes} put; put it again")]
    Mismatch {
        /// Key of the object.
        key: String,
        /// Number of bytes put.
        put_bytes: usize,
        /// Number of bytes read back.
        got_bytes: usize,
    },
}

impl StoreError {
    /// Whether the store reported that the object does not exist.
    #[must_use]
    pub fn is_not_found(&self) -> bool {
        matches!(self, StoreError::Object { error: ObjectError::NotFound, .. })
    }
}

impl ObjectRequest {
    /// Returns the key, or the prefix of a listing.
    #[must_use]
    pub fn key(&self) -> &str {
        match self {
            ObjectRequest::Put { key }
            | ObjectRequest::Get { key, .. }
            | ObjectRequest::Head { key }
            | ObjectRequest::Delete { key } => key,
            ObjectRequest::List { prefix, .. } => prefix,
        }
    }

    /// Encodes the call as a message. `body` is the object for a put and empty otherwise.
    #[must_use]
    pub fn to_message(&self, body: Bytes) -> Message {
        Message { head: encode_head(tag::OBJECTS, self), body }
    }

    /// Decodes a message to an object store.
    ///
    /// # Errors
    /// The head belongs to another service or does not decode.
    pub fn from_message(message: &Message) -> Result<ObjectRequest, MessageError> {
        decode_head(tag::OBJECTS, &message.head)
    }
}

/// Encodes the response to an [`ObjectRequest`]. `body` holds the bytes of a get and is empty otherwise.
#[must_use]
pub fn encode_object_response(answer: &Result<ObjectResponse, ObjectError>, body: Bytes) -> Message {
    Message { head: encode_head(tag::OBJECTS, answer), body }
}

/// Decodes a message from [`encode_object_response`].
///
/// # Errors
/// The head belongs to another service or does not decode.
pub fn decode_object_response(
    message: &Message,
) -> Result<Result<ObjectResponse, ObjectError>, MessageError> {
    decode_head(tag::OBJECTS, &message.head)
}

/// Checks a key: parts of `[A-Za-z0-9._-]` separated by slashes, none of them empty, `.` or `..`.
///
/// # Errors
/// [`ObjectError::BadRequest`], which names the key.
pub fn check_key(key: &str) -> Result<(), ObjectError> {
    let part_ok = |part: &str| {
        !matches!(part, "" | "." | "..")
            && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-'))
    };
    if key.len() <= MAX_KEY_BYTES && key.split('/').all(part_ok) {
        return Ok(());
    }
    Err(ObjectError::BadRequest(format!("key '{key}': expected parts of [A-Za-z0-9._-] between slashes")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_and_responses_round_trip() {
        let range = Some(ByteRange { offset: 5, len_bytes: 9 });
        let request = ObjectRequest::Get { key: "tee/1-2-3.tee".into(), range };
        assert_eq!(ObjectRequest::from_message(&request.to_message(Bytes::new())).unwrap(), request);
        let answer = Err(ObjectError::Throttled { retry_after_ms: 20 });
        assert_eq!(decode_object_response(&encode_object_response(&answer, Bytes::new())).unwrap(), answer);
    }

    #[test]
    fn keys_outside_the_store_are_rejected() {
        for good in ["tee/404497-1-7.tee", "segments/0af3", "a"] {
            assert_eq!(check_key(good), Ok(()), "{good}");
        }
        for bad in ["", "/a", "a/", "a//b", "../a", "a/./b", "a b", "ä", &"x".repeat(513)] {
            assert!(check_key(bad).is_err(), "{bad}");
        }
    }
}
