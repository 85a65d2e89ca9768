//! The object store's protocol, and a client for it.
//!
//! Objects are whole: an upload is visible entirely or not at all, and replaces an older object of its key. The
//! protocol has what a real store in a data center has, errors included: listings come in pages, a call may time
//! out after it took effect, and the store may throttle. It has no multi-part uploads: an object travels as one
//! message body of at most [`MAX_OBJECT_BYTES`].

use crate::message::{MessageError, decode_head, encode_head, tag};
pub use crate::patience::Patience;
use crate::patience::{Passing, passing};
use bytes::Bytes;
use latent_ports::{Clock, Env, Message, Net, NetError, NodeId};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// The longest object, in bytes.
pub const MAX_OBJECT_BYTES: usize = 1 << 30;

/// The longest key, in bytes.
pub const MAX_KEY_BYTES: usize = 512;

/// The most keys in one page of a listing.
pub const MAX_PAGE: u32 = 1_000;

/// What an object store is asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ObjectRequest {
    /// Keep the message's body under `key`; answered [`ObjectAnswer::Done`] once it is durable.
    Put {
        /// Where.
        key: String,
    },
    /// Answered [`ObjectAnswer::Bytes`], with the bytes as the message's body.
    Get {
        /// Which object.
        key: String,
        /// Only this part of it. Reaching past the end gives what there is.
        range: Option<ByteRange>,
    },
    /// Answered [`ObjectAnswer::Info`].
    Head {
        /// Which object.
        key: String,
    },
    /// Keys that begin with `prefix` and come after `after`, in order; answered [`ObjectAnswer::Page`].
    List {
        /// What the keys begin with; may be empty.
        prefix: String,
        /// The last key of the page before; empty for the first page.
        after: String,
        /// At most so many keys; the store may give fewer.
        limit: u32,
    },
    /// Remove the object, if it is there; answered [`ObjectAnswer::Done`] once that is durable.
    Delete {
        /// Which object.
        key: String,
    },
}

/// A part of an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ByteRange {
    /// Its first byte.
    pub offset: u64,
    /// Its length.
    pub len_bytes: u64,
}

/// What is known of an object without its bytes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObjectInfo {
    /// Its key.
    pub key: String,
    /// Its length.
    pub bytes: u64,
}

/// What an object store answers when it could do what it was asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ObjectAnswer {
    /// Put or deleted, durably.
    Done,
    /// The message's body holds what was asked for.
    Bytes {
        /// The whole object's length.
        total_bytes: u64,
    },
    /// The object exists.
    Info(ObjectInfo),
    /// A page of a listing.
    Page {
        /// Sorted by key.
        objects: Vec<ObjectInfo>,
        /// Whether there are keys after the last of these.
        more: bool,
    },
}

/// What an object store answers when it could not.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum ObjectError {
    /// No object has this key.
    #[error("no such object")]
    NotFound,
    /// Too many requests: ask again later.
    #[error("throttled: ask again in {retry_after_ms} ms")]
    Throttled {
        /// How much later.
        retry_after_ms: u32,
    },
    /// A passing failure inside the store (5xx).
    #[error("the store failed: {0}; ask again")]
    Unavailable(String),
    /// The credentials do not allow it.
    #[error("denied: renew the credentials")]
    Denied,
    /// The store is full.
    #[error("no space left in the store")]
    NoSpace,
    /// The key or the request is malformed.
    #[error("bad request: {0}")]
    BadRequest(String),
}

/// Why a call to an object store did not do what it was to do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// No answer. After a time-out the effect may have happened.
    #[error(transparent)]
    Net(#[from] NetError),
    /// The store said no.
    #[error("object '{key}': {error}")]
    Object {
        /// Which object, or the listing's prefix.
        key: String,
        /// Why not.
        error: ObjectError,
    },
    /// The answer could not be read, or was not one to this request.
    #[error("object '{key}': {error}")]
    Message {
        /// Which object, or the listing's prefix.
        key: String,
        /// What was wrong.
        error: MessageError,
    },
    /// The answer is one to another request.
    #[error("object '{key}': the store answered another question; the two sides disagree about the protocol")]
    OtherAnswer {
        /// Which object, or the listing's prefix.
        key: String,
    },
    /// What was read back is not what was put.
    #[error("object '{key}': read back {got_bytes} bytes that differ from the {put_bytes} put; put it again")]
    Mismatch {
        /// Which object.
        key: String,
        /// Length of what was put.
        put_bytes: usize,
        /// Length of what was read back.
        got_bytes: usize,
    },
}

impl StoreError {
    /// Whether the store said that there is no such object.
    #[must_use]
    pub fn is_not_found(&self) -> bool {
        matches!(self, StoreError::Object { error: ObjectError::NotFound, .. })
    }
}

impl ObjectRequest {
    /// The key, or the prefix of a listing.
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

    /// The message that asks this; `body` is the object for a put, empty otherwise.
    #[must_use]
    pub fn to_message(&self, body: Bytes) -> Message {
        Message { head: encode_head(tag::OBJECTS, self), body }
    }

    /// Reads a message to an object store.
    ///
    /// # Errors
    /// When the head is of another service or does not decode.
    pub fn from_message(message: &Message) -> Result<ObjectRequest, MessageError> {
        decode_head(tag::OBJECTS, &message.head)
    }
}

/// The message that answers an [`ObjectRequest`]; `body` holds the bytes of a get, and is empty otherwise.
#[must_use]
pub fn answer_to_message(answer: &Result<ObjectAnswer, ObjectError>, body: Bytes) -> Message {
    Message { head: encode_head(tag::OBJECTS, answer), body }
}

/// Reads what [`answer_to_message`] wrote.
///
/// # Errors
/// When the head is of another service or does not decode.
pub fn answer_from_message(message: &Message) -> Result<Result<ObjectAnswer, ObjectError>, MessageError> {
    decode_head(tag::OBJECTS, &message.head)
}

/// Whether `key` may name an object: parts of `[A-Za-z0-9._-]`, neither empty nor `.` nor `..`, between slashes.
///
/// # Errors
/// [`ObjectError::BadRequest`] that names the key.
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

/// An object store as a client reaches it.
#[derive(Clone)]
pub struct ObjectStore<E> {
    env: E,
    node: NodeId,
    timeout: Duration,
    patience: Patience,
}

impl<E: Env> ObjectStore<E> {
    /// The store on `node`; each call waits at most `timeout`, and is made once: see [`ObjectStore::patient`].
    #[must_use]
    pub fn new(env: E, node: NodeId, timeout: Duration) -> ObjectStore<E> {
        ObjectStore { env, node, timeout, patience: Patience::NONE }
    }

    /// The same store, called again when it fails in a way that may pass. Callers know how much is worth it.
    #[must_use]
    pub fn patient(self, patience: Patience) -> ObjectStore<E> {
        ObjectStore { patience, ..self }
    }

    /// The store's node.
    #[must_use]
    pub fn node(&self) -> NodeId {
        self.node
    }

    async fn ask(&self, request: ObjectRequest, body: Bytes) -> Result<(ObjectAnswer, Bytes), StoreError> {
        let (mut failed, mut silent) = (0, 0);
        loop {
            let error = match self.ask_once(&request, body.clone()).await {
                Ok(done) => return Ok(done),
                Err(error) => error,
            };
            let Some(passing) = passing(&error) else { return Err(error) };
            failed += 1;
            silent += u32::from(matches!(passing, Passing::Silent));
            let Some(pause) = self.patience.pause(failed, silent, &passing) else { return Err(error) };
            self.env.clock().sleep(pause).await;
        }
    }

    async fn ask_once(
        &self,
        request: &ObjectRequest,
        body: Bytes,
    ) -> Result<(ObjectAnswer, Bytes), StoreError> {
        let message = request.to_message(body);
        let answer = self.env.net().call(self.node, message, self.timeout).await?;
        match answer_from_message(&answer) {
            Ok(Ok(done)) => Ok((done, answer.body)),
            Ok(Err(error)) => Err(StoreError::Object { key: request.key().to_owned(), error }),
            Err(error) => Err(StoreError::Message { key: request.key().to_owned(), error }),
        }
    }

    /// Keeps `body` under `key`. Durable when this returns, if the store is honest: see [`ObjectStore::put_verified`].
    ///
    /// # Errors
    /// When the store did not confirm it. After a time-out the object may be there.
    pub async fn put(&self, key: &str, body: Bytes) -> Result<(), StoreError> {
        match self.ask(ObjectRequest::Put { key: key.to_owned() }, body).await? {
            (ObjectAnswer::Done, _) => Ok(()),
            _ => Err(StoreError::OtherAnswer { key: key.to_owned() }),
        }
    }

    /// Keeps `body` under `key`, reads it back and compares every byte.
    ///
    /// # Errors
    /// When the store did not confirm it, could not be read, or gave other bytes.
    pub async fn put_verified(&self, key: &str, body: Bytes) -> Result<(), StoreError> {
        self.put(key, body.clone()).await?;
        let back = self.get(key).await?;
        if back == body {
            return Ok(());
        }
        Err(StoreError::Mismatch { key: key.to_owned(), put_bytes: body.len(), got_bytes: back.len() })
    }

    /// The whole object.
    ///
    /// # Errors
    /// When there is none ([`StoreError::is_not_found`]) or the store gave no answer.
    pub async fn get(&self, key: &str) -> Result<Bytes, StoreError> {
        self.get_part(key, None).await
    }

    /// `len_bytes` of the object from `offset`; fewer only at its end.
    ///
    /// # Errors
    /// As [`ObjectStore::get`].
    pub async fn get_range(&self, key: &str, offset: u64, len_bytes: u64) -> Result<Bytes, StoreError> {
        self.get_part(key, Some(ByteRange { offset, len_bytes })).await
    }

    async fn get_part(&self, key: &str, range: Option<ByteRange>) -> Result<Bytes, StoreError> {
        match self.ask(ObjectRequest::Get { key: key.to_owned(), range }, Bytes::new()).await? {
            (ObjectAnswer::Bytes { total_bytes }, body) => {
                // A short read must not pass for the object's end.
                let wanted = range.map_or(total_bytes, |range| {
                    total_bytes.saturating_sub(range.offset).min(range.len_bytes)
                });
                if body.len() as u64 == wanted {
                    return Ok(body);
                }
                let error = ObjectError::Unavailable(format!("{} bytes came of {wanted}", body.len()));
                Err(StoreError::Object { key: key.to_owned(), error })
            }
            _ => Err(StoreError::OtherAnswer { key: key.to_owned() }),
        }
    }

    /// The object's length; `None` when there is no such object.
    ///
    /// # Errors
    /// When the store gave no answer.
    pub async fn head(&self, key: &str) -> Result<Option<ObjectInfo>, StoreError> {
        match self.ask(ObjectRequest::Head { key: key.to_owned() }, Bytes::new()).await {
            Ok((ObjectAnswer::Info(info), _)) => Ok(Some(info)),
            Ok(_) => Err(StoreError::OtherAnswer { key: key.to_owned() }),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// One page of the keys that begin with `prefix`, after `after` (empty: from the first), and whether there
    /// are more.
    ///
    /// # Errors
    /// When the store gave no answer.
    pub async fn list_page(&self, prefix: &str, after: &str) -> Result<(Vec<ObjectInfo>, bool), StoreError> {
        let request =
            ObjectRequest::List { prefix: prefix.to_owned(), after: after.to_owned(), limit: MAX_PAGE };
        match self.ask(request, Bytes::new()).await? {
            (ObjectAnswer::Page { objects, more }, _) => Ok((objects, more)),
            _ => Err(StoreError::OtherAnswer { key: prefix.to_owned() }),
        }
    }

    /// All objects whose keys begin with `prefix`, sorted by key, page by page.
    ///
    /// # Errors
    /// When a page could not be had, or a page claims that more follow and names none.
    pub async fn list(&self, prefix: &str) -> Result<Vec<ObjectInfo>, StoreError> {
        let mut all: Vec<ObjectInfo> = Vec::new();
        loop {
            let after = all.last().map_or("", |info| &info.key);
            let (page, more) = self.list_page(prefix, after).await?;
            if more && page.last().is_none_or(|last| last.key.as_str() <= after) {
                return Err(StoreError::OtherAnswer { key: prefix.to_owned() });
            }
            all.extend(page);
            if !more {
                return Ok(all);
            }
        }
    }

    /// Removes the object, if it is there.
    ///
    /// # Errors
    /// When the store did not confirm it. After a time-out it may be gone.
    pub async fn delete(&self, key: &str) -> Result<(), StoreError> {
        match self.ask(ObjectRequest::Delete { key: key.to_owned() }, Bytes::new()).await? {
            (ObjectAnswer::Done, _) => Ok(()),
            _ => Err(StoreError::OtherAnswer { key: key.to_owned() }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_and_answers_are_read_as_they_were_written() {
        let range = Some(ByteRange { offset: 5, len_bytes: 9 });
        let request = ObjectRequest::Get { key: "tee/1-2-3.tee".into(), range };
        assert_eq!(ObjectRequest::from_message(&request.to_message(Bytes::new())).unwrap(), request);
        let answer = Err(ObjectError::Throttled { retry_after_ms: 20 });
        assert_eq!(answer_from_message(&answer_to_message(&answer, Bytes::new())).unwrap(), answer);
    }

    #[test]
    fn keys_stay_inside_the_store() {
        for good in ["tee/404497-1-7.tee", "segments/0af3", "a"] {
            assert_eq!(check_key(good), Ok(()), "{good}");
        }
        for bad in ["", "/a", "a/", "a//b", "../a", "a/./b", "a b", "ä", &"x".repeat(513)] {
            assert!(check_key(bad).is_err(), "{bad}");
        }
    }
}
