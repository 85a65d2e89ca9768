//! Workload specification of a project: small, part of the plan, and with the seed all that determines the stream's
//! events.
//!
//! Shares are in parts per million of the stream's events, times in milliseconds.

use super::ranges::{intersect, merge_ranges};
use serde::{Deserialize, Serialize};
use std::ops::Range;

/// One minute in milliseconds.
pub const MINUTE_MS: i64 = 60_000;
/// One hour in milliseconds.
pub const HOUR_MS: i64 = 60 * MINUTE_MS;
/// Age at arrival from which an event is late.
pub const LATE_MS: i64 = 2 * HOUR_MS;
/// Age from which an event is sent by import. `/track` accepts 5 days; one day is left for retries.
pub(super) const TRACK_AGE_MS: i64 = 4 * 24 * HOUR_MS;
/// Maximum time in which devices return after an offline window.
pub const BACK_WITHIN_MS: i64 = 5 * MINUTE_MS;
/// Maximum number of events of a day with a burst.
pub const MAX_BURST_EVENTS: i64 = 1 << 24;

/// Specification of the requests of one project's clients.
///
/// Event `k` is event `k % stride` of day `days.start + k / stride`, where the stride is [`WorkloadSpec::stride`]. Days
/// with fewer events than the stride leave the remaining indices unused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WorkloadSpec {
    /// Number of the project.
    pub project: u32,
    /// Token of the project, in `properties.token` of every event.
    pub token: String,
    /// User name of Basic auth on imports.
    pub secret: String,
    /// Events per day, minimum and maximum; each day draws its own number.
    pub events_per_day: (u32, u32),
    /// Number of send times per day; times without an event send nothing.
    pub requests_per_day: u32,
    /// Number of distinct people.
    pub users: u32,
    /// Lateness of events.
    pub late: LatenessSpec,
    /// Share of events whose device clock is ahead by up to 50 minutes, which is legal; only in imports.
    pub ahead_ppm: u32,
    /// Share of events whose time is on a border that the system knows, or next to it: a midnight, the borders of late
    /// and too old events, the greatest lead of a clock.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub border_ppm: u32,
    /// Share of events that are sent again under the same `$insert_id`, with the same text except for white space.
    pub resend_ppm: u32,
    /// Time between the two sendings, minimum and maximum; an event 4 days old is not sent again.
    pub resend_after_ms: (i64, i64),
    /// Share of events without `$insert_id`.
    pub no_insert_id_ppm: u32,
    /// Share of events that share person and `$insert_id` with the previous event, under another name.
    pub shared_insert_id_ppm: u32,
    /// Share of events without `time`.
    pub no_time_ppm: u32,
    /// Share of invalid events, each with one [`Defect`].
    pub invalid_ppm: u32,
    /// Share of legal events of 200 to 900 kB, each in a request of its own.
    pub huge_ppm: u32,
    /// Size of an ordinary event's JSON without white space, in bytes: minimum and maximum. The smallest possible
    /// size is about 150.
    pub event_bytes: (u32, u32),
    /// Mix of request formats.
    pub api: RequestMix,
    /// Bursts of additional events.
    pub bursts: Vec<Burst>,
    /// Windows in which devices are offline.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub offline_windows: Vec<OfflineWindow>,
    /// Errors of device clocks.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub clock_skews: Vec<ClockSkew>,
    /// Time from which the customer sends nothing more, in milliseconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub silent_from_ms: Option<i64>,
    /// Event indices that remain in a shrunk case; empty: all.
    pub kept_indices: Vec<Range<u64>>,
}

/// Keeps plans without events on borders as they were written before there were any.
fn is_zero(share_ppm: &u32) -> bool {
    *share_ppm == 0
}

/// Late events: those that arrive 2 h or more after their time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LatenessSpec {
    /// Share of late events.
    pub share_ppm: u32,
    /// Share of the late events that are sent before their local day ends, so that the nightly job finds a late tier.
    pub same_day_ppm: u32,
    /// Lateness of these events and of those sent in the following days, minimum and maximum.
    pub by_ms: (i64, i64),
    /// Share of the late events that are sent after [`LatenessSpec::long_by_ms`]. Those over 4 days old are sent by
    /// import only, because `/track` accepts 5 days.
    pub long_ppm: u32,
    /// Lateness of devices that return after days, minimum and maximum.
    pub long_by_ms: (i64, i64),
}

/// Relative weights of the request formats.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RequestMix {
    /// `POST /track`, raw JSON.
    pub track_raw: u32,
    /// `POST /track`, form with `data=`: base64 (percent-encoded or bare), or JSON.
    pub track_form: u32,
    /// `GET /track?data=`; a request too long for a URL uses the form instead.
    pub track_get: u32,
    /// `POST /import`, JSON array.
    pub import_json: u32,
    /// `POST /import`, newline-delimited JSON.
    pub import_ndjson: u32,
    /// Share of the imports that are compressed with gzip; every fourth of them in two members.
    pub gzip_ppm: u32,
}

/// A time with additional events, at additional send times, on time, and sent once each. The usual events do not
/// change. Bursts of a stream must not overlap.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Burst {
    /// Start, in milliseconds since 1970.
    pub from_ms: i64,
    /// End, in milliseconds since 1970.
    pub to_ms: i64,
    /// Factor on the usual number of events.
    pub times: u32,
}

/// A time in which some devices cannot send. They keep their events and send them when it ends, each device within
/// [`BACK_WITHIN_MS`] and all at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OfflineWindow {
    /// Start, in milliseconds since 1970.
    pub from_ms: i64,
    /// End, in milliseconds since 1970.
    pub to_ms: i64,
    /// Share of the project's devices, one per person.
    pub share_ppm: u32,
}

/// Error of some devices' clocks, constant during the run; their event times have the same error.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClockSkew {
    /// Lead of the clocks, in milliseconds; negative: they are behind.
    pub by_ms: i64,
    /// Share of the project's devices, one per person.
    pub share_ppm: u32,
}

/// Defect for which an event must be rejected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Defect {
    /// Missing member `event`.
    MissingName,
    /// A time in 1970, from a device whose clock lost its battery: before 1971, and older than 5 days.
    OldTime,
    /// A time from two hours to a year ahead; only in imports.
    FutureTime,
    /// `$insert_id` of more than 36 characters.
    LongInsertId,
    /// `$insert_id` with characters outside of `[A-Za-z0-9-]`.
    WrongInsertId,
    /// Objects nested six deep.
    TooDeep,
    /// 300 properties.
    TooManyProperties,
}

impl Defect {
    /// Returns true if the defect is in the event's time, so that the arrival time decides whether the API accepts
    /// it.
    #[must_use]
    pub const fn is_of_time(self) -> bool {
        matches!(self, Defect::OldTime | Defect::FutureTime)
    }
}

/// An invalid workload specification.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WorkloadSpecError {
    /// A range that is reversed or out of bounds.
    #[error("stream of project {project}: {field} is {from}..={to}; give minimum and maximum, {hint}")]
    Range {
        /// Number of the project.
        project: u32,
        /// Name of the field.
        field: &'static str,
        /// Lower end of the range.
        from: i64,
        /// Upper end of the range.
        to: i64,
        /// Allowed values.
        hint: &'static str,
    },
    /// A field is zero and must not be.
    #[error("stream of project {project}: {field} is 0; give at least 1")]
    Zero {
        /// Number of the project.
        project: u32,
        /// Name of the field.
        field: &'static str,
    },
    /// A share above 1,000,000 parts per million.
    #[error("stream of project {project}: {field} is {ppm} parts per million; give at most 1000000")]
    Share {
        /// Number of the project.
        project: u32,
        /// Name of the field.
        field: &'static str,
        /// Value of the field.
        ppm: u32,
    },
    /// Events too old for `/track`, and no weight for imports.
    #[error(
        "stream of project {project}: late events of up to {by_ms} ms are sent by import; give the import a weight"
    )]
    NoImport {
        /// Number of the project.
        project: u32,
        /// Maximum lateness, in milliseconds.
        by_ms: i64,
    },
}

/// Name of a field, its range, the bounds of both ends, and these in words.
type BoundedRange = (&'static str, (i64, i64), (i64, i64), &'static str);

impl WorkloadSpec {
    /// Returns the number of indices per day: the maximum number of events, without bursts.
    #[must_use]
    pub fn stride(&self) -> u64 {
        u64::from(self.events_per_day.1)
    }

    /// Returns all indices of `days` days, the start of shrinking. Burst events have other indices and are kept with
    /// base events.
    #[must_use]
    pub fn indices(&self, days: u32) -> Range<u64> {
        0..self.stride() * u64::from(days)
    }

    /// Restricts the kept indices to these ranges, which must be in order.
    pub(crate) fn keep_only(&mut self, ranges: &[Range<u64>]) {
        let before = merge_ranges(&self.kept_indices);
        self.kept_indices = ranges.iter().flat_map(|range| intersect(&before, range.clone())).collect();
        if self.kept_indices.is_empty() {
            // An empty list would keep everything.
            self.kept_indices.push(0..0);
        }
    }

    /// Checks the specification.
    ///
    /// # Errors
    /// Returns the first invalid field.
    pub fn check(&self) -> Result<(), WorkloadSpecError> {
        let project = self.project;
        for (field, ppm) in self.shares() {
            if ppm > 1_000_000 {
                return Err(WorkloadSpecError::Share { project, field, ppm });
            }
        }
        for (field, (from, to), (min, max), hint) in self.ranges().into_iter().chain(self.windows()) {
            if from > to || from < min || to > max {
                return Err(WorkloadSpecError::Range { project, field, from, to, hint });
            }
        }
        let counts =
            [("requests_per_day", self.requests_per_day), ("users", self.users), ("api", self.api.total())];
        if let Some((field, _)) = counts.into_iter().find(|(_, count)| *count == 0) {
            return Err(WorkloadSpecError::Zero { project, field });
        }
        let by_ms =
            if self.late.share_ppm > 0 && self.late.long_ppm > 0 { self.late.long_by_ms.1 } else { 0 };
        if by_ms > TRACK_AGE_MS && self.api.import_json + self.api.import_ndjson == 0 {
            return Err(WorkloadSpecError::NoImport { project, by_ms });
        }
        Ok(())
    }

    fn shares(&self) -> impl Iterator<Item = (&'static str, u32)> {
        let offline_windows =
            self.offline_windows.iter().map(|absence| ("offline_windows.share_ppm", absence.share_ppm));
        let clocks = self.clock_skews.iter().map(|clock| ("clock_skews.share_ppm", clock.share_ppm));
        let always = [
            ("late.share_ppm", self.late.share_ppm),
            ("late.same_day_ppm + late.long_ppm", self.late.same_day_ppm.saturating_add(self.late.long_ppm)),
            ("ahead_ppm", self.ahead_ppm),
            ("border_ppm", self.border_ppm),
            ("resend_ppm", self.resend_ppm),
            ("no_insert_id_ppm", self.no_insert_id_ppm),
            ("shared_insert_id_ppm", self.shared_insert_id_ppm),
            ("no_time_ppm", self.no_time_ppm),
            ("invalid_ppm", self.invalid_ppm),
            ("huge_ppm", self.huge_ppm),
            ("api.gzip_ppm", self.api.gzip_ppm),
        ];
        always.into_iter().chain(offline_windows).chain(clocks)
    }

    fn windows(&self) -> impl Iterator<Item = BoundedRange> {
        const ANY: (i64, i64) = (i64::MIN, i64::MAX);
        let offline_windows = self
            .offline_windows
            .iter()
            .map(|it| ("offline_windows", (it.from_ms, it.to_ms), ANY, "in milliseconds"));
        let bursts = self.bursts.iter().enumerate().flat_map(|(nth, it)| {
            // The next burst must not start before this one ends.
            let later = self.bursts.iter().enumerate().filter(move |(other, _)| *other != nth);
            let next_ms =
                later.map(|(_, other)| other.from_ms).filter(|from_ms| *from_ms >= it.from_ms).min();
            let bounds = (i64::MIN, next_ms.unwrap_or(i64::MAX));
            let max = i64::from(self.events_per_day.1) * i64::from(it.times);
            [
                ("bursts", (it.from_ms, it.to_ms), bounds, "over before the next one begins"),
                ("bursts.times", (1, i64::from(it.times)), (1, i64::MAX), "at least 1"),
                ("bursts: events a day", (0, max), (0, MAX_BURST_EVENTS - 1), "at most 16777215"),
                ("bursts: length", (MINUTE_MS, it.to_ms - it.from_ms), ANY, "at least a minute"),
            ]
        });
        offline_windows.chain(bursts)
    }

    fn ranges(&self) -> [BoundedRange; 6] {
        const DAY_MS: i64 = 24 * HOUR_MS;
        let wide = |(from, to): (u32, u32)| (i64::from(from), i64::from(to));
        [
            ("events_per_day", wide(self.events_per_day), (0, 1_000_000), "at most 1000000"),
            ("requests_per_day", wide((0, self.requests_per_day)), (0, 86_400), "at most one a second"),
            ("event_bytes", wide(self.event_bytes), (0, 100_000), "at most 100000"),
            (
                "late.by_ms",
                self.late.by_ms,
                (LATE_MS, 4 * DAY_MS),
                "from 2 h (earlier is not late) to 4 days",
            ),
            ("late.long_by_ms", self.late.long_by_ms, (LATE_MS, 30 * DAY_MS), "from 2 h to 30 days"),
            ("resend_after_ms", self.resend_after_ms, (0, 4 * DAY_MS), "at most 4 days"),
        ]
    }
}

impl RequestMix {
    fn total(&self) -> u32 {
        [self.track_raw, self.track_form, self.track_get, self.import_json, self.import_ndjson]
            .into_iter()
            .fold(0, u32::saturating_add)
    }
}
