//! Nodes that each job depends on, and its retry interval after a fault: the input of the job's excuses.
//!
//! The dependencies follow from the purpose of a job, not from its implementation: a backup needs enough disks, its
//! node and the target data center, and does not need one particular disk of eight.

use crate::judge::excuses::JobDependencies;
use crate::scenario::NodeNames;
use crate::scenario::WorldConfig;

const MINUTE_MS: i64 = 60_000;

/// A failed backup is retried after half an hour, and waits some minutes for a store that does not answer.
const BACKUP_RETRY_MS: i64 = 60 * MINUTE_MS;
/// The tee store's maintenance and the edges retry every ten minutes.
const TEE_RETRY_MS: i64 = 60 * MINUTE_MS;
/// Requests wait for disks that do not answer, and for the first boot of nodes.
const EXPORT_RETRY_MS: i64 = 10 * MINUTE_MS;

/// Hints are retried every ten minutes, and a disk that was away needs some time for all of them.
const HINT_RETRY_MS: i64 = 30 * MINUTE_MS;
/// A job that failed on a disk is retried after ten minutes; the lease of a dead worker expires after ten minutes.
const COMPACTION_RETRY_MS: i64 = 30 * MINUTE_MS;
/// An alarm that could not be delivered is sent again every ten minutes.
const ALARM_RETRY_MS: i64 = 30 * MINUTE_MS;
/// Data centers are looked at every six hours.
const BACKUP_MONITOR_MS: i64 = 7 * 60 * MINUTE_MS;
/// A job counts as overdue after 36 h, at the next of the checks that come every three hours.
const JOB_MONITOR_MS: i64 = 40 * 60 * MINUTE_MS;
/// Writes that a fault kept from a disk are handed off within an hour.
const COMPARED_AFTER_MS: i64 = 60 * MINUTE_MS;

/// Dependencies of the jobs of a scenario.
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

    /// Returns the node that compares and repairs copies.
    pub fn repairer(&self) -> Option<String> {
        self.names.workers.first().cloned()
    }

    /// Returns the dependencies of a backup to this data center. An emptied data center is filled within one
    /// interval.
    pub fn backup(&self, data_center: &str) -> JobDependencies {
        let nodes = self.names.backup.iter().cloned().chain([data_center.to_owned()]);
        let dependencies = JobDependencies::new(nodes, BACKUP_RETRY_MS)
            .and_some_of(self.read_disks, self.names.disks.clone());
        JobDependencies { repaired_after_ms: self.interval_ms, ..dependencies }
    }

    /// Returns the names of the data centers.
    pub fn data_centers(&self) -> &[String] {
        &self.names.data_centers
    }

    /// Returns the dependencies of tee expiry. It asks the disks for the time. A new disk may lose the recorded
    /// arrival times of files: they are then all kept for as long as new ones.
    pub fn tee_expiry(&self) -> JobDependencies {
        let dependencies = JobDependencies::new(self.names.tee_store.clone(), TEE_RETRY_MS);
        JobDependencies {
            repaired_after_ms: self.tee_kept_ms,
            ..dependencies.and_some_of(self.read_disks, self.names.disks.clone())
        }
    }

    /// Returns the dependencies of an edge's tee uploads.
    pub fn tee_upload(&self, edge: &str) -> JobDependencies {
        let nodes = self.names.tee_store.iter().cloned().chain([edge.to_owned()]);
        JobDependencies { repaired_after_ms: self.tee_kept_ms, ..JobDependencies::new(nodes, TEE_RETRY_MS) }
    }

    /// Returns the dependencies of an export, which may stay unanswered while any disk is away.
    pub fn export(&self) -> JobDependencies {
        let nodes = self.names.edges.iter().chain(&self.names.ingest).chain(&self.names.disks).cloned();
        JobDependencies::new(nodes, EXPORT_RETRY_MS)
    }

    /// Returns the dependencies of a hinted handoff to a disk.
    pub fn hint(&self, ingest: &str, disk: &str) -> JobDependencies {
        JobDependencies::new([ingest.to_owned(), disk.to_owned()], HINT_RETRY_MS)
    }

    /// Returns the dependencies of the delivery of an alarm: the operator's node, and its links to the nodes that
    /// detect losses. A fault of a detector does not excuse it: the stated time holds for the slowest of them.
    pub fn alarm_delivery(&self) -> JobDependencies {
        let detectors = self.names.audit.iter().chain(&self.names.backup).chain(self.names.workers.first());
        let dependencies = JobDependencies::new(self.names.operator.clone(), ALARM_RETRY_MS);
        JobDependencies { linked: detectors.cloned().collect(), ..dependencies }
    }

    /// Returns the dependencies of the report that a data center has no new backup: the audit's node looks every six
    /// hours, by the median clock.
    pub fn backup_monitor(&self) -> JobDependencies {
        self.scheduled(self.report(BACKUP_MONITOR_MS))
    }

    /// Returns the dependencies of the report that a nightly job did not run: the audit's node forgets at a restart when
    /// it last did.
    pub fn job_monitor(&self) -> JobDependencies {
        self.report(JOB_MONITOR_MS)
    }

    fn report(&self, catch_up_ms: i64) -> JobDependencies {
        let nodes = self.names.audit.iter().chain(&self.names.operator).cloned();
        JobDependencies::new(nodes, catch_up_ms)
    }

    /// Returns the dependencies of the repetition of an alarm that could not be delivered.
    pub fn alarm_sender(&self, node: &str) -> JobDependencies {
        JobDependencies::new([node.to_owned()], ALARM_RETRY_MS)
    }

    /// Adds the dependencies of a scheduled job, which uses the median clock of the disks.
    fn scheduled(&self, dependencies: JobDependencies) -> JobDependencies {
        dependencies.and_some_of(self.read_disks, self.names.disks.clone())
    }

    /// Returns the dependencies of the nightly job on a disk: any worker can run it. A corrupt day does not keep it from
    /// the others.
    pub fn compaction(&self, disk: &str) -> JobDependencies {
        let dependencies = JobDependencies::new([disk.to_owned()], COMPACTION_RETRY_MS)
            .and_some_of(1, self.names.workers.clone());
        JobDependencies { ignores_corruption: true, ..self.scheduled(dependencies) }
    }

    /// Returns the dependencies of a compared copy: the first worker compares it; ingest and recoveries write to all
    /// copies or leave hints.
    pub fn copy(&self, disk: &str) -> JobDependencies {
        let writers = self.names.edges.iter().chain(&self.names.ingest).chain(&self.names.operator);
        let writers: Vec<String> = writers.chain(self.names.workers.first()).cloned().collect();
        self.scheduled(
            JobDependencies::new([disk.to_owned()], COMPARED_AFTER_MS).and_some_of(writers.len(), writers),
        )
    }
}
