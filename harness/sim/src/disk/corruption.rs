//! Faults of one file: writes that never become durable, syncs that fail permanently, corruption below the cache.
//!
//! Corruption affects the device, so it changes the durable bytes. In the view, it changes the bytes that no
//! un-synced write covers. Bytes of the view that are marked clean but never written may be corrupted as well.

use super::disk_faults::ReadsAfterFailedSync;
use super::inode::{DurableContent, FileChange, FileState, Inode, UnsyncedOp};
use super::rope::Rope;
use crate::lock::lock;
use bytes::Bytes;
use std::sync::Arc;

impl Inode {
    /// Writes bytes that reads see and that no sync makes durable.
    pub(crate) fn write_lost(&self, offset: u64, data: Bytes) {
        let mut guard = lock(&self.state);
        let state = &mut *guard;
        state.snapshot().mark_corrupted();
        state.unwritten = true;
        self.update_view(state, |view| {
            view.write(offset, data);
            view.mark_corrupted();
        });
    }

    /// Writes bytes that go to another location: the file grows if necessary, without them.
    pub(crate) fn write_misdirected(&self, end: u64, key: u128) {
        self.overwrite(FileChange::Extend { len_bytes: end }, key);
        self.corrupt_durable(Rope::mark_corrupted);
    }

    /// Fails a sync: the pending pages are marked clean and never written. If reads keep returning them, the file
    /// system continues too: truncations are in the journal and still take effect. So bytes that the view shows as
    /// truncated cannot reappear below later writes.
    pub(crate) fn fail_sync(&self, shows: ReadsAfterFailedSync) {
        let mut guard = lock(&self.state);
        let state = &mut *guard;
        state.failed_syncs += 1;
        if shows == ReadsAfterFailedSync::Old {
            state.pending.clear();
            self.drop_cache(state);
        } else if !state.pending.is_empty() {
            state.snapshot();
            state.unwritten = true;
            state.pending.retain(|op| !matches!(op.change, FileChange::Write { .. }));
        }
    }

    /// Drops clean pages that were never written: reads then see the durable bytes and the pending operations.
    pub(crate) fn forget_unwritten(&self) {
        let mut guard = lock(&self.state);
        if guard.unwritten {
            self.drop_cache(&mut guard);
        }
    }

    fn drop_cache(&self, state: &mut FileState) {
        let kept = state.synced_view();
        self.update_view(state, |view| *view = Arc::unwrap_or_clone(kept));
        state.unwritten = false;
        if state.pending.is_empty() {
            state.durable = DurableContent::Prefix(state.view.len_bytes());
        }
    }

    /// Returns the contents after all pending operations are synced: the view without pages that were never written.
    pub(crate) fn synced_view(&self) -> Arc<Rope> {
        let state = lock(&self.state);
        if state.unwritten { state.synced_view() } else { state.view.clone() }
    }

    /// Returns the durable length.
    pub(crate) fn durable_len_bytes(&self) -> u64 {
        match &lock(&self.state).durable {
            DurableContent::Prefix(len) => *len,
            DurableContent::Snapshot(rope) => rope.len_bytes(),
        }
    }

    /// Makes a block unreadable.
    pub(crate) fn mark_unreadable(&self, block: u64) {
        self.corrupt_durable(|rope| {
            rope.mark_corrupted();
            rope.mark_unreadable(block);
        });
    }

    /// Flips the bits that are set in `mask`, which begins at `offset`.
    pub(crate) fn flip_bits(&self, offset: u64, mask: &[u8]) {
        self.corrupt_durable(|rope| {
            let len = len_within(rope, offset, mask.len());
            rope.mark_corrupted();
            rope.flip_bits(offset, &mask[..len]);
        });
    }

    /// Overwrites bytes at `offset` with those of a misdirected write. The file does not grow.
    pub(crate) fn overwrite_in_place(&self, offset: u64, data: &Bytes) {
        self.corrupt_durable(|rope| {
            let len = len_within(rope, offset, data.len());
            rope.mark_corrupted();
            rope.write_device(offset, data.slice(..len));
        });
    }

    /// Changes the bytes on the device. `change` must not change the length.
    fn corrupt_durable(&self, change: impl Fn(&mut Rope)) {
        let mut guard = lock(&self.state);
        let state = &mut *guard;
        match &mut state.durable {
            DurableContent::Prefix(_) => change(Arc::make_mut(&mut state.view)),
            DurableContent::Snapshot(rope) => {
                change(rope);
                if state.unwritten {
                    change(Arc::make_mut(&mut state.view));
                } else {
                    state.view = state.synced_view();
                }
            }
        }
    }
}

impl FileState {
    fn synced_view(&self) -> Arc<Rope> {
        let mut rope = self.durable_rope();
        for UnsyncedOp { change, .. } in &self.pending {
            change.apply(Arc::make_mut(&mut rope));
        }
        rope
    }
}

/// Returns how many of `len` bytes from `offset` lie within the rope.
fn len_within(rope: &Rope, offset: u64, len: usize) -> usize {
    let within = rope.len_bytes().saturating_sub(offset).min(len as u64);
    usize::try_from(within).unwrap_or(len)
}
