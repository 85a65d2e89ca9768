//! The system's own part of a report: events, losses, recovery; and how they look on a screen.

use crate::drill::Drilled;
use latent_engine::verdict::Outcome;
use latent_engine::{Report, Screen, StyledText, humanize};
use latent_oracle::ledger;
use latent_oracle::loss::LossSummary;
use latent_pipeline::recovery::run::DayReport;
use serde::{Deserialize, Serialize};

/// What a run of the world found, besides violations.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Findings {
    /// Customers.
    pub projects: u64,
    /// HTTP requests, retries included, by what clients were told.
    pub requests: Attempts,
    /// Events in these requests, each as often as it was sent.
    pub event_attempts: Attempts,
    /// Events, each counted once, by what clients know of them.
    pub events: EventCounts,
    /// Acknowledged events that production lacked, each day at its worst.
    pub loss: Loss,
    /// Who noticed, and what came back.
    pub recovery: Recovered,
    /// Permissions at the object stores that production has and used to change something there, as sentences:
    /// `production may delete at the data centers`. With least privilege there are none.
    pub used_permissions: Vec<String>,
    /// Drills, in order of time.
    pub drills: Vec<Drill>,
    /// Operations and drills of the scenario that never took place or never ended, as sentences.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub not_done: Vec<String>,
    /// What was done, for speed to be measured against.
    pub work: Work,
    /// Events of the worst day before and after, as a unified diff; empty when nothing was lost.
    pub diff: Vec<String>,
}

/// How often something was sent, and what clients were told each time.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub struct Attempts {
    /// Sent.
    pub sent: u64,
    /// Acknowledged.
    pub acked: u64,
    /// Neither acknowledged nor rejected.
    pub unknown: u64,
    /// Rejected.
    pub rejected: u64,
}

/// How many events, each counted once.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub struct EventCounts {
    /// Sent at least once.
    pub sent: u64,
    /// Acknowledged at least once.
    pub acked: u64,
    /// Without a final answer: may exist or not.
    pub unknown: u64,
    /// Rejected each time.
    pub rejected: u64,
    /// Of the unknown ones, those on which their client gave up after its last try.
    pub given_up: u64,
}

impl From<ledger::Attempts> for Attempts {
    fn from(of: ledger::Attempts) -> Attempts {
        Attempts { sent: of.sent, acked: of.acked, unknown: of.unknown, rejected: of.rejected }
    }
}

impl From<ledger::EventCounts> for EventCounts {
    fn from(of: ledger::EventCounts) -> EventCounts {
        let ledger::EventCounts { sent, acked, rejected, unknown, given_up } = of;
        EventCounts { sent, acked, unknown, rejected, given_up }
    }
}

/// What was lost.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Loss {
    /// Acknowledged events that production lacked, each day at its worst look.
    pub events_lost_from_production: u64,
    /// Of what production was short of at the end, in no restore either; `null`: no drill looked for it.
    pub events_unrecoverable: Option<u64>,
    /// Missing from production when the run ended.
    pub events_missing_at_end: u64,
    /// In production when the run ended, but not as they were sent.
    pub events_altered_at_end: u64,
    /// Projects with acknowledged events.
    pub projects: u64,
    /// Projects that lost events.
    pub projects_hit: u64,
    /// Of these, those whose worst day lost less than 1%.
    pub projects_hit_under_one_percent: u64,
    /// Of these, those whose worst day lost more than 90%.
    pub projects_hit_over_ninety_percent: u64,
    /// Days that lost events, the greatest share first.
    pub days: Vec<LostDay>,
}

/// A project's day that lost events.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct LostDay {
    /// The project.
    pub project: String,
    /// Its zone.
    pub zone: String,
    /// The day.
    pub day: String,
    /// Acknowledged events of the day.
    pub acked: u64,
    /// Lost at the worst look.
    pub lost: u64,
    /// Lost, in parts per million of acknowledged.
    pub lost_ppm: u64,
    /// Short of at the end, and in no restore either; `null`: no drill looked for it.
    pub unrecoverable: Option<u64>,
}

/// Who noticed, and what came back.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Recovered {
    /// The detector inside the world that noticed first.
    pub detected_by: Option<String>,
    /// From the first damage to that.
    pub detected_after_seconds: Option<u64>,
    /// How much of the newest data could not be had back if production were gone at the end: 0 with a tee.
    pub recovery_point_seconds: Option<u64>,
    /// How long recovery took: in production if it ran there, else in the last drill.
    pub recovery_time_seconds: Option<u64>,
    /// Recoveries in production.
    pub recoveries: u64,
    /// Project-days that they repaired and audited.
    pub days_repaired: u64,
    /// Events that they read from backups, and that they replayed from the tee.
    pub events_restored: u64,
    /// See `events_restored`.
    pub events_replayed: u64,
}

/// A drill.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Drill {
    /// When, ms since 1970.
    pub at_ms: i64,
    /// Backups that it could read. `null`, as all that the recovery itself reports: it did not end.
    pub backups: Option<u64>,
    /// Events from backups, and from the tee.
    pub events_restored: Option<u64>,
    /// See `events_restored`.
    pub events_replayed: Option<u64>,
    /// Acknowledged events that it had not brought up when it ended, or its time was over.
    pub events_missing: u64,
    /// How long it took in its own time; `None`: it did not end.
    pub seconds: Option<u64>,
    /// Position of the newest backup used.
    pub position_ms: Option<i64>,
    /// What was under way in production: `backup`, `compaction`.
    pub during: Vec<String>,
    /// Why the tee could not be read, if it could not.
    pub tee_error: Option<String>,
}

impl Drill {
    pub(crate) fn of(at_ms: i64, drilled: &Drilled, events_missing: u64) -> Drill {
        let report = drilled.report.as_ref();
        let sum_of = |count: fn(&DayReport) -> u64| report.map(|report| report.days.iter().map(count).sum());
        Drill {
            at_ms,
            backups: report.map(|report| report.backups),
            events_restored: sum_of(|day| day.restored),
            events_replayed: sum_of(|day| day.replayed),
            events_missing,
            seconds: report
                .map(|report| ((report.ended_ms - report.started_ms) / 1_000).max(0).unsigned_abs()),
            position_ms: drilled.newest_backup_ms(),
            during: Vec::new(),
            tee_error: report.and_then(|report| report.tee_error.clone()),
        }
    }
}

/// What was done.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub struct Work {
    /// Copies of events on all disks at the end.
    pub event_copies_held: u64,
    /// Compaction runs that were committed.
    pub compaction_runs: u64,
    /// Compaction runs whose output was compared with their inputs.
    pub compaction_runs_checked: u64,
    /// Looks of the oracle at production.
    pub looks: u64,
    /// Acknowledgements that were checked, when they came, for being durable on enough disks.
    pub acknowledgements_checked: u64,
}

impl Loss {
    pub(crate) fn of(summary: LossSummary, zone_of: impl Fn(u32) -> String) -> Loss {
        let mut days: Vec<LostDay> = summary
            .days
            .into_iter()
            .map(|day| LostDay {
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
        Loss {
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

/// Of what was not done, so many lines are shown without `-v`.
const MOST_NOT_DONE: usize = 3;

/// The world's lines of the verdict.
pub(crate) fn render(report: &Report<Findings>, screen: &mut Screen) {
    let findings = &report.findings;
    render_events(findings, screen);
    let work = &findings.work;
    screen.item(
        "work",
        format!(
            "{} copies held, {}, {} checked",
            humanize::count(work.event_copies_held),
            humanize::counted(work.compaction_runs, "compaction runs"),
            match work.compaction_runs_checked {
                checked if checked == work.compaction_runs => "each one".to_owned(),
                checked => humanize::count(checked),
            },
        ),
    );
    screen.rows("not done", findings.not_done.iter().map(|it| StyledText::new().bad(it)), MOST_NOT_DONE);
    render_loss(findings, screen);
    render_recovery(findings, screen);
    if !findings.diff.is_empty() && screen.verbose() {
        screen.rows("diff", findings.diff.iter().map(|line| diff_line(line)), findings.diff.len());
    }
}

fn render_events(findings: &Findings, screen: &mut Screen) {
    let events = &findings.events;
    screen.item(
        "events",
        format!(
            "{} sent by {}, {} acknowledged, {} unknown, {} rejected",
            humanize::count(events.sent),
            humanize::counted(findings.projects, "projects"),
            humanize::count(events.acked),
            humanize::count(events.unknown),
            humanize::count(events.rejected),
        ),
    );
    if events.given_up > 0 {
        let given_up = humanize::counted(events.given_up, "events");
        screen
            .item("given up", StyledText::new().bad(given_up).plain(", after the last try of their clients"));
    }
    let (requests, sends) = (&findings.requests, &findings.event_attempts);
    screen.item(
        "attempts",
        format!(
            "{} with {}, {} without an answer",
            humanize::counted(requests.sent, "requests"),
            humanize::counted(sends.sent, "events"),
            humanize::count(requests.unknown),
        ),
    );
}

fn diff_line(line: &str) -> StyledText {
    match line.as_bytes().first() {
        Some(b'-') => StyledText::new().bad(line),
        Some(b'+') => StyledText::new().good(line),
        _ => StyledText::new().dim(line),
    }
}

/// What became of what was lost, and whether that is good news. Only a drill shows whether anything holds it.
fn at_the_end(loss: &Loss) -> (bool, String) {
    let short = [
        (loss.events_missing_at_end, "still missing"),
        (loss.events_altered_at_end, "not as they were sent"),
    ];
    let short = short.into_iter().filter(|(events, _)| *events > 0);
    let short: Vec<String> =
        short.map(|(events, how)| format!("{} {how}", humanize::count(events))).collect();
    let short = short.join(" and ");
    match loss.events_unrecoverable {
        _ if short.is_empty() => (true, "everything is back in production".to_owned()),
        None => (false, format!("{short}, unrecoverable: not known, no drill looked for them")),
        Some(0) => (false, format!("{short}, all of them recoverable")),
        Some(gone) => {
            let gone = humanize::count(gone);
            (false, format!("{short}, {gone} of them in no backup and no tee: unrecoverable"))
        }
    }
}

fn render_loss(findings: &Findings, screen: &mut Screen) {
    let loss = &findings.loss;
    if loss.events_lost_from_production == 0 && loss.events_altered_at_end == 0 {
        screen.item("loss", StyledText::new().good("none"));
        return;
    }
    let headline = format!(
        "{} of {} projects lost {} ({} of them under 1%, {} over 90% of a day)",
        loss.projects_hit,
        loss.projects,
        humanize::counted(loss.events_lost_from_production, "events"),
        loss.projects_hit_under_one_percent,
        loss.projects_hit_over_ninety_percent,
    );
    screen.item("loss", StyledText::new().bad(headline));
    let rows = loss.days.iter().map(|day| {
        format!(
            "{:>5} {}  {:>6} of {:>6} = {:>6}  {}",
            day.project,
            day.day,
            day.lost,
            day.acked,
            humanize::share(day.lost, day.acked),
            day.zone
        )
    });
    screen.rows("", rows, 6);
    let (is_good, said) = at_the_end(loss);
    screen.item(
        "final state",
        if is_good { StyledText::new().good(said) } else { StyledText::new().bad(said) },
    );
    if !findings.used_permissions.is_empty() {
        let said = match loss.events_unrecoverable {
            Some(0) => "used, nothing is gone:",
            _ => "lost through:",
        };
        screen.item(
            "permission",
            StyledText::new().bad(format!("{said} {}", findings.used_permissions.join("; "))),
        );
    }
}

fn render_recovery(findings: &Findings, screen: &mut Screen) {
    let recovery = &findings.recovery;
    if recovery.recoveries > 0 {
        screen.item(
            "recovery",
            format!(
                "{}, {} repaired; {} restored, {} replayed",
                humanize::counted(recovery.recoveries, "runs"),
                humanize::counted(recovery.days_repaired, "project-days"),
                humanize::counted(recovery.events_restored, "events"),
                humanize::count(recovery.events_replayed),
            ),
        );
    }
    for drill in findings.drills.iter().rev().take(1) {
        let brought = match (drill.events_restored, drill.backups, drill.events_replayed) {
            (Some(restored), Some(backups), Some(replayed)) => format!(
                "{} from {}, {} from the tee, {} missing",
                humanize::counted(restored, "events"),
                humanize::counted(backups, "backups"),
                humanize::count(replayed),
                humanize::count(drill.events_missing),
            ),
            _ => format!("the recovery did not end, {} missing", humanize::count(drill.events_missing)),
        };
        let label = match findings.drills.len() {
            1 => "into an empty cluster".to_owned(),
            many => format!("the last of {many}"),
        };
        screen.item("drill", format!("{label}: {brought}"));
        if let Some(why) = &drill.tee_error {
            screen.item("", StyledText::new().bad(format!("the tee could not be read: {why}")));
        }
    }
    if let (Some(point), Some(time)) = (recovery.recovery_point_seconds, recovery.recovery_time_seconds) {
        let time = format!("; recovery time: {}", humanize::span_ms(time * 1_000));
        let point = match point {
            0 => StyledText::new().plain("recovery point: no event lost"),
            _ => StyledText::new()
                .bad(format!("recovery point: {} before the end", humanize::span_ms(point * 1_000))),
        };
        screen.item("protection", point.plain(time));
    }
}

/// What a clean verdict must not hide: nothing is lost, and a drill could not have brought everything back.
pub(crate) fn caveat(report: &Report<Findings>) -> Option<String> {
    let lacked = report.findings.drills.iter().map(|drill| drill.events_missing).max().unwrap_or(0);
    let is_hidden = report.outcome == Outcome::Clean && lacked > 0;
    is_hidden.then(|| format!("not protected: a drill lacked {}", humanize::counted(lacked, "events")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_no_drill_looked_for_is_not_known() {
        let loss = |missing, altered, gone| Loss {
            events_missing_at_end: missing,
            events_altered_at_end: altered,
            events_unrecoverable: gone,
            ..Loss::default()
        };
        let said = |loss: &Loss| at_the_end(loss).1;
        assert!(said(&loss(3_802, 0, None)).contains("3,802 still missing, unrecoverable: not known"));
        assert_eq!(
            at_the_end(&loss(3_802, 0, Some(0))),
            (false, "3,802 still missing, all of them recoverable".into())
        );
        assert!(said(&loss(3_802, 0, Some(2))).contains("2 of them in no backup and no tee"));
        assert!(said(&loss(1, 3, Some(0))).starts_with("1 still missing and 3 not as they were sent, all"));
        assert!(said(&loss(0, 0, Some(0))).contains("everything is back"));
    }
}
