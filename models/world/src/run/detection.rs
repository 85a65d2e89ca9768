//! Detection: which detectors reported a loss, and whether in time.
//!
//! Losses are reported by alarms; reports by customers are not modelled. A loss counts as detected if an alarm that
//! names its project and day reached the operator within the stated time after the loss
//! ([`time_limits::detection`]). Time in which faults kept alarms from the operator's node does not count. A loss that a
//! planned recovery restored within that time needs no alarm. Alarms before the end of an earlier loss of the same day
//! belong to that loss.

use super::finished_run::FinishedRun;
use crate::mutex::lock;
use crate::plan::time_limits;
use latent_engine::humanize;
use latent_engine::verdict::Violation;
use latent_oracle::loss::LossEpisode;
use latent_oracle::{ProjectDay, day};
use latent_pipeline::alarms::Alarm;
use std::collections::BTreeSet;
use std::time::Duration;

/// Returns the project-day that an alarm names as damaged.
pub(super) fn named_day(alarm: &Alarm) -> Option<ProjectDay> {
    match alarm {
        Alarm::EventsMissing { project, day, .. }
        | Alarm::EventsAltered { project, day, .. }
        | Alarm::ProductionShrank { project, day, .. }
        | Alarm::TooFewCopies { project, day, .. }
        | Alarm::CopiesDiffer { project, day } => Some(ProjectDay { project: *project, day: day.0 }),
        Alarm::AuditFailed { .. }
        | Alarm::TeeObjectUnreadable { .. }
        | Alarm::HoldPlaced { .. }
        | Alarm::HoldEnded { .. }
        | Alarm::BackupOverdue { .. }
        | Alarm::BackupFailed { .. }
        | Alarm::BackupLagging { .. }
        | Alarm::BackupDamaged { .. }
        | Alarm::CatalogDamaged { .. }
        | Alarm::RetentionRefused { .. }
        | Alarm::CompactionFailed { .. }
        | Alarm::JobOverdue { .. }
        | Alarm::TeeUnreadable { .. } => None,
    }
}

/// A loss found by any check.
struct UnrecoveredLoss {
    name: String,
    /// `None`: the violation names no day, so alarms cannot report it.
    project_day: Option<ProjectDay>,
    episode: LossEpisode,
}

impl FinishedRun<'_> {
    /// Returns the reasons why a recoverable loss does not count as recovered, one per line.
    pub(super) fn shortfall(&self) -> Option<String> {
        let summary = &self.judgement.loss;
        let count = |events: u64, what: &str| {
            (events > 0).then(|| format!("{} {what} at the end", humanize::counted(events, "events")))
        };
        let reasons = [
            count(summary.events_missing_at_end, "missing from production"),
            count(summary.events_altered_at_end, "in production not as they were sent"),
            self.undetected_losses(),
        ];
        let reasons: Vec<String> = reasons.into_iter().flatten().collect();
        (!reasons.is_empty()).then(|| reasons.join("\n"))
    }

    fn undetected_losses(&self) -> Option<String> {
        let limit = time_limits::detection(&self.state.scenario.config);
        let is_detected = |loss: &UnrecoveredLoss| {
            let (project_day, limit) = (loss.project_day?, limit?);
            self.is_detected(project_day, loss.episode, limit).then_some(())
        };
        let losses = self.losses();
        let undetected = losses.iter().filter(|loss| is_detected(loss).is_none());
        let undetected: BTreeSet<&str> = undetected.map(|loss| loss.name.as_str()).collect();
        let first = undetected.first()?;
        let more = match undetected.len() - 1 {
            0 => String::new(),
            more => format!(", nor {} like it,", humanize::count(more as u64)),
        };
        let within = match limit {
            Some(limit) => format!("within {}", humanize::span_ms(limit.as_millis() as u64)),
            None => "at all: there is none".to_owned(),
        };
        Some(format!("no detector reported the loss of {first}{more} {within}"))
    }

    /// Returns every loss: those of production, and those that only a check of backups or a drill found.
    fn losses(&self) -> Vec<UnrecoveredLoss> {
        let of_production = |(project_day, episode): (ProjectDay, LossEpisode)| UnrecoveredLoss {
            name: project_day.to_string(),
            project_day: Some(project_day),
            episode,
        };
        let episodes = self.judgement.loss_episodes.iter().copied();
        let mut losses: Vec<UnrecoveredLoss> = episodes.map(of_production).collect();
        let seen: BTreeSet<ProjectDay> = losses.iter().filter_map(|loss| loss.project_day).collect();
        // What a compaction lost and production did not lack at the same check was restored before it.
        let is_open = |violation: &&Violation| violation.loses_items && violation.invariant != "I8";
        for violation in self.judgement.violations.iter().filter(is_open) {
            let project = violation.subject.strip_prefix('p').and_then(|number| number.parse().ok());
            let project_day = project.zip(violation.label(day::DAY_LABEL).and_then(day::parse_day));
            let project_day = project_day.map(|(project, day)| ProjectDay { project, day });
            if project_day.is_none_or(|project_day| !seen.contains(&project_day)) {
                let name = project_day
                    .map_or_else(|| violation.fingerprint(), |project_day| project_day.to_string());
                let episode =
                    LossEpisode { after_ms: None, first_seen_at_ms: violation.at_ms, restored_at_ms: None };
                losses.push(UnrecoveredLoss { name, project_day, episode });
            }
        }
        losses
    }

    /// Returns true if an alarm about this loss reached the operator in time, or the loss was restored by then.
    fn is_detected(&self, project_day: ProjectDay, loss: LossEpisode, limit: Duration) -> bool {
        let from_ms = loss.after_ms.unwrap_or(i64::MIN);
        // Rot is noticed by the scrub.
        let is_corrupt = self.judgement.corrupt_days.contains(&project_day);
        let limit = if is_corrupt { limit + time_limits::SCRUB_CYCLE } else { limit };
        let until_ms = self.judgement.alarm_excuses.due_ms(loss.first_seen_at_ms, limit.as_millis() as i64);
        if loss.restored_at_ms.is_some_and(|at_ms| at_ms <= until_ms) {
            return true;
        }
        let operator_state = lock(&self.state.operator_state);
        let mut named =
            operator_state.alarms.iter().filter(|(_, alarm)| named_day(alarm) == Some(project_day));
        named.any(|(at_ms, _)| (from_ms..=until_ms).contains(at_ms))
    }
}
