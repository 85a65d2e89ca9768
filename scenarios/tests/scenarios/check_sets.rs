//! The company's two sets of tests before 2016, as limited checks: neither sees what its release did.

use crate::common::{folder, report};
use serde_json::Value;

/// Runs a scenario under a set of checks, and returns its report and exit code.
fn checked_by(checks: &str, arguments: &[&str]) -> (Value, Option<i32>) {
    report(&[arguments, &["--checks", checks]].concat())
}

/// The trace hash of the incident's seed 1 under all checks, which find an unrecoverable loss in it.
fn hash_of_the_incident() -> String {
    let path = folder().join("../reports/hashes.txt");
    let text = std::fs::read_to_string(path).expect("the hashes of the built-in scenarios are committed");
    let row =
        text.lines().find(|row| row.starts_with("incident-2016 ") || row.starts_with("incident-2016@1 "));
    row.and_then(|row| row.split_whitespace().last()).expect("the incident is listed").to_owned()
}

#[test]
fn tests_of_repeated_runs_that_look_for_files_pass_the_release_of_2016() {
    let (report, code) = checked_by("existence", &["incident-2016"]);
    assert_eq!((report["outcome"].as_str(), code), (Some("clean"), Some(0)), "{report}");
    assert_eq!(report["trace_hash"].as_str(), Some(&*hash_of_the_incident()), "the same run, other checks");
    assert!(
        report["work"]["checks"].as_u64() > Some(24),
        "they look every hour in which a run ended: {report}"
    );
}

#[test]
fn tests_of_contents_that_run_a_day_once_pass_the_release_of_2016() {
    let (report, code) = checked_by("single-run", &["incident-2016"]);
    assert_eq!((report["outcome"].as_str(), code), (Some("clean"), Some(0)), "{report}");
    assert_eq!(report["trace_hash"].as_str(), Some(&*hash_of_the_incident()), "the same run, other checks");
    let work = &report["work"];
    let (checked, all) = (work["compaction_runs_checked"].as_u64(), work["compaction_runs"].as_u64());
    assert!(checked > Some(0) && checked < all, "first runs are compared, and no others: {work}");
}

#[test]
fn tests_that_look_for_files_fail_when_one_is_gone() {
    let (report, code) = checked_by("existence", &["one-day", "--release", "rename-without-dirsync"]);
    assert_eq!((report["outcome"].as_str(), code), (Some("violated"), Some(100)), "{report}");
    let kinds: Vec<_> = report["violations"].as_array().into_iter().flatten().map(|it| &it["kind"]).collect();
    assert!(kinds.iter().all(|kind| **kind == "dangling"), "{kinds:?}");
}

#[test]
fn tests_of_contents_fail_when_a_first_run_has_altered_an_event() {
    let (report, code) = checked_by("single-run", &["one-day", "--release", "seconds-as-milliseconds"]);
    assert_eq!(code, Some(100), "{report}");
    let (report, code) = checked_by("existence", &["one-day", "--release", "seconds-as-milliseconds"]);
    assert_eq!((report["outcome"].as_str(), code), (Some("clean"), Some(0)), "its files exist: {report}");
}

#[test]
fn an_unknown_set_of_checks_lists_the_known_ones() {
    let output = crate::common::latent(&["run", "one-day", "--checks", "existense"]);
    let errors = crate::common::text(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{errors}");
    assert!(errors.contains("did you mean existence? there are: full, existence, single-run"), "{errors}");
}
