//! Faults of disks that nothing reports when they happen: latent sector errors, rot, writes that went elsewhere or
//! nowhere, garbage after a crash.
//!
//! Damage belongs to the file's bytes on the device: it outlives renames, crashes, restarts and the end of faults, and
//! goes into images and forks. Rot and misdirected writes are seen at once, as if nothing were cached; what is not yet
//! synced lies above them and hides them until it is written, which mends them. Victims are drawn among the durable
//! blocks of the disk by the fault's own `pick`, node and names: a fault more or less leaves the others alone. A fault
//! that finds nothing to damage does nothing.
//!
//! A block that cannot be read fails every read that touches it, and every write that covers a part of it only, for
//! such a write has to read first. A write that covers it (to the end of the file, if it is the last) mends it.
//!
//! A lost write is seen until the next crash or restart, as if the page cache or the drive's own cache held it and
//! lost it: then neither its bytes are there nor the length that they brought, unless a later write that was not lost
//! lies above. A misdirected write does change the file's length: that went into the journal, not with the data.
//!
//! Not modelled: damage to directories and to the file system's own structures, a drive that dies altogether (that is
//! a new disk), damage that spreads, reads that succeed at the third attempt, writes that rewrite old bytes later.
//!
//! How often: 3.45% of disks had latent sector errors in 32 months (Bairavasundaram et al., SIGMETRICS 2007). Silent
//! corruption is rarer, but comes in clusters within a disk and correlated across the disks of one system, so faults
//! should come in groups (Bairavasundaram et al., "An Analysis of Data Corruption in the Storage Stack", FAST 2008). Of
//! flash drives 30 to 80% grow a bad block in four years (Schroeder et al., FAST 2016). What crashes tear, reorder and
//! leave behind: Pillai et al., "All File Systems Are Not Created Equal", OSDI 2014. Scenarios accelerate the rates.

use super::{FaultBehavior, FaultDuration, disk};
use crate::disk::{BLOCK_BYTES, CorruptionTarget, DiskFaultEffect, target_key};
use crate::prng::KeyedPrng;
use crate::world::World;
use rand_chacha::rand_core::Rng;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A block of a durable file can no longer be read: reads of it fail with an input/output error until it is written
/// again.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub struct LatentSector {
    /// The node.
    pub node: String,
    /// Only files whose paths begin so. Empty: all.
    #[serde(default)]
    pub path_prefix: String,
    /// Decides which of the blocks there are.
    #[schemars(range(max = 18_446_744_073_709_551_615_u64))]
    pub pick: u64,
}

/// Bits of a durable file change by themselves.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub struct BitRot {
    /// The node.
    pub node: String,
    /// Only files whose paths begin so. Empty: all.
    #[serde(default)]
    pub path_prefix: String,
    /// Decides which file and which bits.
    #[schemars(range(max = 18_446_744_073_709_551_615_u64))]
    pub pick: u64,
    /// How many bits, near each other.
    #[schemars(range(min = 1, max = 32_768))]
    pub bits: u32,
}

/// The next write goes to another place of the disk than it should: its own place keeps what it had, and another
/// block is overwritten.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub struct MisdirectedWrite {
    /// The node.
    pub node: String,
    /// Only writes to files whose paths begin so. Empty: all.
    #[serde(default)]
    pub path_prefix: String,
    /// Decides where it goes.
    #[schemars(range(max = 18_446_744_073_709_551_615_u64))]
    pub pick: u64,
}

/// The next writes are confirmed, synced, and not there after the next crash.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub struct LostWrite {
    /// The node.
    pub node: String,
    /// Only writes to files whose paths begin so. Empty: all.
    #[serde(default)]
    pub path_prefix: String,
    /// How many writes.
    #[schemars(range(max = 1_000_000))]
    pub times: u32,
}

/// Crashes leave garbage, not zeros, where a file was extended and its bytes were not written.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub struct GarbageTails {
    /// The node.
    pub node: String,
    /// For how many milliseconds; `None`: until faults are over.
    #[serde(default)]
    #[schemars(range(max = 31_622_400_000_u64))]
    pub for_ms: Option<u64>,
}

impl FaultBehavior for LatentSector {
    fn nodes(&self) -> Vec<&str> {
        vec![&self.node]
    }

    fn begin(&self, world: &World, _: usize) -> FaultDuration {
        if let Some(target) = pick_target(world, &self.node, &self.path_prefix, self.pick) {
            target.inode.mark_unreadable(target.block);
        }
        FaultDuration::Instant
    }

    fn end(&self, _: &World, _: usize) {}
}

impl FaultBehavior for BitRot {
    fn nodes(&self) -> Vec<&str> {
        vec![&self.node]
    }

    fn begin(&self, world: &World, _: usize) -> FaultDuration {
        if let Some(target) = pick_target(world, &self.node, &self.path_prefix, self.pick) {
            let (offset, mask) = bit_flip_mask(target_key(self.pick, &self.node), &target, self.bits);
            target.inode.flip_bits(offset, &mask);
        }
        FaultDuration::Instant
    }

    fn end(&self, _: &World, _: usize) {}
}

impl FaultBehavior for MisdirectedWrite {
    fn nodes(&self) -> Vec<&str> {
        vec![&self.node]
    }

    fn begin(&self, world: &World, fault: usize) -> FaultDuration {
        let effect = DiskFaultEffect::MisdirectedWrite(target_key(self.pick, &self.node));
        disk::add_rule(world, &self.node, (fault, &self.path_prefix, Some(1), effect), None)
    }

    fn end(&self, world: &World, fault: usize) {
        disk::remove_fault(world, &self.node, fault);
    }

    fn is_exhausted(&self, world: &World, fault: usize) -> bool {
        disk::is_exhausted(world, &self.node, fault)
    }
}

impl FaultBehavior for LostWrite {
    fn nodes(&self) -> Vec<&str> {
        vec![&self.node]
    }

    fn begin(&self, world: &World, fault: usize) -> FaultDuration {
        let rule = (fault, self.path_prefix.as_str(), Some(self.times), DiskFaultEffect::LostWrite);
        disk::add_rule(world, &self.node, rule, None)
    }

    fn end(&self, world: &World, fault: usize) {
        disk::remove_fault(world, &self.node, fault);
    }

    fn is_exhausted(&self, world: &World, fault: usize) -> bool {
        disk::is_exhausted(world, &self.node, fault)
    }
}

impl FaultBehavior for GarbageTails {
    fn nodes(&self) -> Vec<&str> {
        vec![&self.node]
    }

    fn begin(&self, world: &World, fault: usize) -> FaultDuration {
        disk::set_condition(world, &self.node, self.for_ms, |node| {
            node.disk().faults().set_garbage_tails(fault)
        })
    }

    fn end(&self, world: &World, fault: usize) {
        disk::remove_fault(world, &self.node, fault);
    }
}

fn pick_target(world: &World, node: &str, path_prefix: &str, pick: u64) -> Option<CorruptionTarget> {
    let key = target_key(pick, node);
    world.find_node(node)?.disk().tree(|tree| tree.corruption_target(key, path_prefix, None, 0))
}

/// Which bits of a block rot: `bits` of them, all different, within 64 bytes (or as many as it takes). Where the mask
/// begins, and the mask.
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
