//! I7: an acknowledged event was durable on at least four distinct disks when it was acknowledged.
//!
//! Judged on durable images taken in the moment the client has its answer: what a power cut of everything would
//! leave. Reading one project's day of eight disks is cheap, doing so at every answer is not: callers sample.

use super::{Moment, Tally, count};
use crate::identity::ProjectDay;
use crate::ledger::{EventId, Identity};
use crate::sight::Sight;
use latent_verdict::Violation;
use std::collections::BTreeSet;

/// The project-days to read for these events: all the days that they may be on.
#[must_use]
pub fn days_of(accepted: &[EventId]) -> BTreeSet<ProjectDay> {
    let days = |event: &EventId| {
        let project = event.project;
        (event.days.0..=event.days.1).map(move |day| ProjectDay { project, day })
    };
    accepted.iter().flat_map(days).collect()
}

/// Checks events that were just acknowledged against the disks' durable images.
#[must_use]
pub fn check(accepted: &[EventId], durable: &Sight, least_disks: u32, now: &Moment) -> Vec<Violation> {
    let mut tally = Tally::new("I7", now);
    for event in accepted {
        let project = event.project;
        let days = (event.days.0..=event.days.1).map(|day| ProjectDay { project, day });
        let disks = days.map(|of| disks(durable, of, event.identity)).max().unwrap_or(0);
        if disks < least_disks {
            tally.add(event.project_day(), "too-few-disks", 1, event.identity);
        }
    }
    tally.finish(|of, _, items| {
        let detail = format!(
            "{of}: {} acknowledged when fewer than {least_disks} disks had it",
            count(items, "event was", "events were")
        );
        (false, detail)
    })
}

fn disks(durable: &Sight, of: ProjectDay, identity: Identity) -> u32 {
    let Some(day) = durable.days.get(&of) else { return 0 };
    match identity {
        Identity::Keyed(key) => {
            day.held.binary_search_by_key(&key, |held| held.key).map_or(0, |at| day.held[at].places)
        }
        Identity::Anonymous(content) => {
            let same = day.held.iter().filter(|held| held.anonymous && held.content == content);
            same.map(|held| held.places).max().unwrap_or(0)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::Content;
    use crate::invariants::{noon_after, short};
    use crate::testing::{DAY, Disk, NOON_MS, Rec, sight};

    const OF: ProjectDay = ProjectDay { project: 17, day: DAY };

    fn event(identity: Identity) -> EventId {
        EventId { project: 17, days: (DAY, DAY + 1), identity }
    }

    #[test]
    fn four_disks_are_enough_and_three_are_not() {
        let (keyed, bare) =
            (Rec::new("a", "i1", NOON_MS), Rec { insert_id: None, ..Rec::new("a", "", NOON_MS) });
        let accepted = [
            event(Identity::Keyed(keyed.key())),
            event(Identity::Anonymous(Content::of(bare.json().as_bytes()))),
        ];
        assert_eq!(days_of(&accepted).len(), 2);
        let with = Disk::default().with_day(OF, &[keyed, bare]);
        let on = |count: usize| {
            let disks: Vec<Disk> =
                (0..8).map(|at| if at < count { with.clone() } else { Disk::default() }).collect();
            sight(&disks)
        };
        assert_eq!(check(&accepted, &on(4), 4, &noon_after()), []);
        let found = check(&accepted, &on(3), 4, &noon_after());
        assert_eq!(short(&found), [("too-few-disks".into(), "p17".into(), 2, false)]);
        assert_eq!(check(&accepted, &on(0), 4, &noon_after())[0].items, 2);
    }
}
