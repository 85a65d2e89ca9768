//! Marks of the system under test behind the edge. The doc comment of each is its entry in `latent marks`.

latent_ports::marks! {
    /// A node's outbox was full: its oldest alarm was dropped.
    ALARMS_DROPPED = "alarms.dropped";
    /// An alarm could not be delivered to the operator and is retried.
    ALARMS_UNDELIVERED = "alarms.undelivered";
    /// A disk could not be read at boot; the node serves nothing and tries again.
    ARB_BOOT_FAILED = "arb.boot-failed";
    /// A day's files do not verify: the disk refuses the day until it is filled again.
    ARB_DAY_CORRUPT = "arb.day-corrupt";
    /// A damaged day was quarantined, to be filled from other copies.
    ARB_DAY_QUARANTINED = "arb.day-quarantined";
    /// A day that the device could not read at boot was read again and is served.
    ARB_DAY_READABLE_AGAIN = "arb.day-readable-again";
    /// A day could not be read because of a disk error, and is read again later.
    ARB_DAY_UNREADABLE = "arb.day-unreadable";
    /// Altered events of a day were replaced by the originals.
    ARB_EVENTS_REPLACED = "arb.events-replaced";
    /// A file that no manifest refers to any more was removed after its grace time.
    ARB_FILE_REMOVED = "arb.file-removed";
    /// The removal of old files could not be made durable.
    ARB_GC_SYNC_FAILED = "arb.gc-sync-failed";
    /// A damaged lease file was quarantined; tokens continue above it.
    ARB_LEASE_QUARANTINED = "arb.lease-quarantined";
    /// A new segment was opened for writing.
    ARB_SEGMENT_OPENED = "arb.segment-opened";
    /// Bytes of a failed append were cut off before a segment was sealed.
    ARB_TAIL_TRUNCATED = "arb.tail-truncated";
    /// The audit found events whose contents differ from the tee's.
    AUDIT_ALTERED = "audit.altered";
    /// A project's nightly audit is complete.
    AUDIT_COMPLETE = "audit.complete";
    /// An audit could not read what it compares.
    AUDIT_FAILED = "audit.failed";
    /// The audit found events missing or altered in an export.
    AUDIT_MISMATCH = "audit.mismatch";
    /// An audit read the tee.
    AUDIT_RAN = "audit.ran";
    /// The audit's clock had been ahead: it dropped what it remembered and reads everything again.
    AUDIT_STATE_RESET = "audit.state-reset";
    /// The audit could not read an object of the tee.
    AUDIT_TEE_UNREADABLE = "audit.tee-unreadable";
    /// The previous backup of a day that changed could not be read for comparison.
    BACKUP_BASE_UNREADABLE = "backup.base-unreadable";
    /// A backup's catalog does not read in one data center.
    BACKUP_CATALOG_DAMAGED = "backup.catalog-damaged";
    /// A backup's catalog was written and read back: the backup exists from here on.
    BACKUP_CATALOG_DURABLE = "backup.catalog-durable";
    /// A damaged catalog was written again from another data center.
    BACKUP_CATALOG_REPAIRED = "backup.catalog-repaired";
    /// All projects of a backup were copied, or failed, before the catalog is written.
    BACKUP_COPIED = "backup.copied";
    /// No disk could give a segment that a backup needs.
    BACKUP_COPY_UNREADABLE = "backup.copy-unreadable";
    /// Old backups of a data center could not be removed.
    BACKUP_EXPIRE_FAILED = "backup.expire-failed";
    /// A backup was removed after its retention.
    BACKUP_EXPIRED = "backup.expired";
    /// A backup could not be taken and is tried again.
    BACKUP_FAILED = "backup.failed";
    /// The backup node could not read when it was first started.
    BACKUP_FIRST_BOOT_UNKNOWN = "backup.first-boot-unknown";
    /// The monitor could not read the newest backup of a data center.
    BACKUP_MONITOR_FAILED = "backup.monitor-failed";
    /// A data center could not be asked for its newest backup.
    BACKUP_NEWEST_UNKNOWN = "backup.newest-unknown";
    /// A data center has no backup of the last interval: an alarm is raised.
    BACKUP_OVERDUE = "backup.overdue";
    /// A backup found fewer events of a day than the one before.
    BACKUP_PRODUCTION_SHRANK = "backup.production-shrank";
    /// One project could not be copied; the others' backup continues.
    BACKUP_PROJECT_FAILED = "backup.project-failed";
    /// No data center has a segment any more that the last backup held.
    BACKUP_SEGMENT_LOST = "backup.segment-lost";
    /// A backup leaves out segments of earlier ones that only a data center has that does not respond.
    BACKUP_SEGMENTS_POSTPONED = "backup.segments-postponed";
    /// A backup began.
    BACKUP_STARTED = "backup.started";
    /// A compaction's output took the place of its inputs.
    COMPACTION_COMMITTED = "compaction.committed";
    /// A nightly compaction failed too often for this night.
    COMPACTION_JOB_ABANDONED = "compaction.job-abandoned";
    /// A project's nightly compaction is complete on every disk.
    COMPACTION_JOB_COMPLETE = "compaction.job-complete";
    /// A nightly compaction failed on a disk and is tried again.
    COMPACTION_JOB_FAILED = "compaction.job-failed";
    /// A compaction began to merge its inputs.
    COMPACTION_MERGING = "compaction.merging";
    /// A compaction's output is durable, and not yet in the manifest.
    COMPACTION_OUTPUT_DURABLE = "compaction.output-durable";
    /// A day was compacted again because late events had arrived: the 2016 case.
    COMPACTION_RERUN_WITH_LATE_DATA = "compaction.rerun-with-late-data";
    /// A day was compacted for the second time.
    COMPACTION_SECOND_RUN = "compaction.second-run";
    /// A day was compacted for the third time, or more often.
    COMPACTION_THIRD_RUN = "compaction.third-run";
    /// One nightly job ran twice over a day: for its on-time and for its late segments.
    COMPACTION_TWO_RUNS = "compaction.two-runs";
    /// An ingest node keeps no more hints for a disk: repair must fill it.
    HINTS_FULL = "hints.full";
    /// A hint was handed off to its disk.
    HINTS_HANDED_OFF = "hints.handed-off";
    /// The removal of a hint could not be made durable.
    HINTS_SYNC_FAILED = "hints.sync-failed";
    /// A hint could not be written.
    HINTS_WRITE_FAILED = "hints.write-failed";
    /// A hold expired although nothing answered it.
    HOLD_EXPIRED = "hold.expired";
    /// A hold could not be placed or released at a store.
    HOLD_FAILED = "hold.failed";
    /// What could answer an open alarm is kept from expiring.
    HOLD_PLACED = "hold.placed";
    /// A hold was released: its day is whole again.
    HOLD_RELEASED = "hold.released";
    /// An ingest node could not start and tries again.
    INGEST_BOOT_FAILED = "ingest.boot-failed";
    /// An ingest node could not decode what an edge forwarded.
    INGEST_FORWARD_UNDECODABLE = "ingest.forward-undecodable";
    /// A disk missed a write; it is kept as a hint.
    INGEST_HINTED = "ingest.hinted";
    /// A nightly job has not been complete for too long: an alarm is raised.
    JOBS_OVERDUE = "jobs.overdue";
    /// An object store could not start and tries again.
    OBJECTS_BOOT_FAILED = "objects.boot-failed";
    /// An object store's folder differs from what it remembers, and is read again.
    OBJECTS_LISTING_RELOADED = "objects.listing-reloaded";
    /// A recovery could not read a segment of a backup.
    RECOVERY_BACKUP_UNREADABLE = "recovery.backup-unreadable";
    /// A recovery filled what backups lacked from the tee.
    RECOVERY_COMPLETED_FROM_TEE = "recovery.completed-from-tee";
    /// A recovery found an event that it would have written twice.
    RECOVERY_DUPLICATE = "recovery.duplicate";
    /// A recovery had disks set a corrupt day aside that no other disk could fill.
    RECOVERY_CORRUPT_DAY = "recovery.corrupt-day";
    /// A recovery ended.
    RECOVERY_ENDED = "recovery.ended";
    /// An older backup held what the newest lacked.
    RECOVERY_OLDER_BACKUP = "recovery.older-backup";
    /// A recovery began.
    RECOVERY_STARTED = "recovery.started";
    /// A recovery could not read an object of the tee.
    RECOVERY_TEE_DAMAGED = "recovery.tee-damaged";
    /// Production does not hold what a recovery wrote.
    RECOVERY_VERIFY_FAILED = "recovery.verify-failed";
    /// A planted bug of the release made a difference; the subject is its name.
    RELEASE_BUG_REACHED = "release.bug-reached";
    /// A project's copies were compared.
    REPAIR_COMPARED = "repair.compared";
    /// A project's nightly comparison is complete.
    REPAIR_COMPLETE = "repair.complete";
    /// Copies that differed are equal again.
    REPAIR_CONVERGED = "repair.converged";
    /// Copies of a day differ.
    REPAIR_COPIES_DIFFER = "repair.copies-differ";
    /// Copies that differed could not all be written; it is tried again.
    REPAIR_INCOMPLETE = "repair.incomplete";
    /// A corrupt copy could not be quarantined.
    REPAIR_QUARANTINE_FAILED = "repair.quarantine-failed";
    /// Quarantined files could not be removed; the removal is retried.
    REPAIR_QUARANTINE_RELEASE_FAILED = "repair.quarantine-release-failed";
    /// Quarantined files were removed: the day is whole again.
    REPAIR_QUARANTINE_RELEASED = "repair.quarantine-released";
    /// A retention shorter than promised was configured, and is not followed.
    RETENTION_REFUSED = "retention.refused";
    /// An old object of the tee could not be removed.
    TEE_EXPIRE_FAILED = "tee.expire-failed";
    /// An object of the tee was removed after its retention.
    TEE_EXPIRED = "tee.expired";
    /// The tee store's maintenance could not list the store.
    TEE_LIST_FAILED = "tee.list-failed";
    /// The keeper found a tee file of which no whole object is left: an alarm is raised.
    TEE_LOST = "tee.lost";
    /// The keeper added a second object of a tee file.
    TEE_OBJECT_ADDED = "tee.object-added";
    /// The keeper could not read an object of the tee.
    TEE_OBJECT_UNREADABLE = "tee.object-unreadable";
    /// The keeper could not write a repaired object.
    TEE_REPAIR_FAILED = "tee.repair-failed";
}
