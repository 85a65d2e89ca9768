//! I13: a hold for a damaged day stands until the day is whole again.
//!
//! A hold keeps what can repair a day from expiring. Its release says that the day is intact. So a hold that
//! ends while production lacks events of its day is a false statement, although nothing is lost yet.
//!
//! Documented in docs/invariants.md#i13.

use super::{CheckContext, violation};
use crate::day::format_utc;
use crate::identity::ProjectDay;
use crate::reader::hold::{RetentionHold, active_holds};
use latent_verdict::Violation;
use std::collections::BTreeSet;

/// Age up to which a hold stands unless it is released: a day less than its maximum age.
const STANDS_MS: i64 = 29 * 86_400_000;

/// Follows the holds of the tee store from look to look.
#[derive(Clone, Debug, Default)]
pub struct HoldChecker {
    active: BTreeSet<RetentionHold>,
}

impl HoldChecker {
    /// Takes the paths of the store's files, and returns the holds that have ended before their time since the last
    /// call, unless another hold covers their day.
    pub fn ended<'p>(&mut self, paths: impl Iterator<Item = &'p str>, at_ms: i64) -> Vec<RetentionHold> {
        let active = active_holds(paths, at_ms);
        let is_held = |hold: &RetentionHold| active.iter().any(|held| project_day(held) == project_day(hold));
        let ended = self.active.iter().filter(|hold| at_ms - hold.since_ms <= STANDS_MS && !is_held(hold));
        let ended = ended.copied().collect();
        self.active = active;
        ended
    }
}

/// Returns the day that a hold is for.
#[must_use]
pub fn project_day(hold: &RetentionHold) -> ProjectDay {
    ProjectDay { project: hold.project, day: hold.day }
}

/// Reports a hold that ended while production lacks events of its day.
#[must_use]
pub fn released_early(hold: &RetentionHold, context: &CheckContext) -> Violation {
    let detail = format!(
        "the hold of {} has ended, and production still lacks events of that day",
        format_utc(hold.since_ms)
    );
    violation("I13", "hold-released", context, project_day(hold), 1).because(detail)
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY_MS: i64 = 86_400_000;
    const HOLD: &str = "objects/holds/1728000000-17-2016-02-22-456-461";
    const RELEASE: &str = "objects/holds/1728000000-17-2016-02-22-456-461-released";

    fn ended(checker: &mut HoldChecker, paths: &[&str], age_days: i64) -> usize {
        checker.ended(paths.iter().copied(), 1_728_000_000 + age_days * DAY_MS).len()
    }

    #[test]
    fn a_hold_ends_with_its_release_or_when_its_object_is_gone_and_is_returned_once() {
        for after in [&[HOLD, RELEASE][..], &[]] {
            let mut checker = HoldChecker::default();
            assert_eq!(ended(&mut checker, &[HOLD], 1), 0);
            assert_eq!((ended(&mut checker, after, 2), ended(&mut checker, after, 2)), (1, 0));
        }
    }

    #[test]
    fn a_hold_that_is_too_old_or_that_another_replaces_has_not_ended_early() {
        let mut checker = HoldChecker::default();
        assert_eq!((ended(&mut checker, &[HOLD], 1), ended(&mut checker, &[], 30)), (0, 0));
        let mut checker = HoldChecker::default();
        let other = "objects/holds/1728000001-17-2016-02-22-400-461";
        assert_eq!((ended(&mut checker, &[HOLD], 1), ended(&mut checker, &[other], 2)), (0, 0));
    }
}
