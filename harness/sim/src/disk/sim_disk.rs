//! The disk port of one incarnation: checks of arguments, and the effect of each operation on the disk.

use super::disk_faults::DiskFaultEffect;
use super::disk_op::{DiskOpAttempt, DiskOpEffect};
use super::inode::Inode;
use super::store::DiskStore;
use crate::context::NodeContext;
use crate::op_kind::OpKind;
use crate::prng::hash_key;
use bytes::Bytes;
use latent_ports::{DirEntry, Disk, DiskError, DiskErrorKind, DiskOp, File, OpenMode};
use std::sync::Arc;
use xxhash_rust::xxh3::xxh3_64;

/// A node's disk, as one incarnation sees it.
#[derive(Clone)]
pub struct SimDisk {
    context: Arc<NodeContext>,
}

/// Open file of one incarnation.
#[derive(Clone)]
pub struct SimFile {
    handle: Arc<OpenFile>,
}

struct OpenFile {
    context: Arc<NodeContext>,
    inode: Arc<Inode>,
    path: Box<str>,
    path_hash: u64,
    writable: bool,
}

impl SimDisk {
    pub(crate) fn new(context: Arc<NodeContext>) -> SimDisk {
        SimDisk { context }
    }

    /// Runs an operation on names, which takes no time.
    async fn run_name_op<T>(
        &self,
        (op, path, to): (DiskOp, &str, &str),
        kind: OpKind,
        effect: impl FnOnce(&DiskStore) -> Result<T, DiskErrorKind>,
    ) -> Result<T, DiskError> {
        let attempt = DiskOpAttempt { context: &self.context, op, path, to };
        check_path(path, op == DiskOp::List)
            .and_then(|()| if op == DiskOp::Rename { check_path(to, false) } else { Ok(()) })
            .map_err(|kind| attempt.error(kind))?;
        attempt.run_instantly(|_| kind, |store| DiskOpEffect::of(effect(store))).await
    }
}

impl Disk for SimDisk {
    type File = SimFile;

    async fn open(&self, path: &str, mode: OpenMode) -> Result<SimFile, DiskError> {
        let attempt = DiskOpAttempt { context: &self.context, op: DiskOp::Open, path, to: "" };
        check_path(path, false).map_err(|kind| attempt.error(kind))?;
        let kind =
            |store: &DiskStore| if store.would_create(path, mode) { OpKind::Create } else { OpKind::Open };
        let inode = attempt.run_instantly(kind, |store| DiskOpEffect::of(store.open(path, mode))).await?;
        let handle = OpenFile {
            context: self.context.clone(),
            inode,
            path: path.into(),
            path_hash: xxh3_64(path.as_bytes()),
            writable: mode != OpenMode::Read,
        };
        Ok(SimFile { handle: Arc::new(handle) })
    }

    async fn create_dir(&self, path: &str) -> Result<(), DiskError> {
        self.run_name_op((DiskOp::CreateDir, path, ""), OpKind::CreateDir, |store| store.create_dir(path))
            .await
    }

    async fn remove_dir(&self, path: &str) -> Result<(), DiskError> {
        let effect = |store: &DiskStore| store.tree(|tree| tree.remove_dir(path));
        self.run_name_op((DiskOp::RemoveDir, path, ""), OpKind::RemoveDir, effect).await
    }

    async fn rename(&self, from: &str, to: &str) -> Result<(), DiskError> {
        let effect = |store: &DiskStore| store.tree(|tree| tree.rename(from, to));
        self.run_name_op((DiskOp::Rename, from, to), OpKind::Rename, effect).await
    }

    async fn remove(&self, path: &str) -> Result<(), DiskError> {
        let effect = |store: &DiskStore| store.tree(|tree| tree.remove(path));
        self.run_name_op((DiskOp::Remove, path, ""), OpKind::Remove, effect).await
    }

    async fn list(&self, path: &str) -> Result<Vec<DirEntry>, DiskError> {
        let effect = |store: &DiskStore| store.tree(|tree| tree.list(path));
        self.run_name_op((DiskOp::List, path, ""), OpKind::List, effect).await
    }

    async fn sync_dir(&self, path: &str) -> Result<(), DiskError> {
        let attempt = DiskOpAttempt { context: &self.context, op: DiskOp::SyncDir, path, to: "" };
        check_path(path, true).map_err(|kind| attempt.error(kind))?;
        let store = self.context.disk_store();
        let key = hash_key(&[
            self.context.number(),
            xxh3_64(path.as_bytes()),
            store.tree(|tree| tree.state_key(path)),
        ]);
        let begin = |store: &DiskStore| store.tree(|tree| Ok((tree.find_dir(path)?, tree.sync_point())));
        let end = |store: &DiskStore, (dir, point)| {
            store.tree(|tree| tree.sync_dir_to(dir, point));
            Ok(())
        };
        attempt.run_with_sync_latency(OpKind::SyncDir, key, begin, end).await
    }
}

impl SimFile {
    fn attempt(&self, op: DiskOp) -> DiskOpAttempt<'_> {
        DiskOpAttempt { context: &self.handle.context, op, path: &self.handle.path, to: "" }
    }

    /// Returns the key for a write's fate in a crash: its content and location.
    fn write_key(&self, offset: u64, digest: u128) -> u128 {
        digest ^ (u128::from(self.handle.path_hash) << 64) ^ u128::from(offset)
    }

    /// Returns a proper prefix of a read, not empty, of a drawn length.
    fn shortened(&self, offset: u64, data: Bytes) -> Bytes {
        let len = data.len() as u64;
        let key = hash_key(&[self.handle.context.number(), self.handle.path_hash, offset, len]);
        let most = u32::try_from(len - 1).unwrap_or(u32::MAX);
        let kept = self.handle.context.kernel().prng().draw_in_range("disk.short-read", key, (1, most));
        data.slice(..kept as usize)
    }

    async fn write(&self, op: DiskOp, kind: OpKind, at: Option<u64>, data: Bytes) -> Result<u64, DiskError> {
        let attempt = self.attempt(op);
        if !self.handle.writable || at.is_some_and(|at| !is_valid_end_offset(at, data.len() as u64)) {
            return Err(attempt.error(DiskErrorKind::InvalidInput));
        }
        let effect = |store: &DiskStore| {
            let inode = &self.handle.inode;
            let growth = match inode.growth(at, data.len() as u64) {
                Ok(growth) => growth,
                Err(error) => return DiskOpEffect::failed(error),
            };
            let missing = growth.saturating_sub(store.free_bytes(inode.usage()));
            let fits = data.len().saturating_sub(usize::try_from(missing).unwrap_or(usize::MAX));
            let data = if fits < data.len() { data.slice(..fits) } else { data };
            let (len_bytes, digest) = (data.len() as u64, self.handle.context.kernel().digest(&data));
            let data = self.handle.context.kernel().dedup(data, digest);
            let offset = at.unwrap_or_else(|| inode.len_bytes());
            let key = self.write_key(offset, digest);
            let write_fault =
                if data.is_empty() { None } else { store.faults().take_write_fault(&self.handle.path) };
            match (write_fault, at) {
                (Some(DiskFaultEffect::MisdirectedWrite(pick)), _) => {
                    let end = offset + len_bytes;
                    inode.write_misdirected(end, key);
                    store.misdirect_write(pick, (inode, offset..end), &data);
                }
                (Some(_), _) => inode.write_lost(offset, data),
                (None, None) => {
                    inode.append(data, key);
                }
                (None, Some(offset)) => inode.write_at(offset, data, key),
            }
            let result = if missing > 0 { Err(DiskErrorKind::NoSpace) } else { Ok(offset) };
            DiskOpEffect { result, offset, len_bytes, digest }
        };
        attempt.run_instantly(|_| kind, effect).await
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
        if !self.handle.writable || !is_valid_end_offset(len_bytes, 0) {
            return Err(attempt.error(DiskErrorKind::InvalidInput));
        }
        let effect = |store: &DiskStore| {
            let inode = &self.handle.inode;
            match inode.growth(Some(len_bytes), 0) {
                Ok(growth) if growth <= store.free_bytes(inode.usage()) => {}
                Ok(_) => return DiskOpEffect::failed(DiskErrorKind::NoSpace),
                Err(error) => return DiskOpEffect::failed(error),
            }
            inode.truncate(len_bytes, self.write_key(len_bytes, 0));
            DiskOpEffect { result: Ok(()), offset: len_bytes, len_bytes: 0, digest: 0 }
        };
        attempt.run_instantly(|_| OpKind::Truncate, effect).await
    }

    async fn read_at(&self, offset: u64, len_bytes: u64) -> Result<Bytes, DiskError> {
        let effect = |store: &DiskStore| {
            let data = match self.handle.inode.read(offset, len_bytes) {
                Ok(data) => data,
                Err(error) => return DiskOpEffect::failed(error),
            };
            let short = data.len() > 1 && store.faults().take_short_read(&self.handle.path);
            let data = if short { self.shortened(offset, data) } else { data };
            DiskOpEffect { offset, len_bytes: data.len() as u64, digest: 0, result: Ok(data) }
        };
        self.attempt(DiskOp::Read).run_instantly(|_| OpKind::Read, effect).await
    }

    fn path(&self) -> &str {
        &self.handle.path
    }

    async fn size_bytes(&self) -> Result<u64, DiskError> {
        let effect = |_: &DiskStore| DiskOpEffect::of(Ok(self.handle.inode.len_bytes()));
        self.attempt(DiskOp::Len).run_instantly(|_| OpKind::Len, effect).await
    }

    async fn sync(&self) -> Result<(), DiskError> {
        let inode = &self.handle.inode;
        let key = hash_key(&[self.handle.context.number(), self.handle.path_hash, inode.len_bytes()]);
        let begin = |store: &DiskStore| match store.faults().take_sync_failure(&self.handle.path) {
            None => Ok(inode.sync_point()),
            Some(shows) => {
                inode.fail_sync(shows);
                Err(DiskErrorKind::Io)
            }
        };
        let end = |_: &DiskStore, point| inode.sync_to(point);
        self.attempt(DiskOp::Sync).run_with_sync_latency(OpKind::Sync, key, begin, end).await
    }
}

/// Whether the end fits a file offset, which is a signed 64-bit number.
fn is_valid_end_offset(offset: u64, len: u64) -> bool {
    offset.checked_add(len).is_some_and(|end| i64::try_from(end).is_ok())
}

/// Checks a path against the port's rules, and names against the limit of 255 bytes of file systems.
fn check_path(path: &str, root_allowed: bool) -> Result<(), DiskErrorKind> {
    let is_legal_name = |name: &str| {
        !matches!(name, "" | "." | "..") && name.len() <= 255 && !name.bytes().any(|byte| byte == 0)
    };
    if (path.is_empty() && root_allowed) || path.split('/').all(is_legal_name) {
        Ok(())
    } else {
        Err(DiskErrorKind::InvalidInput)
    }
}
