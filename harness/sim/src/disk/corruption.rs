//! What faults do to one file: writes that nobody will ever write, syncs that fail for good, damage below the cache.
//!
//! Damage strikes the device, so it changes what is durable; of what reads see it changes what no un-synced write
//! covers. Where the view holds bytes that only pass for written, those may be hit as well.

use super::inode::{DurableContent, FileChange, FileState, Inode, UnsyncedOp};
use super::rope::Rope;
use crate::faults::ReadsAfterFailedSync;
use crate::lock::lock;
use bytes::Bytes;
use std::sync::Arc;

impl Inode {
    /// A write that reads see and that no sync will ever make durable.
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

    /// A write whose bytes go elsewhere: the file grows where it must, and that is all.
    pub(crate) fn write_misdirected(&self, end: u64, key: u128) {
        self.overwrite(FileChange::Extend { len_bytes: end }, key);
        self.corrupt_durable(Rope::mark_corrupted);
    }

    /// A sync failed: the pages that were pending are marked clean and never written. Where reads go on showing them,
    /// the file system goes on as well: truncations are the journal's and still come. So nothing that the view shows
    /// as cut off can come back below what is written later.
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

    /// The cache forgets what passes for written: reads see what is durable, under what is still to be written.
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

    /// What there will be if all that is pending is written: the view, without what only passes for written.
    pub(crate) fn synced_view(&self) -> Arc<Rope> {
        let state = lock(&self.state);
        if state.unwritten { state.synced_view() } else { state.view.clone() }
    }

    /// How many of its first bytes are durable.
    pub(crate) fn durable_len_bytes(&self) -> u64 {
        match &lock(&self.state).durable {
            DurableContent::Prefix(len) => *len,
            DurableContent::Snapshot(rope) => rope.len_bytes(),
        }
    }

    /// The block can no longer be read.
    pub(crate) fn mark_unreadable(&self, block: u64) {
        self.corrupt_durable(|rope| {
            rope.mark_unreadable(block);
            rope.mark_corrupted();
        });
    }

    /// The bits that are set in `mask`, from `offset` on, change.
    pub(crate) fn flip_bits(&self, offset: u64, mask: &[u8]) {
        self.corrupt_durable(|rope| {
            let there = within(rope, offset, mask.len());
            rope.flip_bits(offset, &mask[..there]);
            rope.mark_corrupted();
        });
    }

    /// Bytes that belong elsewhere come to stand at `offset`; the file does not grow by them.
    pub(crate) fn overwrite_in_place(&self, offset: u64, data: &Bytes) {
        self.corrupt_durable(|rope| {
            let there = within(rope, offset, data.len());
            rope.write(offset, data.slice(..there));
            rope.mark_corrupted();
        });
    }

    /// Changes what the device holds. `change` must leave the length alone.
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

/// How many of `len` bytes from `offset` lie within the rope.
fn within(rope: &Rope, offset: u64, len: usize) -> usize {
    let there = rope.len_bytes().saturating_sub(offset).min(len as u64);
    usize::try_from(there).unwrap_or(len)
}
