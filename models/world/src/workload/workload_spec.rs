//! The law of a client's stream: small, written down in the plan, and all that decides the stream's events
//! besides the seed.
//!
//! Shares are in parts per million of the stream's events, times in milliseconds.

use super::stream::{indices, merged};
use serde::{Deserialize, Serialize};
use std::ops::Range;

/// One minute in milliseconds.
pub const MINUTE_MS: i64 = 60_000;
/// One hour in milliseconds.
pub const HOUR_MS: i64 = 60 * MINUTE_MS;
/// From this age at arrival on an event is late.
pub const LATE_MS: i64 = 2 * HOUR_MS;
/// Devices are back so soon after an absence.
pub const BACK_WITHIN_MS: i64 = 5 * MINUTE_MS;
/// A burst may bring a day to so many events.
pub const MAX_BURST_EVENTS: i64 = 1 << 24;

/// What one project's clients send.
///
/// Event `k` is event `k % stride` of day `days.start + k / stride`, where the stride is [`WorkloadSpec::stride`]. Days
/// with fewer events than the stride leave the indices behind them unused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WorkloadSpec {
    /// The project's number.
    pub project: u32,
    /// The project's token, in `properties.token` of every event.
    pub token: String,
    /// User name of Basic auth on imports.
    pub secret: String,
    /// How many events a day has, least and most; each day draws its own.
    pub events_per_day: (u32, u32),
    /// At how many moments of a day clients send; moments without an event send nothing.
    pub requests_per_day: u32,
    /// How many different people there are.
    pub users: u32,
    /// Late events.
    pub late: LatenessSpec,
    /// Events whose device clock is ahead by up to 50 minutes, which is still legal; only in imports.
    pub ahead_ppm: u32,
    /// Events that are sent a second time under the same `$insert_id`: the same text, but for its layout.
    pub resend_ppm: u32,
    /// How long after the first time they are sent again: least and most. Never when older than 4 days by then.
    pub resend_after_ms: (i64, i64),
    /// Events without `$insert_id`.
    pub no_insert_id_ppm: u32,
    /// Events that share person and `$insert_id` with the event before them, under another name.
    pub shared_insert_id_ppm: u32,
    /// Events without `time`.
    pub no_time_ppm: u32,
    /// Events that must be rejected, each for one reason of [`Defect`].
    pub invalid_ppm: u32,
    /// Legal events of 200 to 900 kB, each in a request of its own.
    pub huge_ppm: u32,
    /// Size of an ordinary event's JSON in bytes, white space aside: least and most. The least possible is about 150.
    pub event_bytes: (u32, u32),
    /// How requests travel.
    pub api: RequestMix,
    /// Times with more events than usual.
    pub bursts: Vec<Burst>,
    /// Times in which devices are out of reach.
    #[serde(rename = "absences", default, skip_serializing_if = "Vec::is_empty")]
    pub offline_windows: Vec<OfflineWindow>,
    /// Devices whose clocks are wrong.
    #[serde(rename = "wrong_clocks", default, skip_serializing_if = "Vec::is_empty")]
    pub clock_skews: Vec<ClockSkew>,
    /// Event indices that are left, to make a case smaller; empty: all.
    #[serde(rename = "kept")]
    pub kept_indices: Vec<Range<u64>>,
}

/// Which events come in late, and how late: 2 h or more after their time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LatenessSpec {
    /// The share of late events.
    pub share_ppm: u32,
    /// Of these: sent before the local day of their time ends, so that the day's late tier is there when the
    /// nightly job runs.
    pub same_day_ppm: u32,
    /// How late these, and those of the following days, are sent: least and most.
    pub by_ms: (i64, i64),
    /// Of the late ones: sent after [`LatenessSpec::long_by_ms`]. Those over 4 days old travel by import alone, for `/track`
    /// takes 5 days.
    pub long_ppm: u32,
    /// Devices that come back after days: least and most.
    pub long_by_ms: (i64, i64),
}

/// Relative weights of the ways in which a request travels.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RequestMix {
    /// `POST /track`, raw JSON.
    pub track_raw: u32,
    /// `POST /track`, form with `data=`: base64 (percent-encoded or bare), or JSON.
    pub track_form: u32,
    /// `GET /track?data=`; a request too long for an address falls back to the form.
    pub track_get: u32,
    /// `POST /import`, JSON array.
    pub import_json: u32,
    /// `POST /import`, one event a line.
    pub import_ndjson: u32,
    /// The share of imports that is gzipped; every fourth of them in two members.
    pub gzip_ppm: u32,
}

/// A time with more events than usual: what is more are events of their own, sent in moments of their own, on time,
/// and each once. The usual ones stay as they are. Two bursts of a stream may not overlap.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Burst {
    /// When it begins, in milliseconds since 1970.
    pub from_ms: i64,
    /// When it is over, in milliseconds since 1970.
    pub to_ms: i64,
    /// How many times the usual number.
    pub times: u32,
}

/// A time in which some devices cannot send. They keep what they would have sent, and send it when it is over, each
/// within [`BACK_WITHIN_MS`] and all of it at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OfflineWindow {
    /// When it begins, in milliseconds since 1970.
    pub from_ms: i64,
    /// When it is over, in milliseconds since 1970.
    pub to_ms: i64,
    /// The share of the project's devices: one to a person.
    pub share_ppm: u32,
}

/// Devices whose clocks are wrong, always by as much: what they tell of an event's time is wrong by it too.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClockSkew {
    /// How far they are ahead, in milliseconds; behind, if negative.
    pub by_ms: i64,
    /// The share of the project's devices: one to a person.
    pub share_ppm: u32,
}

/// Why an event must be rejected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Defect {
    /// No member `event`.
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
    /// It lies in the event's time alone, so that whether the API takes the event depends on when it comes in.
    #[must_use]
    pub const fn is_of_time(self) -> bool {
        matches!(self, Defect::OldTime | Defect::FutureTime)
    }
}

/// A law that no stream can follow.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WorkloadSpecError {
    /// A range whose ends are the wrong way round, or out of bounds.
    #[error("stream of project {project}: {field} is {from}..={to}; give least and most, {hint}")]
    Range {
        /// The project.
        project: u32,
        /// The field.
        field: &'static str,
        /// Its lower end.
        from: i64,
        /// Its upper end.
        to: i64,
        /// What is allowed.
        hint: &'static str,
    },
    /// Something that must not be zero is.
    #[error("stream of project {project}: {field} is 0; give at least 1")]
    Zero {
        /// The project.
        project: u32,
        /// The field.
        field: &'static str,
    },
    /// A share above one.
    #[error("stream of project {project}: {field} is {ppm} parts per million; give at most 1000000")]
    Share {
        /// The project.
        project: u32,
        /// The field.
        field: &'static str,
        /// Its value.
        ppm: u32,
    },
    /// Events too old for `/track`, and no import to take them.
    #[error(
        "stream of project {project}: late events of up to {by_ms} ms travel by import; give the import a weight"
    )]
    NoImport {
        /// The project.
        project: u32,
        /// The latest.
        by_ms: i64,
    },
}

/// A field, its range, the bounds of both ends, and these in words.
type BoundedRange = (&'static str, (i64, i64), (i64, i64), &'static str);

impl WorkloadSpec {
    /// How many indices a day takes: the most events that any day can have, bursts aside.
    #[must_use]
    pub fn stride(&self) -> u64 {
        u64::from(self.events_per_day.1)
    }

    /// All indices that events of `days` days can have: what shrinking starts from. Events of bursts have others, and
    /// are kept with usual ones.
    #[must_use]
    pub fn indices(&self, days: u32) -> Range<u64> {
        0..self.stride() * u64::from(days)
    }

    /// Keeps of what is kept only these ranges, which must be in order.
    pub(crate) fn keep_only(&mut self, ranges: &[Range<u64>]) {
        let before = merged(&self.kept_indices);
        self.kept_indices = ranges.iter().flat_map(|range| indices(&before, range.clone())).collect();
        if self.kept_indices.is_empty() {
            // No ranges at all would keep everything.
            self.kept_indices.push(0..0);
        }
    }

    /// Checks that a stream can follow the law.
    ///
    /// # Errors
    /// Names the first field that is wrong.
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
        if by_ms > super::placement::TRACK_AGE_MS && self.api.import_json + self.api.import_ndjson == 0 {
            return Err(WorkloadSpecError::NoImport { project, by_ms });
        }
        Ok(())
    }

    fn shares(&self) -> impl Iterator<Item = (&'static str, u32)> {
        let offline_windows =
            self.offline_windows.iter().map(|absence| ("absences.share_ppm", absence.share_ppm));
        let clocks = self.clock_skews.iter().map(|clock| ("wrong_clocks.share_ppm", clock.share_ppm));
        let always = [
            ("late.share_ppm", self.late.share_ppm),
            ("late.same_day_ppm + late.long_ppm", self.late.same_day_ppm.saturating_add(self.late.long_ppm)),
            ("ahead_ppm", self.ahead_ppm),
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
            .map(|it| ("absences", (it.from_ms, it.to_ms), ANY, "in milliseconds"));
        let bursts = self.bursts.iter().enumerate().flat_map(|(nth, it)| {
            // The one that begins next may not do so before this one is over.
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
