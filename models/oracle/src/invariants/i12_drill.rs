//! I12: a drill that restores and replays into an empty cluster reproduces the ledger, with production presumed lost.
//!
//! Everything that must hold of production must hold of the drill's cluster: I1 to I5, reported as I12. What the drill
//! lacks could not be recovered if production were lost at this moment.
//!
//! Documented in docs/invariants.md#i12.

use super::{CheckContext, i1_readable, i2_provenance, i3_duplicates, i4_day_sets, i5_content};
use crate::ledger::Ledger;
use crate::read_view::ReadView;
use latent_verdict::Violation;

/// Checks the drill's cluster. `context.settled_before_ms` is the time of the drill's fork, and `context.replays`
/// includes the drill's own replay.
#[must_use]
pub fn check(ledger: &Ledger, restored: &ReadView, context: &CheckContext) -> Vec<Violation> {
    let checks = [
        i1_readable::check,
        i2_provenance::check,
        i3_duplicates::check,
        i4_day_sets::check,
        i5_content::check,
    ];
    let found = checks.iter().flat_map(|check| check(ledger, restored, context));
    // I1 already reports what I4 calls missing.
    let once = found
        .filter(|violation| (violation.invariant.as_str(), violation.kind.as_str()) != ("I4", "missing"));
    once.map(|violation| Violation {
        detail: format!("after restore and replay: {}", violation.detail),
        invariant: "I12".into(),
        ..violation
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::ProjectDay;
    use crate::invariants::{noon_context, summaries};
    use crate::test_support::{DAY, NOON_MS, TestAnswer, TestClients, TestDisk, TestRecord, read_view};

    const PROJECT_DAY: ProjectDay = ProjectDay { project: 17, day: DAY };

    fn rec(id: &str) -> TestRecord {
        TestRecord::new("a", id, NOON_MS)
    }

    fn found(restored: &[TestRecord]) -> Vec<(String, u64, bool)> {
        let sent = [rec("i1"), rec("i2"), rec("i3")];
        let ledger = TestClients::new().send(17, &sent, TestAnswer::Acked(&[2])).ledger;
        let cluster = read_view(&vec![TestDisk::default().with_day(PROJECT_DAY, restored); 8]);
        let found = check(&ledger, &cluster, &noon_context());
        assert!(found.iter().all(|violation| violation.invariant == "I12"));
        summaries(&found).into_iter().map(|(kind, _, items, loses)| (kind, items, loses)).collect()
    }

    #[test]
    fn a_drill_must_restore_exactly_the_acknowledged_events() {
        assert_eq!(found(&[rec("i1"), rec("i2")]), []);
        assert_eq!(found(&[rec("i1")]), [("missing".into(), 1, true)]);
        assert_eq!(found(&[rec("i1"), rec("i2"), rec("i3")]), [("rejected".into(), 1, false)]);
        let again = TestRecord { sequence: 2, ..rec("i1") };
        assert_eq!(found(&[rec("i1"), again, rec("i2")]), [("excess-copies".into(), 1, false)]);
        let altered = TestRecord { note: "altered".into(), ..rec("i2") };
        assert_eq!(found(&[rec("i1"), altered]), [("altered".into(), 1, true)]);
    }
}
