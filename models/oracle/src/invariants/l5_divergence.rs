//! L5: a divergence of copies that was there when faults ended is alarmed, or gone, within its time.
//!
//! Copies are compared at the cut of that moment, so that what came in later makes no difference; a copy that does not
//! read differs too. An alarm counts from the end of faults on: whoever compares each night says it again while it is
//! so. Not judged are files of which a planned fault took bytes and which nobody has read since: copies are compared by
//! digests that their disks remember, so such damage is found when the file is read next, whenever that is.

use super::waiting::Waiting;
use super::{Moment, i6_replicas};
use crate::identity::ProjectDay;
use crate::snapshot::Snapshot;
use std::collections::BTreeSet;

/// Copies are compared six hours after each midnight of their project, which is at most 25 h away; the alarm is heard at
/// the first or second try.
pub const WITHIN_MS: i64 = 26 * 3_600_000;
/// What was under way when faults ended belongs to no copy yet.
const CUT_SLACK_MS: i64 = 10 * 60_000;

/// Days whose copies differed when faults ended.
#[derive(Clone, Debug, Default)]
pub struct Divergence {
    at_ms: i64,
    days: BTreeSet<ProjectDay>,
}

impl Divergence {
    /// Compares the copies in the moment in which faults end.
    #[must_use]
    pub fn at_end_of_faults(snapshot: &Snapshot, now: &Moment) -> Divergence {
        let days = differing(snapshot, now.at_ms - CUT_SLACK_MS, now);
        Divergence { at_ms: now.at_ms, days }
    }

    /// Days that still differ and of which nobody was told; `alarmed` are those of alarms since faults ended.
    #[must_use]
    pub fn waiting(&self, alarmed: &BTreeSet<ProjectDay>, snapshot: &Snapshot, now: &Moment) -> Vec<Waiting> {
        let Some(late) = Waiting::past("L5", self.at_ms, WITHIN_MS, now.at_ms) else { return Vec::new() };
        // At both cuts: an event that one copy has only as it was sent again, later, is in all of them.
        let still = differing(snapshot, self.at_ms - CUT_SLACK_MS, now);
        let today = differing(snapshot, now.at_ms - CUT_SLACK_MS, now);
        let still: BTreeSet<ProjectDay> = still.intersection(&today).copied().collect();
        let unheard = self.days.intersection(&still).filter(|of| !alarmed.contains(of));
        unheard.map(|of| late.clone().of(*of).what("has copies that differ, and no alarm said so")).collect()
    }
}

fn differing(snapshot: &Snapshot, cut_ms: i64, now: &Moment) -> BTreeSet<ProjectDay> {
    let unread = snapshot.unexcused(now).map(|problem| problem.of);
    i6_replicas::differing(snapshot, cut_ms, now).into_iter().chain(unread).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::invariants::noon_after;
    use crate::testing::{DAY, Disk, NOON_MS, Rec, snapshot};

    const OF: ProjectDay = ProjectDay { project: 17, day: DAY };

    fn recs(ids: &[&str]) -> Vec<Rec> {
        ids.iter().map(|id| Rec::new("a", id, NOON_MS)).collect()
    }

    fn two(first: &[&str], second: &[&str]) -> Snapshot {
        snapshot(&[first, second].map(|ids| Disk::default().with_day(OF, &recs(ids))))
    }

    fn words(then: &Snapshot, after: &Snapshot, alarmed: &[ProjectDay], later_ms: i64) -> Vec<String> {
        let ended = noon_after();
        let now = Moment { at_ms: ended.at_ms + later_ms, ..noon_after() };
        let divergence = Divergence::at_end_of_faults(then, &ended);
        let waiting = divergence.waiting(&alarmed.iter().copied().collect(), after, &now);
        waiting.iter().map(Waiting::to_string).collect()
    }

    #[test]
    fn copies_that_differ_unheard_are_named_and_equal_ones_pass() {
        let (differ, equal) = (two(&["i1", "i2"], &["i1"]), two(&["i1", "i2"], &["i1", "i2"]));
        let late = words(&differ, &differ, &[], WITHIN_MS + 1);
        assert_eq!(late, ["L5 p17 2016-02-22 has copies that differ, and no alarm said so"]);
        assert_eq!(words(&differ, &differ, &[], WITHIN_MS), [""; 0], "there is time left");
        assert_eq!(words(&differ, &differ, &[OF], WITHIN_MS + 1), [""; 0], "it was alarmed");
        assert_eq!(words(&differ, &equal, &[], WITHIN_MS + 1), [""; 0], "it is gone");
        assert_eq!(words(&equal, &differ, &[], WITHIN_MS + 1), [""; 0], "it came later");
    }

    #[test]
    fn a_copy_that_has_an_event_only_as_it_was_sent_again_later_does_not_differ_any_more() {
        let ended = noon_after();
        let first = Disk::default().with_day(OF, &[Rec::new("a", "i1", NOON_MS)]);
        let again = Rec { arrived_ms: ended.at_ms + 1_000, ..Rec::new("a", "i1", NOON_MS) };
        let then = snapshot(&[first.clone(), Disk::default().with_day(OF, &[])]);
        let after = snapshot(&[first, Disk::default().with_day(OF, &[again])]);
        assert_eq!(words(&then, &after, &[], WITHIN_MS + 1), [""; 0]);
    }

    #[test]
    fn a_copy_that_does_not_read_differs_unless_a_planned_fault_took_its_bytes() {
        let whole = Disk::default().with_day(OF, &recs(&["i1"]));
        let mut rotten = whole.clone();
        rotten.put(OF, "1.seg", bytes::Bytes::from_static(&[7; 40]));
        let late = |copy: &Disk| {
            let snapshot = snapshot(&[whole.clone(), copy.clone()]);
            let ended = Moment { damaged: ["disk-1".to_owned()].into(), ..noon_after() };
            let now = Moment { at_ms: ended.at_ms + WITHIN_MS + 1, ..ended.clone() };
            let divergence = Divergence::at_end_of_faults(&snapshot, &ended);
            divergence.waiting(&BTreeSet::new(), &snapshot, &now).len()
        };
        assert_eq!(late(&rotten), 1, "no fault struck this file");
        rotten.harm(OF, "1.seg");
        assert_eq!(late(&rotten), 0);
    }
}
