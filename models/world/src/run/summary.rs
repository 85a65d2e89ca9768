//! Result of a finished run: losses, recoverability, detection, and the fault budget.

use super::detection::named_day;
use super::findings::{Findings, LossFindings, RecoveryFindings, WorkCounts};
use super::finished_run::FinishedRun;
use crate::cluster::store_access::StoreKind;
use crate::mutex::lock;
use crate::plan::nemesis::fault_budget;
use crate::scenario::OperatorAction;
use latent_engine::verdict::{OutcomeFacts, Restoration};
use latent_engine::{Detection, Verdict, humanize};
use latent_oracle::{ProjectDay, day};
use latent_pipeline::access::Permission;
use latent_pipeline::alarms::{Alarm, NightlyJob, RetentionTarget};
use std::collections::{BTreeMap, BTreeSet};

impl FinishedRun<'_> {
    /// Describes how the faults of the run exceeded the budget, if they did.
    fn budget_excess(&self) -> Option<String> {
        let budget =
            self.state.scenario.config.nemesis.as_ref().map(|nemesis| nemesis.budget).unwrap_or_default();
        let struck = latent_nemesis::struck(&self.state.world.fault_outcomes());
        fault_budget::exceeded(struck.iter(), self.state.scenario, &budget).or_else(|| self.in_open_gaps())
    }

    /// Describes events that a recovery lacks because an edge accepted them with a gap of the tee.
    fn in_open_gaps(&self) -> Option<String> {
        let events = self.judgement.missing_by_design;
        (events > 0).then(|| format!("events of requests in open gaps of the tee: {events}"))
    }

    /// Returns the verdict.
    pub fn verdict(self) -> Verdict<Findings> {
        let facts = OutcomeFacts {
            restoration: self.restoration_shown(),
            shortfall: self.shortfall(),
            hung: self.judgement.hung.clone(),
            nondeterministic: false,
            beyond_budget: self.budget_excess(),
        };
        let (recovery, used_permissions) = (self.recovery(), self.used_permissions());
        let (not_done, detections) = (self.not_done(), self.detections());
        let FinishedRun { state, judgement, acknowledgements_checked } = self;
        let zone_of =
            |project: u32| state.plan.tenant(project).map(|tenant| tenant.zone.clone()).unwrap_or_default();
        let ledger = lock(&state.client_state.ledger);
        let findings = Findings {
            checks: state.scenario.config.checks,
            projects: state.plan.tenants.len() as u64,
            requests: ledger.requests().into(),
            event_attempts: ledger.event_attempts().into(),
            events: ledger.events().into(),
            loss: LossFindings::new(judgement.loss, zone_of),
            recovery,
            used_permissions,
            not_done,
            drills: state.drills,
            work: WorkCounts {
                event_copies_held: judgement.copies_held,
                compaction_runs: judgement.compactions.runs,
                compaction_runs_checked: judgement.runs_compared,
                checks: judgement.checks,
                acknowledgements_checked,
            },
            diff: super::diff::of_smallest_loss(judgement.smallest_loss.as_ref()),
        };
        Verdict {
            items: findings.events.acked,
            violations: judgement.violations,
            facts,
            detections,
            marks: state.drill_marks,
            findings,
        }
    }

    /// Returns how far lost events were shown to be recoverable.
    fn restoration_shown(&self) -> Restoration {
        match (self.judgement.is_short, self.judgement.loss.events_unrecoverable) {
            (false, _) | (true, Some(0)) => Restoration::Complete,
            (true, Some(1..)) => Restoration::Partial,
            (true, None) => Restoration::NotShown,
        }
    }

    fn recovery(&self) -> RecoveryFindings {
        let operator_state = lock(&self.state.operator_state);
        let lost: BTreeSet<ProjectDay> =
            self.judgement.loss_episodes.iter().map(|(project_day, _)| *project_day).collect();
        let names_one = |(_, alarm): &&(i64, Alarm)| {
            named_day(alarm).is_some_and(|project_day| lost.contains(&project_day))
        };
        let alarm = operator_state.alarms.iter().find(names_one);
        let alarm_ms = alarm.map(|(at_ms, _)| *at_ms);
        let damage_ms = self.first_damage_ms();
        let seconds = |ms: i64| (ms / 1_000).max(0).unsigned_abs();
        let last = self.state.drills.last();
        let now = self.state.world.now().0;
        let point = last.filter(|drill| drill.seconds.is_some()).map(|drill| match drill.events_missing {
            0 => 0,
            _ => seconds(now - drill.position_ms.unwrap_or(self.state.scenario.start.0.0)),
        });
        let in_production =
            operator_state.recoveries.iter().map(|report| report.ended_ms - report.started_ms).max();
        let days = || operator_state.recoveries.iter().flat_map(|report| &report.days);
        RecoveryFindings {
            detected_by: alarm.map(|(_, alarm)| describe(alarm).0.to_owned()),
            detected_after_seconds: alarm_ms.zip(damage_ms).map(|(alarm, damage)| seconds(alarm - damage)),
            recovery_point_seconds: point,
            recovery_time_seconds: in_production.map(seconds).or(last.and_then(|drill| drill.seconds)),
            recoveries: operator_state.recoveries.len() as u64,
            days_repaired: days().filter(|day| day.audited && day.written).count() as u64,
            events_restored: days().map(|day| day.restored).sum(),
            events_replayed: days().map(|day| day.replayed).sum(),
        }
    }

    /// Returns recoveries that never started, drills whose mark was not reached, and drills whose recovery did not end.
    /// Deploys and mistakes are executed by the run itself at times that were checked with the scenario.
    fn not_done(&self) -> Vec<String> {
        let at = |ms: i64| humanize::moment_ms(ms);
        let recoveries =
            self.state.plan.operations.iter().filter(|it| matches!(it.action, OperatorAction::Recover(_)));
        // The timeline adds recovery tasks in order of time, and in plan order at equal times.
        let mut planned: Vec<_> = recoveries.collect();
        planned.sort_by_key(|operation| operation.at.0.0);
        let operator_state = lock(&self.state.operator_state);
        let started =
            |index: usize| operator_state.recovery_tasks.get(index).is_some_and(|order| order.started > 0);
        let idle = planned.iter().enumerate().filter(|(index, _)| !started(*index));
        let recovery_tasks =
            idle.map(|(_, it)| format!("{}: no operator {}", at(it.at.0.0), it.action.describe()));
        let untriggered = self.state.drill_triggers.untriggered();
        let untriggered = untriggered.iter().map(|drill| format!("no drill {}", drill.describe()));
        let drills = self.state.drills.iter().filter(|drill| drill.seconds.is_none());
        let drills =
            drills.map(|drill| format!("{}: the recovery of the drill did not end", at(drill.at_ms)));
        recovery_tasks.chain(untriggered).chain(drills).collect()
    }

    /// Returns the permissions at the object stores that production used.
    fn used_permissions(&self) -> Vec<String> {
        let sentence = |(kind, permission): (StoreKind, Permission)| {
            format!("production may {} {}", permission.name(), kind.place())
        };
        self.state.cluster_registry.store_log.used().into_iter().map(sentence).collect()
    }

    /// Returns the time of the first loss: the last compaction of the day before a check found it.
    fn first_damage_ms(&self) -> Option<i64> {
        let of_day = |lost: &latent_oracle::loss::DayLossSummary| {
            let project_day = ProjectDay { project: lost.project, day: day::parse_day(&lost.day)? };
            let last = self.judgement.compactions.last_commit_ms(project_day, lost.first_seen_at_ms);
            Some(last.unwrap_or(lost.first_seen_at_ms))
        };
        self.judgement.loss.days.iter().filter_map(of_day).min()
    }

    fn detections(&self) -> Vec<Detection> {
        let operator_state = lock(&self.state.operator_state);
        let mut detections: Vec<Detection> = Vec::new();
        let mut more: BTreeMap<&str, u64> = BTreeMap::new();
        for (at_ms, alarm) in &operator_state.alarms {
            let (by, what) = describe(alarm);
            let count = more.entry(by).or_default();
            *count += 1;
            if *count == 1 {
                detections.push(Detection { by: by.to_owned(), at_ms: *at_ms, what });
            }
        }
        for detection in &mut detections {
            let others = more.get(detection.by.as_str()).map_or(0, |count| count - 1);
            if others > 0 {
                detection.what = format!("{}, and {others} more", detection.what);
            }
        }
        detections
    }
}

/// Returns the detector that raised an alarm, and its message.
fn describe(alarm: &Alarm) -> (&'static str, String) {
    match alarm {
        Alarm::EventsMissing { project, day, keys } => {
            ("audit", format!("p{project} {day}: missing events: {keys}"))
        }
        Alarm::EventsAltered { project, day, events } => {
            ("audit", format!("p{project} {day}: altered events: {events}"))
        }
        Alarm::TooFewCopies { project, day, readable } => {
            ("anti-entropy", format!("p{project} {day}: copies that can be read: {readable}"))
        }
        Alarm::TeeObjectUnreadable { object, why } => {
            ("the reader of the tee", format!("{object} cannot be read: {why}"))
        }
        Alarm::HoldPlaced { project, day } => {
            ("the audit's hold", format!("p{project} {day}: what could answer is kept"))
        }
        Alarm::HoldEnded { project, day } => {
            ("the end of a hold", format!("p{project} {day}: nothing answered it"))
        }
        Alarm::AuditFailed { project, why } => ("audit could not run", format!("p{project}: {why}")),
        Alarm::ProductionShrank { project, day, keys } => {
            ("the backup", format!("p{project} {day}: events fewer than before: {keys}"))
        }
        Alarm::BackupOverdue { data_center, newest_ms } => {
            let newest = newest_ms.map_or("cannot be asked".to_owned(), |newest_ms| {
                format!("nothing newer than {}", humanize::moment_ms(newest_ms))
            });
            ("the backup watch", format!("dc-{data_center}: {newest}"))
        }
        Alarm::BackupFailed { why } => ("the backup", format!("nothing could be backed up: {why}")),
        Alarm::BackupLagging { project, position_ms, why } => {
            ("the backup", format!("p{project} stays at {}: {why}", humanize::moment_ms(*position_ms)))
        }
        Alarm::BackupDamaged { project, day } => {
            ("the backup", format!("p{project} {day}: a segment is in no data center any more"))
        }
        Alarm::CatalogDamaged { data_center, position_ms, is_repaired } => {
            let position = humanize::moment_ms(*position_ms);
            let then = if *is_repaired { "put again" } else { "not repaired" };
            ("the backup", format!("dc-{data_center}: the catalog of {position} is damaged: {then}"))
        }
        Alarm::RetentionRefused { target: of, configured_ms: asked_ms, effective_ms: kept_ms } => {
            let retained = match of {
                RetentionTarget::Tee => "the tee",
                RetentionTarget::Backups => "backups",
            };
            let (asked, kept) = (humanize::span_ms(*asked_ms), humanize::span_ms(*kept_ms));
            ("the retention's check", format!("{retained}: {asked} was typed, {kept} is kept"))
        }
        Alarm::CompactionFailed { project, disk, why } => {
            ("the nightly job", format!("p{project}: given up on node {disk}: {why}"))
        }
        Alarm::JobOverdue { job, projects, age_ms } => {
            let job = match job {
                NightlyJob::Compaction => "compaction",
                NightlyJob::AntiEntropy => "anti-entropy",
                NightlyJob::Audit => "the audit",
            };
            let age = humanize::span_ms(*age_ms);
            ("the job watch", format!("{job}: not complete for {age}, projects: {}", projects.len()))
        }
        Alarm::TeeUnreadable { file, files } => {
            ("the tee's keeper", format!("{file}: requests cannot be read; files: {files}"))
        }
        Alarm::CopiesDiffer { project, day } => ("anti-entropy", format!("p{project} {day}: copies differ")),
    }
}
