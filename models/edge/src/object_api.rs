//! Object store protocol and client.
//!
//! Objects are atomic: an upload becomes visible as a whole or not at all, and replaces an older object with the same
//! key. The protocol has the error cases of a real store in a data center: listings are paged, a call may time out
//! after it took effect, and the store may throttle. Multi-part uploads are not modelled: an object travels as one
//! message body of at most [`MAX_OBJECT_BYTES`].

use crate::message::{MessageError, decode_head, encode_head, tag};
pub use crate::retry_policy::StoreRetryPolicy;
use crate::retry_policy::{TransientFailure, transient_failure};
use bytes::Bytes;
use latent_ports::{Clock, Env, Message, Net, NetError, NodeId};
use serde::{Deserialize, Serialize};
use std::time::Duration;

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

/// Client of an object store.
#[derive(Clone)]
pub struct ObjectStore<E> {
    env: E,
    node: NodeId,
    timeout: Duration,
    retry_policy: StoreRetryPolicy,
}

impl<E: Env> ObjectStore<E> {
    /// Creates a client of the store on `node`. Each call waits at most `timeout` and is not retried; see
    /// [`ObjectStore::with_retries`].
    #[must_use]
    pub fn new(env: E, node: NodeId, timeout: Duration) -> ObjectStore<E> {
        ObjectStore { env, node, timeout, retry_policy: StoreRetryPolicy::NONE }
    }

    /// Returns a client that retries transient failures. The caller chooses a policy that suits its task.
    #[must_use]
    pub fn with_retries(self, retry_policy: StoreRetryPolicy) -> ObjectStore<E> {
        ObjectStore { retry_policy, ..self }
    }

    /// Returns the store's node.
    #[must_use]
    pub fn node(&self) -> NodeId {
        self.node
    }

    async fn call(&self, request: ObjectRequest, body: Bytes) -> Result<(ObjectResponse, Bytes), StoreError> {
        let (mut failed, mut timeouts) = (0, 0);
        loop {
            let error = match self.call_once(&request, body.clone()).await {
                Ok(done) => return Ok(done),
                Err(error) => error,
            };
            let Some(failure) = transient_failure(&error) else { return Err(error) };
            failed += 1;
            timeouts += u32::from(matches!(failure, TransientFailure::NoResponse));
            let Some(pause) = self.retry_policy.backoff(failed, timeouts, &failure) else {
                return Err(error);
            };
            self.env.clock().sleep(pause).await;
        }
    }

    async fn call_once(
        &self,
        request: &ObjectRequest,
        body: Bytes,
    ) -> Result<(ObjectResponse, Bytes), StoreError> {
        let message = request.to_message(body);
        let answer = self.env.net().call(self.node, message, self.timeout).await?;
        match decode_object_response(&answer) {
            Ok(Ok(done)) => Ok((done, answer.body)),
            Ok(Err(error)) => Err(StoreError::Object { key: request.key().to_owned(), error }),
            Err(error) => Err(StoreError::Message { key: request.key().to_owned(), error }),
        }
    }

    /// Stores `body` under `key`. The object is durable on return if the store is correct; see
    /// [`ObjectStore::put_verified`].
    ///
    /// # Errors
    /// The store did not confirm the put. After a timeout the object may exist.
    pub async fn put(&self, key: &str, body: Bytes) -> Result<(), StoreError> {
        match self.call(ObjectRequest::Put { key: key.to_owned() }, body).await? {
            (ObjectResponse::Done, _) => Ok(()),
            _ => Err(StoreError::UnexpectedResponse { key: key.to_owned() }),
        }
    }

    /// Stores `body` under `key`, reads it back and compares every byte.
    ///
    /// # Errors
    /// The store did not confirm the put, could not be read, or returned other bytes.
    pub async fn put_verified(&self, key: &str, body: Bytes) -> Result<(), StoreError> {
        self.put(key, body.clone()).await?;
        let back = self.get(key).await?;
        if back == body {
            return Ok(());
        }
        Err(StoreError::Mismatch { key: key.to_owned(), put_bytes: body.len(), got_bytes: back.len() })
    }

    /// Reads a whole object.
    ///
    /// # Errors
    /// The object does not exist ([`StoreError::is_not_found`]) or the store did not respond.
    pub async fn get(&self, key: &str) -> Result<Bytes, StoreError> {
        self.get_bytes(key, None).await
    }

    /// Reads `len_bytes` of the object from `offset`. Returns fewer bytes only at the end of the object.
    ///
    /// # Errors
    /// See [`ObjectStore::get`].
    pub async fn get_range(&self, key: &str, offset: u64, len_bytes: u64) -> Result<Bytes, StoreError> {
        self.get_bytes(key, Some(ByteRange { offset, len_bytes })).await
    }

    async fn get_bytes(&self, key: &str, range: Option<ByteRange>) -> Result<Bytes, StoreError> {
        match self.call(ObjectRequest::Get { key: key.to_owned(), range }, Bytes::new()).await? {
            (ObjectResponse::Bytes { total_bytes }, body) => {
                // A short read must not be mistaken for the end of the object.
                let wanted = range.map_or(total_bytes, |range| {
                    total_bytes.saturating_sub(range.offset).min(range.len_bytes)
                });
                if body.len() as u64 == wanted {
                    return Ok(body);
                }
                let error = ObjectError::Unavailable(format!("{} bytes came of {wanted}", body.len()));
                Err(StoreError::Object { key: key.to_owned(), error })
            }
            _ => Err(StoreError::UnexpectedResponse { key: key.to_owned() }),
        }
    }

    /// Returns an object's metadata; `None` when it does not exist.
    ///
    /// # Errors
    /// The store did not respond.
    pub async fn head(&self, key: &str) -> Result<Option<ObjectInfo>, StoreError> {
        match self.call(ObjectRequest::Head { key: key.to_owned() }, Bytes::new()).await {
            Ok((ObjectResponse::Info(info), _)) => Ok(Some(info)),
            Ok(_) => Err(StoreError::UnexpectedResponse { key: key.to_owned() }),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Returns one page of the keys that begin with `prefix` and sort after `after` (empty: from the first key), and
    /// whether more follow.
    ///
    /// # Errors
    /// The store did not respond.
    pub async fn list_page(&self, prefix: &str, after: &str) -> Result<(Vec<ObjectInfo>, bool), StoreError> {
        let request =
            ObjectRequest::List { prefix: prefix.to_owned(), after: after.to_owned(), limit: MAX_PAGE };
        match self.call(request, Bytes::new()).await? {
            (ObjectResponse::Page { objects, more }, _) => Ok((objects, more)),
            _ => Err(StoreError::UnexpectedResponse { key: prefix.to_owned() }),
        }
    }

    /// Returns all objects whose keys begin with `prefix`, sorted by key.
    ///
    /// # Errors
    /// A page could not be read, or a page claims that more follow but does not advance.
    pub async fn list(&self, prefix: &str) -> Result<Vec<ObjectInfo>, StoreError> {
        let mut all: Vec<ObjectInfo> = Vec::new();
        loop {
            let after = all.last().map_or("", |info| &info.key);
            let (page, more) = self.list_page(prefix, after).await?;
            if more && page.last().is_none_or(|last| last.key.as_str() <= after) {
                return Err(StoreError::UnexpectedResponse { key: prefix.to_owned() });
            }
            all.extend(page);
            if !more {
                return Ok(all);
            }
        }
    }

    /// Removes an object if it exists.
    ///
    /// # Errors
    /// The store did not confirm the removal. After a timeout the object may be gone.
    pub async fn delete(&self, key: &str) -> Result<(), StoreError> {
        match self.call(ObjectRequest::Delete { key: key.to_owned() }, Bytes::new()).await? {
            (ObjectResponse::Done, _) => Ok(()),
            _ => Err(StoreError::UnexpectedResponse { key: key.to_owned() }),
        }
    }
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
