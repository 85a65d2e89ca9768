//! What a run came to: the last looks, what was lost and can be had back, who noticed, whether the budget was kept.

use super::Course;
use super::notice::named_day;
use crate::credentials::StoreKind;
use crate::findings::{Findings, Loss, Recovered, Work};
use crate::lock;
use crate::operations::What;
use crate::trouble::budget;
use latent_engine::sim::{Fault, Trigger};
use latent_engine::verdict::{Facts, Recovery};
use latent_engine::{Judged, Notice, words};
use latent_oracle::loss::LossSummary;
use latent_oracle::{ProjectDay, day};
use latent_pipeline::access::Permission;
use latent_pipeline::alarms::{Alarm, NightlyJob, RetentionTarget};
use std::collections::{BTreeMap, BTreeSet};

impl Course<'_> {
    /// What the faults of the run damaged at once beyond the budget, if they did.
    fn beyond_budget(&self) -> Option<String> {
        let budget = self.scenario.topic.trouble.as_ref().map(|trouble| trouble.budget).unwrap_or_default();
        let outcomes = self.world.fault_outcomes();
        let struck = outcomes.iter().filter_map(|outcome| {
            let trigger = Trigger::AtMs(outcome.triggered_at?.0);
            Some(Fault { trigger, action: outcome.fault.action.clone() })
        });
        let struck: Vec<Fault> = struck.collect();
        budget::exceeded(struck.iter(), self.scenario, &budget).or_else(|| self.in_open_gaps())
    }

    /// What a recovery lacks because an edge let it through without a copy and could not tee it since.
    fn in_open_gaps(&self) -> Option<String> {
        let events = self.judge.missing_by_design;
        (events > 0).then(|| format!("events of requests in open gaps of the tee: {events}"))
    }

    pub(crate) fn last_judgement(mut self) -> Judged<Findings> {
        self.progress.phase("judging");
        self.judge.replays = lock(&self.desk).begun;
        self.judge.alarmed = self.copies_differ_alarms();
        let lacking = self.judge.lacking();
        let sight = self.judge.look_at_all(&self.world, &self.nodes, "after-healing", true);
        self.judge.look_at_backups(&self.world, &self.nodes, &sight, &lacking, "after-healing");
        self.judge.look_at_tee(&self.world, &self.nodes, "after-healing");
        // Whatever is short at the end gets a drill, or nothing would be known of whether it can be had back.
        if self.scenario.topic.protection.backup.is_some() || self.judge.is_short_now() {
            self.drill_against(&sight);
        }
        self.judge.look_at_backlogs(&self.world, &self.nodes);
        let hung = self.judge.settling.hung();
        let acks = lock(&self.side.acks).take();
        let acknowledgements_checked = acks.as_ref().map_or(0, |acks| acks.checked);
        self.judge.note(acks.map_or_else(Vec::new, |acks| acks.found));
        self.judge.note(lock(&self.side.answers).violations());
        let side = self.side.clone();
        let ledger = lock(&side.ledger);
        let summary = self.judge.loss(&ledger);
        let recovery = self.recovery(&summary);
        let found = self.judge.found();
        let facts = Facts {
            recovery: self.shown(&summary),
            shortfall: self.shortfall(&summary, &found),
            hung,
            nondeterministic: false,
            beyond_budget: self.beyond_budget(),
        };
        let diff = crate::diff::of_smallest_loss(&self.judge);
        let zone_of =
            |project: u32| self.plan.tenant(project).map(|tenant| tenant.zone.clone()).unwrap_or_default();
        let findings = Findings {
            projects: self.plan.tenants.len() as u64,
            requests: ledger.requests().into(),
            event_attempts: ledger.event_attempts().into(),
            events: ledger.events().into(),
            loss: Loss::of(summary, zone_of),
            recovery,
            used_permissions: self.used_permissions(),
            not_done: self.not_done(),
            drills: std::mem::take(&mut self.drills),
            work: Work {
                event_copies_held: self.judge.copies_held,
                compaction_runs: lock(&self.heard).runs,
                compaction_runs_checked: self.judge.runs_compared,
                looks: self.judge.looks,
                acknowledgements_checked,
            },
            diff,
        };
        drop(ledger);
        let (noticed, marks) = (self.noticed(), std::mem::take(&mut self.drill_marks));
        let items = findings.events.acked;
        Judged { items, violations: self.judge.into_violations(), facts, noticed, marks, findings }
    }

    /// Days of which anti-entropy has said since the end of faults that their copies differ.
    fn copies_differ_alarms(&self) -> BTreeSet<ProjectDay> {
        let Some(ended_ms) = lock(&self.chronicle).faults_ended_ms else { return BTreeSet::new() };
        let desk = lock(&self.desk);
        let alarms = desk.alarms.iter().filter(|(at_ms, _)| *at_ms >= ended_ms);
        let of = |(_, alarm): &(i64, Alarm)| match alarm {
            Alarm::CopiesDiffer { project, day } => Some(ProjectDay { project: *project, day: day.0 }),
            _ => None,
        };
        alarms.filter_map(of).collect()
    }

    /// What was shown about getting lost events back.
    fn shown(&self, summary: &LossSummary) -> Recovery {
        match (self.judge.is_short_now(), summary.events_unrecoverable) {
            (false, _) | (true, Some(0)) => Recovery::Complete,
            (true, Some(1..)) => Recovery::Partial,
            (true, None) => Recovery::NotShown,
        }
    }

    fn recovery(&self, summary: &LossSummary) -> Recovered {
        let desk = lock(&self.desk);
        let lost: BTreeSet<ProjectDay> = self.judge.loss_episodes().map(|(of, _)| of).collect();
        let names_one = |(_, alarm): &&(i64, Alarm)| named_day(alarm).is_some_and(|of| lost.contains(&of));
        let alarm = desk.alarms.iter().find(names_one);
        let alarm_ms = alarm.map(|(at_ms, _)| *at_ms);
        let damage_ms = self.first_damage_ms(summary);
        let seconds = |ms: i64| (ms / 1_000).max(0).unsigned_abs();
        let last = self.drills.last();
        let now = self.world.now().0;
        let point = last.filter(|drill| drill.seconds.is_some()).map(|drill| match drill.events_missing {
            0 => 0,
            _ => seconds(now - drill.position_ms.unwrap_or(self.scenario.start.0.0)),
        });
        let in_production = desk.recoveries.iter().map(|report| report.ended_ms - report.started_ms).max();
        let days = || desk.recoveries.iter().flat_map(|report| &report.days);
        Recovered {
            detected_by: alarm.map(|(_, alarm)| in_words(alarm).0.to_owned()),
            detected_after_seconds: alarm_ms.zip(damage_ms).map(|(alarm, damage)| seconds(alarm - damage)),
            recovery_point_seconds: point,
            recovery_time_seconds: in_production.map(seconds).or(last.and_then(|drill| drill.seconds)),
            recoveries: desk.recoveries.len() as u64,
            days_repaired: days().filter(|day| day.audited && day.written).count() as u64,
            events_restored: days().map(|day| day.restored).sum(),
            events_replayed: days().map(|day| day.replayed).sum(),
        }
    }

    /// Recoveries that no operator began, and drills whose recovery did not end. Deploys and mistakes are carried out by the
    /// run itself, at instants that were checked with the scenario.
    fn not_done(&self) -> Vec<String> {
        let at = |ms: i64| words::moment_ms(ms);
        let recoveries = self.plan.operations.iter().filter(|it| matches!(it.what, What::Recover(_)));
        // The timeline hands orders over in order of time, and of one instant in order of the plan.
        let mut planned: Vec<_> = recoveries.collect();
        planned.sort_by_key(|operation| operation.at.0.0);
        let desk = lock(&self.desk);
        let begun = |index: usize| desk.orders.get(index).is_some_and(|order| order.begun > 0);
        let idle = planned.iter().enumerate().filter(|(index, _)| !begun(*index));
        let orders = idle.map(|(_, it)| format!("{}: no operator {}", at(it.at.0.0), it.what.in_words()));
        let drills = self.drills.iter().filter(|drill| drill.seconds.is_none());
        let drills =
            drills.map(|drill| format!("{}: the recovery of the drill did not end", at(drill.at_ms)));
        orders.chain(drills).collect()
    }

    /// What production could do to the object stores, and did.
    fn used_permissions(&self) -> Vec<String> {
        let sentence = |(kind, permission): (StoreKind, Permission)| {
            format!("production may {} {}", permission.name(), kind.place())
        };
        self.switchboard.store_log.used().into_iter().map(sentence).collect()
    }

    /// When the first loss was committed: the last compaction of the day before the oracle saw it.
    fn first_damage_ms(&self, summary: &LossSummary) -> Option<i64> {
        let heard = lock(&self.heard);
        let of_day = |lost: &latent_oracle::loss::DayLossSummary| {
            let of = ProjectDay { project: lost.project, day: day::parse_day(&lost.day)? };
            let commits = heard.commits.get(&of);
            let last =
                commits.and_then(|commits| commits.range(..=lost.first_seen_at_ms).next_back().copied());
            Some(last.unwrap_or(lost.first_seen_at_ms))
        };
        summary.days.iter().filter_map(of_day).min()
    }

    fn noticed(&self) -> Vec<Notice> {
        let desk = lock(&self.desk);
        let mut noticed: Vec<Notice> = Vec::new();
        let mut more: BTreeMap<&str, u64> = BTreeMap::new();
        for (at_ms, alarm) in &desk.alarms {
            let (by, what) = in_words(alarm);
            let count = more.entry(by).or_default();
            *count += 1;
            if *count == 1 {
                noticed.push(Notice { by: by.to_owned(), at_ms: *at_ms, what });
            }
        }
        for notice in &mut noticed {
            let others = more.get(notice.by.as_str()).map_or(0, |count| count - 1);
            if others > 0 {
                notice.what = format!("{}, and {others} more", notice.what);
            }
        }
        noticed
    }
}

/// Which detector raised an alarm, and what it says.
fn in_words(alarm: &Alarm) -> (&'static str, String) {
    match alarm {
        Alarm::EventsMissing { project, day, keys } => {
            ("audit", format!("p{project} {day}: missing events: {keys}"))
        }
        Alarm::EventsAltered { project, day, events } => {
            ("audit", format!("p{project} {day}: altered events: {events}"))
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
                format!("nothing newer than {}", words::moment_ms(newest_ms))
            });
            ("the backup watch", format!("dc-{data_center}: {newest}"))
        }
        Alarm::BackupFailed { why } => ("the backup", format!("nothing could be backed up: {why}")),
        Alarm::BackupLagging { project, position_ms, why } => {
            ("the backup", format!("p{project} stays at {}: {why}", words::moment_ms(*position_ms)))
        }
        Alarm::BackupDamaged { project, day } => {
            ("the backup", format!("p{project} {day}: a segment is in no data center any more"))
        }
        Alarm::CatalogDamaged { data_center, position_ms, is_repaired } => {
            let of = words::moment_ms(*position_ms);
            let then = if *is_repaired { "put again" } else { "not repaired" };
            ("the backup", format!("dc-{data_center}: the catalog of {of} is damaged: {then}"))
        }
        Alarm::RetentionRefused { target: of, configured_ms: asked_ms, effective_ms: kept_ms } => {
            let of = match of {
                RetentionTarget::Tee => "the tee",
                RetentionTarget::Backups => "backups",
            };
            let (asked, kept) = (words::span_ms(*asked_ms), words::span_ms(*kept_ms));
            ("the retention's check", format!("{of}: {asked} was typed, {kept} is kept"))
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
            let age = words::span_ms(*age_ms);
            ("the job watch", format!("{job}: not complete for {age}, projects: {}", projects.len()))
        }
        Alarm::TeeUnreadable { file, files } => {
            ("the tee's keeper", format!("{file}: requests cannot be read; files: {files}"))
        }
        Alarm::CopiesDiffer { project, day } => ("anti-entropy", format!("p{project} {day}: copies differ")),
    }
}
