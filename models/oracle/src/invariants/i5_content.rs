//! I5: content, not only identity: a 128-bit multiset digest over events as they were sent, with the count, per
//! (project, day).
//!
//! Digests of equal sets are equal; where they differ the events are compared one by one. One key with two contents
//! that were both sent: either is right, a third is not. What a file states beside the text (key, time) must be what
//! the text calls for.

use super::{Moment, Tally, count};
use crate::content::{DayContent, Multiset};
use crate::identity::{Key, ProjectDay};
use crate::ledger::Ledger;
use crate::sight::Sight;
use latent_verdict::Violation;
use std::collections::BTreeSet;

/// Checks every place of the sight.
#[must_use]
pub fn check(ledger: &Ledger, sight: &Sight, now: &Moment) -> Vec<Violation> {
    let mut tally = Tally::new("I5", now);
    for (of, seen) in &sight.days {
        for content in &seen.contents {
            let (sent, stored) = digests(ledger, *of, content);
            if sent != stored || !content.variants.is_empty() {
                contents(ledger, *of, content, &mut tally);
            }
            stated(*of, content, &mut tally);
        }
    }
    tally.finish(|of, kind, items| match kind {
        "altered" => (
            true,
            format!(
                "{of}: {} something that nobody sent under that key",
                count(items, "event says", "events say")
            ),
        ),
        "key" => (
            false,
            format!("{of}: {} a key that is not the event's", count(items, "record states", "records state")),
        ),
        _ => (
            false,
            format!(
                "{of}: {} a time that is not the event's",
                count(items, "record states", "records state")
            ),
        ),
    })
}

/// Of the events that a place holds and clients know by key: what was sent first, and what is stored.
#[must_use]
pub fn digests(ledger: &Ledger, of: ProjectDay, stored: &DayContent) -> (Multiset, Multiset) {
    let (mut sent, mut found) = (Multiset::default(), Multiset::default());
    super::join(ledger.days.get(&of), &stored.kept, |_, entry, kept| match (entry, kept) {
        (Some(entry), Some(kept)) => {
            sent.add(entry.content);
            found.add(kept.content.0);
        }
        // Floating events and strays: the ledger's day has no content to hold against them.
        (None, Some(kept)) => found.add(kept.content.0),
        (_, None) => {}
    });
    (sent, found)
}

fn contents(ledger: &Ledger, of: ProjectDay, day: &DayContent, tally: &mut Tally<'_>) {
    each_altered(ledger, of, day, |key, contents| tally.add(of, "altered", contents, key));
}

/// Keys under which a place holds contents that no client sent, with how many such contents.
fn each_altered(ledger: &Ledger, of: ProjectDay, day: &DayContent, mut each: impl FnMut(Key, u64)) {
    for kept in day.kept.iter().filter(|kept| !kept.anonymous && ledger.knows(of, kept.key)) {
        // An event that no client sent is I2's matter: there is nothing to compare it with.
        let variants = day.variants.get(&kept.key).into_iter().flatten();
        let contents = std::iter::once(&kept.content).chain(variants);
        let altered = contents.filter(|content| !ledger.allows(of, kept.key, **content)).count();
        if altered > 0 {
            each(kept.key, altered as u64);
        }
    }
}

/// The events that some place of the sight holds with a content that no client sent.
#[must_use]
pub fn altered(ledger: &Ledger, sight: &Sight) -> BTreeSet<(ProjectDay, Key)> {
    let mut altered = BTreeSet::new();
    for (of, seen) in &sight.days {
        for content in &seen.contents {
            each_altered(ledger, *of, content, |key, _| {
                altered.insert((*of, key));
            });
        }
    }
    altered
}

fn stated(of: ProjectDay, day: &DayContent, tally: &mut Tally<'_>) {
    for record in day.records() {
        tally.add(of, "key", u64::from(record.key_is_wrong()), record.key);
        tally.add(of, "time", u64::from(record.time_is_wrong()), record.key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::invariants::{noon_after, short};
    use crate::testing::{Answer, Clients, DAY, Disk, NOON_MS, Rec, sight, snapshot};

    const OF: ProjectDay = ProjectDay { project: 17, day: DAY };

    fn rec(id: &str) -> Rec {
        Rec::new("a", id, NOON_MS)
    }

    #[test]
    fn events_as_sent_pass_and_their_digests_agree() {
        let recs = [rec("i1"), rec("i2"), Rec { insert_id: None, ..rec("") }];
        let ledger = Clients::new().acked(17, &recs).ledger;
        let disks = [Disk::default().with_day(OF, &recs)];
        assert_eq!(check(&ledger, &sight(&disks), &noon_after()), []);
        let (sent, stored) = digests(&ledger, OF, &snapshot(&disks).disks[0].days[&OF].content);
        assert_eq!((sent, sent.count), (stored, 2));
    }

    #[test]
    fn an_altered_event_is_found_on_whichever_disk_it_is() {
        let altered = Rec { note: "altered".into(), ..rec("i2") };
        let ledger = Clients::new().acked(17, &[rec("i1"), rec("i2")]).ledger;
        let good = Disk::default().with_day(OF, &[rec("i1"), rec("i2")]);
        let bad = Disk::default().with_day(OF, &[rec("i1"), altered]);
        let found = check(&ledger, &sight(&[good.clone(), good, bad]), &noon_after());
        assert_eq!(short(&found), [("altered".into(), "p17".into(), 1, true)]);
        assert_eq!(found[0].keys, [rec("i2").key().to_string()]);
    }

    #[test]
    fn either_of_two_contents_is_right_and_a_third_is_not() {
        let with = |note: &str| Rec { note: note.into(), ..rec("i1") };
        let ledger =
            Clients::new().acked(17, &[with("one")]).send(17, &[with("two")], Answer::Unknown).ledger;
        for note in ["one", "two"] {
            let disk = Disk::default().with_day(OF, &[with(note)]);
            assert_eq!(check(&ledger, &sight(&[disk]), &noon_after()), []);
        }
        let third = Disk::default().with_day(OF, &[with("three")]);
        assert_eq!(check(&ledger, &sight(&[third]), &noon_after()).len(), 1);
        let beside = Rec { sequence: 2, arrived_ms: NOON_MS + 9_000, ..with("three") };
        let beside = Disk::default().with_day(OF, &[with("one"), beside]);
        assert_eq!(
            check(&ledger, &sight(&[beside]), &noon_after()).len(),
            1,
            "also in a raw copy that loses"
        );
    }

    #[test]
    fn seconds_taken_for_milliseconds_are_found() {
        let rec = Rec { time_ms: Some(NOON_MS / 1000), ..rec("i1") };
        let right = Rec { stored_time_ms: Some(NOON_MS), ..rec.clone() };
        let ledger = Clients::new().acked(17, std::slice::from_ref(&right)).ledger;
        let held = |rec: Rec| sight(&[Disk::default().with_day(OF, &[rec])]);
        assert_eq!(check(&ledger, &held(right), &noon_after()), []);
        assert_eq!(
            short(&check(&ledger, &held(rec), &noon_after())),
            [("time".into(), "p17".into(), 1, false)]
        );
    }
}
