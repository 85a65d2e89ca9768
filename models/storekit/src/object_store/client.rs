//! Object store client: one method per call, with retries.
//!
//! A call is retried as the client's [`StoreRetryPolicy`] says; without one it is tried once. The client trusts no
//! response: a body shorter than stated, or a listing that does not advance, is an error.

use super::protocol::{
    MAX_PAGE, ObjectError, ObjectInfo, ObjectRequest, ObjectResponse, StoreError, decode_object_response,
};
use super::retry_policy::{StoreRetryPolicy, TransientFailure, transient_failure};
use bytes::Bytes;
use latent_ports::{Clock, Env, Net, NodeId};
use std::time::Duration;

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
        let request = ObjectRequest::Get { key: key.to_owned(), range: None };
        match self.call(request, Bytes::new()).await? {
            (ObjectResponse::Bytes { total_bytes }, body) => {
                // A short read must not be mistaken for the end of the object.
                if body.len() as u64 == total_bytes {
                    return Ok(body);
                }
                let error = ObjectError::Unavailable(format!("{} bytes came of {total_bytes}", body.len()));
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
