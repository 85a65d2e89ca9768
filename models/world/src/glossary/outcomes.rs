//! Outcomes and engine terms, explained in the words of this system. They replace the engine's own explanations.

use latent_engine::explain::{GlossaryEntry, GlossaryKind};

const ROWS: [(GlossaryKind, &str, [&str; 4]); 8] = [
    (
        GlossaryKind::Outcome,
        "recovered",
        [
            "Items were lost from production; a detector inside the world reported it in time, and all of them were \
             restored unchanged.",
            "The damage was real, and the protection held.",
            "A planted or real bug, or faults beyond what redundancy covers, in a scenario with backups and detectors.",
            "Read `detected by` and `loss` for how long it took. If the scenario expects `clean`, fix the cause of the \
             loss: protection is not an excuse for it.",
        ],
    ),
    (
        GlossaryKind::Outcome,
        "recoverable-but-missing",
        [
            "Items were lost, and all of them could be restored, but no detector fired in time, or they were not \
             restored completely before the end.",
            "A backup that is not used in time expires: the loss becomes final after one retention period.",
            "A detector that is off, isolated or too slow; a recovery that did not end; an absent operator.",
            "`shortfall` names the missing items. `repro … --log --node NODE` shows what the detector did.",
        ],
    ),
    (
        GlossaryKind::Outcome,
        "unrecoverable-by-design",
        [
            "Items were lost and not all restored, but the faults exceeded the system's fault budget.",
            "It is not a bug; it shows the limit of the system's promise.",
            "A scenario or a seed that damages more disks, data centers and edges at once than the fault \
             budget allows.",
            "`by design` names what exceeded the budget. Reduce the faults, or increase the redundancy in the \
             scenario.",
        ],
    ),
    (
        GlossaryKind::Outcome,
        "unrecoverable-loss",
        [
            "Acknowledged items are lost, and not all of them could be restored, or no drill showed that they \
             could.",
            "This is the failure that the whole test searches for: permanent data loss.",
            "A write path that acknowledges too early; a compaction, repair or expiry that drops live data; backups \
             that are incomplete. Without a drill in the scenario nothing shows that a loss can be \
             restored.",
            "`explain` each invariant under `violated`; `shrink` the case; `repro … --log` around the first time.",
        ],
    ),
    (
        GlossaryKind::Outcome,
        "hung",
        [
            "The system did not finish its work within its limit of virtual time after the faults, or the case \
             exceeded its limit of real time or memory.",
            "A backlog that never drains loses data when the next fault comes.",
            "A retry that stopped, a lease or lock that is never released, a job that fails each night for the same \
             reason; or a case that is too large for its limits.",
            "`hung` names the pending work, the worst first: `explain` its law (L1 to L5). `repro … --until TIME \
             --log` shows the last events.",
        ],
    ),
    (
        GlossaryKind::ExitCode,
        "105",
        [
            "Recoverable, but not restored or not detected.",
            "The loss is not final yet, and becomes so when backups expire.",
            "See the outcome `recoverable-but-missing`.",
            "`explain recoverable-but-missing`.",
        ],
    ),
    (
        GlossaryKind::Word,
        "detected by",
        [
            "Which detector inside the world reported something, and when.",
            "Only what a detector reports can start a recovery: the checks of the test start nothing.",
            "`nothing` means that no detector fired, although an invariant was violated.",
            "Add an audit or backups to the scenario's `protection`, or find out why they did not fire (--log --node).",
        ],
    ),
    (
        GlossaryKind::Word,
        "violated",
        [
            "The violated invariants: one row for each fingerprint, with its count, its items, and its first time.",
            "Several invariants may report one loss: missing from its day (I4) and unreadable (I1) are two \
             views of it.",
            "",
            "`explain FINGERPRINT`.",
        ],
    ),
];

pub(super) fn entries() -> Vec<GlossaryEntry> {
    ROWS.iter().map(|(kind, name, parts)| GlossaryEntry::new(*kind, *name, *parts)).collect()
}
