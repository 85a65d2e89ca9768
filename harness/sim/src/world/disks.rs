//! Disks of a world, as the code that drives a run and its observers read them.

use super::World;
use crate::disk::{DiskImage, DiskStats, FileImage};
use latent_ports::NodeId;

impl World {
    /// Returns the disk's contents as reads see them now. Costs O(files), not O(bytes).
    #[must_use]
    pub fn disk_image(&self, node: NodeId) -> DiskImage {
        self.node(node).disk().image()
    }

    /// Returns the files under some directories, as reads see them now. For observers that often read a few
    /// directories.
    #[must_use]
    pub fn disk_image_under<'d>(&self, node: NodeId, dirs: impl Iterator<Item = &'d str>) -> DiskImage {
        self.node(node).disk().image_under(dirs)
    }

    /// Returns one file, as reads see it now.
    #[must_use]
    pub fn file(&self, node: NodeId, path: &str) -> Option<FileImage> {
        self.node(node).disk().file(path)
    }

    /// Returns the contents that survive any power loss now: nothing un-synced.
    #[must_use]
    pub fn durable_image(&self, node: NodeId) -> DiskImage {
        self.node(node).disk().durable_image()
    }

    /// Returns [`World::durable_image`] limited to the files under some directories. For observers that often read a
    /// few directories.
    #[must_use]
    pub fn durable_image_under<'d>(&self, node: NodeId, dirs: impl Iterator<Item = &'d str>) -> DiskImage {
        self.node(node).disk().durable_image_under(dirs)
    }

    /// Returns counters of a node's disk.
    #[must_use]
    pub fn disk_stats(&self, node: NodeId) -> DiskStats {
        self.node(node).disk().stats()
    }
}
