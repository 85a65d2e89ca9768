//! Object store of a data center or of the tee: objects as files on its own disk.
//!
//! Models one node with correct storage: an object is durable when `Put` is answered, is replaced atomically, and
//! listings are paged. Copies inside a data center are not modelled; the scenario has two data centers instead. Every
//! call passes the interceptor (see `access`): permissions are enforced here, while injected faults come from outside.
//! Changes of one object are serialized.

mod files;

use crate::access::{AccessPolicy, AlteredPut, InjectedResult, Interceptor, NoInterceptor, Permission};
use crate::marks;
use crate::release::{Bug, Release};
use bytes::Bytes;
use files::{ObjectFiles, path};
use latent_ports::{
    Clock, Disk, DiskError, DiskErrorKind, Env, Mark, Message, Net, NodeId, OpenMode, Request, read_full,
};
use latent_storekit::object_store::{
    ObjectError, ObjectInfo, ObjectRequest, ObjectResponse, check_key, encode_object_response,
};
use std::collections::BTreeMap;

use std::sync::{Arc, Mutex as StdMutex, PoisonError};
use std::time::Duration;
use tokio::sync::Mutex;

const MAX_CONCURRENT_CALLS: usize = 256;
const BOOT_RETRY_INTERVAL: Duration = Duration::from_secs(60);

/// Delay of a lost response, longer than any caller waits.
const LOST_RESPONSE_DELAY: Duration = Duration::from_secs(15 * 60);

/// Prefix of the objects that a planted bug receives in place: the segments of backups, the largest of all.
const IN_PLACE: &str = "segments/";

/// Boots an object store that grants everything to every node.
pub async fn run<E: Env>(env: E) {
    serve(env, AccessPolicy::allow_all(), NoInterceptor).await;
}

/// Boots an object store of the release without planted bugs; see [`serve_release`].
pub async fn serve<E: Env>(env: E, access: AccessPolicy, interceptor: impl Interceptor) {
    serve_release(env, Arc::new(Release::good()), access, interceptor).await;
}

/// Boots an object store: recovers, then serves the nodes that `access` allows, through `interceptor`, until the node
/// dies.
pub async fn serve_release<E: Env>(
    env: E,
    release: Arc<Release>,
    access: AccessPolicy,
    interceptor: impl Interceptor,
) {
    let interceptor = Arc::new((access, interceptor));
    let objects = loop {
        match ObjectFiles::recover(env.clone(), release.clone()).await {
            Ok(objects) => break Arc::new(objects),
            Err(error) => {
                env.mark(Mark { name: marks::OBJECTS_BOOT_FAILED, subject: &error.to_string() });
                env.clock().sleep(BOOT_RETRY_INTERVAL).await;
            }
        }
    };
    let handler = move |request| handle(objects.clone(), interceptor.clone(), request);
    env.net().serve(MAX_CONCURRENT_CALLS, handler).await;
}

async fn handle<E: Env, D: Interceptor>(
    objects: Arc<ObjectFiles<E>>,
    interceptor: Arc<(AccessPolicy, D)>,
    request: Request,
) -> Message {
    let response = match ObjectRequest::from_message(&request.message) {
        Ok(call) => {
            admit(&objects, &interceptor.0, &interceptor.1, request.from, call, request.message.body).await
        }
        Err(error) => Err(ObjectError::BadRequest(error.to_string())),
    };
    match response {
        Ok((response, body)) => encode_object_response(&Ok(response), body),
        Err(error) => encode_object_response(&Err(error), Bytes::new()),
    }
}

/// Handles a call as far as injected faults and permissions allow.
async fn admit<E: Env, D: Interceptor>(
    objects: &ObjectFiles<E>,
    access: &AccessPolicy,
    interceptor: &D,
    from: NodeId,
    call: ObjectRequest,
    body: Bytes,
) -> Result<(ObjectResponse, Bytes), ObjectError> {
    let caller = Caller { from, access, interceptor };
    match interceptor.intercept(from, &call, &body) {
        InjectedResult::Normal => objects.execute(&caller, call, body).await,
        InjectedResult::Unavailable => Err(ObjectError::Unavailable("503".to_owned())),
        InjectedResult::Throttled { retry_after_ms } => Err(ObjectError::Throttled { retry_after_ms }),
        InjectedResult::Denied => Err(ObjectError::Denied),
        InjectedResult::ResponseLost => {
            let response = objects.execute(&caller, call, body).await;
            objects.env.clock().sleep(LOST_RESPONSE_DELAY).await;
            response
        }
        InjectedResult::UploadTruncated => {
            match &call {
                ObjectRequest::Put { key } if objects.release.has(Bug::PartialUploadComplete) => {
                    objects.receive_in_place(key, body).await
                }
                _ => objects.write_partial(body).await,
            }
            .map_err(disk_error)?;
            Err(ObjectError::Unavailable("the upload broke off".to_owned()))
        }
        InjectedResult::PutAltered(AlteredPut::Nothing) => Ok((ObjectResponse::Done, Bytes::new())),
        InjectedResult::PutAltered(keeps) => objects.execute(&caller, call, altered(&body, keeps)).await,
        InjectedResult::ShortPages { keys } => {
            let call = match call {
                ObjectRequest::List { prefix, after, limit } => {
                    ObjectRequest::List { prefix, after, limit: limit.min(keys.max(1)) }
                }
                other => other,
            };
            objects.execute(&caller, call, body).await
        }
    }
}

/// Returns what a store keeps of an upload that it confirms.
fn altered(body: &Bytes, keeps: AlteredPut) -> Bytes {
    match keeps {
        AlteredPut::Half => body.slice(..body.len() / 2),
        AlteredPut::OtherBytes => body.iter().map(|byte| !byte).collect(),
        AlteredPut::Nothing => Bytes::new(),
    }
}

/// Caller of the current call, and its permissions.
struct Caller<'a, D> {
    from: NodeId,
    access: &'a AccessPolicy,
    interceptor: &'a D,
}

impl<D: Interceptor> Caller<'_, D> {
    fn require(&self, permission: Permission) -> Result<(), ObjectError> {
        if self.access.allows(self.from, permission) { Ok(()) } else { Err(ObjectError::Denied) }
    }
}

impl<E: Env> ObjectFiles<E> {
    async fn execute<D: Interceptor>(
        &self,
        caller: &Caller<'_, D>,
        call: ObjectRequest,
        body: Bytes,
    ) -> Result<(ObjectResponse, Bytes), ObjectError> {
        match call {
            ObjectRequest::Put { .. } | ObjectRequest::Delete { .. } => {}
            _ => caller.require(Permission::Read)?,
        }
        self.sync_pending_dirs().await.map_err(disk_error)?;
        match call {
            ObjectRequest::Put { key } => {
                check_key(&key)?;
                self.put_as(caller, &key, body).await?;
                Ok((ObjectResponse::Done, Bytes::new()))
            }
            ObjectRequest::Get { key, range } => {
                let total_bytes = self.length(&key).await?;
                let (offset, len) = range.map_or((0, total_bytes), |range| (range.offset, range.len_bytes));
                let len = len.min(total_bytes.saturating_sub(offset));
                let file = self.env.disk().open(&path(&key), OpenMode::Read).await.map_err(disk_error)?;
                let bytes = read_full(&file, offset, len).await.map_err(disk_error)?;
                Ok((ObjectResponse::Bytes { total_bytes }, bytes))
            }
            ObjectRequest::Head { key } => {
                let bytes = self.length(&key).await?;
                Ok((ObjectResponse::Info(ObjectInfo { key, bytes }), Bytes::new()))
            }
            ObjectRequest::List { prefix, after, limit } => {
                // Once per listing. Prefixes are flat directories, except for a listing of everything.
                if prefix.ends_with('/') && after.is_empty() {
                    self.reconcile_index(&prefix).await.map_err(disk_error)?;
                }
                Ok((self.list_page(&prefix, &after, limit).await, Bytes::new()))
            }
            ObjectRequest::Delete { key } => {
                self.delete_as(caller, &key).await?;
                Ok((ObjectResponse::Done, Bytes::new()))
            }
        }
    }

    /// Returns the lock that serializes changes of `key`.
    fn key_lock(&self, key: &str) -> KeyLock<'_> {
        let mut key_locks = self.key_locks.lock().unwrap_or_else(PoisonError::into_inner);
        let lock = key_locks.entry(key.to_owned()).or_default().clone();
        KeyLock { key_locks: &self.key_locks, key: key.to_owned(), lock }
    }

    /// Puts an object. A new key, or the same bytes again, needs the right to put; other bytes need the right to
    /// overwrite.
    async fn put_as<D: Interceptor>(
        &self,
        caller: &Caller<'_, D>,
        key: &str,
        body: Bytes,
    ) -> Result<(), ObjectError> {
        let key_lock = self.key_lock(key);
        let _guard = key_lock.lock.lock().await;
        let exists = self.length(key).await.is_ok();
        let mut by = Permission::Put;
        if !exists {
            caller.require(Permission::Put)?;
        } else if caller.require(Permission::Overwrite).is_ok() {
            by = Permission::Overwrite;
        } else {
            caller.require(Permission::Put)?;
            if self.read_all(key).await.map_err(disk_error)? != body {
                return Err(ObjectError::Denied);
            }
        }
        self.put(key, body).await.map_err(disk_error)?;
        caller.interceptor.object_changed(caller.from, by, key);
        Ok(())
    }

    /// Planted bug: receives the first half of an upload, a new segment under its own name.
    async fn receive_in_place(&self, key: &str, body: Bytes) -> Result<(), DiskError> {
        let key_lock = self.key_lock(key);
        let _guard = key_lock.lock.lock().await;
        if !key.starts_with(IN_PLACE) || self.length(key).await.is_ok() {
            return self.write_partial(body).await;
        }
        self.put(key, body.slice(..body.len() / 2)).await
    }

    async fn delete_as<D: Interceptor>(&self, caller: &Caller<'_, D>, key: &str) -> Result<(), ObjectError> {
        caller.require(Permission::Delete)?;
        check_key(key)?;
        let key_lock = self.key_lock(key);
        let _guard = key_lock.lock.lock().await;
        let existed = self.length(key).await.is_ok();
        self.delete(key).await.map_err(disk_error)?;
        if existed {
            caller.interceptor.object_changed(caller.from, Permission::Delete, key);
        }
        Ok(())
    }
}

/// Lock of one key, removed from the map when it is no longer used.
struct KeyLock<'a> {
    key_locks: &'a StdMutex<BTreeMap<String, Arc<Mutex<()>>>>,
    key: String,
    lock: Arc<Mutex<()>>,
}

impl Drop for KeyLock<'_> {
    fn drop(&mut self) {
        let mut key_locks = self.key_locks.lock().unwrap_or_else(PoisonError::into_inner);
        // This reference and the map's: no other task waits.
        if Arc::strong_count(&self.lock) == 2 {
            key_locks.remove(&self.key);
        }
    }
}

fn disk_error(error: DiskError) -> ObjectError {
    match error.kind {
        DiskErrorKind::NoSpace => ObjectError::NoSpace,
        DiskErrorKind::NotFound => ObjectError::NotFound,
        _ => ObjectError::Unavailable(error.to_string()),
    }
}
