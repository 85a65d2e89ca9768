//! The object store of a data center, and of the tee: objects as files on a disk of its own.
//!
//! Models one node with honest storage: an object is durable when `Put` is answered, replaced atomically, listed
//! in pages. Copies inside a data center are not modelled: the scenario has two data centers instead. Every call
//! passes the door (see `access`): who may do what is enforced here, what the machine does to a call is not known
//! here. Changes of one object wait for each other.

use crate::access::{Access, Door, Fate, OpenDoor, Permission};
use bytes::Bytes;
use latent_edge::object_api::{
    MAX_OBJECT_BYTES, MAX_PAGE, ObjectAnswer, ObjectError, ObjectInfo, ObjectRequest, answer_to_message,
    check_key,
};
use latent_ports::{
    Clock, Disk, DiskError, DiskErrorKind, EntryKind, Env, File, Mark, Message, Net, NodeId, OpenMode,
    Request, read_full,
};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex as StdMutex, PoisonError};
use std::time::Duration;
use tokio::sync::Mutex;

const CALLS_AT_A_TIME: usize = 256;
const BOOT_AGAIN_AFTER: Duration = Duration::from_secs(60);
/// Uploads after which the names they used are synced away.
const SYNC_INCOMING_EVERY: u64 = 256;

/// An answer that is lost comes after this: no caller waits so long.
const LOST_ANSWER_AFTER: Duration = Duration::from_secs(15 * 60);

/// Objects on a disk: `objects/KEY`, and `incoming/` while they are uploaded.
struct Objects<E: Env> {
    env: E,
    /// Keys that are being changed: changes of one object wait for each other.
    changing: StdMutex<BTreeMap<String, Arc<Mutex<()>>>>,
    /// Key to length: rebuilt from the disk at boot, so that a listing costs no disk operation.
    index: Mutex<BTreeMap<String, u64>>,
    /// Directories whose names are known to be durable.
    durable_dirs: Mutex<BTreeSet<String>>,
    /// Directories in which a name changed that could not be made durable.
    unsynced_dirs: Mutex<BTreeSet<String>>,
    uploads: AtomicU64,
    /// Files of uploads that were never finished, to be removed.
    unfinished: StdMutex<Vec<String>>,
}

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
    async fn recover(env: E) -> Result<Self, DiskError> {
        let mut index = BTreeMap::new();
        let disk = env.disk();
        for dir in ["objects", "incoming"] {
            create_dir(disk, dir).await?;
        }
        disk.sync_dir("").await?;
        for leftover in disk.list("incoming").await? {
            disk.remove(&format!("incoming/{}", leftover.name)).await?;
        }
        let mut dirs = vec!["objects".to_owned()];
        while let Some(dir) = dirs.pop() {
            // What an earlier process renamed and never synced is there and may still be lost.
            disk.sync_dir(&dir).await?;
            for entry in disk.list(&dir).await? {
                let path = format!("{dir}/{}", entry.name);
                match entry.kind {
                    EntryKind::Directory => dirs.push(path),
                    EntryKind::File => {
                        let bytes = disk.open(&path, OpenMode::Read).await?.size_bytes().await?;
                        index.insert(path["objects/".len()..].to_owned(), bytes);
                    }
                }
            }
        }
        Ok(Objects {
            env,
            changing: StdMutex::default(),
            index: Mutex::new(index),
            durable_dirs: Mutex::default(),
            unsynced_dirs: Mutex::default(),
            uploads: AtomicU64::new(0),
            unfinished: StdMutex::default(),
        })
    }

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

    async fn whole(&self, key: &str) -> Result<Bytes, DiskError> {
        let file = self.env.disk().open(&path(key), OpenMode::Read).await?;
        let bytes = file.size_bytes().await?;
        file.read_at(0, bytes).await
    }

    /// The first half of an upload, which is never finished: it holds its space until the next upload, or boot.
    async fn break_off(&self, body: Bytes) -> Result<(), DiskError> {
        let upload = self.uploads.fetch_add(1, Ordering::Relaxed);
        let incoming = format!("incoming/{upload}");
        self.never_finished(incoming.clone());
        let file = self.env.disk().open(&incoming, OpenMode::CreateNew).await?;
        let half = body.slice(..body.len() / 2);
        if !half.is_empty() {
            file.append(half).await?;
        }
        Ok(())
    }

    fn never_finished(&self, incoming: String) {
        self.unfinished.lock().unwrap_or_else(PoisonError::into_inner).push(incoming);
    }

    /// Removes what unfinished uploads left; what cannot be removed is tried again with the next upload.
    async fn clear_unfinished(&self) {
        let left = std::mem::take(&mut *self.unfinished.lock().unwrap_or_else(PoisonError::into_inner));
        for incoming in left {
            match self.env.disk().remove(&incoming).await {
                Err(error) if error.kind != DiskErrorKind::NotFound => self.never_finished(incoming),
                _ => {}
            }
        }
    }

    async fn length(&self, key: &str) -> Result<u64, ObjectError> {
        self.index.lock().await.get(key).copied().ok_or(ObjectError::NotFound)
    }

    async fn page(&self, prefix: &str, after: &str, limit: u32) -> ObjectAnswer {
        let index = self.index.lock().await;
        let limit = limit.min(MAX_PAGE) as usize;
        let first = if after < prefix { Bound::Included(prefix) } else { Bound::Excluded(after) };
        let from = (first, Bound::Unbounded);
        let mut matching = index.range::<str, _>(from).take_while(|(key, _)| key.starts_with(prefix));
        let objects: Vec<_> = matching
            .by_ref()
            .take(limit)
            .map(|(key, bytes)| ObjectInfo { key: key.clone(), bytes: *bytes })
            .collect();
        ObjectAnswer::Page { more: matching.next().is_some(), objects }
    }

    async fn put(&self, key: &str, body: Bytes) -> Result<(), DiskError> {
        let disk = self.env.disk();
        let len = body.len() as u64;
        if body.len() > MAX_OBJECT_BYTES {
            return Err(DiskError {
                kind: DiskErrorKind::NoSpace,
                op: latent_ports::DiskOp::Append,
                path: path(key),
            });
        }
        let upload = self.uploads.fetch_add(1, Ordering::Relaxed);
        let incoming = format!("incoming/{upload}");
        let target = path(key);
        let dir = match self.upload(&incoming, &target, body).await {
            Ok(dir) => dir,
            Err(error) => {
                self.never_finished(incoming);
                self.clear_unfinished().await;
                return Err(error);
            }
        };
        self.clear_unfinished().await;
        let synced = self.sync_names(dir).await;
        // The file has new bytes under its name, whether that is durable or not.
        self.index.lock().await.insert(key.to_owned(), len);
        synced?;
        // An object is safe without this; but names of finished uploads that only the page cache has removed
        // would become ever more, and keep deleted bytes on the disk.
        if upload % SYNC_INCOMING_EVERY == SYNC_INCOMING_EVERY - 1 {
            disk.sync_dir("incoming").await?;
        }
        Ok(())
    }

    async fn upload<'a>(&self, incoming: &str, target: &'a str, body: Bytes) -> Result<&'a str, DiskError> {
        let disk = self.env.disk();
        let file = disk.open(incoming, OpenMode::CreateNew).await?;
        if !body.is_empty() {
            file.append(body).await?;
        }
        file.sync().await?;
        let dir = self.durable_parents(target).await?;
        disk.rename(incoming, target).await?;
        Ok(dir)
    }

    /// Makes a directory's names durable, or remembers that they are not.
    async fn sync_names(&self, dir: &str) -> Result<(), DiskError> {
        let synced = self.env.disk().sync_dir(dir).await;
        if synced.is_err() {
            self.unsynced_dirs.lock().await.insert(dir.to_owned());
        }
        synced
    }

    /// Nothing is said of objects while a name may still be lost: a backup would rely on it.
    async fn settle_names(&self) -> Result<(), DiskError> {
        let mut unsynced = self.unsynced_dirs.lock().await;
        while let Some(dir) = unsynced.first().cloned() {
            self.env.disk().sync_dir(&dir).await?;
            unsynced.remove(&dir);
        }
        Ok(())
    }

    /// Makes the directories above `target` and their names durable; returns the one that holds it.
    async fn durable_parents<'a>(&self, target: &'a str) -> Result<&'a str, DiskError> {
        let disk = self.env.disk();
        let mut at = "objects".len();
        while let Some(next) = target[at + 1..].find('/') {
            let parent = &target[..at];
            at += 1 + next;
            if !self.durable_dirs.lock().await.contains(&target[..at]) {
                create_dir(disk, &target[..at]).await?;
                disk.sync_dir(parent).await?;
                self.durable_dirs.lock().await.insert(target[..at].to_owned());
            }
        }
        Ok(&target[..at])
    }

    async fn delete(&self, key: &str) -> Result<(), DiskError> {
        let target = path(key);
        match self.env.disk().remove(&target).await {
            Err(error) if error.kind != DiskErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let dir = target.rsplit_once('/').map_or("", |(dir, _)| dir);
        self.index.lock().await.remove(key);
        self.sync_names(dir).await
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

async fn create_dir<D: Disk>(disk: &D, path: &str) -> Result<(), DiskError> {
    match disk.create_dir(path).await {
        Err(error) if error.kind != DiskErrorKind::AlreadyExists => Err(error),
        _ => Ok(()),
    }
}

fn path(key: &str) -> String {
    format!("objects/{key}")
}

fn disk_error(error: DiskError) -> ObjectError {
    match error.kind {
        DiskErrorKind::NoSpace => ObjectError::NoSpace,
        DiskErrorKind::NotFound => ObjectError::NotFound,
        _ => ObjectError::Unavailable(error.to_string()),
    }
}
