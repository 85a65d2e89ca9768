//! Who noticed what was lost, and whether in time.
//!
//! An operator has alarms; that customers report what they miss is not modelled. A loss counts as noticed when an alarm
//! that names its project and day reached him, and the detector that raised it had fired by the stated time after the
//! loss was there ([`stated_time`]). When he heard of it does not count: his machine may be cut off, and an alarm that
//! waits for him is an alarm. What came before an earlier loss of the same day was over names that one, not this.

use super::Course;
use crate::judge::BACKUP_SLACK;
use crate::lock;
use crate::scenario::Topic;
use latent_engine::humanize;
use latent_engine::verdict::Violation;
use latent_oracle::loss::{Episode, LossSummary};
use latent_oracle::{ProjectDay, day};
use latent_pipeline::alarms::Alarm;
use std::collections::BTreeSet;
use std::time::Duration;

/// An audit looks at each project's day once a night: 24 h, 25 h where clocks go back, and an hour for its work.
const AUDIT_WITHIN: Duration = Duration::from_secs(26 * 3600);

/// How soon after a loss a detector must have fired: the slower of those that the scenario has, since an audit sees what
/// the tee still holds, and a backup sees the rest. `None`: it has none, for without an audit no alarm has an address.
pub(super) fn stated_time(topic: &Topic) -> Option<Duration> {
    topic.protection.audit.as_ref()?;
    let backup = topic.protection.backup.as_ref().map(|backup| backup.interval.0 + BACKUP_SLACK);
    let audit = topic.protection.tee.as_ref().map(|_| AUDIT_WITHIN);
    audit.max(backup)
}

/// The project's day that an alarm calls short, if it names one.
pub(super) fn named_day(alarm: &Alarm) -> Option<ProjectDay> {
    match alarm {
        Alarm::EventsMissing { project, day, .. }
        | Alarm::EventsAltered { project, day, .. }
        | Alarm::ProductionShrank { project, day, .. }
        | Alarm::CopiesDiffer { project, day } => Some(ProjectDay { project: *project, day: day.0 }),
        Alarm::AuditFailed { .. }
        | Alarm::TeeObjectUnreadable { .. }
        | Alarm::HoldStands { .. }
        | Alarm::HoldEnded { .. }
        | Alarm::BackupOverdue { .. }
        | Alarm::BackupFailed { .. }
        | Alarm::BackupBehind { .. }
        | Alarm::BackupDamaged { .. }
        | Alarm::CatalogDamaged { .. }
        | Alarm::RetentionRefused { .. }
        | Alarm::CompactionFailed { .. }
        | Alarm::JobStopped { .. }
        | Alarm::TeeUnreadable { .. } => None,
    }
}

/// A loss, by whichever check found it.
struct Loss {
    name: String,
    /// `None`: it names no day, so no alarm that names days reports it.
    of: Option<ProjectDay>,
    episode: Episode,
}

impl Course<'_> {
    /// What keeps a loss that can be had back from counting as recovered, one reason a line.
    pub(super) fn shortfall(&self, summary: &LossSummary, found: &[Violation]) -> Option<String> {
        let count = |events: u64, what: &str| {
            (events > 0).then(|| format!("{} {what} at the end", humanize::counted(events, "events")))
        };
        let reasons = [
            count(summary.events_missing_at_end, "missing from production"),
            count(summary.events_altered_at_end, "in production not as they were sent"),
            self.not_noticed(found),
        ];
        let reasons: Vec<String> = reasons.into_iter().flatten().collect();
        (!reasons.is_empty()).then(|| reasons.join("\n"))
    }

    fn not_noticed(&self, found: &[Violation]) -> Option<String> {
        let limit = stated_time(&self.scenario.config);
        let is_noticed = |loss: &Loss| {
            let (of, limit) = (loss.of?, limit?);
            self.is_noticed(of, loss.episode, limit).then_some(())
        };
        let losses = self.losses(found);
        let unseen = losses.iter().filter(|loss| is_noticed(loss).is_none());
        let unseen: BTreeSet<&str> = unseen.map(|loss| loss.name.as_str()).collect();
        let first = unseen.first()?;
        let more = match unseen.len() - 1 {
            0 => String::new(),
            more => format!(", nor {} like it,", humanize::count(more as u64)),
        };
        let within = match limit {
            Some(limit) => format!("within {}", humanize::span_ms(limit.as_millis() as u64)),
            None => "at all: there is none".to_owned(),
        };
        Some(format!("no detector reported the loss of {first}{more} {within}"))
    }

    /// Every loss: what production was seen to be short of, and what only a check of backups or a drill lacked.
    fn losses(&self, found: &[Violation]) -> Vec<Loss> {
        let of_production =
            |(of, episode): (ProjectDay, Episode)| Loss { name: of.to_string(), of: Some(of), episode };
        let mut losses: Vec<Loss> = self.judge.loss_episodes().map(of_production).collect();
        let seen: BTreeSet<ProjectDay> = losses.iter().filter_map(|loss| loss.of).collect();
        for violation in found.iter().filter(|violation| violation.loses_items) {
            let project = violation.subject.strip_prefix('p').and_then(|number| number.parse().ok());
            let of = project.zip(violation.day.as_deref().and_then(day::parse_day));
            let of = of.map(|(project, day)| ProjectDay { project, day });
            if of.is_none_or(|of| !seen.contains(&of)) {
                let name = of.map_or_else(|| violation.fingerprint(), |of| of.to_string());
                let episode = Episode { after_ms: None, first_seen_at_ms: violation.at_ms };
                losses.push(Loss { name, of, episode });
            }
        }
        losses
    }

    /// Whether a detector fired for this loss by its stated time, and its alarm came to the operator's desk.
    fn is_noticed(&self, of: ProjectDay, loss: Episode, limit: Duration) -> bool {
        let from_ms = loss.after_ms.unwrap_or(i64::MIN);
        let until_ms = loss.first_seen_at_ms.saturating_add(limit.as_millis() as i64);
        let desk = lock(&self.desk);
        let named = desk.alarms.iter().filter(|(_, alarm)| named_day(alarm) == Some(of));
        let heard: Vec<i64> = named.map(|(at_ms, _)| *at_ms).collect();
        let Some(last_heard_ms) = heard.iter().max().copied() else { return false };
        let fired = lock(&self.heard).detected.get(&of).cloned().unwrap_or_default();
        let fired = fired.into_iter().filter(|at_ms| *at_ms <= last_heard_ms);
        fired.chain(heard).any(|at_ms| (from_ms..=until_ms).contains(&at_ms))
    }
}
