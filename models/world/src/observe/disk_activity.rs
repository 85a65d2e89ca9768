//! Observed activity of disks: manifests that were written, and backup catalogs that were stored.
//!
//! An observer records which files changed and does nothing else. The judge reads the files; nothing here depends on
//! what the system reports about its work.

use super::without_marks::WithoutMarks;
use crate::mutex::lock;
use latent_engine::sim::{Event, Observer, Record, World};
use latent_oracle::ProjectDay;
use latent_oracle::reader::arb_path::parse_manifest_path;
use latent_ports::{DiskOp, NodeId};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

/// Directory of the catalogs in a data center.
const CATALOG_DIR: &str = "objects/catalogs/";

/// A manifest on a disk.
pub(crate) type ManifestId = (NodeId, ProjectDay);

/// Files that changed since the last look.
#[derive(Debug, Default)]
pub(crate) struct DiskActivity {
    /// Append times of edits that may be durable since the last look, in milliseconds since 1970. Without an append:
    /// earlier edits may have become durable.
    manifests: BTreeMap<ManifestId, Vec<i64>>,
    /// Manifests written since the last death of their process: a crash decides what is left of them.
    written_since_crash: BTreeSet<ManifestId>,
    is_catalog_stored: bool,
}

impl DiskActivity {
    /// Returns the manifests to read, with the append times of their edits.
    pub fn take_manifests(&mut self) -> BTreeMap<ManifestId, Vec<i64>> {
        std::mem::take(&mut self.manifests)
    }

    /// Returns true if a catalog was stored since the last call.
    pub fn take_catalog_stored(&mut self) -> bool {
        std::mem::take(&mut self.is_catalog_stored)
    }

    fn manifest_written(&mut self, manifest: ManifestId, appended_ms: Option<i64>) {
        self.manifests.entry(manifest).or_default().extend(appended_ms);
        self.written_since_crash.insert(manifest);
    }

    fn process_died(&mut self, node: NodeId) {
        let (written, others) =
            std::mem::take(&mut self.written_since_crash).into_iter().partition(|(disk, _)| *disk == node);
        self.written_since_crash = others;
        let written: BTreeSet<ManifestId> = written;
        for manifest in written {
            self.manifests.entry(manifest).or_default();
        }
    }
}

/// Registers the observer and returns what it records.
pub(crate) fn attach(world: &World) -> Arc<Mutex<DiskActivity>> {
    let activity: Arc<Mutex<DiskActivity>> = Arc::default();
    world.observe(Box::new(WithoutMarks(DiskObserver { activity: activity.clone() })));
    activity
}

struct DiskObserver {
    activity: Arc<Mutex<DiskActivity>>,
}

impl Observer for DiskObserver {
    fn on_record(&mut self, record: &Record<'_>, world: &World) {
        match record.event {
            Event::Disk { op: DiskOp::Append, path, outcome: Ok(()), .. } => {
                let Some(project_day) = parse_manifest_path(path) else { return };
                lock(&self.activity).manifest_written((record.node, project_day), Some(world.now().0));
            }
            Event::Disk { op: DiskOp::Sync, path, outcome: Ok(()), .. } => {
                let Some(project_day) = parse_manifest_path(path) else { return };
                lock(&self.activity).manifest_written((record.node, project_day), None);
            }
            Event::Disk { op: DiskOp::Rename, to, outcome: Ok(()), .. } => {
                if to.starts_with(CATALOG_DIR) {
                    lock(&self.activity).is_catalog_stored = true;
                } else if let Some(project_day) = parse_manifest_path(to) {
                    lock(&self.activity).manifest_written((record.node, project_day), None);
                }
            }
            Event::Kill(_) => lock(&self.activity).process_died(record.node),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manifest_is_read_again_after_its_process_died() {
        let (one, other) = (NodeId(1), NodeId(2));
        let of = |node| (node, ProjectDay { project: 17, day: 16_853 });
        let mut activity = DiskActivity::default();
        activity.manifest_written(of(one), Some(5));
        activity.manifest_written(of(other), Some(6));
        activity.manifest_written(of(one), None);
        assert_eq!(activity.take_manifests(), BTreeMap::from([(of(one), vec![5]), (of(other), vec![6])]));
        activity.process_died(one);
        assert_eq!(activity.take_manifests(), BTreeMap::from([(of(one), vec![])]));
        activity.process_died(one);
        assert!(activity.take_manifests().is_empty());
    }
}
