//! I5: content, not only identity: a 128-bit multiset digest over events as they were sent, with the count, per
//! (project, day).
//!
//! Equal sets have equal digests; where digests differ the events are compared one by one. If two contents were sent
//! under one key, either is right and a third is not. What a file states beside the text (key, time) must match the
//! text.
//!
//! Documented in docs/invariants.md#i5.

use super::{CheckContext, ViolationAccumulator, pluralize};
use crate::content::{DayContent, MultisetDigest};
use crate::identity::{DedupKey, ProjectDay};
use crate::ledger::Ledger;
use crate::read_view::ReadView;
use latent_verdict::Violation;
use std::collections::BTreeSet;

/// Checks every replica of the read view.
#[must_use]
pub fn check(ledger: &Ledger, read_view: &ReadView, context: &CheckContext) -> Vec<Violation> {
    let mut accumulator = ViolationAccumulator::new("I5", context);
    for (project_day, day_view) in &read_view.days {
        for content in &day_view.contents {
            let (sent, stored) = digests(ledger, *project_day, content);
            if sent != stored || !content.variants.is_empty() {
                contents(ledger, *project_day, content, &mut accumulator);
            }
            stated(*project_day, content, &mut accumulator);
        }
    }
    accumulator.finish(|project_day, kind, items| match kind {
        "altered" => (
            true,
            format!(
                "{project_day}: {} content that no client sent under that key",
                pluralize(items, "event has", "events have")
            ),
        ),
        "wrong-key" => (
            false,
            format!(
                "{project_day}: {} a key that is not the event's",
                pluralize(items, "record states", "records state")
            ),
        ),
        _ => (
            false,
            format!(
                "{project_day}: {} a time that is not the event's",
                pluralize(items, "record states", "records state")
            ),
        ),
    })
}

/// Returns digests over the events that a replica holds and that clients sent by key: first as sent, then as stored.
#[must_use]
pub fn digests(
    ledger: &Ledger,
    project_day: ProjectDay,
    stored: &DayContent,
) -> (MultisetDigest, MultisetDigest) {
    let (mut sent, mut found) = (MultisetDigest::default(), MultisetDigest::default());
    super::merge_join(ledger.days.get(&project_day), &stored.events, |_, entry, event| {
        match (entry, event) {
            (Some(entry), Some(event)) => {
                sent.add(entry.content);
                found.add(event.content.0);
            }
            // Floating events and events without a ledger entry: the ledger's day has no content to compare.
            (None, Some(event)) => found.add(event.content.0),
            (_, None) => {}
        }
    });
    (sent, found)
}

fn contents(
    ledger: &Ledger,
    project_day: ProjectDay,
    day: &DayContent,
    accumulator: &mut ViolationAccumulator<'_>,
) {
    for_each_altered(ledger, project_day, day, |key, contents| {
        accumulator.add(project_day, "altered", contents, key)
    });
}

/// Calls `each` for keys with contents that no client sent, with the number of such contents.
fn for_each_altered(
    ledger: &Ledger,
    project_day: ProjectDay,
    day: &DayContent,
    mut each: impl FnMut(DedupKey, u64),
) {
    for event in
        day.events.iter().filter(|event| !event.anonymous && ledger.has_sent_key(project_day, event.key))
    {
        // An event that no client sent is reported by I2: there is nothing to compare it with.
        let variants = day.variants.get(&event.key).into_iter().flatten();
        let contents = std::iter::once(&event.content).chain(variants);
        let altered =
            contents.filter(|content| !ledger.has_sent_content(project_day, event.key, **content)).count();
        if altered > 0 {
            each(event.key, altered as u64);
        }
    }
}

/// Returns the events that some replica of the read view holds with a content that no client sent.
#[must_use]
pub fn altered(ledger: &Ledger, read_view: &ReadView) -> BTreeSet<(ProjectDay, DedupKey)> {
    let mut altered = BTreeSet::new();
    for (project_day, day_view) in &read_view.days {
        for content in &day_view.contents {
            for_each_altered(ledger, *project_day, content, |key, _| {
                altered.insert((*project_day, key));
            });
        }
    }
    altered
}

fn stated(project_day: ProjectDay, day: &DayContent, accumulator: &mut ViolationAccumulator<'_>) {
    for record in day.records() {
        accumulator.add(project_day, "wrong-key", u64::from(record.key_is_wrong()), record.key);
        accumulator.add(project_day, "wrong-time", u64::from(record.time_is_wrong()), record.key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::invariants::{noon_context, summaries};
    use crate::test_support::{
        DAY, NOON_MS, TestAnswer, TestClients, TestDisk, TestRecord, read_view, snapshot,
    };

    const PROJECT_DAY: ProjectDay = ProjectDay { project: 17, day: DAY };

    fn rec(id: &str) -> TestRecord {
        TestRecord::new("a", id, NOON_MS)
    }

    #[test]
    fn events_as_sent_pass_and_their_digests_agree() {
        let recs = [rec("i1"), rec("i2"), TestRecord { insert_id: None, ..rec("") }];
        let ledger = TestClients::new().acked(17, &recs).ledger;
        let disks = [TestDisk::default().with_day(PROJECT_DAY, &recs)];
        assert_eq!(check(&ledger, &read_view(&disks), &noon_context()), []);
        let (sent, stored) =
            digests(&ledger, PROJECT_DAY, &snapshot(&disks).disks[0].days[&PROJECT_DAY].content);
        assert_eq!((sent, sent.count), (stored, 2));
    }

    #[test]
    fn an_altered_event_is_reported_on_any_disk() {
        let altered = TestRecord { note: "altered".into(), ..rec("i2") };
        let ledger = TestClients::new().acked(17, &[rec("i1"), rec("i2")]).ledger;
        let good = TestDisk::default().with_day(PROJECT_DAY, &[rec("i1"), rec("i2")]);
        let bad = TestDisk::default().with_day(PROJECT_DAY, &[rec("i1"), altered]);
        let found = check(&ledger, &read_view(&[good.clone(), good, bad]), &noon_context());
        assert_eq!(summaries(&found), [("altered".into(), "p17".into(), 1, true)]);
        assert_eq!(found[0].keys, [rec("i2").key().to_string()]);
    }

    #[test]
    fn either_of_two_contents_is_right_and_a_third_is_not() {
        let with = |note: &str| TestRecord { note: note.into(), ..rec("i1") };
        let ledger =
            TestClients::new().acked(17, &[with("one")]).send(17, &[with("two")], TestAnswer::Unknown).ledger;
        for note in ["one", "two"] {
            let disk = TestDisk::default().with_day(PROJECT_DAY, &[with(note)]);
            assert_eq!(check(&ledger, &read_view(&[disk]), &noon_context()), []);
        }
        let third = TestDisk::default().with_day(PROJECT_DAY, &[with("three")]);
        assert_eq!(check(&ledger, &read_view(&[third]), &noon_context()).len(), 1);
        let beside = TestRecord { sequence: 2, arrived_ms: NOON_MS + 9_000, ..with("three") };
        let beside = TestDisk::default().with_day(PROJECT_DAY, &[with("one"), beside]);
        assert_eq!(
            check(&ledger, &read_view(&[beside]), &noon_context()).len(),
            1,
            "also in a raw copy that loses"
        );
    }

    #[test]
    fn seconds_stored_as_milliseconds_are_reported() {
        let rec = TestRecord { time_ms: Some(NOON_MS / 1000), ..rec("i1") };
        let right = TestRecord { stored_time_ms: Some(NOON_MS), ..rec.clone() };
        let ledger = TestClients::new().acked(17, std::slice::from_ref(&right)).ledger;
        let stored = |rec: TestRecord| read_view(&[TestDisk::default().with_day(PROJECT_DAY, &[rec])]);
        assert_eq!(check(&ledger, &stored(right), &noon_context()), []);
        assert_eq!(
            summaries(&check(&ledger, &stored(rec), &noon_context())),
            [("wrong-time".into(), "p17".into(), 1, false)]
        );
    }
}
