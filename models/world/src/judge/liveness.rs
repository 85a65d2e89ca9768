//! Liveness: tracks whether L1 to L5 hold within their time limits after faults ended.
//!
//! Each law is checked when its time limit has passed: L1, L3 and L4, which read only names and catalogs, at the next
//! hourly check, and all laws at the end of healing. Work that was late then is reported even if it completed later.

use latent_engine::humanize;
use latent_engine::verdict::PendingWork;
use latent_oracle::invariants::l5_divergence::ReplicaDivergence;
use latent_oracle::invariants::liveness_violation::{LivenessViolation, sort_worst_first};
use latent_oracle::{CheckContext, ClusterSnapshot, ProjectDay};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// Maximum number of printed reasons.
const MAX_REASONS: usize = 200;

/// State of the liveness checks. It exists only once faults have ended, because every time limit counts from there.
pub(super) struct LivenessTracker {
    ended_ms: i64,
    /// Time limits of the laws, counted from the end of faults.
    time_limits: Vec<Duration>,
    /// Days whose copies differed when faults ended.
    divergence: ReplicaDivergence,
    /// Late work, by its text.
    waiting: BTreeMap<String, LivenessViolation>,
    /// Time of the last check of the cheap laws, or the end of faults.
    checked_ms: i64,
}

impl LivenessTracker {
    /// Creates the state at the end of faults.
    pub fn since_faults_ended(
        ended_ms: i64,
        divergence: ReplicaDivergence,
        time_limits: Vec<Duration>,
    ) -> LivenessTracker {
        LivenessTracker { ended_ms, time_limits, divergence, waiting: BTreeMap::new(), checked_ms: ended_ms }
    }

    /// Returns the time at which faults ended.
    pub fn ended_ms(&self) -> i64 {
        self.ended_ms
    }

    /// Adds late work.
    pub fn report(&mut self, waiting: impl IntoIterator<Item = LivenessViolation>) {
        self.waiting.extend(waiting.into_iter().map(|one| (one.to_string(), one)));
    }

    /// Adds the copies that still differ without an alarm.
    pub fn check_divergence(
        &mut self,
        alarmed: &BTreeSet<ProjectDay>,
        snapshot: &ClusterSnapshot,
        now: &CheckContext,
    ) {
        self.report(self.divergence.waiting(alarmed, snapshot, now));
    }

    /// Returns true if the time limit of a law passed since the last call.
    pub fn is_due(&mut self, now_ms: i64) -> bool {
        let since_ms = std::mem::replace(&mut self.checked_ms, now_ms);
        self.time_limits.iter().any(|within| {
            let due_ms = self.ended_ms + within.as_millis() as i64;
            since_ms <= due_ms && due_ms < now_ms
        })
    }

    /// Returns the work because of which the run hung, the worst first.
    pub fn hung(&self) -> Vec<PendingWork> {
        let mut waiting: Vec<LivenessViolation> = self.waiting.values().cloned().collect();
        sort_worst_first(&mut waiting);
        let left_out = waiting.len().saturating_sub(MAX_REASONS);
        let reason = |one: &LivenessViolation| {
            PendingWork::new(one.property, format!("{one}, since {}", humanize::moment_ms(one.since_ms)))
        };
        let mut pending: Vec<PendingWork> = waiting.iter().take(MAX_REASONS).map(reason).collect();
        if let Some(next) = waiting.get(MAX_REASONS) {
            pending.push(PendingWork::new(next.property, format!("and {left_out} more")));
        }
        pending
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_are_listed_once_and_worst_first() {
        let late = |property: &'static str, due_ms: i64| LivenessViolation {
            property,
            node: "disk-1".into(),
            project_day: None,
            file: String::new(),
            what: "waits".into(),
            since_ms: 0,
            due_ms,
        };
        let mut liveness = LivenessTracker::since_faults_ended(0, ReplicaDivergence::default(), Vec::new());
        assert_eq!(liveness.hung(), []);
        liveness.report([late("L2", 20), late("L1", 10)]);
        liveness.report([late("L2", 20)]);
        let expected =
            "L1 disk-1 waits, since 1970-01-01 00:00:00Z\nL2 disk-1 waits, since 1970-01-01 00:00:00Z";
        assert_eq!(PendingWork::lines(&liveness.hung()).as_deref(), Some(expected));
    }
}
