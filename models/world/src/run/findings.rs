//! This system's part of a report: events, losses and recovery.
//!
//! - `measures`: what a comparison looks at. `render`: the display of the results on a screen.

mod measures;
mod render;

pub(crate) use measures::measures;
pub(crate) use render::{caveat, render};

use crate::actors::drill::DrillResult;
use crate::scenario::CheckSet;
use latent_oracle::ledger;
use latent_oracle::loss::LossSummary;
use latent_pipeline::recovery::run::DayReport;
use serde::{Deserialize, Serialize};

/// Results of a run in addition to violations.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Findings {
    /// What was checked, if it was not everything.
    #[serde(default, skip_serializing_if = "CheckSet::is_full")]
    pub checks: CheckSet,
    /// Number of customers.
    pub projects: u64,
    /// HTTP requests, retries included, by their answers.
    pub requests: AttemptCounts,
    /// Events in these requests, counted once per attempt.
    pub event_attempts: AttemptCounts,
    /// Events, each counted once, by the clients' knowledge of them.
    pub events: EventFindings,
    /// Acknowledged events that production lacked, each day at its worst check.
    pub loss: LossFindings,
    /// Detection and recovery.
    pub recovery: RecoveryFindings,
    /// Permissions at the object stores that production has and used to change a store, as sentences: `production may
    /// delete at the data centers`. Empty with least privilege.
    pub used_permissions: Vec<String>,
    /// Drills, in order of time.
    pub drills: Vec<DrillFindings>,
    /// Operations and drills of the scenario that never started or never ended, as sentences.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub not_done: Vec<String>,
    /// Amount of work, as a reference for speed.
    pub work: WorkCounts,
    /// Events of the day with the smallest loss before and after, as a unified diff; empty without a loss.
    pub diff: Vec<String>,
}

/// Number of attempts by their answers.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub struct AttemptCounts {
    /// Attempts.
    pub sent: u64,
    /// Attempts that were acknowledged.
    pub acked: u64,
    /// Attempts that were neither acknowledged nor rejected.
    pub unknown: u64,
    /// Attempts that were rejected.
    pub rejected: u64,
}

/// Number of events, each counted once.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub struct EventFindings {
    /// Sent at least once.
    pub sent: u64,
    /// Acknowledged at least once.
    pub acked: u64,
    /// Without a definite answer: they may be stored or not.
    pub unknown: u64,
    /// Rejected at every attempt.
    pub rejected: u64,
    /// Unknown events whose client gave up after its last attempt.
    pub given_up: u64,
}

impl From<ledger::AttemptCounts> for AttemptCounts {
    fn from(of: ledger::AttemptCounts) -> AttemptCounts {
        AttemptCounts { sent: of.sent, acked: of.acked, unknown: of.unknown, rejected: of.rejected }
    }
}

impl From<ledger::EventCounts> for EventFindings {
    fn from(of: ledger::EventCounts) -> EventFindings {
        let ledger::EventCounts { sent, acked, rejected, unknown, given_up } = of;
        EventFindings { sent, acked, unknown, rejected, given_up }
    }
}

/// Losses of a run.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct LossFindings {
    /// Acknowledged events that production lacked, each day at its worst check.
    pub events_lost_from_production: u64,
    /// Events that production lacks at the end and that no drill restored; `null`: no drill ran.
    pub events_unrecoverable: Option<u64>,
    /// Events missing from production at the end.
    pub events_missing_at_end: u64,
    /// Events in production at the end whose contents differ from those sent.
    pub events_altered_at_end: u64,
    /// Number of projects with acknowledged events.
    pub projects: u64,
    /// Number of projects that lost events.
    pub projects_hit: u64,
    /// Of these, the number whose worst day lost less than 1%.
    pub projects_hit_under_one_percent: u64,
    /// Of these, the number whose worst day lost more than 90%.
    pub projects_hit_over_ninety_percent: u64,
    /// Days that lost events, ordered by share, the greatest first.
    pub days: Vec<LostDayFindings>,
}

/// A project-day that lost events.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct LostDayFindings {
    /// Name of the project, such as `p1`.
    pub project: String,
    /// Time zone of the project.
    pub zone: String,
    /// Local date.
    pub day: String,
    /// Acknowledged events of the day.
    pub acked: u64,
    /// Events lost at the worst check.
    pub lost: u64,
    /// Lost events in parts per million of the acknowledged ones.
    pub lost_ppm: u64,
    /// Events missing at the end and not restored by a drill; `null`: no drill ran.
    pub unrecoverable: Option<u64>,
}

/// Detection and recovery.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct RecoveryFindings {
    /// Detector in the world that fired first.
    pub detected_by: Option<String>,
    /// Time from the first damage to the first detection.
    pub detected_after_seconds: Option<u64>,
    /// Recovery point: the time span of the newest data that is lost if production is lost at the end; 0 with a tee.
    pub recovery_point_seconds: Option<u64>,
    /// Recovery time: in production if a recovery ran there, else in the last drill.
    pub recovery_time_seconds: Option<u64>,
    /// Number of recoveries in production.
    pub recoveries: u64,
    /// Number of project-days that they repaired and audited.
    pub days_repaired: u64,
    /// Number of events restored from backups.
    pub events_restored: u64,
    /// Number of events replayed from the tee.
    pub events_replayed: u64,
}

/// Results of a drill.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct DrillFindings {
    /// Time, in milliseconds since 1970.
    pub at_ms: i64,
    /// Number of readable backups. `null`, like all numbers from the recovery's report: the recovery did not end.
    pub backups: Option<u64>,
    /// Number of events restored from backups.
    pub events_restored: Option<u64>,
    /// Number of events replayed from the tee.
    pub events_replayed: Option<u64>,
    /// Acknowledged events that were missing when the recovery ended or its time limit passed.
    pub events_missing: u64,
    /// Duration in the drill's virtual time; `None`: the recovery did not end.
    pub seconds: Option<u64>,
    /// Position of the newest backup used, in milliseconds since 1970.
    pub position_ms: Option<i64>,
    /// Reason why the tee was unreadable, if it was.
    pub tee_error: Option<String>,
}

impl DrillFindings {
    pub(crate) fn new(at_ms: i64, drilled: &DrillResult, events_missing: u64) -> DrillFindings {
        let report = drilled.report.as_ref();
        let sum_of = |count: fn(&DayReport) -> u64| report.map(|report| report.days.iter().map(count).sum());
        DrillFindings {
            at_ms,
            backups: report.map(|report| report.backups),
            events_restored: sum_of(|day| day.restored),
            events_replayed: sum_of(|day| day.replayed),
            events_missing,
            seconds: report
                .map(|report| ((report.ended_ms - report.started_ms) / 1_000).max(0).unsigned_abs()),
            position_ms: drilled.newest_backup_ms(),
            tee_error: report.and_then(|report| report.tee_error.clone()),
        }
    }
}

/// Amount of work of a run.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub struct WorkCounts {
    /// Number of event copies on all disks at the end.
    pub event_copies_held: u64,
    /// Number of committed compaction runs.
    pub compaction_runs: u64,
    /// Number of compaction runs whose output was compared with their inputs.
    pub compaction_runs_checked: u64,
    /// Number of checks of production by the oracle.
    pub checks: u64,
    /// Number of acknowledgements whose durability was checked when they were sent.
    pub acknowledgements_checked: u64,
}

impl LossFindings {
    pub(crate) fn new(summary: LossSummary, zone_of: impl Fn(u32) -> String) -> LossFindings {
        let mut days: Vec<LostDayFindings> = summary
            .days
            .into_iter()
            .map(|day| LostDayFindings {
                project: format!("p{}", day.project),
                zone: zone_of(day.project),
                day: day.day,
                acked: day.acked,
                lost: day.lost,
                lost_ppm: day.lost_ppm,
                unrecoverable: day.unrecoverable,
            })
            .collect();
        days.sort_by(|a, b| {
            (b.lost_ppm, b.lost, &a.project, &a.day).cmp(&(a.lost_ppm, a.lost, &b.project, &b.day))
        });
        LossFindings {
            events_lost_from_production: summary.events_lost_from_production,
            events_unrecoverable: summary.events_unrecoverable,
            events_missing_at_end: summary.events_missing_at_end,
            events_altered_at_end: summary.events_altered_at_end,
            projects: summary.projects,
            projects_hit: summary.projects_hit,
            projects_hit_under_one_percent: summary.projects_hit_under_one_percent,
            projects_hit_over_ninety_percent: summary.projects_hit_over_ninety_percent,
            days,
        }
    }
}
