//! Load of a project: its load patterns as parts of the workload and of its clients' retry policy.

use crate::plan::workload::{Burst, ClockSkew, OfflineWindow, WorkloadSpec};
use crate::scenario::LoadPattern;
use latent_engine::humanize;
use serde::{Deserialize, Serialize};

/// A time window in which a project's clients use a short timeout and retry at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ImpatientWindow {
    /// Start, in milliseconds since 1970.
    pub from_ms: i64,
    /// End, in milliseconds since 1970.
    pub to_ms: i64,
    /// Maximum timeout of an attempt, in milliseconds.
    pub wait_ms: u32,
}

/// Retry policy of a project's clients.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ClientRetryPolicy {
    /// Time windows with short timeouts.
    #[serde(default)]
    pub impatient_windows: Vec<ImpatientWindow>,
    /// True if clients keep the requests that they cannot send.
    #[serde(default)]
    pub keeps_backlog: bool,
}

impl ClientRetryPolicy {
    /// Returns true for the default policy.
    pub fn is_default(&self) -> bool {
        *self == ClientRetryPolicy::default()
    }

    /// Returns the maximum timeout at `now_ms` if it falls into an impatient window.
    pub fn impatient_wait_ms(&self, now_ms: i64) -> Option<u32> {
        let window =
            self.impatient_windows.iter().find(|window| (window.from_ms..window.to_ms).contains(&now_ms));
        window.map(|window| window.wait_ms)
    }
}

/// Applies the load patterns that concern one project to its workload and retry policy.
pub(crate) fn apply(load: &[LoadPattern], spec: &mut WorkloadSpec, retry_policy: &mut ClientRetryPolicy) {
    let project = spec.project;
    for item in load.iter().filter(|item| item.project().is_none_or(|only| only == project)) {
        let (from_ms, to_ms) = item.window_ms().unwrap_or_default();
        match item {
            LoadPattern::Burst { times, .. } => spec.bursts.push(Burst { from_ms, to_ms, times: *times }),
            LoadPattern::Offline { share_ppm, .. } => {
                spec.offline_windows.push(OfflineWindow { from_ms, to_ms, share_ppm: *share_ppm });
            }
            LoadPattern::RetryStorm { wait, .. } => {
                let wait_ms = u32::try_from(wait.0.as_millis()).unwrap_or(u32::MAX);
                retry_policy.impatient_windows.push(ImpatientWindow { from_ms, to_ms, wait_ms });
            }
            LoadPattern::DeviceClocks { share_ppm, by, .. } => {
                spec.clock_skews.push(ClockSkew { by_ms: by.ms(), share_ppm: *share_ppm });
            }
            LoadPattern::Silence { from, .. } => {
                let earliest_ms = spec.silent_from_ms.unwrap_or(i64::MAX).min(from.0.0);
                spec.silent_from_ms = Some(earliest_ms);
            }
            LoadPattern::Backlog { .. } => retry_policy.keeps_backlog = true,
        }
    }
}

/// Describes the load patterns of one project, one sentence each.
pub(crate) fn describe(spec: &WorkloadSpec, retry_policy: &ClientRetryPolicy) -> Vec<String> {
    let when = |from_ms: i64, to_ms: i64| {
        format!("from {} for {}", humanize::moment_ms(from_ms), humanize::span_ms(from_ms.abs_diff(to_ms)))
    };
    let percent = |ppm: u32| format!("{}.{:02}%", ppm / 10_000, ppm % 10_000 / 100);
    let mut message = Vec::new();
    message.extend(
        spec.bursts.iter().map(|it| format!("{} times the events {}", it.times, when(it.from_ms, it.to_ms))),
    );
    message.extend(spec.offline_windows.iter().map(|it| {
        format!("{} of devices out of reach {}", percent(it.share_ppm), when(it.from_ms, it.to_ms))
    }));
    message.extend(
        retry_policy
            .impatient_windows
            .iter()
            .map(|it| format!("clients wait at most {} ms {}", it.wait_ms, when(it.from_ms, it.to_ms))),
    );
    message.extend(spec.clock_skews.iter().map(|it| {
        let way = if it.by_ms < 0 { "behind" } else { "ahead" };
        let by = humanize::span_ms(it.by_ms.unsigned_abs());
        format!("{} of devices have clocks that are {by} {way}", percent(it.share_ppm))
    }));
    let silent =
        spec.silent_from_ms.map(|from_ms| format!("silent from {} on", humanize::moment_ms(from_ms)));
    message.extend(silent);
    message.extend(retry_policy.keeps_backlog.then(|| "clients keep what they cannot send".to_owned()));
    message
}
