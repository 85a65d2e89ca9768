//! I13: a guard that finds that work was not done reports it to the operator, in time.
//!
//! A fault excuses work that is late. It does not excuse silence: the guard of the work runs elsewhere. So a state
//! that a guard must report is held against the alarms that reached the operator, whether or not anything is lost.
//!
//! Not covered: a report of a state that ends before its time.
//!
//! Documented in docs/invariants.md#i13.

use super::CheckContext;
use crate::day::format_utc;
use latent_verdict::Violation;
use std::collections::{BTreeMap, BTreeSet};

/// A state that a guard reports.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ReportableState {
    /// A data center has had no new backup for longer than its interval and the time for taking one.
    BackupOverdue {
        /// Name of the data center.
        data_center: String,
    },
    /// Segments of a project are not compacted on a disk, although their night is over.
    CompactionOverdue {
        /// Project number.
        project: u32,
        /// Name of the disk.
        disk: String,
    },
    /// A node failed to deliver an alarm and has not tried again.
    AlarmUndelivered {
        /// Name of the node.
        node: String,
    },
}

impl ReportableState {
    /// Returns the kind of the violation, its subject, and what holds.
    fn describe(&self) -> (&'static str, String, String) {
        match self {
            ReportableState::BackupOverdue { data_center } => {
                ("backup-unreported", data_center.clone(), format!("{data_center} has no new backup"))
            }
            ReportableState::CompactionOverdue { project, disk } => (
                "compaction-unreported",
                format!("p{project}"),
                format!("p{project} is not compacted on {disk}"),
            ),
            ReportableState::AlarmUndelivered { node } => {
                ("alarm-undelivered", node.clone(), format!("{node} does not repeat an alarm"))
            }
        }
    }
}

/// Times of a state that holds, in milliseconds since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StateTimes {
    /// Time from which an alarm about it counts.
    pub since_ms: i64,
    /// Time from which its guard can find it.
    pub overdue_ms: i64,
}

/// Follows which states were charged.
#[derive(Clone, Debug, Default)]
pub struct ReportChecker {
    charged: BTreeSet<ReportableState>,
}

impl ReportChecker {
    /// Checks the states that hold now. `due_ms` returns the time by which the operator must know of a state that is
    /// overdue since a time; `is_reported` tells whether an alarm about the state arrived since a time.
    pub fn check(
        &mut self,
        present: &BTreeMap<ReportableState, StateTimes>,
        due_ms: impl Fn(&ReportableState, i64) -> i64,
        is_reported: impl Fn(&ReportableState, i64) -> bool,
        context: &CheckContext,
    ) -> Vec<Violation> {
        self.charged.retain(|state| present.contains_key(state));
        let mut found = Vec::new();
        for (state, times) in present {
            let is_late =
                context.at_ms > due_ms(state, times.overdue_ms) && !is_reported(state, times.since_ms);
            if !is_late || !self.charged.insert(state.clone()) {
                continue;
            }
            let (kind, subject, what) = state.describe();
            let detail =
                format!("{what} since {}, and no alarm reached the operator", format_utc(times.since_ms));
            let late = Violation::new("I13", kind, context.stage.as_str()).of(subject, 0);
            found.push(late.at(context.at_ms).because(detail));
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::invariants::noon_context;

    fn late(checker: &mut ReportChecker, hours: i64, alarms_ms: &[i64]) -> Vec<String> {
        let state = ReportableState::BackupOverdue { data_center: "dc-2".into() };
        let mut context = noon_context();
        let since_ms = context.at_ms;
        context.at_ms += hours * 3_600_000;
        let is_reported =
            |_: &ReportableState, since_ms: i64| alarms_ms.iter().any(|at_ms| *at_ms >= since_ms);
        let times = StateTimes { since_ms, overdue_ms: since_ms + 3_600_000 };
        let due_ms = |_: &ReportableState, overdue_ms: i64| overdue_ms + 6 * 3_600_000;
        let found = checker.check(&[(state, times)].into(), due_ms, is_reported, &context);
        found.into_iter().map(|late| format!("{} {}: {}", late.kind, late.subject, late.detail)).collect()
    }

    #[test]
    fn a_state_is_charged_once_when_its_report_is_late() {
        let mut checker = ReportChecker::default();
        assert_eq!(late(&mut checker, 7, &[]), [""; 0], "there is time left");
        let since = format_utc(noon_context().at_ms);
        let expected = format!(
            "backup-unreported dc-2: dc-2 has no new backup since {since}, and no alarm reached the operator"
        );
        assert_eq!(late(&mut checker, 8, &[]), [expected]);
        assert_eq!(late(&mut checker, 9, &[]), [""; 0]);
    }

    #[test]
    fn an_alarm_counts_if_it_arrived_while_the_state_holds() {
        let noon_ms = noon_context().at_ms;
        assert_eq!(late(&mut ReportChecker::default(), 8, &[noon_ms]), [""; 0]);
        assert_eq!(late(&mut ReportChecker::default(), 8, &[noon_ms - 1]).len(), 1);
    }
}
