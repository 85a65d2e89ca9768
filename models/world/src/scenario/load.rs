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
//! - **Silence**: a customer that sends nothing more. What it sent last must become safe by itself: no later request
//!   carries an old one along.
//!
//! Each person has one device; one client sends for a project. The affected devices are drawn by person. Not
//! modelled: clients that detect the outage and slow down, devices that lose what they keep.
//!
//! Sources: Google's "Site Reliability Engineering" (2016), chapter 22, on impatient clients that multiply the load
//! of a slow service; Mixpanel's documentation of its mobile libraries, on events that are queued until there is a
//! network. Sizes (10 to 40 times, minutes to years) are accelerated, as all rates here.

use latent_engine::{Span, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::time::Duration;
use strum::IntoStaticStr;

/// A load pattern. Without a `project` it applies to the clients of all projects.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema, IntoStaticStr)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
#[strum(serialize_all = "snake_case")]
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
    /// Customers that send nothing more; requests that were sent before are still repeated.
    Silence {
        /// Start time.
        from: Timestamp,
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
    pub(crate) fn span(self) -> Span {
        let (ClockError::Ahead(span) | ClockError::Behind(span)) = self;
        span
    }

    pub(crate) fn ms(self) -> i64 {
        match self {
            ClockError::Ahead(Span(by)) => millis(by),
            ClockError::Behind(Span(by)) => -millis(by),
        }
    }
}

fn default_wait() -> Span {
    Span(Duration::from_millis(15))
}

pub(crate) fn millis(span: Duration) -> i64 {
    i64::try_from(span.as_millis()).unwrap_or(i64::MAX / 4)
}

impl LoadPattern {
    pub(crate) fn name(&self) -> &'static str {
        self.into()
    }

    pub(crate) fn project(&self) -> Option<u32> {
        match self {
            LoadPattern::Burst { project, .. }
            | LoadPattern::Offline { project, .. }
            | LoadPattern::RetryStorm { project, .. }
            | LoadPattern::DeviceClocks { project, .. }
            | LoadPattern::Silence { project, .. }
            | LoadPattern::Backlog { project } => *project,
        }
    }

    /// Returns the start, for patterns that do not last the whole run.
    pub(crate) fn from(&self) -> Option<Timestamp> {
        match self {
            LoadPattern::Silence { from, .. } => Some(*from),
            other => other.window().map(|(from, _)| from),
        }
    }

    /// Returns start and duration, for patterns that end before the run does.
    pub(crate) fn window(&self) -> Option<(Timestamp, Span)> {
        match self {
            LoadPattern::Burst { from, duration, .. }
            | LoadPattern::Offline { from, duration, .. }
            | LoadPattern::RetryStorm { from, duration, .. } => Some((*from, *duration)),
            LoadPattern::DeviceClocks { .. } | LoadPattern::Silence { .. } | LoadPattern::Backlog { .. } => {
                None
            }
        }
    }

    pub(crate) fn window_ms(&self) -> Option<(i64, i64)> {
        self.window().map(|(from, duration)| (from.0.0, from.0.0.saturating_add(millis(duration.0))))
    }
}
