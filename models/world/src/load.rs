//! Load: what clients do to the system by sending at the wrong time, too much, or again. Off unless a scenario names it.
//!
//! - **Burst**: more events, all of them new, in moments of their own: the usual ones stay as they are.
//! - **Offline**: devices out of reach, back with all that they kept, hours or days late.
//! - **Retry storm**: clients that do not wait for an answer and send again at once; what they gave up waiting for is
//!   stored all the same, so most events come in several times, each time as a request of its own.
//! - **Device clocks**: times that are wrong by minutes to years. The API's own rules say what is taken; the ledger hears
//!   it from the answers, and nobody else knows.
//! - **Backlog**: clients that keep what they cannot send. Without it a client drops a request after some 35 minutes of
//!   trying, as one in a browser does; with it an outage of hours is followed by all that was kept, at once.
//!
//! Events come from one device to a person; a client is what sends for a project. Which devices are concerned is drawn
//! by person. Not modelled: clients that know of the outage and slow down, devices that lose what they keep.
//!
//! Sources: that impatient clients multiply the load of a slow service is told in Google's "Site Reliability Engineering"
//! (2016), chapter 22; that mobile libraries queue events and send them once there is a network, in Mixpanel's
//! documentation of its libraries. Sizes (10 to 40 times, minutes to years) are accelerated, as all rates here.

use crate::scenario::Topic;
use crate::workload::{Absence, BACK_WITHIN_MS, Burst, MOST_BURST_EVENTS, StreamLaw, WrongClock};
use latent_engine::{Scenario, ScenarioProblem, Span, Timestamp, humanize};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// The shortest time that a load may take.
const LEAST_LASTS: Duration = Duration::from_secs(60);
/// No device's clock is wrong by more: 50 years.
const MOST_CLOCK_ERROR: Duration = Duration::from_secs(50 * 366 * 86_400);
/// The longest that a client in a hurry may wait: as long as one that is not.
const MOST_WAIT: Duration = Duration::from_secs(60);
/// A scenario may name so many.
const MOST_ITEMS: usize = 30;

/// What clients do. Without a `project` all projects' clients do it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Load {
    /// More events than usual.
    Burst {
        /// When it begins.
        from: Timestamp,
        /// How long it lasts, at least a minute.
        #[serde(rename = "for")]
        lasts: Span,
        /// How many times the usual number of events are sent: 2 to 100, in practice 10 to 40.
        #[schemars(range(min = 2, max = 100))]
        times: u32,
        /// The one hot project; absent: all projects.
        #[serde(default)]
        #[schemars(range(max = 10_000))]
        project: Option<u32>,
    },
    /// Devices that cannot send for a time. They are back when it is over, within 5 minutes, and each sends what it kept
    /// in one go. What is 5 days old by then is too old for `/track`.
    Offline {
        /// When they go.
        from: Timestamp,
        /// How long they stay away, at least a minute.
        #[serde(rename = "for")]
        lasts: Span,
        /// The share of each project's devices.
        #[schemars(range(max = 1_000_000))]
        share_ppm: u32,
        /// The project; absent: all projects.
        #[serde(default)]
        #[schemars(range(max = 10_000))]
        project: Option<u32>,
    },
    /// Clients that give up waiting and send again at once, up to five times; then they wait as usual.
    RetryStorm {
        /// When it begins.
        from: Timestamp,
        /// How long it lasts, at least a minute.
        #[serde(rename = "for")]
        lasts: Span,
        /// The longest that a client waits for an answer: each time it draws from 1 ms up to this. In a healthy
        /// system most answers take 8 to 15 ms.
        #[serde(default = "default_wait")]
        wait: Span,
        /// The project; absent: all projects.
        #[serde(default)]
        #[schemars(range(max = 10_000))]
        project: Option<u32>,
    },
    /// Devices whose clocks are wrong, throughout.
    DeviceClocks {
        /// The share of each project's devices.
        #[schemars(range(max = 1_000_000))]
        share_ppm: u32,
        /// How wrong they are, up to 50 years.
        by: ClockError,
        /// The project; absent: all projects.
        #[serde(default)]
        #[schemars(range(max = 10_000))]
        project: Option<u32>,
    },
    /// Clients that keep what they cannot send, however long that takes, and send it in order when they can.
    Backlog {
        /// The project; absent: all projects.
        #[serde(default)]
        #[schemars(range(max = 10_000))]
        project: Option<u32>,
    },
}

/// How wrong a clock is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum ClockError {
    /// It shows a later time. More than an hour, and the API refuses the event.
    Ahead(Span),
    /// It shows an earlier time: 1970 at the earliest. `/track` takes 5 days, `/import` what is not before 1971.
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

/// A time in which a project's clients are in a hurry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Hurry {
    /// When it begins, in milliseconds since 1970.
    pub from_ms: i64,
    /// When it is over, in milliseconds since 1970.
    pub to_ms: i64,
    /// The longest that a client waits, in milliseconds.
    pub wait_ms: u32,
}

/// How a project's clients go about sending.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Manners {
    /// When they are in a hurry.
    #[serde(default)]
    pub hurries: Vec<Hurry>,
    /// They keep what they cannot send.
    #[serde(default)]
    pub keeps: bool,
}

impl Manners {
    /// Nothing out of the ordinary.
    pub fn is_usual(&self) -> bool {
        *self == Manners::default()
    }

    /// The longest that a client waits at this time, if it is in a hurry.
    pub fn hurry_ms(&self, now_ms: i64) -> Option<u32> {
        let hurry = self.hurries.iter().find(|hurry| (hurry.from_ms..hurry.to_ms).contains(&now_ms));
        hurry.map(|hurry| hurry.wait_ms)
    }
}

impl Load {
    fn name(&self) -> &'static str {
        match self {
            Load::Burst { .. } => "burst",
            Load::Offline { .. } => "offline",
            Load::RetryStorm { .. } => "retry_storm",
            Load::DeviceClocks { .. } => "device_clocks",
            Load::Backlog { .. } => "backlog",
        }
    }

    fn project(&self) -> Option<u32> {
        match self {
            Load::Burst { project, .. }
            | Load::Offline { project, .. }
            | Load::RetryStorm { project, .. }
            | Load::DeviceClocks { project, .. }
            | Load::Backlog { project } => *project,
        }
    }

    /// When it is, for those that are not throughout.
    fn window(&self) -> Option<(Timestamp, Span)> {
        match self {
            Load::Burst { from, lasts, .. }
            | Load::Offline { from, lasts, .. }
            | Load::RetryStorm { from, lasts, .. } => Some((*from, *lasts)),
            Load::DeviceClocks { .. } | Load::Backlog { .. } => None,
        }
    }

    fn window_ms(&self) -> Option<(i64, i64)> {
        self.window().map(|(from, lasts)| (from.0.0, from.0.0.saturating_add(millis(lasts.0))))
    }
}

/// Applies to one project what a scenario says of it.
pub(crate) fn apply(load: &[Load], law: &mut StreamLaw, manners: &mut Manners) {
    let project = law.project;
    for item in load.iter().filter(|item| item.project().is_none_or(|only| only == project)) {
        let (from_ms, to_ms) = item.window_ms().unwrap_or_default();
        match item {
            Load::Burst { times, .. } => law.bursts.push(Burst { from_ms, to_ms, times: *times }),
            Load::Offline { share_ppm, .. } => {
                law.absences.push(Absence { from_ms, to_ms, share_ppm: *share_ppm });
            }
            Load::RetryStorm { wait, .. } => {
                let wait_ms = u32::try_from(wait.0.as_millis()).unwrap_or(u32::MAX);
                manners.hurries.push(Hurry { from_ms, to_ms, wait_ms });
            }
            Load::DeviceClocks { share_ppm, by, .. } => {
                law.wrong_clocks.push(WrongClock { by_ms: by.ms(), share_ppm: *share_ppm });
            }
            Load::Backlog { .. } => manners.keeps = true,
        }
    }
}

/// What is out of the ordinary with one project, a sentence each, for people.
pub(crate) fn in_words(law: &StreamLaw, manners: &Manners) -> Vec<String> {
    let when = |from_ms: i64, to_ms: i64| {
        format!("from {} for {}", humanize::moment_ms(from_ms), humanize::span_ms(from_ms.abs_diff(to_ms)))
    };
    let percent = |ppm: u32| format!("{}.{:02}%", ppm / 10_000, ppm % 10_000 / 100);
    let mut said = Vec::new();
    said.extend(
        law.bursts.iter().map(|it| format!("{} times the events {}", it.times, when(it.from_ms, it.to_ms))),
    );
    said.extend(law.absences.iter().map(|it| {
        format!("{} of devices out of reach {}", percent(it.share_ppm), when(it.from_ms, it.to_ms))
    }));
    said.extend(
        manners
            .hurries
            .iter()
            .map(|it| format!("clients wait at most {} ms {}", it.wait_ms, when(it.from_ms, it.to_ms))),
    );
    said.extend(law.wrong_clocks.iter().map(|it| {
        let way = if it.by_ms < 0 { "behind" } else { "ahead" };
        let by = humanize::span_ms(it.by_ms.unsigned_abs());
        format!("{} of devices have clocks that are {by} {way}", percent(it.share_ppm))
    }));
    said.extend(manners.keeps.then(|| "clients keep what they cannot send".to_owned()));
    said
}

/// What no single field shows.
pub(crate) fn check(scenario: &Scenario<Topic>) -> Vec<ScenarioProblem> {
    let load = &scenario.config.load;
    let mut problems = Vec::new();
    if load.len() > MOST_ITEMS {
        let hint = format!("write at most {MOST_ITEMS}");
        problems.push(ScenarioProblem::at("/load", format!("{} kinds of load", load.len()), hint));
    }
    for (index, item) in load.iter().enumerate() {
        let at = |field: &str| format!("/load/{index}/{}/{field}", item.name());
        problems.extend(check_project(scenario, item, &at));
        problems.extend(check_window(scenario, item, &at));
        problems.extend(check_sizes(scenario, item, &at));
        let earlier = load.iter().take(index).find(|earlier| overlap(earlier, item));
        if let Some((from, lasts)) = earlier.and_then(Load::window) {
            let said = format!("a burst from {from} for {lasts} is not over then");
            let hint = "let one project's bursts follow each other, or write one with more times";
            problems.push(ScenarioProblem::at(at("from"), said, hint));
        }
    }
    problems
}

/// Two bursts of one project at one time.
fn overlap(one: &Load, other: &Load) -> bool {
    let (Load::Burst { .. }, Load::Burst { .. }) = (one, other) else { return false };
    let projects = one.project().zip(other.project());
    let is_one_project = projects.is_none_or(|(one, other)| one == other);
    let windows = one.window_ms().zip(other.window_ms());
    is_one_project && windows.is_some_and(|(one, other)| one.0 < other.1 && other.0 < one.1)
}

fn check_project(
    scenario: &Scenario<Topic>,
    item: &Load,
    at: &impl Fn(&str) -> String,
) -> Option<ScenarioProblem> {
    let count: u32 = scenario.config.tenants.iter().map(|class| class.count).fold(0, u32::saturating_add);
    let project = item.project().filter(|project| !(1..=count).contains(project))?;
    let hint = format!("write a number from 1 to {count}, or leave it out for all projects");
    Some(ScenarioProblem::at(at("project"), format!("there is no project {project}"), hint))
}

fn check_window(
    scenario: &Scenario<Topic>,
    item: &Load,
    at: &impl Fn(&str) -> String,
) -> Option<ScenarioProblem> {
    let (from, lasts) = item.window()?;
    let (start, end) = (scenario.start, scenario.end());
    if from < start || from >= end {
        let hint = format!("write an instant from {start} to before {end}");
        return Some(ScenarioProblem::at(at("from"), format!("{from} lies outside of the run"), hint));
    }
    if lasts.0 < LEAST_LASTS {
        let hint = format!("write at least {}", Span(LEAST_LASTS));
        return Some(ScenarioProblem::at(at("for"), format!("a load of {lasts}"), hint));
    }
    // Devices need some minutes to come back, or what they kept would never be sent.
    let spare_ms = if matches!(item, Load::Offline { .. }) { BACK_WITHIN_MS + 1 } else { 0 };
    let most_ms = end.0.0 - from.0.0 - spare_ms;
    if millis(lasts.0) > most_ms {
        let most = Span(Duration::from_millis(u64::try_from(most_ms).unwrap_or(0)));
        let said = format!("{lasts} from {from} is not over before the run ends");
        return Some(ScenarioProblem::at(at("for"), said, format!("write at most {most}, or begin earlier")));
    }
    None
}

fn check_sizes(
    scenario: &Scenario<Topic>,
    item: &Load,
    at: &impl Fn(&str) -> String,
) -> Option<ScenarioProblem> {
    match item {
        Load::Burst { times, .. } => {
            let most = scenario.config.tenants.iter().map(|class| class.events_per_day.1).max().unwrap_or(0);
            let events = i64::from(most) * i64::from(*times);
            (events >= MOST_BURST_EVENTS).then(|| {
                let hint = format!("keep events a day times this below {MOST_BURST_EVENTS}");
                ScenarioProblem::at(at("times"), format!("{events} events a day of one project"), hint)
            })
        }
        Load::Offline { share_ppm, .. } => check_share(*share_ppm, at),
        Load::RetryStorm { wait, .. } => {
            let is_right = (Duration::from_millis(1)..=MOST_WAIT).contains(&wait.0);
            (!is_right).then(|| {
                let hint = format!("write a time from 1ms to {}", Span(MOST_WAIT));
                ScenarioProblem::at(at("wait"), format!("clients that wait {wait}"), hint)
            })
        }
        Load::DeviceClocks { share_ppm, by, .. } => check_share(*share_ppm, at).or_else(|| {
            let by = by.span();
            let is_right = (Duration::from_secs(1)..=MOST_CLOCK_ERROR).contains(&by.0);
            (!is_right).then(|| {
                let hint = format!("write a time from 1s to {}", Span(MOST_CLOCK_ERROR));
                ScenarioProblem::at(at("by"), format!("clocks wrong by {by}"), hint)
            })
        }),
        Load::Backlog { .. } => None,
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
