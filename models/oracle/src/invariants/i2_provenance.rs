//! I2: every stored event was sent, was not refused, and is stored in its token's project.
//!
//! An event that was sent for another day of the same project is reported by I4.
//!
//! Documented in docs/invariants.md#i2.

use super::{CheckContext, IdentifiedEvent, ViolationAccumulator, pluralize};
use crate::ledger::{Ledger, Provenance};
use crate::read_view::ReadView;
use latent_verdict::Violation;

/// Checks every event of the read view.
#[must_use]
pub fn check(ledger: &Ledger, read_view: &ReadView, context: &CheckContext) -> Vec<Violation> {
    let mut accumulator = ViolationAccumulator::new("I2", context);
    for (project_day, day_view) in &read_view.days {
        for_each_invalid(ledger, *project_day, &day_view.events, |provenance, event| {
            let kind = match provenance {
                Provenance::Rejected => "rejected",
                Provenance::OtherProject(_) => "other-project",
                Provenance::NeverSent => "never-sent",
                Provenance::Valid | Provenance::OtherDay(_) => return,
            };
            accumulator.add(*project_day, kind, 1, event.key);
        });
    }
    accumulator.finish(|project_day, kind, items| {
        let what = match kind {
            "rejected" => "refused at every send",
            "other-project" => "sent to another project",
            _ => "never sent by a client",
        };
        (
            false,
            format!("{project_day}: {} {what}", pluralize(items, "stored event was", "stored events were")),
        )
    })
}

/// Calls `each` for stored events whose provenance is not valid.
pub(super) fn for_each_invalid<'a, T: IdentifiedEvent>(
    ledger: &'a Ledger,
    project_day: crate::ProjectDay,
    stored: &'a [T],
    mut each: impl FnMut(Provenance, &'a T),
) {
    let mut check_one =
        |one: &'a T| match ledger.provenance(project_day, one.key(), one.content(), one.is_anonymous()) {
            Provenance::Valid => {}
            provenance => each(provenance, one),
        };
    super::merge_join(ledger.days.get(&project_day), stored, |_, entry, one| {
        if let Some(one) = one.filter(|_| entry.is_none_or(|entry| entry.is_rejected())) {
            check_one(one);
        }
    });
    stored.iter().filter(|one| one.is_anonymous()).for_each(check_one);
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

    #[test]
    fn sent_events_pass_unless_they_were_refused() {
        let anonymous = TestRecord { insert_id: None, ..rec("") };
        let ledger = TestClients::new()
            .acked(17, &[rec("i1"), anonymous.clone()])
            .send(17, &[rec("i2")], TestAnswer::Unknown)
            .ledger;
        let disk = TestDisk::default().with_day(PROJECT_DAY, &[rec("i1"), rec("i2"), anonymous]);
        assert_eq!(check(&ledger, &read_view(&[disk]), &noon_context()), []);
    }

    #[test]
    fn refused_foreign_and_invented_events_are_reported() {
        let anonymous = TestRecord { insert_id: None, ..rec("") };
        let ledger = TestClients::new()
            .send(17, &[rec("i1"), rec("i2")], TestAnswer::Acked(&[1]))
            .send(17, &[rec("i3")], TestAnswer::Rejected)
            .acked(18, &[rec("i4")])
            .ledger;
        let disk = TestDisk::default()
            .with_day(PROJECT_DAY, &[rec("i1"), rec("i2"), rec("i3"), rec("i4"), rec("i5"), anonymous]);
        let found = check(&ledger, &read_view(&[disk]), &noon_context());
        let expected = [("never-sent", 2), ("other-project", 1), ("rejected", 2)];
        assert_eq!(
            summaries(&found),
            expected.map(|(kind, items)| (kind.into(), "p17".into(), items, false))
        );
    }
}
