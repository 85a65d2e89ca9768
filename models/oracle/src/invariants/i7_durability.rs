//! I7: an acknowledged event was durable on at least four distinct disks when it was acknowledged.
//!
//! The check uses durable images taken when the client receives its answer: what a power cut of all disks would leave.
//! Reading one project-day of eight disks is cheap, but not at every answer: callers sample.
//!
//! Documented in docs/invariants.md#i7.

use super::{CheckContext, ViolationAccumulator, pluralize};
use crate::identity::ProjectDay;
use crate::ledger::{EventId, EventIdentity};
use crate::read_view::ReadView;
use latent_verdict::Violation;
use std::collections::BTreeSet;

/// Returns the project-days to read for these events: all days that they may be on.
#[must_use]
pub fn days_of(accepted: &[EventId]) -> BTreeSet<ProjectDay> {
    let days = |event: &EventId| {
        let project = event.project;
        (event.days.0..=event.days.1).map(move |day| ProjectDay { project, day })
    };
    accepted.iter().flat_map(days).collect()
}

/// Checks newly acknowledged events against the disks' durable images.
#[must_use]
pub fn check(
    accepted: &[EventId],
    durable: &ReadView,
    least_disks: u32,
    context: &CheckContext,
) -> Vec<Violation> {
    let mut accumulator = ViolationAccumulator::new("I7", context);
    for event in accepted {
        let project = event.project;
        let days = (event.days.0..=event.days.1).map(|day| ProjectDay { project, day });
        let disks = days.map(|project_day| disks(durable, project_day, event.identity)).max().unwrap_or(0);
        if disks < least_disks {
            accumulator.add(event.project_day(), "too-few-disks", 1, event.identity);
        }
    }
    accumulator.finish(|project_day, _, items| {
        let detail = format!(
            "{project_day}: {} acknowledged when fewer than {least_disks} disks had it",
            pluralize(items, "event was", "events were")
        );
        (false, detail)
    })
}

fn disks(durable: &ReadView, project_day: ProjectDay, identity: EventIdentity) -> u32 {
    let Some(day) = durable.days.get(&project_day) else { return 0 };
    match identity {
        EventIdentity::Keyed(key) => {
            day.events.binary_search_by_key(&key, |event| event.key).map_or(0, |at| day.events[at].replicas)
        }
        EventIdentity::Anonymous(content) => {
            let same = day.events.iter().filter(|event| event.anonymous && event.content == content);
            same.map(|event| event.replicas).max().unwrap_or(0)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::EventDigest;
    use crate::invariants::{noon_context, summaries};
    use crate::test_support::{DAY, NOON_MS, TestDisk, TestRecord, read_view};

    const PROJECT_DAY: ProjectDay = ProjectDay { project: 17, day: DAY };

    fn event(identity: EventIdentity) -> EventId {
        EventId { project: 17, days: (DAY, DAY + 1), identity }
    }

    #[test]
    fn four_disks_suffice_and_three_do_not() {
        let (keyed, bare) = (
            TestRecord::new("a", "i1", NOON_MS),
            TestRecord { insert_id: None, ..TestRecord::new("a", "", NOON_MS) },
        );
        let accepted = [
            event(EventIdentity::Keyed(keyed.key())),
            event(EventIdentity::Anonymous(EventDigest::of(bare.json().as_bytes()))),
        ];
        assert_eq!(days_of(&accepted).len(), 2);
        let with = TestDisk::default().with_day(PROJECT_DAY, &[keyed, bare]);
        let on = |count: usize| {
            let disks: Vec<TestDisk> =
                (0..8).map(|at| if at < count { with.clone() } else { TestDisk::default() }).collect();
            read_view(&disks)
        };
        assert_eq!(check(&accepted, &on(4), 4, &noon_context()), []);
        let found = check(&accepted, &on(3), 4, &noon_context());
        assert_eq!(summaries(&found), [("too-few-disks".into(), "p17".into(), 2, false)]);
        assert_eq!(check(&accepted, &on(0), 4, &noon_context())[0].items, 2);
    }
}
