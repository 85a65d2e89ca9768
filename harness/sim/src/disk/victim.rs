//! Which block of a disk a fault damages.
//!
//! Every durable block of every durably named file is a candidate, so files weigh as much as they are long. Each
//! gets a number that depends on the fault's own key, the file's name and the block's place in it; the lowest is
//! hit. So a file more or less on the disk changes nothing, unless it is the one that is hit.

use super::file::FileCell;
use super::sectors::BLOCK_BYTES;
use super::tree::{Named, Tree};
use crate::draw::key_of;
use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::Arc;
use xxhash_rust::xxh3::xxh3_64;

/// A durable block.
pub(crate) struct Victim {
    pub(crate) cell: Arc<FileCell>,
    pub(crate) block: u64,
    /// The durable bytes from the block's start to the file's durable end.
    pub(crate) durable: Range<u64>,
}

/// A fault's key: what picks its victims.
pub(crate) fn pick_key(pick: u64, node: &str) -> u128 {
    key_of(&[pick, xxh3_64(node.as_bytes())])
}

impl Tree {
    /// The block that `key` picks below a path prefix, if there is any; never one from which `len_bytes` would reach
    /// into `spared` of that file.
    pub(crate) fn victim(
        &self,
        key: u128,
        path_prefix: &str,
        spared: Option<(&Arc<FileCell>, Range<u64>)>,
        len_bytes: u64,
    ) -> Option<Victim> {
        let [high, low] = [(key >> 64) as u64, key as u64];
        let mut lowest: Option<(u128, Victim)> = None;
        self.walk(&self.names_after(&BTreeSet::new()), &mut |path, named| {
            let Named::File(cell) = named else { return };
            if !path.starts_with(path_prefix) {
                return;
            }
            let (name, end) = (xxh3_64(path.as_bytes()), cell.durable_len_bytes());
            for block in 0..end.div_ceil(BLOCK_BYTES) {
                let start = block * BLOCK_BYTES;
                let is_spared = spared.as_ref().is_some_and(|(spared, range)| {
                    Arc::ptr_eq(spared, cell) && start < range.end && range.start < start + len_bytes
                });
                let number = key_of(&[high, low, name, block]);
                if !is_spared && lowest.as_ref().is_none_or(|(least, _)| number < *least) {
                    lowest = Some((number, Victim { cell: cell.clone(), block, durable: start..end }));
                }
            }
        });
        lowest.map(|(_, victim)| victim)
    }
}
