//! The object store of a data center, and of the tee: objects as files on a disk of its own.
//!
//! Models one node with honest storage: an object is durable when `Put` is answered, replaced atomically, listed
//! in pages. Copies inside a data center are not modelled: the scenario has two data centers instead. Every call
//! passes the door (see `access`): who may do what is enforced here, what the machine does to a call is not known
//! here. Changes of one object wait for each other.

mod files;

use crate::access::{Access, Door, Fate, OpenDoor, Permission};
use bytes::Bytes;
use files::{Objects, path};
use latent_edge::object_api::{
    ObjectAnswer, ObjectError, ObjectInfo, ObjectRequest, answer_to_message, check_key,
};
use latent_ports::{
    Clock, Disk, DiskError, DiskErrorKind, Env, Mark, Message, Net, NodeId, OpenMode, Request, read_full,
};
use std::collections::BTreeMap;

use std::sync::{Arc, Mutex as StdMutex, PoisonError};
use std::time::Duration;
use tokio::sync::Mutex;

const CALLS_AT_A_TIME: usize = 256;
const BOOT_AGAIN_AFTER: Duration = Duration::from_secs(60);

/// An answer that is lost comes after this: no caller waits so long.
const LOST_ANSWER_AFTER: Duration = Duration::from_secs(15 * 60);

/// Boots an object store that is open to everybody.
pub async fn run<E: Env>(env: E) {
    serve(env, Access::open(), OpenDoor).await;
}

/// Boots an object store: recovers, then serves until the node dies whoever `access` lets in, through `door`.
pub async fn serve<E: Env>(env: E, access: Access, door: impl Door) {
    let door = Arc::new((access, door));
    let objects = loop {
        match Objects::recover(env.clone()).await {
            Ok(objects) => break Arc::new(objects),
            Err(error) => {
                env.mark(Mark { name: "objects.boot-failed", subject: &error.to_string() });
                env.clock().sleep(BOOT_AGAIN_AFTER).await;
            }
        }
    };
    let handler = move |request| handle(objects.clone(), door.clone(), request);
    env.net().serve(CALLS_AT_A_TIME, handler).await;
}

async fn handle<E: Env, D: Door>(
    objects: Arc<Objects<E>>,
    door: Arc<(Access, D)>,
    request: Request,
) -> Message {
    let answer = match ObjectRequest::from_message(&request.message) {
        Ok(call) => admit(&objects, &door.0, &door.1, request.from, call, request.message.body).await,
        Err(error) => Err(ObjectError::BadRequest(error.to_string())),
    };
    match answer {
        Ok((answer, body)) => answer_to_message(&Ok(answer), body),
        Err(error) => answer_to_message(&Err(error), Bytes::new()),
    }
}

/// Lets a call in, as far as the machine and the permissions allow.
async fn admit<E: Env, D: Door>(
    objects: &Objects<E>,
    access: &Access,
    door: &D,
    from: NodeId,
    call: ObjectRequest,
    body: Bytes,
) -> Result<(ObjectAnswer, Bytes), ObjectError> {
    let who = Caller { from, access, door };
    match door.fate(from, &call, &body) {
        Fate::AsUsual => objects.answer(&who, call, body).await,
        Fate::Unavailable => Err(ObjectError::Unavailable("503".to_owned())),
        Fate::Throttled { retry_after_ms } => Err(ObjectError::Throttled { retry_after_ms }),
        Fate::Denied => Err(ObjectError::Denied),
        Fate::AnswerLost => {
            let answer = objects.answer(&who, call, body).await;
            objects.env.clock().sleep(LOST_ANSWER_AFTER).await;
            answer
        }
        Fate::UploadBroken => {
            objects.break_off(body).await.map_err(disk_error)?;
            Err(ObjectError::Unavailable("the upload broke off".to_owned()))
        }
        Fate::ShortPages { keys } => {
            let call = match call {
                ObjectRequest::List { prefix, after, limit } => {
                    ObjectRequest::List { prefix, after, limit: limit.min(keys.max(1)) }
                }
                other => other,
            };
            objects.answer(&who, call, body).await
        }
    }
}

/// Whoever called, and what he may do.
struct Caller<'a, D> {
    from: NodeId,
    access: &'a Access,
    door: &'a D,
}

impl<D: Door> Caller<'_, D> {
    fn must(&self, permission: Permission) -> Result<(), ObjectError> {
        if self.access.allows(self.from, permission) { Ok(()) } else { Err(ObjectError::Denied) }
    }
}

impl<E: Env> Objects<E> {
    async fn answer<D: Door>(
        &self,
        who: &Caller<'_, D>,
        call: ObjectRequest,
        body: Bytes,
    ) -> Result<(ObjectAnswer, Bytes), ObjectError> {
        match call {
            ObjectRequest::Put { .. } | ObjectRequest::Delete { .. } => {}
            _ => who.must(Permission::Read)?,
        }
        self.settle_names().await.map_err(disk_error)?;
        match call {
            ObjectRequest::Put { key } => {
                check_key(&key)?;
                self.put_as(who, &key, body).await?;
                Ok((ObjectAnswer::Done, Bytes::new()))
            }
            ObjectRequest::Get { key, range } => {
                let total_bytes = self.length(&key).await?;
                let (offset, len) = range.map_or((0, total_bytes), |range| (range.offset, range.len_bytes));
                let len = len.min(total_bytes.saturating_sub(offset));
                let file = self.env.disk().open(&path(&key), OpenMode::Read).await.map_err(disk_error)?;
                let bytes = read_full(&file, offset, len).await.map_err(disk_error)?;
                Ok((ObjectAnswer::Bytes { total_bytes }, bytes))
            }
            ObjectRequest::Head { key } => {
                let bytes = self.length(&key).await?;
                Ok((ObjectAnswer::Info(ObjectInfo { key, bytes }), Bytes::new()))
            }
            ObjectRequest::List { prefix, after, limit } => {
                // Once a listing. Prefixes are directories, flat ones, but for a listing of everything.
                if prefix.ends_with('/') && after.is_empty() {
                    self.check_names(&prefix).await.map_err(disk_error)?;
                }
                Ok((self.page(&prefix, &after, limit).await, Bytes::new()))
            }
            ObjectRequest::Delete { key } => {
                self.delete_as(who, &key).await?;
                Ok((ObjectAnswer::Done, Bytes::new()))
            }
        }
    }

    /// What waits for changes of `key` by others.
    fn turn(&self, key: &str) -> Turn<'_> {
        let mut changing = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let lock = changing.entry(key.to_owned()).or_default().clone();
        Turn { changing: &self.changing, key: key.to_owned(), lock }
    }

    /// A new key, or the same bytes again, by the right to put; other bytes, by the right to overwrite.
    async fn put_as<D: Door>(&self, who: &Caller<'_, D>, key: &str, body: Bytes) -> Result<(), ObjectError> {
        let turn = self.turn(key);
        let _alone = turn.lock.lock().await;
        let exists = self.length(key).await.is_ok();
        let mut by = Permission::Put;
        if !exists {
            who.must(Permission::Put)?;
        } else if who.must(Permission::Overwrite).is_ok() {
            by = Permission::Overwrite;
        } else {
            who.must(Permission::Put)?;
            if self.whole(key).await.map_err(disk_error)? != body {
                return Err(ObjectError::Denied);
            }
        }
        self.put(key, body).await.map_err(disk_error)?;
        who.door.changed(who.from, by, key);
        Ok(())
    }

    async fn delete_as<D: Door>(&self, who: &Caller<'_, D>, key: &str) -> Result<(), ObjectError> {
        who.must(Permission::Delete)?;
        check_key(key)?;
        let turn = self.turn(key);
        let _alone = turn.lock.lock().await;
        let existed = self.length(key).await.is_ok();
        self.delete(key).await.map_err(disk_error)?;
        if existed {
            who.door.changed(who.from, Permission::Delete, key);
        }
        Ok(())
    }
}

/// A place in the queue of those that change one object.
struct Turn<'a> {
    changing: &'a StdMutex<BTreeMap<String, Arc<Mutex<()>>>>,
    key: String,
    lock: Arc<Mutex<()>>,
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let mut changing = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        // This one and the map's: nobody else waits.
        if Arc::strong_count(&self.lock) == 2 {
            changing.remove(&self.key);
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
