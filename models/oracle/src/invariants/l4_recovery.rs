//! L4: once faults stop, every started recovery or replay ends.
//!
//! The audit and the other invariants check its result; here it only has to end. A recovery whose process crashed has
//! not ended: an operator must run it again.
//!
//! Documented in docs/invariants.md#l4.

use super::liveness_violation::LivenessViolation;

/// Reading the tee is retried for two hours at most, and each day is written a few times: half a day is ample.
pub const WITHIN_MS: i64 = 12 * 3_600_000;

/// A recovery that has started and not ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnfinishedRecovery {
    /// Node that runs it.
    pub node: String,
    /// Start time, in milliseconds since 1970.
    pub at_ms: i64,
}

/// Reports the recoveries that have not ended in time.
#[must_use]
pub fn check(unfinished: &[UnfinishedRecovery], faults_ended_ms: i64, now_ms: i64) -> Vec<LivenessViolation> {
    let late = |one: &UnfinishedRecovery| {
        let late = LivenessViolation::if_overdue("L4", one.at_ms.max(faults_ended_ms), WITHIN_MS, now_ms)?;
        Some(late.at(&one.node).what("started a recovery that has not ended"))
    };
    unfinished.iter().filter_map(late).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unfinished_recovery_is_reported_half_a_day_after_its_start_or_the_end_of_faults() {
        let unfinished = |at_ms| [UnfinishedRecovery { node: "operator".into(), at_ms }];
        assert_eq!(check(&unfinished(5), 10, 10 + WITHIN_MS), []);
        let late = check(&unfinished(5), 10, 11 + WITHIN_MS);
        assert_eq!(late[0].to_string(), "L4 operator started a recovery that has not ended");
        assert_eq!(late[0].since_ms, 10);
        assert_eq!(check(&unfinished(20), 10, 20 + WITHIN_MS), []);
        assert_eq!(check(&[], 10, 99 + WITHIN_MS), [], "all have ended");
    }
}
