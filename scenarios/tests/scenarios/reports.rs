//! Reviewed screens in `reports/`, and properties of the incident for every seed.
//!
//! The texts are those of seed 1. Real time and the binary's path are removed; everything else, the trace's hash
//! included, is pinned: a change of behaviour shows here. After a wanted change: `just bless`, and review the diff.

use crate::common::{failures, latent, report, reviewed, seeds, text};
use jiff::civil::{Date, date};
use serde_json::Value;

/// The screen of a run, without machine-dependent parts.
fn screen(arguments: &[&str]) -> String {
    let shown = text(&latent(arguments).stdout).replace(env!("CARGO_BIN_EXE_latent"), "latent");
    let line = |line: &str| match line.split_once(" in ") {
        Some((before, _)) if line.contains(" x real time") => format!("{before} in …\n"),
        _ => format!("{line}\n"),
    };
    shown.lines().map(line).collect()
}

fn pin(name: &str) {
    let shown = screen(&["run", name]);
    assert!(shown.lines().count() <= 30, "a run without -v is one screen: {} lines", shown.lines().count());
    assert!(shown.lines().all(|line| line.chars().count() <= 100), "lines fit 100 columns:\n{shown}");
    reviewed().bind(|| insta::assert_snapshot!(name, shown));
}

#[test]
fn the_incident_reads_as_reviewed() {
    pin("incident-2016");
}

#[test]
fn the_protected_incident_reads_as_reviewed() {
    pin("incident-2016-protected");
}

#[test]
fn the_hostile_release_reads_as_reviewed() {
    pin("hostile");
}

#[test]
fn the_quiet_week_reads_as_reviewed() {
    pin("quiet-week");
}

#[test]
fn the_rough_week_reads_as_reviewed() {
    pin("rough-week");
}

#[test]
fn the_busy_week_reads_as_reviewed() {
    pin("busy-week");
}

#[test]
fn one_day_reads_as_reviewed() {
    pin("one-day");
}

#[test]
fn the_month_reads_as_reviewed() {
    pin("month");
}

/// With -v the incident shows one day's events before and after the run that lost some.
#[test]
fn the_incidents_events_before_and_after_read_as_reviewed() {
    let shown = screen(&["run", "-v", "incident-2016"]);
    let from = shown.find("\n  diff ").expect("-v shows the events before and after");
    let to = from + shown[from..].find("\n  detected by").expect("who noticed stands behind them");
    reviewed().bind(|| insta::assert_snapshot!("incident-2016-before-and-after", &shown[from..to]));
}

/// The day that a project of this zone may have lost, if any: the bad release ran from 2016-02-23T01:21Z to 18:08Z,
/// and a day is compacted when it ends. So west of the Atlantic it was the 22nd, from Bangladesh eastwards the 23rd,
/// and in between, where no day ended meanwhile, none.
fn day_at_risk(zone: &str) -> Option<Date> {
    let zone = jiff::tz::TimeZone::get(zone).expect("a report names zones that exist");
    let noon = date(2016, 2, 23).at(12, 0, 0, 0).to_zoned(zone).expect("a noon in February exists").offset();
    match noon.seconds() {
        -43_200..=-7_200 => Some(date(2016, 2, 22)),
        21_600..=50_400 => Some(date(2016, 2, 23)),
        _ => None,
    }
}

/// Bounds from the company's account of the incident, which every seed must satisfy.
fn looks_like_the_incident(seed: u64, report: &Value, code: Option<i32>) {
    assert_eq!((report["outcome"].as_str(), code), (Some("unrecoverable-loss"), Some(0)), "seed {seed}");
    let loss = &report["loss"];
    let number =
        |name: &str| loss[name].as_u64().unwrap_or_else(|| panic!("seed {seed}: loss.{name}: {loss}"));
    let (projects, hit) = (number("projects"), number("projects_hit"));
    assert!(
        hit * 100 >= projects * 5 && hit * 100 <= projects * 14,
        "seed {seed}: {hit} of {projects} projects hit"
    );
    let under_one = number("projects_hit_under_one_percent");
    assert!(
        under_one * 2 > hit,
        "seed {seed}: only {under_one} of {hit} projects lost less than 1% of a day"
    );
    assert!(
        number("projects_hit_over_ninety_percent") >= 1,
        "seed {seed}: no project lost more than 90% of a day"
    );
    assert!(number("events_unrecoverable") > 0, "seed {seed}: nothing held the last days' traffic");
    assert!(
        report["detections"].as_array().is_some_and(Vec::is_empty),
        "seed {seed}: nothing was there to notice it"
    );
    let days = loss["days"].as_array().expect("loss.days is a list");
    assert!(days.len() as u64 >= hit, "seed {seed}: every project that was hit has its day listed");
    for day in days {
        let zone = day["zone"].as_str().expect("a day's project has a zone");
        let lost: Date = day["day"].as_str().and_then(|day| day.parse().ok()).expect("a day is a date");
        assert_eq!(Some(lost), day_at_risk(zone), "seed {seed}: {day}");
    }
}

#[test]
fn every_seed_of_the_incident_looks_like_the_incident() {
    // `LATENT_INCIDENT_SEEDS=1..11` runs ten.
    for seed in seeds("LATENT_INCIDENT_SEEDS", 1..3) {
        let (report, code) = report(&[&format!("incident-2016@{seed}")]);
        looks_like_the_incident(seed, &report, code);
    }
}

/// The protection built afterwards: the same bug in the same hours, and in the end nothing is lost.
#[test]
fn with_protection_the_loss_is_detected_and_restored() {
    let (report, code) = report(&["incident-2016-protected"]);
    assert_eq!((report["outcome"].as_str(), code), (Some("recovered"), Some(0)));
    assert!(report["loss"]["events_lost_from_production"].as_u64().is_some_and(|lost| lost > 0));
    assert_eq!(report["loss"]["events_unrecoverable"], 0);
    assert_eq!(report["loss"]["events_missing_at_end"], 0);
    assert!(report["detections"].as_array().is_some_and(|noticed| !noticed.is_empty()));
}

/// Crashes, bad links, bad disks, wrong clocks: within the budget none of it may lose, duplicate or delay anything.
/// `LATENT_ROUGH_SEEDS=1..1001` runs a thousand.
#[test]
fn every_seed_of_the_rough_week_is_clean() {
    let seeds: Vec<u64> = seeds("LATENT_ROUGH_SEEDS", 1..9).collect();
    let failures = failures(&seeds, |seed| {
        let target = format!("rough-week@{seed}");
        let (report, code) = report(&[&target]);
        let is_clean = report["outcome"] == "clean" && code == Some(0);
        (!is_clean)
            .then(|| format!("{}: {} {}", report["reproduce"], report["outcome"], report["violations"]))
    });
    assert!(failures.is_empty(), "{} of {} seeds:\n{}", failures.len(), seeds.len(), failures.join("\n"));
}
