//! Silent disk faults: latent sector errors, bit rot, misdirected writes, lost writes, garbage after a crash.
//!
//! Corruption belongs to the file's bytes on the device. It outlives renames, crashes, restarts and the end of
//! faults, and is part of images and forks. Bit rot and misdirected writes are visible at once, as if nothing were
//! cached. Un-synced writes hide them until a sync writes those bytes, which repairs them. The corrupted block is
//! drawn among the durable blocks of the disk by the fault's own `pick`, node and names, so that adding or removing a
//! fault does not affect the others. A fault that finds no block does nothing.
//!
//! An unreadable block fails every read that touches it, and every write that covers only a part of it, because such
//! a write has to read first. A write that covers it (up to the end of the file, if it is the last block) repairs it.
//!
//! A lost write is visible until the next crash or restart, as if the page cache or the drive's own cache held it and
//! lost it. Then its bytes and its extension of the file are gone, unless a later write that was not lost covers
//! them. A misdirected write does extend the file: the length is in the journal, not with the data.
//!
//! Not modelled: corruption of directories and of the file system's own structures, a drive that fails completely
//! (that is a new disk), corruption that spreads, reads that succeed at the third attempt, writes that rewrite old
//! bytes later.
//!
//! Frequency: 3.45% of disks had latent sector errors in 32 months (Bairavasundaram et al., SIGMETRICS 2007). Silent
//! corruption is rarer, but clustered within a disk and correlated across the disks of one system, so faults should
//! come in groups (Bairavasundaram et al., "An Analysis of Data Corruption in the Storage Stack", FAST 2008). Of
//! flash drives, 30 to 80% develop a bad block in four years (Schroeder et al., FAST 2016). Crashes that tear,
//! reorder and leave garbage: Pillai et al., "All File Systems Are Not Created Equal", OSDI 2014. Scenarios
//! accelerate the rates.

use super::behavior::{FaultBehavior, FaultDuration, FaultTarget};
use super::disk::{self, DiskRule};
use crate::disk::{BLOCK_BYTES, CorruptionTarget, DiskFaultEffect, target_key};
use crate::prng::KeyedPrng;
use rand_chacha::rand_core::Rng;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Makes a block of a durable file unreadable: reads of it fail with an input/output error until it is overwritten.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub struct LatentSector {
    /// The node.
    pub node: String,
    /// Prefix of the paths that match. Empty: all.
    #[serde(default)]
    pub path_prefix: String,
    /// Random number that selects the block.
    #[schemars(range(max = 18_446_744_073_709_551_615_u64))]
    pub pick: u64,
}

/// Flips bits of a durable file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub struct BitRot {
    /// The node.
    pub node: String,
    /// Prefix of the paths that match. Empty: all.
    #[serde(default)]
    pub path_prefix: String,
    /// Random number that selects the file and the bits.
    #[schemars(range(max = 18_446_744_073_709_551_615_u64))]
    pub pick: u64,
    /// Number of bits, close to each other.
    #[schemars(range(min = 1, max = 32_768))]
    pub bits: u32,
}

/// Misdirects the next write: its own location keeps the old bytes, and another block is overwritten.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub struct MisdirectedWrite {
    /// The node.
    pub node: String,
    /// Prefix of the written files' paths. Empty: all.
    #[serde(default)]
    pub path_prefix: String,
    /// Random number that selects the overwritten block.
    #[schemars(range(max = 18_446_744_073_709_551_615_u64))]
    pub pick: u64,
}

/// Loses the next writes: they are confirmed and synced, and missing after the next crash.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub struct LostWrite {
    /// The node.
    pub node: String,
    /// Prefix of the written files' paths. Empty: all.
    #[serde(default)]
    pub path_prefix: String,
    /// Number of writes.
    #[schemars(range(max = 1_000_000))]
    pub times: u32,
}

/// Makes crashes leave garbage, not zeros, where a file was extended and its bytes were not written.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub struct GarbageTails {
    /// The node.
    pub node: String,
    /// Duration in milliseconds; `None`: until faults end.
    #[serde(default)]
    #[schemars(range(max = 31_622_400_000_u64))]
    pub for_ms: Option<u64>,
}

impl FaultBehavior for LatentSector {
    fn nodes(&self) -> Vec<&str> {
        vec![&self.node]
    }

    fn begin(&self, target: &dyn FaultTarget, _: usize) -> FaultDuration {
        if let Some(target) = pick_target(target, &self.node, &self.path_prefix, self.pick) {
            target.inode.mark_unreadable(target.block);
        }
        FaultDuration::Instant
    }

    fn end(&self, _: &dyn FaultTarget, _: usize) {}
}

impl FaultBehavior for BitRot {
    fn nodes(&self) -> Vec<&str> {
        vec![&self.node]
    }

    fn begin(&self, target: &dyn FaultTarget, _: usize) -> FaultDuration {
        if let Some(target) = pick_target(target, &self.node, &self.path_prefix, self.pick) {
            let (offset, mask) = bit_flip_mask(target_key(self.pick, &self.node), &target, self.bits);
            target.inode.flip_bits(offset, &mask);
        }
        FaultDuration::Instant
    }

    fn end(&self, _: &dyn FaultTarget, _: usize) {}
}

impl DiskRule for MisdirectedWrite {
    fn place(&self) -> (&str, &str) {
        (&self.node, &self.path_prefix)
    }

    fn effect(&self) -> (DiskFaultEffect, Option<u32>) {
        (DiskFaultEffect::MisdirectedWrite(target_key(self.pick, &self.node)), Some(1))
    }
}

impl DiskRule for LostWrite {
    fn place(&self) -> (&str, &str) {
        (&self.node, &self.path_prefix)
    }

    fn effect(&self) -> (DiskFaultEffect, Option<u32>) {
        (DiskFaultEffect::LostWrite, Some(self.times))
    }
}

impl FaultBehavior for GarbageTails {
    fn nodes(&self) -> Vec<&str> {
        vec![&self.node]
    }

    fn begin(&self, target: &dyn FaultTarget, fault: usize) -> FaultDuration {
        disk::begin_at_disk(target, &self.node, self.for_ms, |disk| disk.faults().set_garbage_tails(fault))
    }

    fn end(&self, target: &dyn FaultTarget, fault: usize) {
        disk::remove_fault(target, &self.node, fault);
    }
}

fn pick_target(
    target: &dyn FaultTarget,
    node: &str,
    path_prefix: &str,
    pick: u64,
) -> Option<CorruptionTarget> {
    let key = target_key(pick, node);
    target.machine(node)?.disk().tree(|tree| tree.corruption_target(key, path_prefix, None, 0))
}

/// Returns the offset of a mask and the mask of `bits` different bits to flip, within 64 bytes of a block (or as many
/// as it takes).
fn bit_flip_mask(key: u128, target: &CorruptionTarget, bits: u32) -> (u64, Vec<u8>) {
    const NEAR_BYTES: u64 = 64;
    let block_bytes = (target.durable.end - target.durable.start).min(BLOCK_BYTES);
    let near_bytes = NEAR_BYTES.max(u64::from(bits).div_ceil(8)).min(block_bytes);
    let mut rng = KeyedPrng::new(0).rng("disk.rot", key);
    let from = rng.next_u64() % (block_bytes - near_bytes + 1);
    let mut mask = vec![0_u8; usize::try_from(near_bytes).unwrap_or(0)];
    let mut missing = u64::from(bits).min(near_bytes * 8);
    while missing > 0 {
        let bit = rng.next_u64() % (near_bytes * 8);
        let (byte, bit) = (usize::try_from(bit / 8).unwrap_or(0), 1 << (bit % 8));
        missing -= u64::from(mask[byte] & bit == 0);
        mask[byte] |= bit;
    }
    (target.durable.start + from, mask)
}
