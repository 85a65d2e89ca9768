//! Local days with clock changes and odd offsets: days of 23, 23.5, 24, 24.5 and 25 hours, on which system and oracle
//! agree, and complete runs over them.

use super::test_run::{CALM, TestRun};
use latent_engine::{Scenario, Timestamp};
use latent_oracle::ProjectZones;
use latent_pipeline::marks;
use latent_pipeline::zone::{Day, ZoneHistory};
use latent_ports::UnixMs;
use latent_world::{Latent, WorldConfig};

const MINUTE_MS: i64 = 60_000;

/// A local day: zone, date, start and length.
struct LocalDayCase {
    zone: &'static str,
    date: &'static str,
    begins: &'static str,
    minutes: i64,
}

const fn night(zone: &'static str, date: &'static str, begins: &'static str, minutes: i64) -> LocalDayCase {
    LocalDayCase { zone, date, begins, minutes }
}

/// New York changed its clocks on 13 March and 6 November 2016; Lord Howe, by half an hour, on 3 April and 2 October.
const NIGHTS: [LocalDayCase; 7] = [
    night("America/New_York", "2016-03-13", "2016-03-13T05:00:00Z", 23 * 60),
    night("America/New_York", "2016-03-14", "2016-03-14T04:00:00Z", 24 * 60),
    night("America/New_York", "2016-11-06", "2016-11-06T04:00:00Z", 25 * 60),
    night("America/New_York", "2016-11-07", "2016-11-07T05:00:00Z", 24 * 60),
    night("Asia/Kathmandu", "2016-03-13", "2016-03-12T18:15:00Z", 24 * 60),
    night("Australia/Lord_Howe", "2016-04-03", "2016-04-02T13:00:00Z", 24 * 60 + 30),
    night("Australia/Lord_Howe", "2016-10-02", "2016-10-01T13:30:00Z", 23 * 60 + 30),
];

impl LocalDayCase {
    fn day(&self) -> Day {
        Day::parse(self.date).unwrap()
    }

    fn begins_ms(&self) -> i64 {
        self.begins.parse::<Timestamp>().unwrap().0.0
    }

    fn ends_ms(&self) -> i64 {
        self.begins_ms() + self.minutes * MINUTE_MS
    }

    /// The calm scenario, with all customers in this zone, starting a day and a half before the end of this day.
    fn scenario(&self) -> Scenario<WorldConfig> {
        let start = Timestamp(UnixMs(self.ends_ms() - 36 * 60 * MINUTE_MS));
        let (first, rest) = CALM.split_once(r#""zones": ["#).unwrap();
        let (_, rest) = rest.split_once("],").unwrap();
        let text = format!(r#"{first}"zones": [{{ "zone": "{}", "weight": 1 }}],{rest}"#, self.zone);
        let text = text.replace("2016-02-20T00:00:00Z", &start.to_string());
        latent_engine::parse::<Latent>("night.json", &text).unwrap_or_else(|error| panic!("{error}"))
    }
}

#[test]
fn system_and_oracle_agree_on_days_of_unusual_length() {
    for night in NIGHTS {
        let (begins_ms, ends_ms) = (night.begins_ms(), night.ends_ms());
        let system = ZoneHistory::constant(night.zone).unwrap();
        let mut oracle = ProjectZones::default();
        oracle.set(1, i64::MIN, night.zone).unwrap();
        let Day(day) = night.day();
        let limits = [day, day + 1].map(|day| system.begins(Day(day), UnixMs(begins_ms)).0);
        assert_eq!(limits, [begins_ms, ends_ms], "{} {}", night.zone, night.date);
        assert_eq!(system.next_midnight(UnixMs(begins_ms)), UnixMs(ends_ms));
        // System and oracle assign the same day to every quarter of an hour in and around the day.
        for at_ms in (begins_ms - 60 * MINUTE_MS..ends_ms + 60 * MINUTE_MS).step_by(15 * MINUTE_MS as usize) {
            for at_ms in [at_ms - 1, at_ms] {
                let expected = day - i32::from(at_ms < begins_ms) + i32::from(at_ms >= ends_ms);
                let days = (system.day(UnixMs(at_ms), UnixMs(at_ms)), oracle.day(1, at_ms, at_ms));
                assert_eq!(days, (Day(expected), Ok(expected)), "{} at {at_ms} ms", night.zone);
            }
        }
    }
}

#[test]
fn a_run_over_a_day_of_unusual_length_is_compacted_and_audited_in_time() {
    for night in NIGHTS {
        let trial = TestRun::execute(&night.scenario(), 7);
        trial.assert_clean();
        let ends_ms = night.ends_ms();
        for project in 1..=3 {
            let subject = format!("p{project}/{}", night.date);
            let commits_ms = trial.when_ms(marks::COMPACTION_COMMITTED, &subject);
            let in_time = ends_ms..ends_ms + 15 * MINUTE_MS;
            // Each of the eight disks compacts the day when it has ended, not an hour before or after, and again
            // later.
            let first = commits_ms.iter().filter(|at_ms| in_time.contains(at_ms)).count();
            assert!(first >= 8, "{} {subject}: {first} runs after it ended at {ends_ms} ms", night.zone);
            assert!(commits_ms.iter().all(|at_ms| *at_ms >= ends_ms), "{} {subject} too early", night.zone);
        }
        // Three hours after midnight all three projects are audited.
        let audits = trial.when_ms(marks::AUDIT_RAN, "");
        let in_time = ends_ms + 180 * MINUTE_MS..ends_ms + 200 * MINUTE_MS;
        let ran = audits.iter().filter(|at_ms| in_time.contains(at_ms)).count();
        assert_eq!(ran, 3, "{} {}: audits at {audits:?}", night.zone, night.date);
        assert_eq!(trial.marks(marks::AUDIT_FAILED), 0);
    }
}

#[test]
fn system_and_oracle_agree_on_midnights_around_a_change_of_the_zone() {
    let edit_ms = "2016-02-22T20:10:00Z".parse::<Timestamp>().unwrap().0.0;
    let zones = ["Pacific/Kiritimati", "Asia/Kathmandu", "Etc/UTC", "America/St_Johns", "Pacific/Pago_Pago"];
    for (before, after) in zones.iter().flat_map(|before| zones.map(|after| (*before, after))) {
        let system = ZoneHistory::constant(before).unwrap().then(UnixMs(edit_ms), after).unwrap();
        let mut oracle = ProjectZones::default();
        oracle.set(1, i64::MIN, before).unwrap();
        oracle.set(1, edit_ms, after).unwrap();
        for at_ms in
            (edit_ms - 3_000 * MINUTE_MS..edit_ms + 3_000 * MINUTE_MS).step_by(5 * MINUTE_MS as usize)
        {
            let midnights = (Ok(system.next_midnight(UnixMs(at_ms)).0), oracle.next_midnight_ms(1, at_ms));
            assert_eq!(midnights.0, midnights.1, "{before} to {after}, from {at_ms} ms");
        }
    }
}

#[test]
fn customers_that_move_to_another_zone_lose_and_double_nothing() {
    let edits = r#""zone_edits": [
        { "at": "2016-02-20T17:00:00Z", "project": 1, "zone": "Pacific/Kiritimati" },
        { "at": "2016-02-21T06:00:00Z", "project": 1, "zone": "Asia/Tokyo" },
        { "at": "2016-02-21T00:00:00Z", "project": 2, "zone": "Asia/Kolkata" }
    ], "drills""#;
    let scenario = latent_engine::parse::<Latent>("moves.json", &CALM.replacen(r#""drills""#, edits, 1));
    let scenario = scenario.unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(scenario.config.zone_edits.len(), 3);
    // Not clean: the nights of the first project are up to 38 h apart, which the job watch reports.
    TestRun::execute(&scenario, 7).assert_sound();
}

#[test]
fn a_zone_edit_that_cannot_be_made_is_rejected_with_its_position() {
    let refused = |at: &str, project: u32, zone: &str| {
        let edit = format!(r#"{{ "at": "{at}", "project": {project}, "zone": "{zone}" }}"#);
        let edits = format!(r#""zone_edits": [{edit}], "drills""#);
        let text = CALM.replacen(r#""drills""#, &edits, 1);
        latent_engine::parse::<Latent>("moves.json", &text).unwrap_err().to_string()
    };
    let (at, zone) = ("2016-02-20T17:00:00Z", "Asia/Tokyo");
    assert!(refused("2015-02-20T17:00:00Z", 1, zone).contains("outside of the run"));
    assert!(refused(at, 9, zone).contains("there is no project 9"));
    assert!(refused(at, 1, "Asia/Kyoto").contains("no time zone is called 'Asia/Kyoto'"));
}
