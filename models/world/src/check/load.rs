//! Checks of load patterns: projects, windows, shares and sizes.

use crate::plan::workload::{BACK_WITHIN_MS, MAX_BURST_EVENTS};
use crate::scenario::load::millis;
use crate::scenario::{LoadPattern, WorldConfig};
use latent_engine::{Scenario, ScenarioProblem, Span};
use std::time::Duration;

/// Minimum duration of a load pattern.
const MIN_LASTS: Duration = Duration::from_secs(60);
/// Maximum error of a device's clock: 50 years.
const MAX_CLOCK_ERROR: Duration = Duration::from_secs(50 * 366 * 86_400);
/// Maximum timeout of an impatient client: the timeout of a patient one.
const MAX_WAIT: Duration = Duration::from_secs(60);
/// Maximum number of load patterns in a scenario.
const MAX_ITEMS: usize = 30;

/// Checks constraints that span several fields.
pub(crate) fn check(scenario: &Scenario<WorldConfig>) -> Vec<ScenarioProblem> {
    let load = &scenario.config.load;
    let mut problems = Vec::new();
    if load.len() > MAX_ITEMS {
        let hint = format!("write at most {MAX_ITEMS}");
        problems.push(ScenarioProblem::at("/load", format!("{} kinds of load", load.len()), hint));
    }
    for (index, item) in load.iter().enumerate() {
        let at = |field: &str| format!("/load/{index}/{}/{field}", item.name());
        problems.extend(check_project(scenario, item, &at));
        problems.extend(check_window(scenario, item, &at));
        problems.extend(check_sizes(scenario, item, &at));
        let earlier = load.iter().take(index).find(|earlier| overlap(earlier, item));
        if let Some((from, duration)) = earlier.and_then(LoadPattern::window) {
            let message = format!("a burst from {from} for {duration} is not over then");
            let hint = "let one project's bursts follow each other, or write one with more times";
            problems.push(ScenarioProblem::at(at("from"), message, hint));
        }
    }
    problems
}

/// Returns true if both are bursts of one project whose times overlap.
fn overlap(one: &LoadPattern, other: &LoadPattern) -> bool {
    let (LoadPattern::Burst { .. }, LoadPattern::Burst { .. }) = (one, other) else { return false };
    let projects = one.project().zip(other.project());
    let is_one_project = projects.is_none_or(|(one, other)| one == other);
    let windows = one.window_ms().zip(other.window_ms());
    is_one_project && windows.is_some_and(|(one, other)| one.0 < other.1 && other.0 < one.1)
}

fn check_project(
    scenario: &Scenario<WorldConfig>,
    item: &LoadPattern,
    at: &impl Fn(&str) -> String,
) -> Option<ScenarioProblem> {
    let count: u32 = scenario.config.tenants.iter().map(|class| class.count).fold(0, u32::saturating_add);
    let project = item.project().filter(|project| !(1..=count).contains(project))?;
    let hint = format!("write a number from 1 to {count}, or leave it out for all projects");
    Some(ScenarioProblem::at(at("project"), format!("unknown project {project}"), hint))
}

fn check_window(
    scenario: &Scenario<WorldConfig>,
    item: &LoadPattern,
    at: &impl Fn(&str) -> String,
) -> Option<ScenarioProblem> {
    let (start, end) = (scenario.start, scenario.end());
    let from = item.from()?;
    if from < start || from >= end {
        let hint = format!("write an instant from {start} to before {end}");
        return Some(ScenarioProblem::at(at("from"), format!("{from} is outside the run"), hint));
    }
    let (_, duration) = item.window()?;
    if duration.0 < MIN_LASTS {
        let hint = format!("write at least {}", Span(MIN_LASTS));
        return Some(ScenarioProblem::at(at("for"), format!("a load of {duration}"), hint));
    }
    // Devices need some minutes to reconnect; without this margin they would never send what they kept.
    let spare_ms = if matches!(item, LoadPattern::Offline { .. }) { BACK_WITHIN_MS + 1 } else { 0 };
    let max_ms = end.0.0 - from.0.0 - spare_ms;
    if millis(duration.0) > max_ms {
        let max = Span(Duration::from_millis(u64::try_from(max_ms).unwrap_or(0)));
        let message = format!("{duration} from {from} is not over before the run ends");
        return Some(ScenarioProblem::at(
            at("for"),
            message,
            format!("write at most {max}, or begin earlier"),
        ));
    }
    None
}

fn check_sizes(
    scenario: &Scenario<WorldConfig>,
    item: &LoadPattern,
    at: &impl Fn(&str) -> String,
) -> Option<ScenarioProblem> {
    match item {
        LoadPattern::Burst { times, .. } => {
            let max = scenario.config.tenants.iter().map(|class| class.events_per_day.1).max().unwrap_or(0);
            let events = i64::from(max) * i64::from(*times);
            (events >= MAX_BURST_EVENTS).then(|| {
                let hint = format!("keep events a day times this below {MAX_BURST_EVENTS}");
                ScenarioProblem::at(at("times"), format!("{events} events a day of one project"), hint)
            })
        }
        LoadPattern::Offline { share_ppm, .. } => check_share(*share_ppm, at),
        LoadPattern::RetryStorm { wait, .. } => {
            let is_right = (Duration::from_millis(1)..=MAX_WAIT).contains(&wait.0);
            (!is_right).then(|| {
                let hint = format!("write a time from 1ms to {}", Span(MAX_WAIT));
                ScenarioProblem::at(at("wait"), format!("clients that wait {wait}"), hint)
            })
        }
        LoadPattern::DeviceClocks { share_ppm, by, .. } => check_share(*share_ppm, at).or_else(|| {
            let by = by.span();
            let is_right = (Duration::from_secs(1)..=MAX_CLOCK_ERROR).contains(&by.0);
            (!is_right).then(|| {
                let hint = format!("write a time from 1s to {}", Span(MAX_CLOCK_ERROR));
                ScenarioProblem::at(at("by"), format!("clocks wrong by {by}"), hint)
            })
        }),
        LoadPattern::Silence { .. } | LoadPattern::Backlog { .. } => None,
    }
}

fn check_share(share_ppm: u32, at: &impl Fn(&str) -> String) -> Option<ScenarioProblem> {
    (!(1..=1_000_000).contains(&share_ppm)).then(|| {
        let hint = "write a number from 1 to 1000000, parts of a million";
        ScenarioProblem::at(at("share_ppm"), format!("a share of {share_ppm} parts per million"), hint)
    })
}
