//! One file: the contents that reads see, the durable contents, and the pending operations between them.
//!
//! A file that only grew since its last sync keeps one rope and its durable length. The first overwrite or truncation
//! after a sync takes a snapshot of the durable bytes; the sync that leaves nothing pending drops it.
//!
//! Faults (corruption.rs) may leave the view with bytes that no sync will ever write: then the durable bytes stay a
//! snapshot until the cache is dropped.

use super::rope::Rope;
use crate::lock::lock;
use bytes::Bytes;
use latent_ports::DiskErrorKind;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

/// State that the files of one disk share.
#[derive(Debug, Default)]
pub(crate) struct DiskUsage {
    /// Total length of all files that exist, are open, or may reappear after a crash.
    bytes: AtomicU64,
    /// Next sequence number of an un-synced operation of this disk.
    sequence: AtomicU64,
}

impl DiskUsage {
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    pub(crate) fn next_sequence(&self) -> u64 {
        self.sequence.fetch_add(1, Ordering::Relaxed)
    }

    fn change(&self, from: u64, to: u64) {
        self.bytes.fetch_add(to.wrapping_sub(from), Ordering::Relaxed);
    }
}

/// An un-synced change of a file's bytes or length.
#[derive(Clone, Debug)]
pub(crate) struct UnsyncedOp {
    pub(crate) sequence: u64,
    pub(crate) change: FileChange,
    /// Key of the draw that decides its fate in a crash.
    pub(crate) key: u128,
}

#[derive(Clone, Debug)]
pub(crate) enum FileChange {
    Write {
        offset: u64,
        data: Bytes,
    },
    Truncate {
        len_bytes: u64,
    },
    /// Extends the file to at least this length; only for a misdirected write.
    Extend {
        len_bytes: u64,
    },
}

#[derive(Debug)]
pub(super) enum DurableContent {
    /// Length of the durable prefix of the view; all pending operations are appends.
    Prefix(u64),
    /// Separate durable bytes.
    Snapshot(Box<Rope>),
}

#[derive(Debug)]
pub(super) struct FileState {
    pub(super) view: Arc<Rope>,
    pub(super) durable: DurableContent,
    pub(super) pending: Vec<UnsyncedOp>,
    /// Whether the view has clean pages that were never written. They are lost with the cache.
    pub(super) unwritten: bool,
    /// Number of failed syncs that dropped pending operations.
    pub(super) failed_syncs: u32,
}

/// Operations that a sync makes durable when it ends.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FileSyncPoint {
    /// Sequence numbers below this.
    below: u64,
    failed_syncs: u32,
}

/// A file, independent of its name. Directory entries and open handles share it.
#[derive(Debug)]
pub(crate) struct Inode {
    pub(super) state: Mutex<FileState>,
    usage: Arc<DiskUsage>,
}

impl Inode {
    /// Creates a file with `rope` as its durable bytes.
    pub(crate) fn new(rope: Arc<Rope>, usage: Arc<DiskUsage>) -> Inode {
        usage.change(0, rope.len_bytes());
        let durable = DurableContent::Prefix(rope.len_bytes());
        let state = FileState { view: rope, durable, pending: Vec::new(), unwritten: false, failed_syncs: 0 };
        Inode { state: Mutex::new(state), usage }
    }

    pub(crate) fn view(&self) -> Arc<Rope> {
        lock(&self.state).view.clone()
    }

    pub(crate) fn len_bytes(&self) -> u64 {
        lock(&self.state).view.len_bytes()
    }

    pub(crate) fn read(&self, offset: u64, len_bytes: u64) -> Result<Bytes, DiskErrorKind> {
        let state = lock(&self.state);
        if state.view.is_unreadable(offset, len_bytes) {
            return Err(DiskErrorKind::Io);
        }
        Ok(state.view.read(offset, len_bytes))
    }

    /// Returns the contents that survive any crash.
    pub(crate) fn durable(&self) -> Arc<Rope> {
        lock(&self.state).durable_rope()
    }

    pub(crate) fn append(&self, data: Bytes, key: u128) -> u64 {
        let mut state = lock(&self.state);
        let offset = state.view.len_bytes();
        if data.is_empty() {
            return offset;
        }
        self.usage.change(offset, offset + data.len() as u64);
        Arc::make_mut(&mut state.view).push(data.clone());
        let change = FileChange::Write { offset, data };
        state.pending.push(UnsyncedOp { sequence: self.usage.next_sequence(), change, key });
        offset
    }

    pub(crate) fn write_at(&self, offset: u64, data: Bytes, key: u128) {
        if !data.is_empty() {
            self.overwrite(FileChange::Write { offset, data }, key);
        }
    }

    pub(crate) fn truncate(&self, len_bytes: u64, key: u128) {
        self.overwrite(FileChange::Truncate { len_bytes }, key);
    }

    pub(super) fn overwrite(&self, change: FileChange, key: u128) {
        let mut guard = lock(&self.state);
        let state = &mut *guard;
        state.snapshot();
        self.update_view(state, |view| change.apply(view));
        state.pending.push(UnsyncedOp { sequence: self.usage.next_sequence(), change, key });
    }

    /// Changes the contents that reads see.
    pub(super) fn update_view(&self, state: &mut FileState, change: impl FnOnce(&mut Rope)) {
        let before = state.view.len_bytes();
        change(Arc::make_mut(&mut state.view));
        self.usage.change(before, state.view.len_bytes());
    }

    /// Returns the number of bytes by which the file would grow if `data_len` bytes were written at `offset`. Fails
    /// if the write has to read an unreadable block first.
    pub(crate) fn growth(&self, offset: Option<u64>, data_len: u64) -> Result<u64, DiskErrorKind> {
        let state = lock(&self.state);
        let len = state.view.len_bytes();
        let offset = offset.unwrap_or(len);
        if state.view.is_unwritable(offset, data_len) {
            return Err(DiskErrorKind::Io);
        }
        Ok(offset.saturating_add(data_len).saturating_sub(len))
    }

    /// Returns the operations that a sync that starts now makes durable when it ends.
    pub(crate) fn sync_point(&self) -> FileSyncPoint {
        let state = lock(&self.state);
        let below = state.pending.last().map_or(0, |last| last.sequence + 1);
        FileSyncPoint { below, failed_syncs: state.failed_syncs }
    }

    /// Ends a sync: the operations before `point` become durable. Fails if another sync failed meanwhile and dropped
    /// them.
    pub(crate) fn sync_to(&self, point: FileSyncPoint) -> Result<(), DiskErrorKind> {
        let mut guard = lock(&self.state);
        let state = &mut *guard;
        if point.failed_syncs != state.failed_syncs {
            return Err(DiskErrorKind::Io);
        }
        let count = state.pending.partition_point(|op| op.sequence < point.below);
        if count == state.pending.len() && !state.unwritten {
            state.durable = DurableContent::Prefix(state.view.len_bytes());
        } else {
            for op in &state.pending[..count] {
                match &mut state.durable {
                    DurableContent::Prefix(len) => *len += op.change.len_bytes(),
                    DurableContent::Snapshot(rope) => op.change.apply(rope),
                }
            }
        }
        state.pending.drain(..count);
        // Frees the memory of a burst, but keeps the small buffer of a steady writer.
        if state.pending.is_empty() && state.pending.capacity() > 64 {
            state.pending = Vec::new();
        }
        Ok(())
    }

    /// Returns the un-synced operations, oldest first.
    pub(crate) fn pending(&self) -> Vec<UnsyncedOp> {
        lock(&self.state).pending.clone()
    }

    /// Whether the file has un-synced operations.
    pub(crate) fn has_pending(&self) -> bool {
        !lock(&self.state).pending.is_empty()
    }

    pub(crate) fn usage(&self) -> &Arc<DiskUsage> {
        &self.usage
    }
}

impl Drop for Inode {
    fn drop(&mut self) {
        self.usage.change(self.len_bytes(), 0);
    }
}

impl FileState {
    pub(super) fn durable_rope(&self) -> Arc<Rope> {
        match &self.durable {
            DurableContent::Prefix(len) if *len == self.view.len_bytes() => self.view.clone(),
            DurableContent::Prefix(len) => Arc::new(self.view.prefix(*len)),
            DurableContent::Snapshot(rope) => Arc::new((**rope).clone()),
        }
    }

    /// Separates the durable bytes from the view.
    pub(super) fn snapshot(&mut self) -> &mut Rope {
        if let DurableContent::Prefix(len) = self.durable {
            self.durable = DurableContent::Snapshot(Box::new(self.view.prefix(len)));
        }
        match &mut self.durable {
            DurableContent::Snapshot(rope) => rope,
            DurableContent::Prefix(_) => unreachable!("the prefix was replaced by a snapshot above"),
        }
    }
}

impl FileChange {
    pub(crate) fn apply(&self, rope: &mut Rope) {
        match self {
            FileChange::Write { offset, data } => rope.write(*offset, data.clone()),
            FileChange::Truncate { len_bytes } => rope.truncate(*len_bytes),
            FileChange::Extend { len_bytes } => rope.truncate(rope.len_bytes().max(*len_bytes)),
        }
    }

    fn len_bytes(&self) -> u64 {
        match self {
            FileChange::Write { data, .. } => data.len() as u64,
            FileChange::Truncate { .. } | FileChange::Extend { .. } => 0,
        }
    }
}
