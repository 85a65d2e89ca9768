//! Kinds of violations: each invariant with the kinds that a check of it can report, and a noun phrase for each.
//!
//! A fingerprint consists of invariant, kind, stage and loss class. Screens print the phrase instead of the kind. L3 and
//! L4 report late work without a kind, and I15 is checked by the engine.

/// Kind of violation that a check of an invariant can report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ViolationKind {
    /// Name of the invariant: `I1`.
    pub invariant: &'static str,
    /// The kind, a fixed word: `missing`.
    pub kind: &'static str,
    /// Noun phrase for people: `acknowledged events missing`.
    pub phrase: &'static str,
}

const fn of(invariant: &'static str, kind: &'static str, phrase: &'static str) -> ViolationKind {
    ViolationKind { invariant, kind, phrase }
}

/// Every kind. A drill (I12) also reports the kinds of I1 to I5.
pub const VIOLATION_KINDS: [ViolationKind; 72] = [
    of("I1", "missing", "acknowledged events missing"),
    of("I1", "under-replicated", "events on too few replicas"),
    of("I1", "vanished", "events that were read disappeared"),
    of("I2", "never-sent", "events that no client sent"),
    of("I2", "rejected", "rejected events stored"),
    of("I2", "other-project", "events of another project"),
    of("I3", "duplicate-in-export", "duplicates in an export"),
    of("I3", "excess-copies", "more copies than sends"),
    of("I3", "duplicate", "duplicates without $insert_id"),
    of("I4", "missing", "events missing from their day"),
    of("I4", "misfiled", "records in the wrong day"),
    of("I4", "wrong-day", "events of another day"),
    of("I4", "in-several-days", "events in several days"),
    of("I5", "altered", "contents altered"),
    of("I5", "wrong-key", "records with a wrong key"),
    of("I5", "wrong-time", "records with a wrong time"),
    of("I6", "replicas-differ", "replicas differ"),
    of("I7", "too-few-disks", "acknowledged on too few disks"),
    of("I8", "lost", "compaction lost events"),
    of("I8", "dropped", "compaction dropped events"),
    of("I8", "invented", "compaction invented events"),
    of("I8", "altered", "compaction altered events"),
    of("I8", "wrong-winner", "compaction kept the wrong duplicate"),
    of("I8", "duplicate-key", "compaction left duplicates"),
    of("I9", "sealed-differs", "sealed segment with other bytes"),
    of("I9", "dangling", "manifest names missing files"),
    of("I9", "unreadable", "manifest or segment unreadable"),
    of("I9", "regressed", "manifest regressed"),
    of("I9", "removes-unlisted", "manifest removes an unlisted segment"),
    of("I9", "id-reused", "segment id reused"),
    of("I9", "live-removed", "live segment removed"),
    of("I9", "quarantine-dropped", "quarantined day removed before it was refilled"),
    of("I9", "next-id-regressed", "next segment id regressed"),
    of("I9", "stale-token", "commit under a stale fencing token"),
    of("I9", "token-regressed", "fencing token regressed"),
    of("I9", "compaction-count-regressed", "count of compactions regressed"),
    of("I10", "missing", "backup incomplete"),
    of("I10", "not-backed-up", "backup lacks events that production has"),
    of("I10", "expired-early", "backup removed before its retention ended"),
    of("I10", "object-missing", "backup lacks an object"),
    of("I10", "object-damaged", "backup has a damaged object"),
    of("I10", "stale", "newest backup too old"),
    of("I10", "no-backup", "no readable backup"),
    of("I11", "missing", "requests missing from the tee"),
    of("I11", "too-few-copies", "requests acknowledged with too few tee copies"),
    of("I11", "in-one-object", "requests in one tee object only"),
    of("I11", "copies-differ", "tee copies differ"),
    of("I11", "unreadable", "tee file unreadable"),
    of("I12", "did-not-finish", "recovery did not finish"),
    of("I13", "scrub-overdue", "segment not read again in time"),
    of("I13", "tee-scrub-overdue", "object of the tee not read again in time"),
    of("I13", "not-read-back", "backup names segments that nothing read back"),
    of("I13", "export-incomplete", "export answered without acknowledged events"),
    of("I13", "hold-released", "hold ended before its day was whole"),
    of("I13", "backup-unreported", "no alarm for a data center without backups"),
    of("I13", "compaction-unreported", "no alarm for a day that is not compacted"),
    of("I13", "alarm-undelivered", "alarm not sent again"),
    of("I13", "export-failed", "export failed without a cause"),
    of("I13", "export-malformed", "export malformed"),
    of("I13", "run-not-compared", "compaction not compared"),
    of("I13", "corruption-unnoticed", "corrupted segment not noticed"),
    of("I14", "valid-refused", "valid events refused"),
    of("I14", "invalid-accepted", "invalid events accepted"),
    of("I16", "amplification", "too much space used"),
    of("I16", "orphan", "orphan files too old"),
    of("I16", "quarantine-overdue", "quarantine kept too long"),
    of("I16", "tee-overdue", "tee files kept too long"),
    of("I17", "dropped", "events dropped from one copy"),
    of("I17", "hint-dropped", "hint removed before its disk held the events"),
    of("L1", "hint-overdue", "hint not handed off in time"),
    of("L2", "compaction-overdue", "day not compacted in time"),
    of("L5", "not-converged", "replicas not equal after the comparison"),
];

/// Invariants whose kinds a drill reports as I12.
const OF_DRILLS: [&str; 5] = ["I1", "I2", "I3", "I4", "I5"];

/// Returns the kind of an invariant; `None` if it is not listed.
#[must_use]
pub fn violation_kind(invariant: &str, kind: &str) -> Option<ViolationKind> {
    let is_of_invariant = |name: &str| name == invariant || (invariant == "I12" && OF_DRILLS.contains(&name));
    VIOLATION_KINDS.into_iter().find(|one| one.kind == kind && is_of_invariant(one.invariant))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn a_drill_reports_its_own_kind_and_those_of_production() {
        for kind in ["did-not-finish", "excess-copies"] {
            assert!(violation_kind("I12", kind).is_some(), "{kind}");
        }
        for (invariant, kind) in [("I12", "stale"), ("I10", "overdue")] {
            assert_eq!(violation_kind(invariant, kind), None);
        }
    }

    #[test]
    fn kinds_are_unique_and_no_two_of_an_invariant_share_a_phrase() {
        let kinds: BTreeSet<_> = VIOLATION_KINDS.iter().map(|one| (one.invariant, one.kind)).collect();
        let phrases: BTreeSet<_> = VIOLATION_KINDS.iter().map(|one| (one.invariant, one.phrase)).collect();
        assert_eq!((kinds.len(), phrases.len()), (VIOLATION_KINDS.len(), VIOLATION_KINDS.len()));
    }
}
