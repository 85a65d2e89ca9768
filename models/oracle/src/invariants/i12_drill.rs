//! I12: the drill: restore and replay into an empty cluster equals the ledger, with production presumed gone.
//!
//! Everything that must hold of production must hold of what the drill brought up: I1 to I5, told as I12. What is
//! missing from it could not be had back if production were lost in this moment.

use super::{CheckContext, i1_readable, i2_provenance, i3_duplicates, i4_day_sets, i5_content};
use crate::ledger::Ledger;
use crate::read_view::ReadView;
use latent_verdict::Violation;

/// Checks what the drill's own cluster holds. `now.settled_before_ms` is the instant of the drill's fork, and
/// `now.replays` counts the drill's own replay too.
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
    // What I4 calls missing, I1 has said.
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
    fn a_drill_brings_back_what_was_acknowledged_and_nothing_else() {
        assert_eq!(found(&[rec("i1"), rec("i2")]), []);
        assert_eq!(found(&[rec("i1")]), [("missing".into(), 1, true)]);
        assert_eq!(found(&[rec("i1"), rec("i2"), rec("i3")]), [("rejected".into(), 1, false)]);
        let again = TestRecord { sequence: 2, ..rec("i1") };
        assert_eq!(found(&[rec("i1"), again, rec("i2")]), [("raw-copies".into(), 1, false)]);
        let altered = TestRecord { note: "altered".into(), ..rec("i2") };
        assert_eq!(found(&[rec("i1"), altered]), [("altered".into(), 1, true)]);
    }
}
