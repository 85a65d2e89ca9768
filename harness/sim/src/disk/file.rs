//! One file: what reads see, what is durable, and the writes in between.
//!
//! A file that only grew since its last sync keeps one rope and the length up to which it is durable. The first
//! overwrite or truncation after a sync takes a snapshot of the durable bytes; the sync that leaves nothing
//! pending drops it again.

use super::rope::Rope;
use crate::lock::lock;
use bytes::Bytes;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

/// What the files of one disk share.
#[derive(Debug, Default)]
pub(crate) struct Usage {
    /// Lengths of all files that exist, are open, or could come back after a crash.
    bytes: AtomicU64,
    /// Numbers the un-synced operations of the whole disk.
    sequence: AtomicU64,
}

impl Usage {
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
pub(crate) struct Pending {
    pub(crate) sequence: u64,
    pub(crate) change: Change,
    /// Keys the draw that decides what a crash leaves of it.
    pub(crate) key: u128,
}

#[derive(Clone, Debug)]
pub(crate) enum Change {
    Write { offset: u64, data: Bytes },
    Truncate { len_bytes: u64 },
}

#[derive(Debug)]
enum Durable {
    /// The view's first bytes; what is pending are appends.
    Prefix(u64),
    /// Bytes of their own.
    Snapshot(Box<Rope>),
}

#[derive(Debug)]
struct State {
    view: Arc<Rope>,
    durable: Durable,
    pending: Vec<Pending>,
}

/// A file, whatever its name is. Directory entries and open handles share it.
#[derive(Debug)]
pub(crate) struct FileCell {
    state: Mutex<State>,
    usage: Arc<Usage>,
}

impl FileCell {
    /// A file with `rope` as its durable bytes.
    pub(crate) fn new(rope: Arc<Rope>, usage: Arc<Usage>) -> FileCell {
        usage.change(0, rope.len_bytes());
        let durable = Durable::Prefix(rope.len_bytes());
        FileCell { state: Mutex::new(State { view: rope, durable, pending: Vec::new() }), usage }
    }

    pub(crate) fn view(&self) -> Arc<Rope> {
        lock(&self.state).view.clone()
    }

    pub(crate) fn len_bytes(&self) -> u64 {
        lock(&self.state).view.len_bytes()
    }

    pub(crate) fn read(&self, offset: u64, len_bytes: u64) -> Bytes {
        lock(&self.state).view.read(offset, len_bytes)
    }

    /// What is durable for sure.
    pub(crate) fn durable(&self) -> Arc<Rope> {
        let state = lock(&self.state);
        match &state.durable {
            Durable::Prefix(len) if *len == state.view.len_bytes() => state.view.clone(),
            Durable::Prefix(len) => Arc::new(state.view.prefix(*len)),
            Durable::Snapshot(rope) => Arc::new((**rope).clone()),
        }
    }

    pub(crate) fn append(&self, data: Bytes, key: u128) -> u64 {
        let mut state = lock(&self.state);
        let offset = state.view.len_bytes();
        if data.is_empty() {
            return offset;
        }
        self.usage.change(offset, offset + data.len() as u64);
        Arc::make_mut(&mut state.view).push(data.clone());
        let change = Change::Write { offset, data };
        state.pending.push(Pending { sequence: self.usage.next_sequence(), change, key });
        offset
    }

    pub(crate) fn write_at(&self, offset: u64, data: Bytes, key: u128) {
        if !data.is_empty() {
            self.overwrite(Change::Write { offset, data }, key);
        }
    }

    pub(crate) fn truncate(&self, len_bytes: u64, key: u128) {
        self.overwrite(Change::Truncate { len_bytes }, key);
    }

    fn overwrite(&self, change: Change, key: u128) {
        let mut guard = lock(&self.state);
        let state = &mut *guard;
        if let Durable::Prefix(len) = state.durable {
            state.durable = Durable::Snapshot(Box::new(state.view.prefix(len)));
        }
        let before = state.view.len_bytes();
        change.apply(Arc::make_mut(&mut state.view));
        self.usage.change(before, state.view.len_bytes());
        state.pending.push(Pending { sequence: self.usage.next_sequence(), change, key });
    }

    /// How many more bytes the file would take if `data_len` bytes stood at `offset`.
    pub(crate) fn growth(&self, offset: Option<u64>, data_len: u64) -> u64 {
        let len = self.len_bytes();
        offset.unwrap_or(len).saturating_add(data_len).saturating_sub(len)
    }

    /// What a sync that is called now will make durable, once it ends.
    pub(crate) fn sync_point(&self) -> u64 {
        lock(&self.state).pending.last().map_or(0, |last| last.sequence + 1)
    }

    /// Ends a sync: what was pending at `point` is durable.
    pub(crate) fn sync_to(&self, point: u64) {
        let mut guard = lock(&self.state);
        let state = &mut *guard;
        let count = state.pending.partition_point(|op| op.sequence < point);
        if count == state.pending.len() {
            state.durable = Durable::Prefix(state.view.len_bytes());
        } else {
            for op in &state.pending[..count] {
                match &mut state.durable {
                    Durable::Prefix(len) => *len += op.change.len_bytes(),
                    Durable::Snapshot(rope) => op.change.apply(rope),
                }
            }
        }
        state.pending.drain(..count);
        // Bursts give their memory back; the few of a steady writer do not, over and over.
        if state.pending.is_empty() && state.pending.capacity() > 64 {
            state.pending = Vec::new();
        }
    }

    /// The un-synced operations, oldest first.
    pub(crate) fn pending(&self) -> Vec<Pending> {
        lock(&self.state).pending.clone()
    }

    pub(crate) fn usage(&self) -> &Arc<Usage> {
        &self.usage
    }
}

impl Drop for FileCell {
    fn drop(&mut self) {
        self.usage.change(self.len_bytes(), 0);
    }
}

impl Change {
    pub(crate) fn apply(&self, rope: &mut Rope) {
        match self {
            Change::Write { offset, data } => rope.write(*offset, data.clone()),
            Change::Truncate { len_bytes } => rope.truncate(*len_bytes),
        }
    }

    fn len_bytes(&self) -> u64 {
        match self {
            Change::Write { data, .. } => data.len() as u64,
            Change::Truncate { .. } => 0,
        }
    }
}
