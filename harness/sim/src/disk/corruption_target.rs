//! Selects the block of a disk that a fault corrupts.
//!
//! Every durable block of every durably named file is a candidate, so a file's weight is its length. Each candidate
//! gets a number that depends on the fault's own key, the file's name and the block's position in it; the lowest is
//! selected. So adding or removing a file changes nothing, unless it contains the selected block.

use super::bad_blocks::BLOCK_BYTES;
use super::dir_tree::{DirTree, TreeEntry};
use super::inode::Inode;
use crate::prng::hash_key;
use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::Arc;
use xxhash_rust::xxh3::xxh3_64;

/// A durable block, selected for corruption.
pub(crate) struct CorruptionTarget {
    pub(crate) inode: Arc<Inode>,
    pub(crate) block: u64,
    /// The durable bytes from the block's start to the file's durable end.
    pub(crate) durable: Range<u64>,
}

/// Returns a fault's key for selecting blocks.
pub(crate) fn target_key(pick: u64, node: &str) -> u128 {
    hash_key(&[pick, xxh3_64(node.as_bytes())])
}

impl DirTree {
    /// Returns the block that `key` selects under a path prefix, if any; never a block from which `len_bytes` would
    /// reach into the spared range of that file.
    pub(crate) fn corruption_target(
        &self,
        key: u128,
        path_prefix: &str,
        spared: Option<(&Arc<Inode>, Range<u64>)>,
        len_bytes: u64,
    ) -> Option<CorruptionTarget> {
        let [high, low] = [(key >> 64) as u64, key as u64];
        let mut lowest: Option<(u128, CorruptionTarget)> = None;
        self.walk(&self.names_after(&BTreeSet::new()), &mut |path, named| {
            let TreeEntry::File(inode) = named else { return };
            if !path.starts_with(path_prefix) {
                return;
            }
            let (name, end) = (xxh3_64(path.as_bytes()), inode.durable_len_bytes());
            for block in 0..end.div_ceil(BLOCK_BYTES) {
                let start = block * BLOCK_BYTES;
                let is_spared = spared.as_ref().is_some_and(|(spared, range)| {
                    Arc::ptr_eq(spared, inode) && start < range.end && range.start < start + len_bytes
                });
                let number = hash_key(&[high, low, name, block]);
                if !is_spared && lowest.as_ref().is_none_or(|(least, _)| number < *least) {
                    lowest =
                        Some((number, CorruptionTarget { inode: inode.clone(), block, durable: start..end }));
                }
            }
        });
        lowest.map(|(_, target)| target)
    }
}
