//! Disks that were replaced, are absent, or run a hostile release.

use super::OracleChecker;
use latent_oracle::ClusterSnapshot;
use latent_ports::NodeId;
use std::borrow::Cow;

impl OracleChecker {
    /// Handles a disk that was emptied or replaced from outside: its previous contents imply nothing any more.
    pub fn disk_emptied(&mut self, disk: &str) {
        self.manifests.forget(disk);
        self.copies.forget(disk);
        self.corruption.forget(disk);
        self.runs.forget(disk);
        self.compactions.forget(disk);
        self.space.forget(disk);
        self.deadlines.nightly.forget(disk);
    }

    /// Handles a disk that stays unavailable: its contents and the work that waits for it are no longer checked.
    pub fn abandon_disk(&mut self, node: NodeId, disk: &str, at_ms: i64) {
        self.excuses.record_permanent_loss(disk, at_ms);
        self.abandoned_disk = Some(node);
        self.disk_emptied(disk);
        self.dirty.forget(disk);
    }

    /// Marks a disk as compromised.
    pub fn disk_compromised(&mut self, disk: &str) {
        self.compromised.insert(disk.to_owned());
    }

    /// Marks a disk as sound. If it was compromised, its current contents are a new start. Returns true if it was the
    /// last compromised disk.
    pub fn disk_restored(&mut self, disk: &str) -> bool {
        let was_compromised = self.compromised.remove(disk);
        if was_compromised {
            self.disk_emptied(disk);
        }
        was_compromised && self.compromised.is_empty()
    }

    /// Returns the disks for which the system is accountable: those that are not compromised.
    pub(super) fn accountable_disks<'s>(&self, snapshot: &'s ClusterSnapshot) -> Cow<'s, ClusterSnapshot> {
        if self.compromised.is_empty() {
            return Cow::Borrowed(snapshot);
        }
        let mut left = snapshot.clone();
        left.disks.retain(|disk| !self.compromised.contains(&disk.name));
        Cow::Owned(left)
    }
}
