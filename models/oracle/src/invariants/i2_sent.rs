//! I2: every stored event was sent, was not refused, and lies in its token's project.
//!
//! An event that was sent for another day of the same project is I4's matter.

use super::{Event, Moment, Tally, count};
use crate::ledger::{Claim, Ledger};
use crate::sight::Sight;
use latent_verdict::Violation;

/// Checks every event of the sight.
#[must_use]
pub fn check(ledger: &Ledger, sight: &Sight, now: &Moment) -> Vec<Violation> {
    let mut tally = Tally::new("I2", now);
    for (of, seen) in &sight.days {
        strays(ledger, *of, &seen.held, |claim, held| {
            let kind = match claim {
                Claim::Rejected => "rejected",
                Claim::OtherProject(_) => "other-project",
                Claim::NeverSent => "never-sent",
                Claim::Good | Claim::OtherDay(_) => return,
            };
            tally.add(*of, kind, 1, held.key);
        });
    }
    tally.finish(|of, kind, items| {
        let what = match kind {
            "rejected" => "refused to everyone who sent it",
            "other-project" => "sent to another project",
            _ => "sent by nobody",
        };
        (false, format!("{of}: {} {what}", count(items, "stored event was", "stored events were")))
    })
}

/// Stored events whose claim is not good.
pub(super) fn strays<'a, T: Event>(
    ledger: &'a Ledger,
    of: crate::ProjectDay,
    stored: &'a [T],
    mut each: impl FnMut(Claim, &'a T),
) {
    let mut judge = |one: &'a T| match ledger.claim(of, one.key(), one.content(), one.is_anonymous()) {
        Claim::Good => {}
        claim => each(claim, one),
    };
    super::join(ledger.days.get(&of), stored, |_, entry, one| {
        if let Some(one) = one.filter(|_| entry.is_none_or(|entry| entry.is_rejected())) {
            judge(one);
        }
    });
    stored.iter().filter(|one| one.is_anonymous()).for_each(judge);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::ProjectDay;
    use crate::invariants::{noon_after, short};
    use crate::testing::{Answer, Clients, DAY, Disk, NOON_MS, Rec, sight};

    const OF: ProjectDay = ProjectDay { project: 17, day: DAY };

    fn rec(id: &str) -> Rec {
        Rec::new("a", id, NOON_MS)
    }

    #[test]
    fn what_was_sent_and_not_refused_passes_acknowledged_or_not() {
        let anonymous = Rec { insert_id: None, ..rec("") };
        let ledger = Clients::new()
            .acked(17, &[rec("i1"), anonymous.clone()])
            .send(17, &[rec("i2")], Answer::Unknown)
            .ledger;
        let disk = Disk::default().with_day(OF, &[rec("i1"), rec("i2"), anonymous]);
        assert_eq!(check(&ledger, &sight(&[disk]), &noon_after()), []);
    }

    #[test]
    fn refused_foreign_and_invented_events_are_found() {
        let anonymous = Rec { insert_id: None, ..rec("") };
        let ledger = Clients::new()
            .send(17, &[rec("i1"), rec("i2")], Answer::Acked(&[1]))
            .send(17, &[rec("i3")], Answer::Rejected)
            .acked(18, &[rec("i4")])
            .ledger;
        let disk =
            Disk::default().with_day(OF, &[rec("i1"), rec("i2"), rec("i3"), rec("i4"), rec("i5"), anonymous]);
        let found = check(&ledger, &sight(&[disk]), &noon_after());
        let expected = [("never-sent", 2), ("other-project", 1), ("rejected", 2)];
        assert_eq!(short(&found), expected.map(|(kind, items)| (kind.into(), "p17".into(), items, false)));
    }
}
