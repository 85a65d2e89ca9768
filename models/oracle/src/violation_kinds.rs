//! Kinds of violations: each invariant with the kinds that a check of it can report.
//!
//! `latent explain` names each of them; a fingerprint consists of invariant, kind, stage and effect. L3 and L4 report
//! late work without a kind, and I15 is checked by the engine.

/// Invariants with the kinds that are reported for them. A drill (I12) also reports the kinds of I1 to I5.
pub const VIOLATION_KINDS: [(&str, &[&str]); 18] = [
    ("I1", &["missing", "endangered", "vanished"]),
    ("I2", &["never-sent", "rejected", "other-project"]),
    ("I3", &["shown-twice", "raw-copies", "doubled"]),
    ("I4", &["missing", "misfiled", "other-day", "in-several-days"]),
    ("I5", &["altered", "key", "time"]),
    ("I6", &["differ"]),
    ("I7", &["too-few-disks"]),
    ("I8", &["lost", "dropped", "invented", "altered", "wrong-winner", "key-twice"]),
    (
        "I9",
        &[
            "dangling",
            "unreadable",
            "moved-back",
            "removes-dead",
            "id-reused",
            "next-id",
            "stale-token",
            "lease-fell",
            "compactions-fell",
        ],
    ),
    ("I10", &["missing", "not-backed-up", "object-missing", "object-damaged", "stale", "none"]),
    ("I11", &["missing", "in-one-object", "copies-differ", "unreadable"]),
    ("I12", &["did-not-end"]),
    ("I13", &["export-failed", "export-malformed", "run-not-compared"]),
    ("I14", &["valid-refused", "invalid-accepted"]),
    ("I16", &["space", "orphan", "aside", "tee"]),
    ("L1", &["hint-late"]),
    ("L2", &["late"]),
    ("L5", &["not-brought-together"]),
];

/// Invariants whose kinds a drill reports as I12.
const OF_DRILLS: [&str; 5] = ["I1", "I2", "I3", "I4", "I5"];

/// Returns true if the kind is listed for the invariant.
#[must_use]
pub fn is_listed(invariant: &str, kind: &str) -> bool {
    VIOLATION_KINDS.iter().any(|(name, kinds)| {
        let is_of_invariant = *name == invariant || (invariant == "I12" && OF_DRILLS.contains(name));
        is_of_invariant && kinds.contains(&kind)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_drill_reports_its_own_kind_and_those_of_production() {
        assert!(is_listed("I12", "did-not-end") && is_listed("I12", "raw-copies"));
        assert!(!is_listed("I12", "stale") && !is_listed("I10", "overdue"));
    }
}
