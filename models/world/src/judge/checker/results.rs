//! The judgement of a run, and the progress of production's recoveries.

use super::OracleChecker;
use crate::judge::inputs::OperatorProgress;
use crate::judge::judgement::Judgement;
use crate::mutex::lock;
use latent_engine::verdict::{PendingWork, Violation};

impl OracleChecker {
    /// Replaces the progress of production's recoveries.
    pub fn set_operator_progress(&mut self, operator: OperatorProgress) {
        self.operator = operator;
    }

    /// Records a restart of a node by an operator.
    pub fn node_restarted(&mut self, node: &str, at_ms: i64) {
        self.excuses.record_restart(node, at_ms);
    }

    /// Returns true if production lacked events at the last check.
    pub fn is_short_now(&self) -> bool {
        self.loss.has_current_loss()
    }

    /// Returns the result of all checks; `hung` is the work that is late at the end.
    pub fn into_judgement(self, hung: Vec<PendingWork>) -> Judgement {
        let loss = self.loss.summary(&lock(&self.client_state.ledger));
        let mut violations: Vec<Violation> = self.found.into_values().collect();
        violations.sort_by(|a, b| {
            (a.at_ms, a.fingerprint(), &a.subject).cmp(&(b.at_ms, b.fingerprint(), &b.subject))
        });
        Judgement {
            violations,
            hung,
            loss,
            loss_episodes: self.loss.episodes().collect(),
            corrupt_days: self.corrupt_days.days(),
            smallest_loss: self.smallest.map(|(_, keys)| keys),
            is_short: self.loss.has_current_loss(),
            missing_by_design: self.missing_by_design,
            alarm_excuses: self.excuses.for_job(&self.job_dependencies.alarm_delivery()),
            compactions: self.compactions,
            runs_compared: self.runs_compared,
            checks: self.checks,
            copies_held: self.copies_held,
        }
    }
}
