//! Marks: points that the code under test reports as reached. Scenarios and sweeps can require them, faults can be
//! triggered by them.
//!
//! A test in scenarios/tests/explain.rs compares this list with the names in the source.

use latent_engine::explain::{GlossaryEntry, GlossaryKind};

const fn mark(name: &'static str, when: &'static str) -> (&'static str, &'static str) {
    (name, when)
}

const MARKS: [(&str, &str); 131] = [
    mark("alarms.dropped", "A node's outbox was full: its oldest alarm was dropped."),
    mark("alarms.unheard", "An alarm could not be delivered to the operator and is retried."),
    mark("arb.boot-failed", "A disk could not be read at boot; the node serves nothing and tries again."),
    mark("arb.clean-up-sync-failed", "The removal of old files could not be made durable."),
    mark(
        "arb.corrupt-day",
        "A day's files do not verify: the disk refuses the day until it is filled again.",
    ),
    mark("arb.day-unreadable", "A day could not be read because of a disk error, and is read again later."),
    mark("arb.file-removed", "A file that no manifest refers to any more was removed after its grace time."),
    mark("arb.lease-set-aside", "A damaged lease file was quarantined; tokens continue above it."),
    mark("arb.replaced", "Altered events of a day were replaced by the originals."),
    mark("arb.segment-opened", "A new segment was opened for writing."),
    mark("arb.set-aside", "A damaged day was quarantined, to be filled from other copies."),
    mark("arb.tail-cut", "Bytes of a failed append were cut off before a segment was sealed."),
    mark("audit.altered", "The audit found events whose contents differ from the tee's."),
    mark("audit.complete", "A project's nightly audit is complete."),
    mark("audit.failed", "An audit could not read what it compares."),
    mark(
        "audit.memory-dropped",
        "The audit's clock had been ahead: it dropped what it remembered and reads everything again.",
    ),
    mark("audit.mismatch", "The audit found events missing or altered in an export."),
    mark("audit.ran", "An audit read the tee."),
    mark("audit.tee-unreadable", "The audit could not read an object of the tee."),
    mark(
        "backup.base-unreadable",
        "The previous backup of a day that changed could not be read for comparison.",
    ),
    mark("backup.catalog-damaged", "A backup's catalog does not read in one data center."),
    mark(
        "backup.catalog-durable",
        "A backup's catalog was written and read back: the backup exists from here on.",
    ),
    mark("backup.catalog-repaired", "A damaged catalog was written again from another data center."),
    mark("backup.copied", "All projects of a backup were copied, or failed, before the catalog is written."),
    mark("backup.copy-unreadable", "No disk could give a segment that a backup needs."),
    mark("backup.expire-failed", "Old backups of a data center could not be removed."),
    mark("backup.expired", "A backup was removed after its retention."),
    mark("backup.failed", "A backup could not be taken and is tried again."),
    mark("backup.first-boot-unknown", "The backup node could not read when it was first started."),
    mark("backup.newest-unknown", "A data center could not be asked for its newest backup."),
    mark("backup.overdue", "A data center has no backup of the last interval: an alarm is raised."),
    mark("backup.production-shrank", "A backup found fewer events of a day than the one before."),
    mark("backup.project-failed", "One project could not be copied; the others' backup continues."),
    mark("backup.segment-gone", "No data center has a segment any more that the last backup held."),
    mark("backup.started", "A backup began."),
    mark("backup.unseen", "The watch could not read the newest backup of a data center."),
    mark("client.exported", "A client received the answer to an export, or gave up on it."),
    mark("client.gave-up", "A client gave up on a request after its last attempt."),
    mark("client.hurried", "An impatient client timed out and sent a request again."),
    mark("client.kept", "A client with a backlog kept a request for later after a failed attempt."),
    mark("client.retried", "A client sent a request again."),
    mark("compaction.committed", "A compaction's output took the place of its inputs."),
    mark("compaction.job-complete", "A project's nightly compaction is complete on every disk."),
    mark("compaction.job-failed", "A nightly compaction failed on a disk and is tried again."),
    mark("compaction.job-given-up", "A nightly compaction failed too often for this night."),
    mark("compaction.merging", "A compaction began to merge its inputs."),
    mark("compaction.output-durable", "A compaction's output is durable, and not yet in the manifest."),
    mark(
        "compaction.rerun-with-late-data",
        "A day was compacted again because late events had arrived: the 2016 case.",
    ),
    mark("compaction.second-run", "A day was compacted for the second time."),
    mark("compaction.third-run", "A day was compacted for the third time, or more often."),
    mark(
        "compaction.two-runs",
        "One nightly job ran twice over a day: for its on-time and for its late segments.",
    ),
    mark("credentials.expired", "A node's credentials for the object stores were refused."),
    mark("edge.boot-failed", "An edge could not start and tries again."),
    mark("edge.boot-number-damaged", "An edge's boot number could not be read; it takes one from the clock."),
    mark("edge.booted", "An edge started."),
    mark("edge.forward-retry", "An edge sent a request to another ingest node after the first failed."),
    mark("edge.not-forwarded", "An edge found no ingest node for a request and asked the client to retry."),
    mark("edge.peer-changed", "An edge chose another edge for its copies."),
    mark("edge.stranger-refused", "An edge refused a message of a node that may not send it."),
    mark("edge.tee-gap", "A request was let through without a tee record (accept-and-record-gap)."),
    mark("edge.tee-gap-closed", "A recorded gap of the tee was closed."),
    mark("edge.tee-gap-dropped", "A recorded gap was dropped after its time."),
    mark("edge.tee-gap-in-memory", "A gap could not be written down and is in memory alone."),
    mark("edge.tee-gap-open", "A gap of the tee was recorded and is open."),
    mark("edge.tee-gap-unrecorded", "A gap could not be recorded: the request is refused."),
    mark("edge.tee-refused", "A request was refused because it could not be written to the tee."),
    mark("edge.tee-renumbered", "A tee record got a new number because its file could not be continued."),
    mark("edge.teed", "A request is durable in the tee, on two edges."),
    mark("hints.full", "An ingest node keeps no more hints for a disk: repair must fill it."),
    mark("hints.handed-off", "A hint was handed off to its disk."),
    mark("hints.not-kept", "A hint could not be written."),
    mark("hints.sync-failed", "The removal of a hint could not be made durable."),
    mark("hold.ended", "A hold ended although nothing answered it."),
    mark("hold.failed", "A hold could not be placed or released at a store."),
    mark("hold.placed", "What could answer an open alarm is kept from expiring."),
    mark("hold.released", "A hold was released: its day is whole again."),
    mark("hostile.struck", "The hostile release destroyed what it may touch."),
    mark("hostile.wipe-failed", "The hostile release could not remove something."),
    mark("ingest.boot-failed", "An ingest node could not start and tries again."),
    mark("ingest.forward-not-read", "An ingest node could not decode what an edge forwarded."),
    mark("ingest.hinted", "A disk missed a write; it is kept as a hint."),
    mark("jobs.stopped", "A nightly job has not been complete for too long: an alarm is raised."),
    mark("objects.boot-failed", "An object store could not start and tries again."),
    mark(
        "objects.names-differ",
        "An object store's folder differs from what it remembers, and is read again.",
    ),
    mark("operator.order-done", "A planned recovery of the scenario is complete."),
    mark("operator.recovered", "A recovery after an alarm is complete, and passed its audit."),
    mark("operator.recovery-incomplete", "A recovery did not pass for all days; the rest is tried again."),
    mark("recovery.backup-unreadable", "A recovery could not read a segment of a backup."),
    mark("recovery.completed-from-tee", "A recovery filled what backups lacked from the tee."),
    mark("recovery.doubled", "A recovery found an event that it would have written twice."),
    mark("recovery.ended", "A recovery ended."),
    mark("recovery.not-as-written", "Production does not hold what a recovery wrote."),
    mark("recovery.older-backup", "An older backup held what the newest lacked."),
    mark("recovery.started", "A recovery began."),
    mark("recovery.tee-damaged", "A recovery could not read an object of the tee."),
    mark("repair.aside-kept", "Quarantined files could not be removed; the removal is retried."),
    mark("repair.aside-let-go", "Quarantined files were removed: the day is whole again."),
    mark("repair.brought-together", "Copies that differed are equal again."),
    mark("repair.compared", "A project's copies were compared."),
    mark("repair.complete", "A project's nightly comparison is complete."),
    mark("repair.copies-differ", "Copies of a day differ."),
    mark("repair.incomplete", "Copies that differed could not all be written; it is tried again."),
    mark("repair.set-aside-failed", "A corrupt copy could not be quarantined."),
    mark("retention.refused", "A retention shorter than promised was configured, and is not followed."),
    mark("store.answers-lost", "A fault lost the answer of a call to an object store."),
    mark("store.short-pages", "A fault cut the pages of an object store's listing short."),
    mark("store.throttled", "A fault throttled a call to an object store."),
    mark("store.unavailable", "A fault failed a call to an object store."),
    mark("store.uploads-broken", "A fault broke an upload to an object store off."),
    mark("tee.copy-behind", "The other edge's copy lacks earlier bytes, which are sent first."),
    mark("tee.copy-differs", "The other edge's copy has other bytes at the same place."),
    mark("tee.copy-failed", "An edge could not write its copy of another edge's file."),
    mark("tee.copy-rewritten", "A copy that was in doubt was written again from its valid part."),
    mark("tee.copy-uploaded", "An edge uploaded its copy of another edge's file too."),
    mark("tee.damaged", "An edge's own tee file is damaged; it is completed from copies."),
    mark("tee.dropped", "A tee file could not be uploaded within its time and was dropped."),
    mark("tee.expire-failed", "An old object of the tee could not be removed."),
    mark("tee.expired", "An object of the tee was removed after its retention."),
    mark("tee.flushed", "An edge uploaded what it holds, as asked."),
    mark("tee.gap-uploaded", "A recorded gap was uploaded."),
    mark("tee.look-failed", "The tee store's maintenance could not list the store."),
    mark("tee.lost", "The keeper found a tee file of which no whole object is left: an alarm is raised."),
    mark("tee.object-added", "The keeper added a second object of a tee file."),
    mark("tee.object-completed", "An upload completed an object that lacked records."),
    mark("tee.object-unreadable", "The keeper could not read an object of the tee."),
    mark(
        "tee.peer-not-told",
        "The report of an upload did not reach the other edge; it uploads its copy too.",
    ),
    mark("tee.repair-failed", "The keeper could not write a repaired object."),
    mark("tee.repaired", "A damaged tee file was completed from other copies."),
    mark("tee.taken-over", "An edge uploaded the file of another edge that did not."),
    mark("tee.upload-failed", "An upload failed and is tried again."),
    mark("tee.uploaded", "An edge uploaded a tee file."),
];

/// Returns, by the part before the dot, why a mark matters and what keeps it from being reached.
fn group(prefix: &str) -> [&'static str; 2] {
    match prefix {
        "alarms" | "jobs" => {
            ["Alarms are what starts a recovery.", "No cause for an alarm, or an operator within reach."]
        }
        "arb" => [
            "The event store's files are what everything else relies on.",
            "No damage, no late data, or a run that ends before the grace time.",
        ],
        "audit" => [
            "The audit is the detector that compares production with the tee.",
            "No `audit` or `tee` in `protection`, or a run of less than a day.",
        ],
        "backup" => [
            "Backups are what is left when production is gone.",
            "No `backup` in `protection`, a run shorter than the interval, or no such failure.",
        ],
        "client" => [
            "It shows how clients behave under faults.",
            "Links and nodes without faults, or a workload without such clients.",
        ],
        "compaction" => [
            "Compaction rewrites everything that is stored; its later runs are where the 2016 loss happened.",
            "A run that ends before the project's next midnight, or no late events (`late_same_day_ppm`, \
             `very_late_ppm`).",
        ],
        "credentials" | "store" => [
            "It shows that a planned fault of an object store took effect.",
            "No such fault in the scenario, or no call while it lasted.",
        ],
        "edge" | "ingest" | "hints" => [
            "It shows the way of a request from the client to the disks.",
            "No fault on that way: edges, ingest nodes, disks, links.",
        ],
        "hold" | "retention" => [
            "What could answer an alarm must not expire before it is used.",
            "No open alarm, or retentions that are long enough.",
        ],
        "hostile" => [
            "It shows that the destructive release did what it can.",
            "No deploy of a release with the bug `hostile`.",
        ],
        "operator" | "recovery" => [
            "Recovery is what brings lost events back.",
            "No alarm, no operator and no planned recovery in the scenario; in a drill the mark begins with `drill:`.",
        ],
        "repair" => [
            "Comparison and repair keep the copies equal.",
            "A run that ends before the nightly comparison, or copies that never differ.",
        ],
        "tee" => [
            "The tee covers what came after the newest backup.",
            "No `tee` in `protection`, a run of less than an hour, or no such failure.",
        ],
        "objects" => ["Object stores hold backups and the tee.", "No crash or damage of an object store."],
        _ => ["It shows that this code ran.", "A run that does not get there."],
    }
}

pub(super) fn entries() -> Vec<GlossaryEntry> {
    let entry = |(name, when): &(&'static str, &'static str)| {
        let [why, causes] = group(name.split('.').next().unwrap_or(name));
        let next =
            "`run -v` shows how often each mark was reached; `repro … --log` shows when, and at which node.";
        GlossaryEntry::new(GlossaryKind::Mark, *name, [*when, why, causes, next])
    };
    MARKS.iter().map(entry).collect()
}
