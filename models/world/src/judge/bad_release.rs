//! Releases that are among the faults of a run: what they do to production counts as a loss, which the run must notice
//! and restore, and not as a broken promise of the system that protects it. What they do to some copies alone counts for
//! nothing: repair fills these in.
//!
//! A run counts as recovered only if everything is back, unaltered and once, when it ends: harm that is found after
//! healing stays a violation. So does harm that appears later than an operator has recovered from the release, and harm
//! of another kind than a merge does.

use crate::plan::time_limits::operator_repair;
use crate::scenario::{Deploy, WorldConfig};
use latent_engine::verdict::Violation;
use latent_oracle::ExcusedPeriods;
use std::collections::BTreeSet;

/// Longest time from a recovery to the next look at what it restored: a night's comparison of the copies.
const NIGHT_MS: i64 = 25 * 3_600_000;
/// The stage of the checks after healing.
const FINAL_STAGE: &str = "after-healing";
/// What a bad merge does to production besides what counts as a loss in any run.
const OF_PRODUCTION: [(&str, &str); 4] =
    [("I2", "never-sent"), ("I3", "duplicate"), ("I3", "excess-copies"), ("I8", "invented")];
/// What it does to some copies, while others still hold the events: repair fills them in, and nothing is lost.
const OF_COPIES: [(&str, &str); 3] = [("I8", "dropped"), ("I8", "wrong-winner"), ("I17", "dropped")];

/// The times in which harm of bad releases may appear.
#[derive(Clone, Debug, Default)]
pub(crate) struct BadReleases {
    periods: ExcusedPeriods,
}

impl BadReleases {
    /// Reads the deploys: each period lasts from the deploy of a release that is a fault until an operator has
    /// recovered from it after the next deploy of another release; without an operator it does not end.
    pub fn new(config: &WorldConfig) -> BadReleases {
        let bad: BTreeSet<&str> = config
            .releases
            .iter()
            .filter(|release| release.is_fault)
            .map(|release| release.name.as_str())
            .collect();
        let mut deploys: Vec<&Deploy> = config.deploys.iter().collect();
        deploys.sort_by_key(|deploy| deploy.at);
        let period = |(number, deploy): (usize, &&Deploy)| {
            let rolled_back = deploys[number..].iter().find(|next| !bad.contains(next.release.as_str()));
            let until_ms =
                rolled_back.zip(operator_repair(config, false)).map_or(i64::MAX, |(next, within)| {
                    next.at.0.0.saturating_add_unsigned(within.as_millis() as u64) + NIGHT_MS
                });
            (deploy.at.0.0, until_ms)
        };
        let of_bad = deploys.iter().enumerate().filter(|(_, deploy)| bad.contains(deploy.release.as_str()));
        BadReleases { periods: ExcusedPeriods::of(of_bad.map(period)) }
    }

    /// Returns what a violation counts as: harm of a bad release to production is a loss, and to some copies alone
    /// nothing.
    pub fn judge(&self, violation: Violation) -> Option<Violation> {
        let is_within = !self.periods.covers_none_of(violation.at_ms, violation.at_ms + 1);
        let kind = (violation.invariant.as_str(), violation.kind.as_str());
        if !is_within || violation.stage == FINAL_STAGE {
            Some(violation)
        } else if OF_PRODUCTION.contains(&kind) {
            Some(violation.losing())
        } else {
            (!OF_COPIES.contains(&kind)).then_some(violation)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Latent;
    use crate::small_scenario::SMALL;

    const START_MS: i64 = 1_455_926_400_000;
    const HOUR_MS: i64 = 3_600_000;

    /// The small scenario, whose bad release is deployed after three hours, with this release and these deploys.
    fn config(release: &str, roll_back: &str) -> WorldConfig {
        let small = SMALL
            .replace(r#""bugs": ["recompaction-overwrites"]"#, release)
            .replace(r#""release": "bad", "to": "all" }"#, roll_back)
            .replace(r#""drills": 2"#, r#""operator": { "reaction": "2h" }, "drills": 2"#);
        latent_engine::parse::<Latent>("small.json", &small).unwrap().config
    }

    const FAULT: &str = r#""bugs": ["recompaction-overwrites"], "fault": true"#;
    const ROLLED_BACK: &str = r#""release": "bad", "to": "all" },
        { "at": "2016-02-20T09:00:00Z", "release": "good", "to": "all" }"#;

    /// Returns whether a violation counts as a loss; `None` if it does not count.
    fn counts_as_loss(config: &WorldConfig, kind: (&str, &str), stage: &str, at_ms: i64) -> Option<bool> {
        let violation = Violation::new(kind.0, kind.1, stage).at(at_ms);
        BadReleases::new(config).judge(violation).map(|violation| violation.loses_items)
    }

    #[test]
    fn harm_of_a_release_that_is_a_fault_is_a_loss_until_an_operator_has_recovered_from_it() {
        let config = config(FAULT, ROLLED_BACK);
        let harm = |at_ms| counts_as_loss(&config, ("I2", "never-sent"), "day-end", at_ms);
        assert_eq!(harm(START_MS + 2 * HOUR_MS), Some(false), "before the deploy");
        assert_eq!([3, 10].map(|hour| harm(START_MS + hour * HOUR_MS)), [Some(true); 2]);
        assert_eq!(harm(START_MS + 7 * 24 * HOUR_MS), Some(false), "an operator must have recovered by then");
        let at_ms = START_MS + 4 * HOUR_MS;
        let of_copies = ("I17", "dropped");
        assert_eq!(counts_as_loss(&config, of_copies, "day-end", at_ms), None, "repair fills the copy in");
        assert_eq!(counts_as_loss(&config, of_copies, FINAL_STAGE, at_ms), Some(false), "whole at the end");
        assert_eq!(
            counts_as_loss(&config, ("I9", "dangling"), "day-end", at_ms),
            Some(false),
            "no merge does it"
        );
    }

    #[test]
    fn harm_of_a_release_under_test_is_a_violation() {
        let config = config(r#""bugs": ["recompaction-overwrites"]"#, ROLLED_BACK);
        let at_ms = START_MS + 4 * HOUR_MS;
        assert_eq!(counts_as_loss(&config, ("I17", "dropped"), "day-end", at_ms), Some(false));
    }
}
