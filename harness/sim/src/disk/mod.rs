//! Disks in memory that forget what was not synced.
//!
//! Modelled: a page cache (every change is seen at once by reads, and takes no time), syncs that take time and
//! make durable what was pending when they were called, directory entries that are durable only once their
//! directory was synced, crashes that keep any lawful part of the rest, a capacity that is reached part-way
//! through a write, errors on request, and handles that die with their process.
//!
//! Not modelled: permissions, links, timestamps, seeks, the time that reads and writes take (save on a slow disk). A
//! file's length is charged in full against the capacity, gaps included, also after its removal while it is open or
//! while the removal could still be undone by a crash.
//!
//! What goes wrong beyond that is switched on by the faults of the plan: see the headers of the families in
//! `faults/disk.rs` (what a program notices) and `faults/damage.rs` (what nothing reports).

mod attempt;
mod crash;
mod faults;
mod file;
mod harm;
mod image;
mod rope;
mod sectors;
mod shared;
mod store;
mod tree;
mod victim;

use crate::draw::key_of;
use crate::env::Seat;
use crate::faults::OpKind;
use attempt::{Attempt, Effect};
use bytes::Bytes;
use file::FileCell;
use latent_ports::{DirEntry, Disk, DiskError, DiskErrorKind, DiskOp, File, OpenMode};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use xxhash_rust::xxh3::xxh3_64;

pub(crate) use faults::{Rule, Strikes};
pub use image::{DiskImage, FileImage};
pub(crate) use sectors::BLOCK_BYTES;
pub(crate) use shared::SharedChunks;
pub(crate) use store::DiskStore;
pub(crate) use victim::{Victim, pick_key};

/// What a crash keeps of the operations that were not synced.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum CrashKeeps {
    /// Any part that the rules allow, drawn: a power loss.
    #[default]
    Drawn,
    /// None of them: the unkindest power loss.
    Nothing,
    /// All of them, still un-synced: only the process died, the page cache lives on.
    Everything,
}

/// What a node's disk is like.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DiskSpec {
    /// Lengths of all files together never exceed this.
    pub capacity_bytes: u64,
    /// What a kill keeps of the un-synced operations, if the kill does not say.
    pub crash: CrashKeeps,
    /// Blocks of this size are written whole or not at all; a crash tears writes only between them.
    pub tear_bytes: u32,
    /// How long a sync takes, in microseconds, from and to, drawn evenly.
    pub sync_latency_us: (u32, u32),
}

impl Default for DiskSpec {
    /// 1 TiB, drawn crashes, 512-byte blocks, syncs of 0.5 to 4 ms (a data-center SSD).
    fn default() -> DiskSpec {
        DiskSpec {
            capacity_bytes: 1 << 40,
            crash: CrashKeeps::Drawn,
            tear_bytes: 512,
            sync_latency_us: (500, 4_000),
        }
    }
}

/// Counts of one disk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DiskStats {
    /// Lengths of all files, with those that are removed but not yet gone for good.
    pub bytes: u64,
    /// Files that have a name.
    pub files: u64,
    /// Operations since the world began, failed ones included.
    pub ops: u64,
    /// Changes of names that are not yet durable.
    pub unsynced_names: u64,
}

/// One incarnation's view of its node's disk.
#[derive(Clone)]
pub struct SimDisk {
    seat: Arc<Seat>,
}

/// An open file of one incarnation.
#[derive(Clone)]
pub struct SimFile {
    handle: Arc<Handle>,
}

struct Handle {
    seat: Arc<Seat>,
    cell: Arc<FileCell>,
    path: Box<str>,
    path_hash: u64,
    writable: bool,
}

impl SimDisk {
    pub(crate) fn new(seat: Arc<Seat>) -> SimDisk {
        SimDisk { seat }
    }

    /// An operation on names, which takes no time.
    async fn names<T>(
        &self,
        (op, path, to): (DiskOp, &str, &str),
        kind: OpKind,
        effect: impl FnOnce(&DiskStore) -> Result<T, DiskErrorKind>,
    ) -> Result<T, DiskError> {
        let attempt = Attempt { seat: &self.seat, op, path, to };
        check_path(path, op == DiskOp::List)
            .and_then(|()| if op == DiskOp::Rename { check_path(to, false) } else { Ok(()) })
            .map_err(|kind| attempt.error(kind))?;
        attempt.at_once(|_| kind, |store| Effect::of(effect(store))).await
    }
}

impl Disk for SimDisk {
    type File = SimFile;

    async fn open(&self, path: &str, mode: OpenMode) -> Result<SimFile, DiskError> {
        let attempt = Attempt { seat: &self.seat, op: DiskOp::Open, path, to: "" };
        check_path(path, false).map_err(|kind| attempt.error(kind))?;
        let kind =
            |store: &DiskStore| if store.would_create(path, mode) { OpKind::Create } else { OpKind::Open };
        let cell = attempt.at_once(kind, |store| Effect::of(store.open(path, mode))).await?;
        let handle = Handle {
            seat: self.seat.clone(),
            cell,
            path: path.into(),
            path_hash: xxh3_64(path.as_bytes()),
            writable: mode != OpenMode::Read,
        };
        Ok(SimFile { handle: Arc::new(handle) })
    }

    async fn create_dir(&self, path: &str) -> Result<(), DiskError> {
        self.names((DiskOp::CreateDir, path, ""), OpKind::CreateDir, |store| store.create_dir(path)).await
    }

    async fn remove_dir(&self, path: &str) -> Result<(), DiskError> {
        let effect = |store: &DiskStore| store.tree(|tree| tree.remove_dir(path));
        self.names((DiskOp::RemoveDir, path, ""), OpKind::RemoveDir, effect).await
    }

    async fn rename(&self, from: &str, to: &str) -> Result<(), DiskError> {
        let effect = |store: &DiskStore| store.tree(|tree| tree.rename(from, to));
        self.names((DiskOp::Rename, from, to), OpKind::Rename, effect).await
    }

    async fn remove(&self, path: &str) -> Result<(), DiskError> {
        let effect = |store: &DiskStore| store.tree(|tree| tree.remove(path));
        self.names((DiskOp::Remove, path, ""), OpKind::Remove, effect).await
    }

    async fn list(&self, path: &str) -> Result<Vec<DirEntry>, DiskError> {
        let effect = |store: &DiskStore| store.tree(|tree| tree.list(path));
        self.names((DiskOp::List, path, ""), OpKind::List, effect).await
    }

    async fn sync_dir(&self, path: &str) -> Result<(), DiskError> {
        let attempt = Attempt { seat: &self.seat, op: DiskOp::SyncDir, path, to: "" };
        check_path(path, true).map_err(|kind| attempt.error(kind))?;
        let store = self.seat.disk_store();
        let key =
            key_of(&[self.seat.number(), xxh3_64(path.as_bytes()), store.tree(|tree| tree.shape(path))]);
        let begin = |store: &DiskStore| store.tree(|tree| Ok((tree.find_dir(path)?, tree.sync_point())));
        let end = |store: &DiskStore, (dir, point)| {
            store.tree(|tree| tree.sync_dir_to(dir, point));
            Ok(())
        };
        attempt.with_latency(OpKind::SyncDir, key, begin, end).await
    }
}

impl SimFile {
    fn attempt(&self, op: DiskOp) -> Attempt<'_> {
        Attempt { seat: &self.handle.seat, op, path: &self.handle.path, to: "" }
    }

    /// Keys what a crash does to a write: what was written where.
    fn key(&self, offset: u64, digest: u128) -> u128 {
        digest ^ (u128::from(self.handle.path_hash) << 64) ^ u128::from(offset)
    }

    /// A proper prefix of what was read, not empty, as long as is drawn.
    fn shortened(&self, offset: u64, data: Bytes) -> Bytes {
        let len = data.len() as u64;
        let key = key_of(&[self.handle.seat.number(), self.handle.path_hash, offset, len]);
        let most = u32::try_from(len - 1).unwrap_or(u32::MAX);
        let kept = self.handle.seat.world().draws().within_us("disk.short-read", key, (1, most));
        data.slice(..kept as usize)
    }

    async fn write(&self, op: DiskOp, kind: OpKind, at: Option<u64>, data: Bytes) -> Result<u64, DiskError> {
        let attempt = self.attempt(op);
        if !self.handle.writable || at.is_some_and(|at| !fits_in_a_file(at, data.len() as u64)) {
            return Err(attempt.error(DiskErrorKind::InvalidInput));
        }
        let effect = |store: &DiskStore| {
            let cell = &self.handle.cell;
            let growth = match cell.growth(at, data.len() as u64) {
                Ok(growth) => growth,
                Err(error) => return Effect::failed(error),
            };
            let missing = growth.saturating_sub(store.room_bytes(cell.usage()));
            let fits = data.len().saturating_sub(usize::try_from(missing).unwrap_or(usize::MAX));
            let data = if fits < data.len() { data.slice(..fits) } else { data };
            let (len_bytes, digest) = (data.len() as u64, self.handle.seat.world().digest(&data));
            let data = self.handle.seat.world().share(data, digest);
            let offset = at.unwrap_or_else(|| cell.len_bytes());
            let key = self.key(offset, digest);
            let stray = if data.is_empty() { None } else { store.faults().stray_write(&self.handle.path) };
            match (stray, at) {
                (Some(Strikes::WriteAstray(pick)), _) => {
                    let end = offset + len_bytes;
                    cell.write_elsewhere(end, key);
                    store.stray(pick, (cell, offset..end), &data);
                }
                (Some(_), _) => cell.write_in_vain(offset, data),
                (None, None) => {
                    cell.append(data, key);
                }
                (None, Some(offset)) => cell.write_at(offset, data, key),
            }
            let result = if missing > 0 { Err(DiskErrorKind::NoSpace) } else { Ok(offset) };
            Effect { result, offset, len_bytes, digest }
        };
        attempt.at_once(|_| kind, effect).await
    }
}

impl File for SimFile {
    async fn append(&self, data: Bytes) -> Result<u64, DiskError> {
        self.write(DiskOp::Append, OpKind::Append, None, data).await
    }

    async fn write_at(&self, offset: u64, data: Bytes) -> Result<(), DiskError> {
        self.write(DiskOp::WriteAt, OpKind::WriteAt, Some(offset), data).await.map(|_| ())
    }

    async fn truncate(&self, len_bytes: u64) -> Result<(), DiskError> {
        let attempt = self.attempt(DiskOp::Truncate);
        if !self.handle.writable || !fits_in_a_file(len_bytes, 0) {
            return Err(attempt.error(DiskErrorKind::InvalidInput));
        }
        let effect = |store: &DiskStore| {
            let cell = &self.handle.cell;
            match cell.growth(Some(len_bytes), 0) {
                Ok(growth) if growth <= store.room_bytes(cell.usage()) => {}
                Ok(_) => return Effect::failed(DiskErrorKind::NoSpace),
                Err(error) => return Effect::failed(error),
            }
            cell.truncate(len_bytes, self.key(len_bytes, 0));
            Effect { result: Ok(()), offset: len_bytes, len_bytes: 0, digest: 0 }
        };
        attempt.at_once(|_| OpKind::Truncate, effect).await
    }

    async fn read_at(&self, offset: u64, len_bytes: u64) -> Result<Bytes, DiskError> {
        let effect = |store: &DiskStore| {
            let data = match self.handle.cell.read(offset, len_bytes) {
                Ok(data) => data,
                Err(error) => return Effect::failed(error),
            };
            let short = data.len() > 1 && store.faults().short_read(&self.handle.path);
            let data = if short { self.shortened(offset, data) } else { data };
            Effect { offset, len_bytes: data.len() as u64, digest: 0, result: Ok(data) }
        };
        self.attempt(DiskOp::Read).at_once(|_| OpKind::Read, effect).await
    }

    fn path(&self) -> &str {
        &self.handle.path
    }

    async fn size_bytes(&self) -> Result<u64, DiskError> {
        let effect = |_: &DiskStore| Effect::of(Ok(self.handle.cell.len_bytes()));
        self.attempt(DiskOp::Len).at_once(|_| OpKind::Len, effect).await
    }

    async fn sync(&self) -> Result<(), DiskError> {
        let cell = &self.handle.cell;
        let key = key_of(&[self.handle.seat.number(), self.handle.path_hash, cell.len_bytes()]);
        let begin = |store: &DiskStore| match store.faults().sync_failure(&self.handle.path) {
            None => Ok(cell.sync_point()),
            Some(shows) => {
                cell.fail_sync(shows);
                Err(DiskErrorKind::Io)
            }
        };
        let end = |_: &DiskStore, point| cell.sync_to(point);
        self.attempt(DiskOp::Sync).with_latency(OpKind::Sync, key, begin, end).await
    }
}

/// File offsets are signed 64-bit numbers.
fn fits_in_a_file(offset: u64, len: u64) -> bool {
    offset.checked_add(len).is_some_and(|end| i64::try_from(end).is_ok())
}

/// The form of paths that the port asks for; names of at most 255 bytes, as file systems have it.
fn check_path(path: &str, root_allowed: bool) -> Result<(), DiskErrorKind> {
    let lawful = |name: &str| {
        !matches!(name, "" | "." | "..") && name.len() <= 255 && !name.bytes().any(|byte| byte == 0)
    };
    if (path.is_empty() && root_allowed) || path.split('/').all(lawful) {
        Ok(())
    } else {
        Err(DiskErrorKind::InvalidInput)
    }
}
