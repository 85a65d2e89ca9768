//! Determinism: a scenario and a seed decide a run completely.
//!
//! Each case runs in separate processes with different time of day, address-space randomisation, environment and
//! working directory. Debug against release is compared in `.ci/nightly`, which has both.

use crate::common::{BUILT_IN, command, report, report_of};
use serde_json::Value;
use std::process::Command;

/// The trace hash and the report of a run, without real time and paths.
fn identity(mut command: Command) -> (String, Value) {
    command.arg("--json");
    let (mut report, _) = report_of(command);
    let hash = report["trace_hash"].as_str().expect("a report has its hash").to_owned();
    assert_eq!(hash.len(), 32, "{hash}");
    let fields = report.as_object_mut().expect("a report is an object");
    fields.remove("wall_seconds").expect("a report says how long it took");
    (hash, report)
}

fn run(case: &str) -> Command {
    command(&["run", case])
}

#[test]
fn a_quiet_week_is_the_same_in_every_process() {
    let first = identity(run("quiet-week@1"));
    assert_eq!(identity(run("quiet-week@1")), first, "a second process");

    let mut randomised = run("quiet-week@1");
    randomised.arg("--keep-randomisation");
    assert_eq!(identity(randomised), first, "addresses at random");

    let elsewhere = tempfile::tempdir().expect("the system has a place for temporary files");
    let mut moved = run("quiet-week@1");
    moved
        .current_dir(elsewhere.path())
        .env("HOME", elsewhere.path())
        .env("TMPDIR", elsewhere.path())
        .env("LC_ALL", "tr_TR.UTF-8")
        .env("LANG", "tr_TR.UTF-8")
        .env("TZ", "Pacific/Kiritimati")
        .env("MADSIM_TEST_SEED", "99")
        .env("RUST_LOG", "trace");
    assert_eq!(identity(moved), first, "another home, language, zone and directory");

    let mut bare = run("quiet-week@1");
    bare.env_clear();
    assert_eq!(identity(bare), first, "no environment at all");
}

#[test]
fn another_seed_is_another_run() {
    let (one, _) = report(&["quiet-week@1"]);
    let (two, _) = report(&["quiet-week@2"]);
    assert_ne!(one["trace_hash"], two["trace_hash"]);
    assert_ne!(one["events"], two["events"]);
}

/// Separate tests, so that they run in parallel.
fn is_the_same_elsewhere(name: &str) {
    assert!(BUILT_IN.contains(&name), "{name}");
    let mut elsewhere = run(name);
    elsewhere.arg("--keep-randomisation").env("TZ", "Asia/Kathmandu");
    assert_eq!(identity(elsewhere), identity(run(name)), "{name}");
}

#[test]
fn the_incident_is_the_same_with_addresses_at_random() {
    is_the_same_elsewhere("incident-2016");
}

#[test]
fn the_protected_incident_is_the_same_with_addresses_at_random() {
    is_the_same_elsewhere("incident-2016-protected");
}

#[test]
fn the_hostile_release_is_the_same_with_addresses_at_random() {
    is_the_same_elsewhere("hostile");
}

#[test]
fn the_month_is_the_same_with_addresses_at_random() {
    is_the_same_elsewhere("month");
}
