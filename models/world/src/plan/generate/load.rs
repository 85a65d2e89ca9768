//! Load patterns.

use super::in_context::ArbitraryIn;
use super::quiet_scenario::{DAY_MS, HOUR_MS, MINUTE_MS, QuietScenario, span_ms};
use crate::scenario::{ClockError, LoadPattern};
use arbitrary::{Result, Unstructured};
use latent_engine::Timestamp;
use latent_nemesis::Choices;
use std::time::Duration;

/// The load patterns, each in about every sixth run.
pub(super) struct LoadPatterns(pub Vec<LoadPattern>);

impl ArbitraryIn for LoadPatterns {
    type Context = QuietScenario;

    fn arbitrary_in(quiet: &QuietScenario, bytes: &mut Unstructured<'_>) -> Result<LoadPatterns> {
        let patterns = [burst, offline, retry_storm, device_clocks, backlog, silence];
        let mut load = Vec::new();
        for pattern in patterns {
            if bytes.percent(17) {
                load.push(pattern(quiet, bytes));
            }
        }
        Ok(LoadPatterns(load))
    }
}

/// Draws one project, or all.
fn project(quiet: &QuietScenario, bytes: &mut Unstructured<'_>) -> Option<u32> {
    bytes.percent(50).then(|| quiet.project(bytes))
}

fn burst(quiet: &QuietScenario, bytes: &mut Unstructured<'_>) -> LoadPattern {
    let duration_ms = bytes.pick(&[HOUR_MS, 10 * MINUTE_MS, 4 * HOUR_MS]);
    let (from, duration) = (quiet.instant(bytes, duration_ms), span_ms(duration_ms));
    LoadPattern::Burst { from, duration, times: bytes.pick(&[10, 2, 40]), project: project(quiet, bytes) }
}

fn offline(quiet: &QuietScenario, bytes: &mut Unstructured<'_>) -> LoadPattern {
    let duration_ms = bytes.pick(&[6 * HOUR_MS, HOUR_MS, 30 * HOUR_MS, 80 * HOUR_MS]);
    let duration_ms = duration_ms.min(i64::try_from(quiet.0.run_for.0.as_millis()).unwrap_or(0) / 2);
    let (from, duration) = (quiet.instant(bytes, duration_ms + HOUR_MS), span_ms(duration_ms));
    let share_ppm = bytes.pick(&[200_000, 50_000, 1_000_000]);
    LoadPattern::Offline { from, duration, share_ppm, project: project(quiet, bytes) }
}

fn retry_storm(quiet: &QuietScenario, bytes: &mut Unstructured<'_>) -> LoadPattern {
    let duration_ms = bytes.pick(&[HOUR_MS, 10 * MINUTE_MS, 12 * HOUR_MS]);
    let (from, duration) = (quiet.instant(bytes, duration_ms), span_ms(duration_ms));
    let wait = span_ms(bytes.pick(&[15, 10, 100]));
    LoadPattern::RetryStorm { from, duration, wait, project: project(quiet, bytes) }
}

fn device_clocks(quiet: &QuietScenario, bytes: &mut Unstructured<'_>) -> LoadPattern {
    let by = span_ms(bytes.pick(&[40 * MINUTE_MS, 3 * HOUR_MS, 2 * DAY_MS, 400 * DAY_MS]));
    let by = if bytes.percent(50) { ClockError::Behind(by) } else { ClockError::Ahead(by) };
    let share_ppm = bytes.pick(&[20_000, 100_000, 500_000]);
    LoadPattern::DeviceClocks { share_ppm, by, project: project(quiet, bytes) }
}

fn backlog(quiet: &QuietScenario, bytes: &mut Unstructured<'_>) -> LoadPattern {
    LoadPattern::Backlog { project: project(quiet, bytes) }
}

/// The customer falls silent after the first quarter of the run, so that there is something to protect, and half of the
/// times before most of what protects it runs.
fn silence(quiet: &QuietScenario, bytes: &mut Unstructured<'_>) -> LoadPattern {
    let spare_ms = bytes.pick(&[HOUR_MS, DAY_MS, 3 * DAY_MS]);
    let QuietScenario(scenario) = quiet;
    let run_ms = i64::try_from(scenario.run_for.0.as_millis()).unwrap_or(0);
    let earliest = Timestamp(scenario.start.0 + Duration::from_millis(run_ms.unsigned_abs() / 4));
    let from = quiet.instant(bytes, spare_ms).max(earliest);
    LoadPattern::Silence { from, project: Some(quiet.project(bytes)) }
}
