//! One node's disk: the tree, its size, and the faults that are switched on.

use super::crash::{Crash, crash_key};
use super::file::{FileCell, Usage};
use super::tree::Tree;
use super::{CrashKeeps, DiskImage, DiskSpec, DiskStats};
use crate::draw::Draws;
use crate::faults::OpKind;
use crate::lock::lock;
use latent_ports::{DiskErrorKind, OpenMode};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

/// Fails the next `times` operations of a kind below a path prefix.
#[derive(Clone, Debug)]
pub(crate) struct ErrorRule {
    pub(crate) op: OpKind,
    pub(crate) path_prefix: String,
    pub(crate) times: u32,
}

pub(crate) struct DiskStore {
    spec: DiskSpec,
    tree: Mutex<Tree>,
    ops: AtomicU64,
    /// Whether `rules` has any, so that the common case takes no lock.
    faulty: AtomicBool,
    rules: Mutex<Vec<ErrorRule>>,
    /// How many faults say that the disk is full.
    full: AtomicU64,
}

impl DiskStore {
    pub(crate) fn new(spec: DiskSpec, image: Option<&DiskImage>) -> DiskStore {
        DiskStore {
            spec,
            tree: Mutex::new(image.map_or_else(Tree::new, Tree::from_image)),
            ops: AtomicU64::new(0),
            faulty: AtomicBool::new(false),
            rules: Mutex::default(),
            full: AtomicU64::new(0),
        }
    }

    pub(crate) fn tree<T>(&self, work: impl FnOnce(&mut Tree) -> T) -> T {
        work(&mut lock(&self.tree))
    }

    pub(crate) fn sync_latency_us(&self) -> (u32, u32) {
        self.spec.sync_latency_us
    }

    pub(crate) fn count_op(&self) {
        self.ops.fetch_add(1, Ordering::Relaxed);
    }

    /// How many more bytes the disk takes.
    pub(crate) fn room_bytes(&self, usage: &Usage) -> u64 {
        if self.full.load(Ordering::Relaxed) > 0 {
            return 0;
        }
        self.spec.capacity_bytes.saturating_sub(usage.bytes())
    }

    pub(crate) fn would_create(&self, path: &str, mode: OpenMode) -> bool {
        matches!(mode, OpenMode::Create | OpenMode::CreateNew) && !self.tree(|tree| tree.has(path))
    }

    /// A new name takes no bytes, but a full disk takes no new name.
    fn has_no_room(&self, tree: &Tree, path: &str) -> bool {
        self.room_bytes(&tree.usage) == 0 && !tree.has(path)
    }

    pub(crate) fn open(&self, path: &str, mode: OpenMode) -> Result<Arc<FileCell>, DiskErrorKind> {
        self.tree(|tree| {
            if matches!(mode, OpenMode::Create | OpenMode::CreateNew) && self.has_no_room(tree, path) {
                return Err(DiskErrorKind::NoSpace);
            }
            tree.open(path, mode)
        })
    }

    pub(crate) fn create_dir(&self, path: &str) -> Result<(), DiskErrorKind> {
        self.tree(|tree| {
            if self.has_no_room(tree, path) {
                return Err(DiskErrorKind::NoSpace);
            }
            tree.create_dir(path)
        })
    }

    /// The error that a fault asks for, if one does; uses up one of its times.
    pub(crate) fn injected_error(
        &self,
        op: impl FnOnce() -> OpKind,
        path: &str,
        to: &str,
    ) -> Option<DiskErrorKind> {
        if !self.faulty.load(Ordering::Relaxed) {
            return None;
        }
        let op = op();
        let mut rules = lock(&self.rules);
        let hit = rules.iter().position(|rule| {
            rule.op.covers(op) && (path.starts_with(&rule.path_prefix) || to.starts_with(&rule.path_prefix))
        })?;
        rules[hit].times -= 1;
        if rules[hit].times == 0 {
            rules.remove(hit);
        }
        self.faulty.store(!rules.is_empty(), Ordering::Relaxed);
        Some(DiskErrorKind::Io)
    }

    pub(crate) fn inject(&self, rule: ErrorRule) {
        if rule.times > 0 {
            lock(&self.rules).push(rule);
            self.faulty.store(true, Ordering::Relaxed);
        }
    }

    pub(crate) fn set_full(&self, full: bool) {
        if full {
            self.full.fetch_add(1, Ordering::Relaxed);
        } else {
            self.full.fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// The process died: what was not synced is decided.
    pub(crate) fn crash(&self, draws: Draws, node: u16, incarnation: u32, keeps: CrashKeeps) {
        if keeps == CrashKeeps::Everything {
            return;
        }
        let mut tree = lock(&self.tree);
        let crash = Crash::new(draws, crash_key(node, incarnation), self.spec.tear_bytes, keeps, &tree);
        let before = std::mem::replace(&mut *tree, Tree::new());
        *tree = before.crashed(&crash);
    }

    pub(crate) fn crash_policy(&self) -> CrashKeeps {
        self.spec.crash
    }

    pub(crate) fn replace(&self, image: &DiskImage) {
        *lock(&self.tree) = Tree::from_image(image);
    }

    pub(crate) fn image(&self) -> DiskImage {
        self.tree(|tree| tree.image())
    }

    pub(crate) fn image_below<'d>(&self, dirs: impl Iterator<Item = &'d str>) -> DiskImage {
        self.tree(|tree| tree.image_below(dirs))
    }

    pub(crate) fn durable_image(&self) -> DiskImage {
        self.tree(|tree| tree.durable_image())
    }

    pub(crate) fn stats(&self) -> DiskStats {
        let (bytes, files, unsynced_names) = self.tree(|tree| {
            (tree.usage.bytes(), tree.image().files().count() as u64, tree.journal.len() as u64)
        });
        DiskStats { bytes, files, ops: self.ops.load(Ordering::Relaxed), unsynced_names }
    }
}
