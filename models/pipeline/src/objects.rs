//! The object store of a data center, and of the tee: objects as files on a disk of its own.
//!
//! Models one node with honest storage: an object is durable when `Put` is answered, replaced atomically, listed
//! in pages. Copies inside a data center are not modelled: the scenario has two data centers instead.

use bytes::Bytes;
use latent_edge::object_api::{
    MAX_OBJECT_BYTES, MAX_PAGE, ObjectAnswer, ObjectError, ObjectInfo, ObjectRequest, answer_to_message,
    check_key,
};
use latent_ports::{
    Clock, Disk, DiskError, DiskErrorKind, EntryKind, Env, File, Mark, Message, Net, OpenMode, Request,
};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::Mutex;

const CALLS_AT_A_TIME: usize = 256;
const BOOT_AGAIN_AFTER: Duration = Duration::from_secs(60);
/// Uploads after which the names they used are synced away.
const SYNC_INCOMING_EVERY: u64 = 256;

/// Objects on a disk: `objects/KEY`, and `incoming/` while they are uploaded.
struct Objects<E: Env> {
    env: E,
    /// Key to length: rebuilt from the disk at boot, so that a listing costs no disk operation.
    index: Mutex<BTreeMap<String, u64>>,
    /// Directories whose names are known to be durable.
    durable_dirs: Mutex<BTreeSet<String>>,
    /// Directories in which a name changed that could not be made durable.
    unsynced_dirs: Mutex<BTreeSet<String>>,
    uploads: AtomicU64,
}

/// Boots an object store: recovers, then serves until the node dies.
pub async fn run<E: Env>(env: E) {
    let objects = loop {
        match Objects::recover(env.clone()).await {
            Ok(objects) => break Arc::new(objects),
            Err(error) => {
                env.mark(Mark { name: "objects.boot-failed", subject: &error.to_string() });
                env.clock().sleep(BOOT_AGAIN_AFTER).await;
            }
        }
    };
    env.net().serve(CALLS_AT_A_TIME, move |request| handle(objects.clone(), request)).await;
}

async fn handle<E: Env>(objects: Arc<Objects<E>>, request: Request) -> Message {
    let answer = match ObjectRequest::from_message(&request.message) {
        Ok(call) => objects.answer(call, request.message.body).await,
        Err(error) => Err(ObjectError::BadRequest(error.to_string())),
    };
    match answer {
        Ok((answer, body)) => answer_to_message(&Ok(answer), body),
        Err(error) => answer_to_message(&Err(error), Bytes::new()),
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
            index: Mutex::new(index),
            durable_dirs: Mutex::default(),
            unsynced_dirs: Mutex::default(),
            uploads: AtomicU64::new(0),
        })
    }

    async fn answer(&self, call: ObjectRequest, body: Bytes) -> Result<(ObjectAnswer, Bytes), ObjectError> {
        self.settle_names().await.map_err(disk_error)?;
        match call {
            ObjectRequest::Put { key } => {
                check_key(&key)?;
                self.put(&key, body).await.map_err(disk_error)?;
                Ok((ObjectAnswer::Done, Bytes::new()))
            }
            ObjectRequest::Get { key, range } => {
                let total_bytes = self.length(&key).await?;
                let (offset, len) = range.map_or((0, total_bytes), |range| (range.offset, range.len_bytes));
                let file = self.env.disk().open(&path(&key), OpenMode::Read).await.map_err(disk_error)?;
                let bytes = file.read_at(offset, len).await.map_err(disk_error)?;
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
                self.delete(&key).await.map_err(disk_error)?;
                Ok((ObjectAnswer::Done, Bytes::new()))
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
                // It would hold its space until the next boot. Should this fail too, it does.
                drop(disk.remove(&incoming).await);
                return Err(error);
            }
        };
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
