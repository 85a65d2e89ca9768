//! Load patterns: clients that send at the wrong time, too much, or repeatedly. Off unless a scenario names them.
//!
//! - **Burst**: additional, new events at additional send times; the usual events do not change.
//! - **Offline**: devices without a connection, which send everything they kept when they are back, hours or days
//!   late.
//! - **Retry storm**: clients that time out early and retry at once. The timed-out requests are stored all the same,
//!   so most events arrive several times, each time as a separate request.
//! - **Device clocks**: event times that are wrong by minutes to years. The API's own rules decide which events are
//!   accepted; the ledger learns it from the answers alone.
//! - **Backlog**: clients that keep requests that they cannot send. Without it a client drops a request after about
//!   35 minutes of retries, as a browser client does; with it, all kept requests follow an outage of hours at once.
//!
//! Each person has one device; one client sends for a project. The affected devices are drawn by person. Not
//! modelled: clients that detect the outage and slow down, devices that lose what they keep.
//!
//! Sources: Google's "Site Reliability Engineering" (2016), chapter 22, on impatient clients that multiply the load
//! of a slow service; Mixpanel's documentation of its mobile libraries, on events that are queued until there is a
//! network. Sizes (10 to 40 times, minutes to years) are accelerated, as all rates here.

use crate::scenario::WorldConfig;
use crate::workload::{BACK_WITHIN_MS, Burst, ClockSkew, MAX_BURST_EVENTS, OfflineWindow, WorkloadSpec};
use latent_engine::{Scenario, ScenarioProblem, Span, Timestamp, humanize};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// Minimum duration of a load pattern.
const MIN_LASTS: Duration = Duration::from_secs(60);
/// Maximum error of a device's clock: 50 years.
const MAX_CLOCK_ERROR: Duration = Duration::from_secs(50 * 366 * 86_400);
/// Maximum timeout of an impatient client: the timeout of a patient one.
const MAX_WAIT: Duration = Duration::from_secs(60);
/// Maximum number of load patterns in a scenario.
const MAX_ITEMS: usize = 30;

/// A load pattern. Without a `project` it applies to the clients of all projects.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum LoadPattern {
    /// More events than usual.
    Burst {
        /// Start time.
        from: Timestamp,
        /// Duration, at least a minute.
        #[serde(rename = "for")]
        duration: Span,
        /// Factor on the usual number of events: 2 to 100, in practice 10 to 40.
        #[schemars(range(min = 2, max = 100))]
        times: u32,
        /// Number of the one hot project. Absent: all projects.
        #[serde(default)]
        #[schemars(range(max = 10_000))]
        project: Option<u32>,
    },
    /// Devices that cannot send for a time. They are back within 5 minutes of its end, and each sends everything it
    /// kept at once. Events that are 5 days old at that point are too old for `/track`.
    Offline {
        /// Start time.
        from: Timestamp,
        /// Duration, at least a minute.
        #[serde(rename = "for")]
        duration: Span,
        /// Share of each project's devices.
        #[schemars(range(max = 1_000_000))]
        share_ppm: u32,
        /// Number of the project. Absent: all projects.
        #[serde(default)]
        #[schemars(range(max = 10_000))]
        project: Option<u32>,
    },
    /// Clients that time out early and retry at once, up to five times; after that they use the usual timeout and
    /// back-off.
    RetryStorm {
        /// Start time.
        from: Timestamp,
        /// Duration, at least a minute.
        #[serde(rename = "for")]
        duration: Span,
        /// Maximum time that a client waits for an answer; each attempt draws a timeout from 1 ms up to this. In a
        /// healthy system most answers take 8 to 15 ms.
        #[serde(default = "default_wait")]
        wait: Span,
        /// Number of the project. Absent: all projects.
        #[serde(default)]
        #[schemars(range(max = 10_000))]
        project: Option<u32>,
    },
    /// Devices whose clocks are wrong during the whole run.
    DeviceClocks {
        /// Share of each project's devices.
        #[schemars(range(max = 1_000_000))]
        share_ppm: u32,
        /// Error of the clocks, up to 50 years.
        by: ClockError,
        /// Number of the project. Absent: all projects.
        #[serde(default)]
        #[schemars(range(max = 10_000))]
        project: Option<u32>,
    },
    /// Clients that keep all requests that they cannot send and send them in order when they can.
    Backlog {
        /// Number of the project. Absent: all projects.
        #[serde(default)]
        #[schemars(range(max = 10_000))]
        project: Option<u32>,
    },
}

/// Error of a clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum ClockError {
    /// The clock shows a later time. If it is ahead by more than an hour, the API rejects the event.
    Ahead(Span),
    /// The clock shows an earlier time, 1970 at the earliest. `/track` accepts events up to 5 days old, `/import`
    /// events from 1971 on.
    Behind(Span),
}

impl ClockError {
    fn span(self) -> Span {
        let (ClockError::Ahead(span) | ClockError::Behind(span)) = self;
        span
    }

    fn ms(self) -> i64 {
        match self {
            ClockError::Ahead(Span(by)) => millis(by),
            ClockError::Behind(Span(by)) => -millis(by),
        }
    }
}

fn default_wait() -> Span {
    Span(Duration::from_millis(15))
}

fn millis(span: Duration) -> i64 {
    i64::try_from(span.as_millis()).unwrap_or(i64::MAX / 4)
}

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
    #[serde(rename = "hurries", default)]
    pub impatient_windows: Vec<ImpatientWindow>,
    /// True if clients keep the requests that they cannot send.
    #[serde(rename = "keeps", default)]
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

impl LoadPattern {
    fn name(&self) -> &'static str {
        match self {
            LoadPattern::Burst { .. } => "burst",
            LoadPattern::Offline { .. } => "offline",
            LoadPattern::RetryStorm { .. } => "retry_storm",
            LoadPattern::DeviceClocks { .. } => "device_clocks",
            LoadPattern::Backlog { .. } => "backlog",
        }
    }

    fn project(&self) -> Option<u32> {
        match self {
            LoadPattern::Burst { project, .. }
            | LoadPattern::Offline { project, .. }
            | LoadPattern::RetryStorm { project, .. }
            | LoadPattern::DeviceClocks { project, .. }
            | LoadPattern::Backlog { project } => *project,
        }
    }

    /// Returns start and duration, for patterns that do not last the whole run.
    fn window(&self) -> Option<(Timestamp, Span)> {
        match self {
            LoadPattern::Burst { from, duration, .. }
            | LoadPattern::Offline { from, duration, .. }
            | LoadPattern::RetryStorm { from, duration, .. } => Some((*from, *duration)),
            LoadPattern::DeviceClocks { .. } | LoadPattern::Backlog { .. } => None,
        }
    }

    fn window_ms(&self) -> Option<(i64, i64)> {
        self.window().map(|(from, duration)| (from.0.0, from.0.0.saturating_add(millis(duration.0))))
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
    message.extend(retry_policy.keeps_backlog.then(|| "clients keep what they cannot send".to_owned()));
    message
}

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
    let (from, duration) = item.window()?;
    let (start, end) = (scenario.start, scenario.end());
    if from < start || from >= end {
        let hint = format!("write an instant from {start} to before {end}");
        return Some(ScenarioProblem::at(at("from"), format!("{from} is outside the run"), hint));
    }
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
        LoadPattern::Backlog { .. } => None,
    }
}

fn check_share(share_ppm: u32, at: &impl Fn(&str) -> String) -> Option<ScenarioProblem> {
    (!(1..=1_000_000).contains(&share_ppm)).then(|| {
        let hint = "write a number from 1 to 1000000, parts of a million";
        ScenarioProblem::at(at("share_ppm"), format!("a share of {share_ppm} parts per million"), hint)
    })
}

#[cfg(test)]
mod tests;
