//! Which nodes each job needs, and how long after a fault it tries again: what its excuses are worked out from.
//!
//! Taken from what the jobs are there for, not from how they happen to be written: a backup needs enough disks, its own
//! node and the data center it goes to, and it does without one disk of eight.

use crate::excuses::JobDependencies;
use crate::scenario::WorldConfig;
use crate::topology::NodeNames;

const MINUTE_MS: i64 = 60_000;

/// A backup that failed is tried again after half an hour, and waits some minutes for a store that does not answer.
const BACKUP_TRIED_AGAIN_MS: i64 = 60 * MINUTE_MS;
/// The keeper of the tee store, and the edges, try again every ten minutes.
const TEE_TRIED_AGAIN_MS: i64 = 60 * MINUTE_MS;
/// Requests wait for disks that do not answer, and nodes for their first boot.
const EXPORT_TRIED_AGAIN_MS: i64 = 10 * MINUTE_MS;

/// Hints are tried every ten minutes, and a disk that was away takes some time for all of them.
const HINT_TRIED_AGAIN_MS: i64 = 30 * MINUTE_MS;
/// A job that failed on a disk is tried again after ten minutes; a lease of a dead worker runs out in as many.
const COMPACTION_TRIED_AGAIN_MS: i64 = 30 * MINUTE_MS;
/// What a fault kept from a disk is handed off within an hour.
const COMPARED_AFTER_MS: i64 = 60 * MINUTE_MS;

/// The needs of a scenario's jobs.
pub(crate) struct DependencyMap {
    names: NodeNames,
    read_disks: usize,
    interval_ms: i64,
    tee_kept_ms: i64,
}

impl DependencyMap {
    pub fn new(config: &WorldConfig) -> DependencyMap {
        let protection = &config.protection;
        let ms = |duration: std::time::Duration| duration.as_millis() as i64;
        DependencyMap {
            names: NodeNames::new(config),
            read_disks: usize::from(config.topology.copies - config.topology.ack_copies) + 1,
            interval_ms: protection.backup.as_ref().map_or(0, |backup| ms(backup.interval.0)),
            tee_kept_ms: protection.tee.as_ref().map_or(0, |tee| ms(tee.retention.0)),
        }
    }

    /// The node that compares and repairs copies.
    pub fn repairer(&self) -> Option<String> {
        self.names.workers.first().cloned()
    }

    /// A backup to this data center. One that was emptied has an interval to be filled in.
    pub fn backup(&self, data_center: &str) -> JobDependencies {
        let nodes = self.names.backup.iter().cloned().chain([data_center.to_owned()]);
        let need =
            JobDependencies::new(nodes, BACKUP_TRIED_AGAIN_MS).and(self.read_disks, self.names.disks.clone());
        JobDependencies { repaired_after_ms: self.interval_ms, ..need }
    }

    /// Letting old files of the tee go. The keeper asks the disks what time it is. What it noted of when files came may
    /// go with its disk: then it keeps all of them for as long as new ones.
    pub fn keeper(&self) -> JobDependencies {
        let need = JobDependencies::new(self.names.tee_store.clone(), TEE_TRIED_AGAIN_MS);
        JobDependencies {
            repaired_after_ms: self.tee_kept_ms,
            ..need.and(self.read_disks, self.names.disks.clone())
        }
    }

    /// Bringing this edge's files of the tee to the store.
    pub fn tee_upload(&self, edge: &str) -> JobDependencies {
        let nodes = self.names.tee_store.iter().cloned().chain([edge.to_owned()]);
        JobDependencies {
            repaired_after_ms: self.tee_kept_ms,
            ..JobDependencies::new(nodes, TEE_TRIED_AGAIN_MS)
        }
    }

    /// Answering an export. It may have no answer while any disk is away: nothing promises when it has one.
    pub fn export(&self) -> JobDependencies {
        let nodes = self.names.edges.iter().chain(&self.names.ingest).chain(&self.names.disks).cloned();
        JobDependencies::new(nodes, EXPORT_TRIED_AGAIN_MS)
    }

    /// Handing a hint off to a disk.
    pub fn hint(&self, ingest: &str, disk: &str) -> JobDependencies {
        JobDependencies::new([ingest.to_owned(), disk.to_owned()], HINT_TRIED_AGAIN_MS)
    }

    /// A job that runs by the clock: it asks the disks what time it is, and takes the middle one.
    fn timed(&self, need: JobDependencies) -> JobDependencies {
        need.and(self.read_disks, self.names.disks.clone())
    }

    /// The nightly job on a disk: any worker does it.
    pub fn compaction(&self, disk: &str) -> JobDependencies {
        let need = JobDependencies::new([disk.to_owned()], COMPACTION_TRIED_AGAIN_MS)
            .and(1, self.names.workers.clone());
        self.timed(need)
    }

    /// Being one of the copies that are compared: by the first worker, and written to by ingest and by recoveries, of
    /// which each writes to all copies or leaves a hint.
    pub fn copy(&self, disk: &str) -> JobDependencies {
        let writers = self.names.edges.iter().chain(&self.names.ingest).chain(&self.names.operator);
        let writers: Vec<String> = writers.chain(self.names.workers.first()).cloned().collect();
        self.timed(JobDependencies::new([disk.to_owned()], COMPARED_AFTER_MS).and(writers.len(), writers))
    }
}
