//! Display of this system's part of a report on a screen.

use super::{Findings, LossFindings};
use crate::scenario::CheckSet;
use latent_engine::verdict::Outcome;
use latent_engine::{Report, Screen, StyledText, humanize};

/// Maximum number of lines about incomplete operations without `-v`.
const MAX_NOT_DONE: usize = 3;

/// Prints this system's lines of the verdict.
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
    screen.rows("not done", findings.not_done.iter().map(|it| StyledText::new().bad(it)), MAX_NOT_DONE);
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

/// Describes the final state of the loss, and whether it is good. Only a drill shows whether lost events are
/// recoverable.
fn final_state(loss: &LossFindings) -> (bool, String) {
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
        None => (false, format!("{short}, recoverability unknown: no drill ran")),
        Some(0) => (false, format!("{short}, all of them recoverable")),
        Some(gone) => {
            let gone = humanize::count(gone);
            (false, format!("{short}, {gone} of them in no backup and no tee: unrecoverable"))
        }
    }
}

fn render_loss(findings: &Findings, screen: &mut Screen) {
    let loss = &findings.loss;
    if !findings.checks.is_full() {
        screen.item("loss", StyledText::new().bad("not looked for"));
        return;
    }
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
    let (is_good, message) = final_state(loss);
    screen.item(
        "final state",
        if is_good { StyledText::new().good(message) } else { StyledText::new().bad(message) },
    );
    if !findings.used_permissions.is_empty() {
        let message = match loss.events_unrecoverable {
            Some(0) => "used, nothing is gone:",
            _ => "lost through:",
        };
        screen.item(
            "permission",
            StyledText::new().bad(format!("{message} {}", findings.used_permissions.join("; "))),
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

/// Returns a warning for a run that was not checked in full, or a clean one in which a drill could not recover everything.
pub(crate) fn caveat(report: &Report<Findings>) -> Option<String> {
    match report.findings.checks {
        CheckSet::Full => {}
        CheckSet::Existence => return Some("checked for the existence of files only".to_owned()),
        CheckSet::SingleRun => return Some("checked where compaction ran once only".to_owned()),
    }
    let lacked = report.findings.drills.iter().map(|drill| drill.events_missing).max().unwrap_or(0);
    let is_hidden = report.outcome == Outcome::Clean && lacked > 0;
    is_hidden.then(|| format!("not protected: a drill lacked {}", humanize::counted(lacked, "events")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn recoverability_is_unknown_without_a_drill() {
        let loss = |missing, altered, gone| LossFindings {
            events_missing_at_end: missing,
            events_altered_at_end: altered,
            events_unrecoverable: gone,
            ..LossFindings::default()
        };
        let message = |loss: &LossFindings| final_state(loss).1;
        assert!(message(&loss(3_802, 0, None)).contains("3,802 still missing, recoverability unknown"));
        assert_eq!(
            final_state(&loss(3_802, 0, Some(0))),
            (false, "3,802 still missing, all of them recoverable".into())
        );
        assert!(message(&loss(3_802, 0, Some(2))).contains("2 of them in no backup and no tee"));
        assert!(
            message(&loss(1, 3, Some(0))).starts_with("1 still missing and 3 not as they were sent, all")
        );
        assert!(message(&loss(0, 0, Some(0))).contains("everything is back"));
    }
}
