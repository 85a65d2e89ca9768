//! The result of the searches for one bug.

use latent_verdict::Outcome;
use serde::{Deserialize, Serialize};

/// First seed of a search that catches the bug.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Catch {
    pub seed: u64,
    pub outcome: Outcome,
    /// Fingerprint of the worst violation.
    pub fingerprint: String,
    /// Invariants that were violated, and properties of late work.
    pub invariants: Vec<String>,
}

/// One search: consecutive seeds until the first catch.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct BugSearch {
    pub first_seed: u64,
    /// Number of seeds that ran, the one of the catch included.
    pub seeds: u64,
    /// Number of these that reached the trigger.
    pub reached: u64,
    /// Real time of their cases, each on one core, in milliseconds.
    pub case_ms: u64,
    pub caught: Option<Catch>,
    /// Seeds that also fail without the bug: they catch nothing.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fail_without_bug: Vec<u64>,
}

/// What the searches show. The results are never mixed: a bug whose trigger is never reached says nothing about the
/// checks.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, strum::IntoStaticStr,
)]
#[serde(rename_all = "kebab-case")]
#[strum(serialize_all = "kebab-case")]
pub(crate) enum BugResult {
    /// Caught by the median search.
    Caught,
    /// Some search reached the trigger; the median one caught nothing.
    Unseen,
    /// No search reached the trigger.
    NotReached,
    /// No run can differ.
    Equivalent,
}

/// Size of the shrunk case: `faults 2`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ShrunkCount {
    pub what: String,
    pub count: u64,
}

/// A bug in one scenario.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct BugRecord {
    pub bug: String,
    pub scenario: String,
    /// Reason why no run can differ; then there is no search.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub equivalent: Option<String>,
    pub searches: Vec<BugSearch>,
    /// What remains of the case of the first catch after shrinking; empty if it was not shrunk.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub shrunk: Vec<ShrunkCount>,
}

impl BugRecord {
    pub fn result(&self) -> BugResult {
        if self.equivalent.is_some() {
            BugResult::Equivalent
        } else if self.median_seeds().is_some() {
            BugResult::Caught
        } else if self.searches.iter().any(|search| search.reached > 0) {
            BugResult::Unseen
        } else {
            BugResult::NotReached
        }
    }

    /// Returns the number of seeds to the catch in the median search (the lower one of two); `None` if that search
    /// caught nothing.
    pub fn median_seeds(&self) -> Option<u64> {
        self.median(|search| search.seeds)
    }

    /// Returns the time on one core to the catch, in milliseconds, as [`BugRecord::median_seeds`] does.
    pub fn median_case_ms(&self) -> Option<u64> {
        self.median(|search| search.case_ms)
    }

    fn median(&self, cost: impl Fn(&BugSearch) -> u64) -> Option<u64> {
        let mut costs: Vec<u64> =
            self.searches.iter().filter(|search| search.caught.is_some()).map(cost).collect();
        costs.sort_unstable();
        costs.get(self.searches.len().saturating_sub(1) / 2).copied()
    }

    /// Returns the catch of the first search that has one.
    pub fn first_catch(&self) -> Option<&Catch> {
        self.searches.iter().find_map(|search| search.caught.as_ref())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn search(seeds: u64, reached: u64, is_caught: bool) -> BugSearch {
        let catch = Catch {
            seed: seeds,
            outcome: Outcome::Violated,
            fingerprint: "W1:missing:end:loss".to_owned(),
            invariants: vec!["W1".to_owned()],
        };
        let caught = is_caught.then_some(catch);
        BugSearch { seeds, reached, case_ms: 10 * seeds, caught, ..BugSearch::default() }
    }

    fn record(searches: &[BugSearch]) -> BugRecord {
        let (bug, scenario) = ("late-ack".to_owned(), "generated".to_owned());
        BugRecord { bug, scenario, equivalent: None, searches: searches.to_vec(), shrunk: Vec::new() }
    }

    #[test]
    fn the_median_search_decides() {
        let two_of_three = record(&[search(7, 3, true), search(500, 40, false), search(90, 5, true)]);
        assert_eq!((two_of_three.result(), two_of_three.median_seeds()), (BugResult::Caught, Some(90)));
        assert_eq!(two_of_three.median_case_ms(), Some(900));
        let one_of_three = record(&[search(7, 3, true), search(500, 40, false), search(500, 0, false)]);
        assert_eq!((one_of_three.result(), one_of_three.median_seeds()), (BugResult::Unseen, None));
    }

    #[test]
    fn a_bug_that_no_search_reaches_is_not_called_unseen() {
        assert_eq!(record(&[search(500, 0, false)]).result(), BugResult::NotReached);
        assert_eq!(record(&[search(500, 1, false)]).result(), BugResult::Unseen);
        assert_eq!(record(&[]).result(), BugResult::NotReached);
    }

    #[test]
    fn an_equivalent_bug_needs_no_search() {
        let equivalent = BugRecord { equivalent: Some("the file is read again".to_owned()), ..record(&[]) };
        assert_eq!(equivalent.result(), BugResult::Equivalent);
    }
}
