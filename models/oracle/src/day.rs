//! Calendar days in the projects' time zones, computed with chrono-tz independently of the system under test.
//!
//! An event's day is its time in the project's zone, using the zone in force when the event arrived. A client knows
//! when it sent a request and when it got the answer, but not when the edge received it. Where that matters (an event
//! without a time near midnight, a zone edited meanwhile), several days are valid.

use chrono::{DateTime, Datelike, NaiveDate, Offset, TimeZone};
use chrono_tz::Tz;
use std::collections::BTreeMap;

/// `num_days_from_ce` of 1970-01-01.
const EPOCH_DAY: i32 = 719_163;

/// An error in computing a local day.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ZoneError {
    /// The zone is not in the zone database.
    #[error("unknown time zone '{0}': use a name of the IANA database such as 'America/Los_Angeles'")]
    UnknownZone(String),
    /// The instant is outside the calendar (about 262,000 years either way).
    #[error("{0} ms since 1970 is outside the calendar")]
    OutOfRange(i64),
    /// The project has no zone.
    #[error("project {0} has no zone: give the ledger its zone history first")]
    UnknownProject(u32),
}

/// Returns the calendar day in `zone` at `unix_ms`, counted from 1970-01-01.
///
/// # Errors
/// An unknown zone name, or an instant outside the calendar.
pub fn local_day(zone: &str, unix_ms: i64) -> Result<i32, ZoneError> {
    day_in(parse_zone(zone)?, unix_ms)
}

fn parse_zone(zone: &str) -> Result<Tz, ZoneError> {
    zone.parse().map_err(|_| ZoneError::UnknownZone(zone.to_owned()))
}

fn day_in(zone: Tz, unix_ms: i64) -> Result<i32, ZoneError> {
    let utc = DateTime::from_timestamp_millis(unix_ms).ok_or(ZoneError::OutOfRange(unix_ms))?.naive_utc();
    let offset_s = zone.offset_from_utc_datetime(&utc).fix().local_minus_utc();
    let local_ms = unix_ms.saturating_add(i64::from(offset_s) * 1000);
    i32::try_from(local_ms.div_euclid(86_400_000)).map_err(|_| ZoneError::OutOfRange(unix_ms))
}

/// The label under which a violation names the local day.
pub const DAY_LABEL: &str = "day";

/// Formats day 16853 as `2016-02-22`.
#[must_use]
pub fn format_day(day: i32) -> String {
    match day.checked_add(EPOCH_DAY).and_then(NaiveDate::from_num_days_from_ce_opt) {
        // `NaiveDate::to_string` avoids parsing a format string on every call.
        Some(date) => date.to_string(),
        None => format!("day {day}"),
    }
}

/// Formats 1456124400000 ms since 1970 as `2016-02-22 07:00:00Z`.
#[must_use]
pub(crate) fn format_utc(unix_ms: i64) -> String {
    match DateTime::from_timestamp_millis(unix_ms) {
        Some(time) => time.format("%Y-%m-%d %H:%M:%SZ").to_string(),
        None => format!("{unix_ms} ms since 1970"),
    }
}

/// Parses a day written exactly as `2016-02-22`.
#[must_use]
pub fn parse_day(text: &str) -> Option<i32> {
    let date: NaiveDate = text.parse().ok()?;
    let day = date.num_days_from_ce() - EPOCH_DAY;
    (format_day(day) == text).then_some(day)
}

/// Zone history of each project.
#[derive(Clone, Debug, Default)]
pub struct ProjectZones {
    history: BTreeMap<u32, Vec<(i64, Tz)>>,
}

impl ProjectZones {
    /// Sets the zone of `project` from `since_ms` on. The first zone of a project also applies to all earlier times.
    /// Record an edit before the first request that it can affect is sent.
    ///
    /// # Errors
    /// An unknown zone name.
    pub fn set(&mut self, project: u32, since_ms: i64, zone: &str) -> Result<(), ZoneError> {
        let zone = parse_zone(zone)?;
        let history = self.history.entry(project).or_default();
        let at = history.partition_point(|(since, _)| *since <= since_ms);
        history.insert(at, (since_ms, zone));
        Ok(())
    }

    /// Returns the day of an event of `project` with time `time_ms` that was received at `received_ms`.
    ///
    /// # Errors
    /// A project without zones, or a time outside the calendar.
    pub fn day(&self, project: u32, time_ms: i64, received_ms: i64) -> Result<i32, ZoneError> {
        day_in(self.zone_at(project, received_ms)?, time_ms)
    }

    /// Returns the first and the last valid day of an event that arrived at an unknown time within `from_ms ..=
    /// to_ms`. Without `time_ms` the arrival is the event's time.
    ///
    /// # Errors
    /// A project without zones, or a time outside the calendar.
    pub fn days_within(
        &self,
        project: u32,
        time_ms: Option<i64>,
        from_ms: i64,
        to_ms: i64,
    ) -> Result<(i32, i32), ZoneError> {
        let (first, last) = self.zones_within(project, from_ms, to_ms)?;
        let zones = &self.history[&project][first..=last];
        // The common case (the event has a time, and one zone is in force) needs one conversion.
        if let (Some(time_ms), [(_, zone)]) = (time_ms, zones) {
            return day_in(*zone, time_ms).map(|day| (day, day));
        }
        let mut days: Option<(i32, i32)> = None;
        for (at, (since_ms, zone)) in zones.iter().enumerate() {
            let until_ms = zones.get(at + 1).map_or(to_ms, |(next_ms, _)| next_ms - 1);
            for arrival_ms in [from_ms.max(*since_ms), until_ms] {
                let day = day_in(*zone, time_ms.unwrap_or(arrival_ms))?;
                let (first, last) = days.unwrap_or((day, day));
                days = Some((first.min(day), last.max(day)));
            }
        }
        days.ok_or(ZoneError::UnknownProject(project))
    }

    /// Like [`ProjectZones::days_within`], for an arrival at any time from `from_ms` on. Without a time the last day
    /// is [`i32::MAX`].
    ///
    /// # Errors
    /// As with [`ProjectZones::days_within`].
    pub fn days_from(
        &self,
        project: u32,
        time_ms: Option<i64>,
        from_ms: i64,
    ) -> Result<(i32, i32), ZoneError> {
        let (first, last) = self.zones_within(project, from_ms, i64::MAX)?;
        if time_ms.is_some() {
            return self.days_within(project, time_ms, from_ms, i64::MAX);
        }
        // A later zone may be behind the current one, so that the same day begins twice.
        let zones = &self.history[&project][first..=last];
        let firsts = zones.iter().map(|(since_ms, zone)| day_in(*zone, from_ms.max(*since_ms)));
        let first = firsts.collect::<Result<Vec<i32>, ZoneError>>()?.into_iter().min();
        first.map(|first| (first, i32::MAX)).ok_or(ZoneError::UnknownProject(project))
    }

    /// Returns the indices into the project's history of the zones in force within `from_ms ..= to_ms`.
    fn zones_within(&self, project: u32, from_ms: i64, to_ms: i64) -> Result<(usize, usize), ZoneError> {
        let history = self.history.get(&project).filter(|history| !history.is_empty());
        let history = history.ok_or(ZoneError::UnknownProject(project))?;
        let index = |at_ms: i64| history.partition_point(|(since, _)| *since <= at_ms).saturating_sub(1);
        Ok((index(from_ms), index(to_ms)))
    }

    /// Returns the end of the project's day that contains `at_ms`: its next midnight, or a bound of 49 h if there is
    /// none. After a change of the zone it is the first midnight of the new zone.
    ///
    /// # Errors
    /// A project without zones, or a time outside the calendar.
    pub fn next_midnight_ms(&self, project: u32, at_ms: i64) -> Result<i64, ZoneError> {
        /// Longer than any calendar day.
        const MAX_DAY_MS: i64 = 49 * 3_600_000;
        let zone = self.zone_at(project, at_ms)?;
        let today = day_in(zone, at_ms)?;
        let (mut before_ms, mut after_ms) = (at_ms, at_ms + MAX_DAY_MS);
        while after_ms - before_ms > 1 {
            let middle_ms = before_ms + (after_ms - before_ms) / 2;
            match day_in(zone, middle_ms)? > today {
                true => after_ms = middle_ms,
                false => before_ms = middle_ms,
            }
        }
        let history = self.history.get(&project).map_or(&[][..], Vec::as_slice);
        match history.iter().find(|(since_ms, _)| (at_ms + 1..after_ms).contains(since_ms)) {
            Some((since_ms, _)) => self.next_midnight_ms(project, *since_ms),
            None => Ok(after_ms),
        }
    }

    fn zone_at(&self, project: u32, received_ms: i64) -> Result<Tz, ZoneError> {
        let history = self.history.get(&project).ok_or(ZoneError::UnknownProject(project))?;
        let at = history.partition_point(|(since, _)| *since <= received_ms);
        history.get(at.saturating_sub(1)).map(|(_, zone)| *zone).ok_or(ZoneError::UnknownProject(project))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const INCIDENT_MS: i64 = 1_456_190_481_000; // 2016-02-23T01:21:21Z

    #[test]
    fn one_instant_is_on_two_days_in_two_zones() {
        let los_angeles = local_day("America/Los_Angeles", INCIDENT_MS).unwrap();
        let kiritimati = local_day("Pacific/Kiritimati", INCIDENT_MS).unwrap();
        assert_eq!(
            (format_day(los_angeles).as_str(), format_day(kiritimati).as_str()),
            ("2016-02-22", "2016-02-23")
        );
        assert_eq!(parse_day("2016-02-22"), Some(16_853));
        for other in
            ["2016-2-22", " 2016-02-22", "2016-02-22 ", "2016 -02-22", "+2016-02-22", "2016-02-30", "2016"]
        {
            assert_eq!(parse_day(other), None, "{other}");
        }
    }

    #[test]
    fn days_change_at_local_midnight_across_a_clock_change() {
        // Los Angeles, 2016-03-13: a day of 23 hours, from 08:00Z to 07:00Z.
        let midnight_ms = 1_457_856_000_000;
        for (at_ms, day) in [
            (midnight_ms - 1, "2016-03-12"),
            (midnight_ms, "2016-03-13"),
            (midnight_ms + 23 * 3_600_000 - 1, "2016-03-13"),
            (midnight_ms + 23 * 3_600_000, "2016-03-14"),
        ] {
            assert_eq!(format_day(local_day("America/Los_Angeles", at_ms).unwrap()), day);
        }
        assert_eq!(local_day("UTC", -1), Ok(-1));
    }

    #[test]
    fn a_day_ends_at_the_next_midnight_of_its_project() {
        let mut zones = ProjectZones::default();
        zones.set(7, 0, "America/Los_Angeles").unwrap();
        let midnight_ms = 1_457_856_000_000;
        assert_eq!(zones.next_midnight_ms(7, midnight_ms - 1), Ok(midnight_ms));
        assert_eq!(zones.next_midnight_ms(7, midnight_ms), Ok(midnight_ms + 23 * 3_600_000));
        assert_eq!(zones.next_midnight_ms(8, 0), Err(ZoneError::UnknownProject(8)));
    }

    #[test]
    fn a_day_whose_zone_changes_ends_at_the_next_midnight_of_the_new_one() {
        let mut zones = ProjectZones::default();
        zones.set(7, 0, "UTC").unwrap();
        let midnight_ms = 1_456_185_600_000; // 2016-02-23 00:00Z
        zones.set(7, midnight_ms - 4 * 3_600_000, "America/Los_Angeles").unwrap();
        assert_eq!(zones.next_midnight_ms(7, midnight_ms - 12 * 3_600_000), Ok(midnight_ms + 8 * 3_600_000));
        assert_eq!(zones.next_midnight_ms(7, midnight_ms - 36 * 3_600_000), Ok(midnight_ms - 24 * 3_600_000));
    }

    #[test]
    fn the_zone_is_the_one_in_force_at_arrival() {
        let mut zones = ProjectZones::default();
        zones.set(7, 0, "UTC").unwrap();
        zones.set(7, INCIDENT_MS, "America/Los_Angeles").unwrap();
        let time_ms = INCIDENT_MS;
        assert_eq!(zones.day(7, time_ms, INCIDENT_MS - 1), Ok(16_854));
        assert_eq!(zones.day(7, time_ms, INCIDENT_MS), Ok(16_853));
        assert_eq!(
            zones.days_within(7, Some(time_ms), INCIDENT_MS - 5, INCIDENT_MS + 5),
            Ok((16_853, 16_854))
        );
        assert_eq!(zones.day(8, 0, 0), Err(ZoneError::UnknownProject(8)));
    }

    #[test]
    fn an_unknown_zone_name_is_reported() {
        let error = local_day("Mars/Olympus", 0).unwrap_err();
        assert!(error.to_string().starts_with("unknown time zone 'Mars/Olympus'"));
    }
}
