//! Unreadable blocks of a file: latent sector errors.
//!
//! They belong to the file's bytes: a write that covers such a block repairs it (the drive maps in a spare one), a
//! truncation drops it. A block is 4 KiB, aligned in the file; the last one may extend past the end.

use std::collections::BTreeSet;
use std::ops::Range;

/// Unit of reads and writes of a drive, in bytes.
pub(crate) const BLOCK_BYTES: u64 = 4_096;

/// Numbers of the unreadable blocks; empty for most files.
#[derive(Clone, Debug, Default)]
pub(crate) struct BadBlocks(BTreeSet<u64>);

impl BadBlocks {
    pub(crate) fn insert(&mut self, block: u64) {
        self.0.insert(block);
    }

    /// Drops the blocks past the end of a file that was truncated to `len_bytes`.
    pub(crate) fn truncate(&mut self, len_bytes: u64) {
        self.0.retain(|block| block * BLOCK_BYTES < len_bytes);
    }

    /// Repairs the blocks that a write of `from..to` into a file of `len_bytes` covers.
    pub(crate) fn repair(&mut self, from: u64, to: u64, len_bytes: u64) {
        self.0.retain(|block| !covers(from, to, *block, len_bytes));
    }

    fn touched(&self, from: u64, to: u64) -> impl Iterator<Item = u64> {
        // An empty range would otherwise touch one block.
        let end = if from < to { to.div_ceil(BLOCK_BYTES) } else { 0 };
        self.0.range((from / BLOCK_BYTES).min(end)..end).copied()
    }

    /// Whether a read of `from..to` touches an unreadable block.
    pub(crate) fn intersects(&self, from: u64, to: u64) -> bool {
        self.touched(from, to).next().is_some()
    }

    /// Whether a write of `from..to` into a file of `len_bytes` touches an unreadable block without covering it, and
    /// so would have to read it first.
    pub(crate) fn intersects_partially(&self, from: u64, to: u64, len_bytes: u64) -> bool {
        self.touched(from, to).any(|block| !covers(from, to, block, len_bytes))
    }

    /// Returns the unreadable byte ranges of a file of `len_bytes`, in order.
    pub(crate) fn ranges(&self, len_bytes: u64) -> Vec<Range<u64>> {
        let range = |block: &u64| block * BLOCK_BYTES..((block + 1) * BLOCK_BYTES).min(len_bytes);
        self.0.iter().map(range).collect()
    }
}

/// Whether `from..to` covers all bytes that a file of `len_bytes` has in the block.
fn covers(from: u64, to: u64, block: u64, len_bytes: u64) -> bool {
    let start = block * BLOCK_BYTES;
    from <= start && to >= (start + BLOCK_BYTES).min(len_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_is_bad_until_a_write_covers_it_or_the_file_is_cut_before_it() {
        let mut bad = BadBlocks::default();
        assert!(!bad.intersects(0, u64::MAX));
        bad.insert(1);
        bad.insert(2);
        assert_eq!(bad.ranges(9_000), [4_096..8_192, 8_192..9_000]);
        assert!(
            !bad.intersects(0, 4_096)
                && bad.intersects(0, 4_097)
                && bad.intersects(8_999, 9_000)
                && !bad.intersects(5_000, 5_000)
        );
        assert!(
            bad.intersects_partially(4_097, 8_192, 9_000) && !bad.intersects_partially(4_096, 9_000, 9_000)
        );
        bad.repair(4_097, 8_192, 9_000);
        assert_eq!(bad.ranges(9_000).len(), 2, "the first byte is missing");
        bad.repair(8_192, 9_000, 9_000);
        assert_eq!(
            bad.ranges(9_000),
            std::slice::from_ref(&(4_096..8_192)),
            "the last block ends with the file"
        );
        bad.truncate(4_097);
        assert!(bad.intersects(4_096, 4_097));
        bad.truncate(4_096);
        assert!(bad.0.is_empty());
    }
}
