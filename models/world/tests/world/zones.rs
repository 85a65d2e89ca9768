//! The system under test computes local days with jiff, the oracle with chrono-tz. This test compares the two for
//! every zone that a scenario names or the generator draws, over all days that a scenario covers and three years
//! around 2016, the range of generated scenarios.
//!
//! Not compared: days far ahead, for which the two crates may bundle different versions of the zone database.

use latent_engine::{Span, Timestamp};
use latent_oracle::local_day;
use latent_pipeline::zone::{Day, ZoneHistory};
use latent_ports::UnixMs;
use serde_json::Value;
use std::collections::BTreeSet;
use std::path::Path;

const HOUR_MS: i64 = 3_600_000;
const DAY_MS: i64 = 24 * HOUR_MS;

/// Margin at both ends of the span: a zone may be half a day ahead or behind, and late events are older.
const MARGIN_DAYS: i64 = 40;

/// Every scenario file, parsed.
fn scenarios() -> Vec<(String, Value)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../scenarios");
    let entries = std::fs::read_dir(&folder).expect("the workspace has its scenarios");
    let mut files: Vec<_> = entries.map(|entry| entry.expect("a folder reads to its end").path()).collect();
    files.retain(|path| path.extension().is_some_and(|ending| ending == "json"));
    files.sort();
    let read = |path: &std::path::PathBuf| {
        let text = std::fs::read_to_string(path).expect("a listed file can be read");
        let value = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        (path.display().to_string(), value)
    };
    files.iter().map(read).collect()
}

/// Returns the text of every member called "zone", at any depth.
fn zones_in(value: &Value, zones: &mut BTreeSet<String>) {
    match value {
        Value::Object(members) => {
            for (name, member) in members {
                if let (true, Value::String(zone)) = (name == "zone", member) {
                    zones.insert(zone.clone());
                }
                zones_in(member, zones);
            }
        }
        Value::Array(items) => items.iter().for_each(|item| zones_in(item, zones)),
        _ => {}
    }
}

/// Returns the range of day numbers (end exclusive) that a scenario or the years 2015 to 2017 need.
fn span(scenario: &Value) -> std::ops::Range<i64> {
    let start = scenario["start"].as_str().and_then(|text| text.parse::<Timestamp>().ok());
    let start_day = start.expect("every scenario has a start").0.0.div_euclid(DAY_MS);
    let length = scenario["run_for"].as_str().and_then(|text| text.parse::<Span>().ok());
    let days = length.expect("every scenario has a duration").0.as_secs().div_ceil(86_400) as i64;
    start_day - MARGIN_DAYS..start_day + days + MARGIN_DAYS
}

/// Compares the two at one time; the message names zone and time.
fn agree(zone: &str, history: &ZoneHistory, at_ms: i64) {
    let pipeline = history.day(UnixMs(at_ms), UnixMs(at_ms));
    let oracle = local_day(zone, at_ms).map(Day);
    assert_eq!(oracle.as_ref().ok(), Some(&pipeline), "{zone} at {at_ms} ms: {oracle:?}");
}

/// Compares every hour of a UTC day, and the times around its local midnight.
fn agree_on_day(zone: &str, history: &ZoneHistory, utc_day: i64) {
    let begin = utc_day * DAY_MS;
    for hour in 0..24 {
        agree(zone, history, begin + hour * HOUR_MS);
    }
    let midnight = history.next_midnight(UnixMs(begin)).0;
    let (before, after) = (local_day(zone, midnight - 1), local_day(zone, midnight));
    assert!(before.is_ok() && before != after, "{zone}: the oracle sees no new day at {midnight} ms");
    for beside_ms in [-HOUR_MS, -1, 0, 1, HOUR_MS, 2 * HOUR_MS, 3 * HOUR_MS] {
        agree(zone, history, midnight + beside_ms);
    }
}

#[test]
fn jiff_and_chrono_tz_agree_on_every_day_of_every_scenario() {
    let day = |text: &str| i64::from(Day::parse(text).expect("it is written as days are").0);
    let mut days: BTreeSet<i64> = (day("2015-01-01")..day("2018-01-01")).collect();
    let mut zones = BTreeSet::new();
    let scenarios = scenarios();
    for (_, scenario) in &scenarios {
        days.extend(span(scenario));
        zones_in(scenario, &mut zones);
    }
    zones.extend(latent_world::GENERATED_ZONES.map(str::to_owned));
    assert!(scenarios.len() >= 4 && zones.len() >= 30, "{} scenarios, {zones:?}", scenarios.len());
    for zone in &zones {
        let history = ZoneHistory::constant(zone).expect("a scenario's zone exists");
        days.iter().for_each(|day| agree_on_day(zone, &history, *day));
    }
}

/// Nights with clock changes, and one calendar day that did not exist: where the two are most likely to differ.
#[test]
fn jiff_and_chrono_tz_agree_every_second_around_clock_changes() {
    for (zone, around) in [
        ("America/New_York", "2016-03-13T07:00:00Z"),
        ("America/New_York", "2016-11-06T06:00:00Z"),
        ("America/Sao_Paulo", "2016-02-21T02:00:00Z"), // summer time ended at midnight, while the incident ripened
        ("America/Sao_Paulo", "2016-10-16T03:00:00Z"), // a midnight that does not exist
        ("Asia/Tehran", "2016-03-20T20:30:00Z"),
        ("Pacific/Apia", "2011-12-30T10:00:00Z"), // 2011-12-30 was left out
        ("Asia/Pyongyang", "2015-08-14T15:00:00Z"), // half an hour back, for three years
    ] {
        let history = ZoneHistory::constant(zone).expect("the zone exists");
        let around_ms = around.parse::<jiff::Timestamp>().expect("it is RFC 3339").as_millisecond();
        for second in -2 * 3600..2 * 3600 {
            agree(zone, &history, around_ms + second * 1000);
        }
    }
}
