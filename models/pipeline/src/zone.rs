//! Calendar day of an event: its time in the project's zone, as of the time it was received.
//!
//! Days are numbered from 1970-01-01. They are 23, 24 or 25 hours long, occasionally something in between. A change of
//! the zone may put two midnights further apart.
//!
//! Not modelled: a change that a node learns of after it applies. Nodes boot with the whole history, later changes
//! included.

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};
use latent_ports::UnixMs;

/// Calendar day, counted from 1970-01-01 (which is 0).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
pub struct Day(pub i32);

const EPOCH: Date = jiff::civil::date(1970, 1, 1);

impl Day {
    /// Returns the calendar date. Days outside of the years -9999 to 9999 are clamped.
    #[must_use]
    pub fn date(self) -> Date {
        EPOCH.saturating_add(i64::from(self.0).clamp(-4_371_587, 2_932_896).days())
    }

    /// Returns the day of a calendar date.
    #[must_use]
    pub fn of(date: Date) -> Day {
        Day(date.duration_since(EPOCH).as_hours().div_euclid(24) as i32)
    }

    /// Parses `2016-02-22`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Day> {
        text.parse::<Date>().ok().map(Day::of)
    }
}

impl std::fmt::Display for Day {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.date())
    }
}

/// Error for a zone that is not in the database.
#[derive(Debug, thiserror::Error)]
#[error("unknown time zone '{0}': use a name of the IANA database, such as America/Los_Angeles")]
pub struct UnknownZone(pub String);

/// Time zones of a project, each with its start. Encoded as pairs of start (ms) and name.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(try_from = "Vec<(i64, String)>", into = "Vec<(i64, String)>")]
pub struct ZoneHistory {
    // Sorted by start; the first entry also applies to earlier times.
    changes: Vec<(UnixMs, TimeZone)>,
}

impl ZoneHistory {
    /// Creates the history of a project with a single zone.
    ///
    /// # Errors
    /// The zone is unknown.
    pub fn constant(name: &str) -> Result<Self, UnknownZone> {
        Ok(ZoneHistory { changes: vec![(UnixMs(i64::MIN), named(name)?)] })
    }

    /// Adds zone `name` from `since` on.
    ///
    /// # Errors
    /// The zone is unknown.
    pub fn then(mut self, since: UnixMs, name: &str) -> Result<Self, UnknownZone> {
        self.changes.push((since, named(name)?));
        self.changes.sort_by_key(|(since, _)| *since);
        Ok(self)
    }

    fn at(&self, moment: UnixMs) -> &TimeZone {
        let after = self.changes.partition_point(|(since, _)| *since <= moment);
        &self.changes[after.saturating_sub(1)].1
    }

    /// Returns the day of an event with time `event`, received at `received`.
    #[must_use]
    pub fn day(&self, event: UnixMs, received: UnixMs) -> Day {
        Day::of(timestamp(event).to_zoned(self.at(received).clone()).date())
    }

    /// Returns the start of `day` in the zone in force at `seen_from`.
    #[must_use]
    pub fn begins(&self, day: Day, seen_from: UnixMs) -> UnixMs {
        let begin = day.date().to_zoned(self.at(seen_from).clone());
        // Only the last representable days have no start.
        begin.map_or(UnixMs(i64::MAX), |zoned| UnixMs(zoned.timestamp().as_millisecond()))
    }

    /// Returns the first midnight after `now`: the end of the day of `now`. If the zone changes before, it is the first
    /// midnight of the new zone.
    #[must_use]
    pub fn next_midnight(&self, now: UnixMs) -> UnixMs {
        let today = self.day(now, now);
        let tomorrow = self.begins(Day(today.0 + 1), now);
        let next = if tomorrow > now { tomorrow } else { self.begins(Day(today.0 + 2), now) };
        let mut changes = self.changes.iter().map(|(since, _)| *since);
        match changes.find(|since| now < *since && *since < next) {
            Some(change) => self.next_midnight(change),
            None => next,
        }
    }
}

impl TryFrom<Vec<(i64, String)>> for ZoneHistory {
    type Error = UnknownZone;

    fn try_from(changes: Vec<(i64, String)>) -> Result<Self, UnknownZone> {
        let changes = changes.into_iter().map(|(since, name)| Ok((UnixMs(since), named(&name)?)));
        let changes = changes.collect::<Result<Vec<_>, _>>()?;
        // A history has a zone at any time.
        if changes.is_empty() { Err(UnknownZone(String::new())) } else { Ok(ZoneHistory { changes }) }
    }
}

impl From<ZoneHistory> for Vec<(i64, String)> {
    fn from(zones: ZoneHistory) -> Self {
        let name = |zone: TimeZone| zone.iana_name().unwrap_or_default().to_owned();
        zones.changes.into_iter().map(|(since, zone)| (since.0, name(zone))).collect()
    }
}

fn named(name: &str) -> Result<TimeZone, UnknownZone> {
    TimeZone::get(name).map_err(|_| UnknownZone(name.to_owned()))
}

fn timestamp(at: UnixMs) -> Timestamp {
    let clamped = at.0.clamp(Timestamp::MIN.as_millisecond() + 1, Timestamp::MAX.as_millisecond() - 1);
    Timestamp::from_millisecond(clamped).unwrap_or(Timestamp::UNIX_EPOCH)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> UnixMs {
        UnixMs(text.parse::<Timestamp>().unwrap().as_millisecond())
    }

    #[test]
    fn the_day_of_an_instant_depends_on_the_zone() {
        let moment = at("2016-02-23T08:00:00Z");
        assert_eq!(
            ZoneHistory::constant("America/Los_Angeles").unwrap().day(moment, moment).to_string(),
            "2016-02-23"
        );
        assert_eq!(
            ZoneHistory::constant("Pacific/Auckland").unwrap().day(moment, moment).to_string(),
            "2016-02-23"
        );
        assert_eq!(
            ZoneHistory::constant("Asia/Kathmandu").unwrap().next_midnight(moment),
            at("2016-02-23T18:15:00Z")
        );
        assert_eq!(
            ZoneHistory::constant("America/Los_Angeles").unwrap().next_midnight(moment),
            at("2016-02-24T08:00:00Z")
        );
    }

    #[test]
    fn a_zone_change_does_not_affect_earlier_events() {
        let zones =
            ZoneHistory::constant("UTC").unwrap().then(at("2016-02-22T00:00:00Z"), "Asia/Tokyo").unwrap();
        let event = at("2016-02-21T20:00:00Z");
        assert_eq!(zones.day(event, at("2016-02-21T21:00:00Z")).to_string(), "2016-02-21");
        assert_eq!(zones.day(event, at("2016-02-22T01:00:00Z")).to_string(), "2016-02-22");
    }

    #[test]
    fn the_next_midnight_is_that_of_a_zone_that_applies_before_it() {
        let edit = at("2016-02-22T20:00:00Z");
        let zones = ZoneHistory::constant("UTC").unwrap().then(edit, "America/Los_Angeles").unwrap();
        assert_eq!(zones.next_midnight(at("2016-02-22T12:00:00Z")), at("2016-02-23T08:00:00Z"));
        assert_eq!(zones.next_midnight(at("2016-02-21T12:00:00Z")), at("2016-02-22T00:00:00Z"));
        let zones = ZoneHistory::constant("UTC").unwrap().then(edit, "Europe/Berlin").unwrap();
        assert_eq!(zones.next_midnight(at("2016-02-22T12:00:00Z")), at("2016-02-22T23:00:00Z"));
    }

    #[test]
    fn midnights_are_23_hours_apart_at_a_dst_change() {
        let zones = ZoneHistory::constant("America/New_York").unwrap();
        let first = zones.next_midnight(at("2016-03-12T12:00:00Z"));
        assert_eq!(zones.next_midnight(first).since(first), std::time::Duration::from_secs(23 * 3600));
    }

    #[test]
    fn days_round_trip_through_dates() {
        for day in [-800_000, -1, 0, 1, 16_853, 40_000] {
            assert_eq!(Day::parse(&Day(day).to_string()), Some(Day(day)));
        }
        assert_eq!(Day(16_853).to_string(), "2016-02-22");
    }
}
