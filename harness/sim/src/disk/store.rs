//! Disk of one node: the directory tree, its size, and the active faults.

use super::crash::{CrashModel, crash_draw_key};
use super::dir_tree::{DirTree, TreeEntry};
use super::disk_faults::DiskFaults;
use super::image::{DiskImage, FileImage};
use super::inode::{DiskUsage, Inode};
use super::spec::{CrashPolicy, DiskSpec, DiskStats};
use crate::lock::lock;
use crate::prng::KeyedPrng;
use bytes::Bytes;
use latent_ports::{DiskErrorKind, OpenMode};
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

pub(crate) struct DiskStore {
    spec: DiskSpec,
    tree: Mutex<DirTree>,
    ops: AtomicU64,
    faults: DiskFaults,
}

impl DiskStore {
    pub(crate) fn new(spec: DiskSpec, image: Option<&DiskImage>) -> DiskStore {
        DiskStore {
            spec,
            tree: Mutex::new(image.map_or_else(DirTree::new, DirTree::from_image)),
            ops: AtomicU64::new(0),
            faults: DiskFaults::default(),
        }
    }

    pub(crate) fn tree<T>(&self, work: impl FnOnce(&mut DirTree) -> T) -> T {
        work(&mut lock(&self.tree))
    }

    pub(crate) fn faults(&self) -> &DiskFaults {
        &self.faults
    }

    pub(crate) fn sync_latency_us(&self) -> (u32, u32) {
        self.spec.sync_latency_us
    }

    pub(crate) fn count_op(&self) {
        self.ops.fetch_add(1, Ordering::Relaxed);
    }

    /// Returns the number of bytes that the disk can still take.
    pub(crate) fn free_bytes(&self, usage: &DiskUsage) -> u64 {
        self.spec.capacity_bytes.min(self.faults.capacity_bytes()).saturating_sub(usage.bytes())
    }

    pub(crate) fn would_create(&self, path: &str, mode: OpenMode) -> bool {
        matches!(mode, OpenMode::Create | OpenMode::CreateNew) && !self.tree(|tree| tree.contains(path))
    }

    /// Whether the disk is full and the name new. A new name takes no bytes, but a full disk accepts none.
    fn is_full_for(&self, tree: &DirTree, path: &str) -> bool {
        self.free_bytes(&tree.usage) == 0 && !tree.contains(path)
    }

    pub(crate) fn open(&self, path: &str, mode: OpenMode) -> Result<Arc<Inode>, DiskErrorKind> {
        self.tree(|tree| {
            if matches!(mode, OpenMode::Create | OpenMode::CreateNew) && self.is_full_for(tree, path) {
                return Err(DiskErrorKind::NoSpace);
            }
            tree.open(path, mode)
        })
    }

    pub(crate) fn create_dir(&self, path: &str) -> Result<(), DiskErrorKind> {
        self.tree(|tree| {
            if self.is_full_for(tree, path) {
                return Err(DiskErrorKind::NoSpace);
            }
            tree.create_dir(path)
        })
    }

    /// Limits the disk to `room_bytes` more until the fault is removed. Freed space is usable again.
    pub(crate) fn limit_capacity(&self, fault: usize, room_bytes: u64) {
        let used_bytes = self.tree(|tree| tree.usage.bytes());
        self.faults.limit_capacity(fault, used_bytes.saturating_add(room_bytes));
    }

    /// Writes the bytes of a misdirected write to another location than `of`. If there is none, they went to free
    /// space.
    pub(crate) fn misdirect_write(&self, key: u128, of: (&Arc<Inode>, Range<u64>), data: &Bytes) {
        let len_bytes = data.len() as u64;
        if let Some(target) = self.tree(|tree| tree.corruption_target(key, "", Some(of), len_bytes)) {
            let fit_bytes = usize::try_from(target.durable.end - target.durable.start).unwrap_or(usize::MAX);
            target.inode.overwrite_in_place(target.durable.start, &data.slice(..data.len().min(fit_bytes)));
        }
    }

    /// Resolves the un-synced operations when the process dies. `tear_bytes` overrides the disk's own block size for
    /// torn writes. Clean pages that were never written are lost in any case: a clean page may leave the cache at any
    /// time, and must have left it before the next process starts.
    pub(crate) fn crash(
        &self,
        prng: KeyedPrng,
        (node, incarnation): (u16, u32),
        keeps: CrashPolicy,
        tear_bytes: Option<u32>,
    ) {
        let mut tree = lock(&self.tree);
        if self.faults.take_has_unwritten() {
            tree.for_each_inode(|inode| inode.forget_unwritten());
        }
        if keeps == CrashPolicy::Everything {
            return;
        }
        let tear_bytes = tear_bytes.unwrap_or(self.spec.tear_bytes);
        let key = crash_draw_key(node, incarnation);
        let crash = CrashModel::new(prng, key, (tear_bytes, self.faults.has_garbage_tails()), keeps, &tree);
        let before = std::mem::replace(&mut *tree, DirTree::new());
        *tree = before.after_crash(&crash);
    }

    pub(crate) fn crash_policy(&self) -> CrashPolicy {
        self.spec.crash_policy
    }

    pub(crate) fn replace(&self, image: &DiskImage) {
        *lock(&self.tree) = DirTree::from_image(image);
    }

    pub(crate) fn image(&self) -> DiskImage {
        self.tree(|tree| tree.image())
    }

    pub(crate) fn file(&self, path: &str) -> Option<FileImage> {
        self.tree(|tree| Some(FileImage::new(tree.find_file(path)?.view())))
    }

    pub(crate) fn image_under<'d>(&self, dirs: impl Iterator<Item = &'d str>) -> DiskImage {
        self.tree(|tree| tree.image_under(dirs))
    }

    pub(crate) fn durable_image_under<'d>(&self, dirs: impl Iterator<Item = &'d str>) -> DiskImage {
        self.tree(|tree| tree.durable_image_under(dirs))
    }

    pub(crate) fn durable_image(&self) -> DiskImage {
        self.tree(|tree| tree.durable_image())
    }

    /// Whether a crash now has more than one possible outcome. Costs O(files).
    pub(crate) fn has_unsynced(&self) -> bool {
        self.tree(|tree| {
            let mut pending = !tree.journal.is_empty();
            tree.walk(&BTreeMap::new(), &mut |_, named| {
                if let TreeEntry::File(inode) = named {
                    pending |= inode.has_pending();
                }
            });
            pending
        })
    }

    pub(crate) fn stats(&self) -> DiskStats {
        let (used_bytes, file_count, unsynced_name_changes) = self.tree(|tree| {
            (tree.usage.bytes(), tree.image().files().count() as u64, tree.journal.len() as u64)
        });
        DiskStats {
            used_bytes,
            file_count,
            op_count: self.ops.load(Ordering::Relaxed),
            unsynced_name_changes,
        }
    }
}
