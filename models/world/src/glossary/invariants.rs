//! I1 to I17: invariants that hold at all times. L1 to L5: liveness laws that hold while no fault prevents the work.

use latent_engine::explain::{GlossaryEntry, GlossaryKind};

const ROWS: [(&str, [&str; 4]); 22] = [
    (
        "I1",
        [
            "Every acknowledged event can be read: each event of a 200, and each accepted item of a partial answer. \
             Kinds: missing (on no replica), under-replicated (on too few replicas for every reader to see it), vanished \
             (a reader saw an unanswered event that is now on no replica).",
            "A client that was told OK does not send again: what cannot be read is lost.",
            "A write that is acknowledged before it is durable on 4 disks; a compaction, repair or clean-up that \
             drops live records; a torn or rotten file that hides those behind it.",
            "`repro … --log` around the first time, with --node for one of the disks. See I4 for the day, I8 for \
             compactions.",
        ],
    ),
    (
        "I2",
        [
            "Every stored event was sent, was not rejected, and lies in its token's project. Kinds: never-sent, \
             rejected, other-project.",
            "Invented or misfiled events corrupt another customer's numbers.",
            "A decoder that reads past a damaged block, a replay that accepts what ingest rejected, a wrong token \
             table.",
            "The detail names the event's key: search for it in `repro … --log`.",
        ],
    ),
    (
        "I3",
        [
            "An export shows one event for each de-duplication key; raw copies are at most 1 + retries + replays. \
             Kinds: duplicate-in-export, excess-copies, duplicate (without $insert_id).",
            "Doubled events inflate every count that a customer sees.",
            "A merge that de-duplicates within a segment only; a replay or a hint that is applied under a new \
             arrival id.",
            "Compare the copies' arrival ids in the detail: equal ones point to storage, different ones to the \
             replay.",
        ],
    ),
    (
        "I4",
        [
            "For each project and local day the stored set equals the acknowledged set; each event is in exactly one \
             day. Kinds: missing, misfiled, wrong-day, in-several-days.",
            "Users read by day: an event in the wrong day is as good as lost.",
            "A compaction that overwrites instead of merging when late events arrive; a zone rule that two nodes \
             apply differently.",
            "See the day's compactions: `repro … --log --node disk-1`, and I8. -v shows the worst day before and \
             after.",
        ],
    ),
    (
        "I5",
        [
            "Contents, not only keys: the digest of a day's events equals that of the events as they were sent. \
             Kinds: altered (contents), wrong-key, wrong-time.",
            "A count that is right over contents that are wrong is silent corruption.",
            "A compaction or a decoder that re-encodes events (floats, Unicode, key order), rot that no checksum \
             covers.",
            "The detail shows both texts. -v shows the difference for the worst day.",
        ],
    ),
    (
        "I6",
        [
            "Replicas at the same position have equal digests. Kind: replicas-differ.",
            "Copies that differ answer differently, and the next merge may choose the wrong one.",
            "A missed hand-off, a repair that did not run, a write that one replica applied twice.",
            "See marks repair.compared and repair.copies-differ, and the law L5.",
        ],
    ),
    (
        "I7",
        [
            "An acknowledged event was durable on at least 4 distinct disks when it was acknowledged (checked on a \
             sample). Kind: too-few-disks.",
            "With fewer, three damaged disks can lose what a client was told is safe.",
            "An acknowledgement before the sync, or a hint that is counted as a copy.",
            "`repro … --log` at the time of the answer: look for the sync before it on each disk.",
        ],
    ),
    (
        "I8",
        [
            "A compaction's output is the de-duplicated union of its inputs. Kinds: lost (on no disk), \
             dropped (still on other disks), altered, invented, duplicate-key, wrong-winner.",
            "Compaction rewrites everything that is stored: one mistake reaches all copies alike.",
            "A run over a day that was compacted before, a wrong choice between two records of one key, an input \
             that is read in part.",
            "The detail names run, disk and segments. `shrink` usually leaves one day and two runs.",
        ],
    ),
    (
        "I9",
        [
            "Manifests only move forward: no dangling reference, no live file deleted, inputs removed only after the \
             new manifest is durable, file names and fencing tokens never reused. Kinds: dangling, \
             unreadable, regressed, removes-unlisted, id-reused, next-id-regressed, stale-token, \
             token-regressed, compaction-count-regressed, live-removed, quarantine-dropped, sealed-differs.",
            "A manifest that moves back after a crash brings back deleted data, or points to nothing.",
            "A missing sync of file or directory, removal before the edit is durable, a stale lease holder.",
            "`enumerate SCENARIO --node DISK` crashes at each operation in turn and names the first that breaks it.",
        ],
    ),
    (
        "I10",
        [
            "Each data center alone holds every acknowledged event up to its backup's stated position, and that \
             position is younger than the interval plus slack. Kinds: missing and not-backed-up (events), \
             object-missing, object-damaged, expired-early (gone before its retention ended), stale (the newest backup \
             is too old), no-backup (none is readable).",
            "It is what is left when production is gone. `not-backed-up` is not lost yet; `missing` is.",
            "A backup that reads too few replicas, takes its position before the data is durable, or skips a project \
             without saying so.",
            "See marks backup.started, backup.project-failed and backup.catalog-durable in `repro … --log --node \
             backup`.",
        ],
    ),
    (
        "I11",
        [
            "The tee holds, byte for byte, every acknowledged request of the last 7 days by arrival, and a request is \
             acknowledged when it is durable in two copies. Kinds: missing, too-few-copies, in-one-object, \
             copies-differ, unreadable.",
            "What came after the newest backup can only be replayed from the tee.",
            "An edge that forwards before its tee file is durable, an upload that replaces a fuller object, a keeper \
             that expires too early.",
            "See marks edge.tee-gap (let through on purpose), tee.uploaded and tee.expired.",
        ],
    ),
    (
        "I12",
        [
            "The drill: restoring backups and replaying the tee into an empty cluster gives everything that was \
             acknowledged, with production presumed gone. Kinds: those of I1 to I5, and did-not-finish.",
            "It is the only proof that what is missing could be brought back.",
            "Too old a backup with too short a tee, a replay with new arrival times, a damaged catalog that is not \
             passed over.",
            "`drill` shows what came from backups and what from the tee. See marks drill:recovery.*.",
        ],
    ),
    (
        "I13",
        [
            "No false green: what reports success was verified, and a check that could not run has failed. Kinds: \
             export-failed, export-malformed, run-not-compared, corruption-unnoticed, scrub-overdue, \
             tee-scrub-overdue, hold-released, not-read-back, export-incomplete, backup-unreported, \
             compaction-unreported, alarm-undelivered.",
            "A check that passes because it did not run hides everything else.",
            "An export without an answer although nothing was in the way; a compaction whose inputs were removed \
             before they could be compared.",
            "Find out why the check could not run: the detail names the file or node.",
        ],
    ),
    (
        "I14",
        [
            "Every answer is right: what the API takes is accepted, what it must refuse is refused. Kinds: \
             valid-refused, invalid-accepted.",
            "A system that refuses everything loses nothing.",
            "A decoder stricter or laxer than the API, a limit that is off by one, an edge clock that is far off.",
            "The detail shows the event and the answer.",
        ],
    ),
    (
        "I15",
        [
            "The same case has the same trace hash in another process.",
            "Without it no failure can be reproduced.",
            "See the outcome nondeterministic, under which it is reported.",
            "`latent doctor`, then `latent explain nondeterministic`.",
        ],
    ),
    (
        "I16",
        [
            "Space is bounded: bytes held are at most k times the live bytes, no orphan file is older than the grace \
             time, the tee is kept 7 days and some slack. Kinds: amplification, orphan, quarantine-overdue, tee-overdue.",
            "A disk that fills up stops acknowledging, and a file that nothing refers to hides a leak.",
            "A clean-up that a crash interrupted and nothing repeats, a hold that is never released.",
            "The detail names the files. See marks arb.file-removed, tee.expired and hold.released.",
        ],
    ),
    (
        "I17",
        [
            "Each copy alone keeps what it holds: an event leaves a disk only with its whole day, when the day is \
             quarantined, and a hint stays until its disk holds the events. Kinds: dropped, hint-dropped.",
            "Repair hides the loss of one copy, while fewer disks hold an event than its acknowledgement promises.",
            "An unreadable block that a merge skipped, a hint that was removed before its delivery, an edit that removes \
             a segment.",
            "The detail names the disk: `repro … --log --node DISK` around that time.",
        ],
    ),
    (
        "L1",
        [
            "Once faults stop, backlogs drain within a day: clients' retries, hints, tee files on edges, unfinished \
             uploads. A hint is handed off within an hour whenever its node and its disk are there. Kind: hint-overdue.",
            "A backlog that stays is lost with the next fault of its node.",
            "A retry loop that ended, a peer whose pauses grow without a limit, a file name that the uploader does \
             not list.",
            "`hung` names node and file: `repro … --log --node NODE` from the end of the faults on.",
        ],
    ),
    (
        "L2",
        [
            "Each ended day with uncompacted segments is compacted on every disk: by the next nightly job, and once \
             faults stop on all of them. Kind: compaction-overdue.",
            "Uncompacted late data is what the next compaction mistake destroys.",
            "A lease of a dead worker that does not run out, a job that fails on one project and stops the others, a \
             manifest that cannot be read.",
            "See marks compaction.job-failed, compaction.job-abandoned and compaction.committed.",
        ],
    ),
    (
        "L3",
        [
            "Once faults stop, the daily backup completes in every data center.",
            "Until it does, the newest data is in production alone.",
            "One project that cannot be read, a store that refuses, a backup node that lost its memory.",
            "See marks backup.failed and backup.project-failed in `repro … --log --node backup`.",
        ],
    ),
    (
        "L4",
        [
            "Once faults stop, a recovery or replay that was begun ends.",
            "A recovery that never ends leaves the damaged days as they are.",
            "A process that died and was not started again, a backup that is tried again and again.",
            "See marks recovery.started and recovery.ended in `repro … --log --node operator`.",
        ],
    ),
    (
        "L5",
        [
            "Copies that differ are noticed: an alarm, or equal copies again, within the stated time; and after a \
             nightly comparison copies are equal. Kind: not-converged.",
            "A divergence that is not noticed is chosen from at random by the next reader.",
            "A comparison that skips a day, a digest that is remembered and no longer true, too few disks to compare.",
            "See marks repair.compared, repair.copies-differ and repair.converged.",
        ],
    ),
];

pub(super) fn entries() -> Vec<GlossaryEntry> {
    ROWS.iter().map(|(name, parts)| GlossaryEntry::new(GlossaryKind::Invariant, *name, *parts)).collect()
}
