//! Objects as files: `objects/KEY`, and `incoming/` during an upload.
//!
//! An index of the objects is kept in memory, read from the disk at boot and checked at listings. Not modelled:
//! multi-part objects, versions, copies within a data center.

use crate::marks;
use crate::release::{Bug, Release};
use bytes::Bytes;
use latent_ports::{Disk, DiskError, DiskErrorKind, Env, File, FileType, Mark, OpenMode};
use latent_storekit::object_store::{MAX_OBJECT_BYTES, MAX_PAGE, ObjectError, ObjectInfo, ObjectResponse};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex as StdMutex, PoisonError};
use tokio::sync::Mutex;

/// Number of uploads after which the names they used are synced as removed.
const SYNC_INCOMING_EVERY: u64 = 256;

/// Objects on a disk: `objects/KEY`, and `incoming/` during an upload.
pub(super) struct ObjectFiles<E: Env> {
    pub env: E,
    pub release: Arc<Release>,
    /// Locks of the keys that are being changed: changes of one object are serialized.
    pub key_locks: StdMutex<BTreeMap<String, Arc<Mutex<()>>>>,
    /// Length by key, rebuilt from the disk at boot, so that a listing needs no disk operation.
    index: Mutex<BTreeMap<String, u64>>,
    /// Directories whose names are durable.
    durable_dirs: Mutex<BTreeSet<String>>,
    /// Directories with a changed name that is not durable yet. They are synced before the next response.
    unsynced_dirs: Mutex<BTreeSet<String>>,
    uploads: AtomicU64,
    /// Files of unfinished uploads, to be removed.
    unfinished: StdMutex<Vec<String>>,
}

impl<E: Env> ObjectFiles<E> {
    pub async fn recover(env: E, release: Arc<Release>) -> Result<Self, DiskError> {
        for dir in ["objects", "incoming"] {
            create_dir(env.disk(), dir).await?;
        }
        env.disk().sync_dir("").await?;
        for leftover in env.disk().list("incoming").await? {
            env.disk().remove(&format!("incoming/{}", leftover.name)).await?;
        }
        // Also if it was empty: an earlier boot may have failed at this step.
        env.disk().sync_dir("incoming").await?;
        let index = scan(env.disk()).await?;
        Ok(ObjectFiles {
            env,
            release,
            key_locks: StdMutex::default(),
            index: Mutex::new(index),
            durable_dirs: Mutex::default(),
            unsynced_dirs: Mutex::default(),
            uploads: AtomicU64::new(0),
            unfinished: StdMutex::default(),
        })
    }

    /// Compares the names below a directory with the index, and rebuilds the index if they differ, since files were
    /// removed under this process. A backup would trust a listing of objects that are gone.
    pub async fn reconcile_index(&self, dir: &str) -> Result<(), DiskError> {
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
        self.env.mark(Mark { name: marks::OBJECTS_LISTING_RELOADED, subject: dir });
        self.restore_dirs().await?;
        *index = scan(self.env.disk()).await?;
        Ok(())
    }

    /// Creates the top directories again, since they may have been removed under this process.
    async fn restore_dirs(&self) -> Result<(), DiskError> {
        for dir in ["objects", "incoming"] {
            create_dir(self.env.disk(), dir).await?;
        }
        self.env.disk().sync_dir("").await?;
        self.durable_dirs.lock().await.clear();
        Ok(())
    }

    pub async fn read_all(&self, key: &str) -> Result<Bytes, DiskError> {
        let file = self.env.disk().open(&path(key), OpenMode::Read).await?;
        let bytes = file.size_bytes().await?;
        file.read_at(0, bytes).await
    }

    /// Writes the first half of an upload that is never finished. It uses space until the next upload or boot.
    pub async fn write_partial(&self, body: Bytes) -> Result<(), DiskError> {
        let upload = self.uploads.fetch_add(1, Ordering::Relaxed);
        let incoming = format!("incoming/{upload}");
        self.note_unfinished(incoming.clone());
        let file = self.env.disk().open(&incoming, OpenMode::CreateNew).await?;
        let half = body.slice(..body.len() / 2);
        if !half.is_empty() {
            file.append(half).await?;
        }
        Ok(())
    }

    fn note_unfinished(&self, incoming: String) {
        self.unfinished.lock().unwrap_or_else(PoisonError::into_inner).push(incoming);
    }

    /// Removes the files of unfinished uploads; failures are retried at the next upload.
    async fn clear_unfinished(&self) {
        let left = std::mem::take(&mut *self.unfinished.lock().unwrap_or_else(PoisonError::into_inner));
        if !left.is_empty() {
            self.unsynced_dirs.lock().await.insert("incoming".to_owned());
        }
        for incoming in left {
            match self.env.disk().remove(&incoming).await {
                Err(error) if error.kind != DiskErrorKind::NotFound => self.note_unfinished(incoming),
                _ => {}
            }
        }
    }

    pub async fn length(&self, key: &str) -> Result<u64, ObjectError> {
        self.index.lock().await.get(key).copied().ok_or(ObjectError::NotFound)
    }

    pub async fn list_page(&self, prefix: &str, after: &str, limit: u32) -> ObjectResponse {
        let index = self.index.lock().await;
        let limit = limit.min(MAX_PAGE) as usize;
        let first = if after < prefix { Bound::Included(prefix) } else { Bound::Excluded(after) };
        let from = (first, Bound::Unbounded);
        let mut matching = index.range::<str, _>(from).take_while(|(key, _)| key.starts_with(prefix));
        // Planted bug: the border is passed over twice.
        let is_continued = self.release.has(Bug::KeyAtThePageBorder) && !after.is_empty();
        if is_continued && matching.next().is_some() {
            self.release.reached(&self.env, Bug::KeyAtThePageBorder);
        }
        let objects: Vec<_> = matching
            .by_ref()
            .take(limit)
            .map(|(key, bytes)| ObjectInfo { key: key.clone(), bytes: *bytes })
            .collect();
        ObjectResponse::Page { more: matching.next().is_some(), objects }
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
        let target = path(key);
        let (dir, upload) = match self.upload_next(&target, body.clone()).await {
            Err(error) if error.kind == DiskErrorKind::NotFound => {
                self.restore_dirs().await?;
                self.upload_next(&target, body).await?
            }
            uploaded => uploaded?,
        };
        let synced = self.sync_names(dir).await;
        // The file has new bytes under its name, whether the name is durable or not.
        self.index.lock().await.insert(key.to_owned(), len);
        synced?;
        // Not needed for durability. Without it, names of finished uploads that are removed only in the page cache
        // would accumulate and keep deleted bytes on the disk.
        if upload % SYNC_INCOMING_EVERY == SYNC_INCOMING_EVERY - 1 {
            self.unsynced_dirs.lock().await.insert("incoming".to_owned());
        }
        Ok(())
    }

    /// Writes and renames an upload under the next number, which is returned too.
    async fn upload_next<'a>(&self, target: &'a str, body: Bytes) -> Result<(&'a str, u64), DiskError> {
        let upload = self.uploads.fetch_add(1, Ordering::Relaxed);
        let incoming = format!("incoming/{upload}");
        let uploaded = self.upload(&incoming, target, body).await;
        if uploaded.is_err() {
            self.note_unfinished(incoming);
        }
        self.clear_unfinished().await;
        Ok((uploaded?, upload))
    }

    /// Writes and renames an upload. Not `replace_file`: the temporary file is outside `objects/`, whose files are all
    /// objects; an empty object is not appended; the directories above the target are created between sync and rename;
    /// and a failed sync of the target's directory is remembered for the next response.
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

    /// Makes a directory's names durable, or records that they are not.
    async fn sync_names(&self, dir: &str) -> Result<(), DiskError> {
        let synced = self.env.disk().sync_dir(dir).await;
        if synced.is_err() {
            self.unsynced_dirs.lock().await.insert(dir.to_owned());
        }
        synced
    }

    /// Syncs all pending directories. No response may be sent before, because a backup would rely on names that may be
    /// lost.
    pub async fn sync_pending_dirs(&self) -> Result<(), DiskError> {
        let mut unsynced = self.unsynced_dirs.lock().await;
        while let Some(dir) = unsynced.first().cloned() {
            self.env.disk().sync_dir(&dir).await?;
            unsynced.remove(&dir);
        }
        Ok(())
    }

    /// Makes the directories above `target` and their names durable. Returns the direct parent.
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

/// Returns the lengths of all objects by key. Their names are durable on return.
async fn scan<D: Disk>(disk: &D) -> Result<BTreeMap<String, u64>, DiskError> {
    let mut index = BTreeMap::new();
    let mut dirs = vec!["objects".to_owned()];
    while let Some(dir) = dirs.pop() {
        // Names that an earlier process renamed and never synced are visible and may still be lost.
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
