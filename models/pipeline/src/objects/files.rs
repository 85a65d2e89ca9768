//! Objects as files: `objects/KEY`, and `incoming/` while they are uploaded.
//!
//! What there is stands in an index in memory, read from the disk at boot and held against it at listings. Not
//! modelled: objects in parts, versions, copies within a data center.

use bytes::Bytes;
use latent_edge::object_api::{MAX_OBJECT_BYTES, MAX_PAGE, ObjectAnswer, ObjectError, ObjectInfo};
use latent_ports::{Disk, DiskError, DiskErrorKind, Env, File, FileType, Mark, OpenMode};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex as StdMutex, PoisonError};
use tokio::sync::Mutex;

/// Uploads after which the next call syncs the names they used away.
const SYNC_INCOMING_EVERY: u64 = 256;

/// Objects on a disk: `objects/KEY`, and `incoming/` while they are uploaded.
pub(super) struct Objects<E: Env> {
    pub env: E,
    /// Keys that are being changed: changes of one object wait for each other.
    pub changing: StdMutex<BTreeMap<String, Arc<Mutex<()>>>>,
    /// Key to length: rebuilt from the disk at boot, so that a listing costs no disk operation.
    index: Mutex<BTreeMap<String, u64>>,
    /// Directories whose names are known to be durable.
    durable_dirs: Mutex<BTreeSet<String>>,
    /// Directories in which a name changed that is not durable yet: before the next answer it is.
    unsynced_dirs: Mutex<BTreeSet<String>>,
    uploads: AtomicU64,
    /// Files of uploads that were never finished, to be removed.
    unfinished: StdMutex<Vec<String>>,
}

impl<E: Env> Objects<E> {
    pub async fn recover(env: E) -> Result<Self, DiskError> {
        for dir in ["objects", "incoming"] {
            create_dir(env.disk(), dir).await?;
        }
        env.disk().sync_dir("").await?;
        for leftover in env.disk().list("incoming").await? {
            env.disk().remove(&format!("incoming/{}", leftover.name)).await?;
        }
        // Also when none was there: an earlier boot may have failed at this.
        env.disk().sync_dir("incoming").await?;
        let index = scan(env.disk()).await?;
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

    /// Looks whether the names below a directory are those that are remembered, and learns all of them anew if not:
    /// somebody removed files from under this process. A listing that says what is gone would be believed by the next
    /// backup.
    pub async fn check_names(&self, dir: &str) -> Result<(), DiskError> {
        let mut index = self.index.lock().await;
        let remembered = index.range(dir.to_owned()..).take_while(|(key, _)| key.starts_with(dir)).count();
        let there = match self.env.disk().list(&path(dir.trim_end_matches('/'))).await {
            Ok(names) => names.len(),
            Err(error) if error.kind == DiskErrorKind::NotFound => 0,
            Err(error) => return Err(error),
        };
        if there == remembered {
            return Ok(());
        }
        self.env.mark(Mark { name: "objects.names-differ", subject: dir });
        for dir in ["objects", "incoming"] {
            create_dir(self.env.disk(), dir).await?;
        }
        self.env.disk().sync_dir("").await?;
        self.durable_dirs.lock().await.clear();
        *index = scan(self.env.disk()).await?;
        Ok(())
    }

    pub async fn whole(&self, key: &str) -> Result<Bytes, DiskError> {
        let file = self.env.disk().open(&path(key), OpenMode::Read).await?;
        let bytes = file.size_bytes().await?;
        file.read_at(0, bytes).await
    }

    /// The first half of an upload, which is never finished: it holds its space until the next upload, or boot.
    pub async fn break_off(&self, body: Bytes) -> Result<(), DiskError> {
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
        if !left.is_empty() {
            self.unsynced_dirs.lock().await.insert("incoming".to_owned());
        }
        for incoming in left {
            match self.env.disk().remove(&incoming).await {
                Err(error) if error.kind != DiskErrorKind::NotFound => self.never_finished(incoming),
                _ => {}
            }
        }
    }

    pub async fn length(&self, key: &str) -> Result<u64, ObjectError> {
        self.index.lock().await.get(key).copied().ok_or(ObjectError::NotFound)
    }

    pub async fn page(&self, prefix: &str, after: &str, limit: u32) -> ObjectAnswer {
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

    pub async fn put(&self, key: &str, body: Bytes) -> Result<(), DiskError> {
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
            self.unsynced_dirs.lock().await.insert("incoming".to_owned());
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
    pub async fn settle_names(&self) -> Result<(), DiskError> {
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

    pub async fn delete(&self, key: &str) -> Result<(), DiskError> {
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

/// Lengths of all objects by their keys. Their names are durable when this returns.
async fn scan<D: Disk>(disk: &D) -> Result<BTreeMap<String, u64>, DiskError> {
    let mut index = BTreeMap::new();
    let mut dirs = vec!["objects".to_owned()];
    while let Some(dir) = dirs.pop() {
        // What an earlier process renamed and never synced is there and may still be lost.
        disk.sync_dir(&dir).await?;
        for entry in disk.list(&dir).await? {
            let path = format!("{dir}/{}", entry.name);
            match entry.kind {
                FileType::Directory => dirs.push(path),
                FileType::File => {
                    let bytes = disk.open(&path, OpenMode::Read).await?.size_bytes().await?;
                    index.insert(path["objects/".len()..].to_owned(), bytes);
                }
            }
        }
    }
    Ok(index)
}

async fn create_dir<D: Disk>(disk: &D, path: &str) -> Result<(), DiskError> {
    match disk.create_dir(path).await {
        Err(error) if error.kind != DiskErrorKind::AlreadyExists => Err(error),
        _ => Ok(()),
    }
}

pub(super) fn path(key: &str) -> String {
    format!("objects/{key}")
}
