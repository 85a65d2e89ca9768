//! From generated weeks to a shrunk bug: sweep, merge, repro, shrink and print, with this system.
//!
//! Resuming, merging and exit codes are tested with a smaller system, in harness/engine/tests.

use crate::common::{command, failures, folder, latent, report, report_of, reviewed, scratch, seeds, text};
use serde_json::Value;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

/// A release with the planted bug of the incident.
const PLANTED: [&str; 2] = ["--release", "recompaction-overwrites"];

/// Returns the path of a file that does not exist yet.
fn fresh(name: &str) -> String {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    if path.exists() {
        std::fs::remove_file(&path).expect("cargo's directory for tests can be written");
    }
    path.to_str().expect("cargo's paths are UTF-8").to_owned()
}

/// The output of a command, without machine-dependent parts.
fn screen(arguments: &[&str], code: i32) -> String {
    let output = latent(arguments);
    assert_eq!(output.status.code(), Some(code), "{}{}", text(&output.stdout), text(&output.stderr));
    let shown = text(&output.stdout).replace(env!("CARGO_BIN_EXE_latent"), "latent");
    without_real_time(&shown.replace(env!("CARGO_TARGET_TMPDIR"), "TMP"))
}

fn without_real_time(shown: &str) -> String {
    let line = |line: &str| match line.split_once(" in ") {
        Some((before, _))
            if line.contains(" x real time") || line.ends_with(" jobs") || line.ends_with(" job") =>
        {
            format!("{before} in …\n")
        }
        _ => format!("{line}\n"),
    };
    shown.lines().map(line).collect()
}

/// The lines of the front page from `first` to the next empty one, without machine-dependent parts.
fn front_page(first: &str) -> String {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../README.md");
    let page = std::fs::read_to_string(page).expect("there is a front page");
    let lines = page.lines().map(|line| line.strip_prefix("    ").unwrap_or(line));
    let shown: Vec<&str> =
        lines.skip_while(|line| *line != first).take_while(|line| !line.is_empty()).collect();
    assert!(!shown.is_empty(), "the front page has no line '{first}'");
    without_real_time(&shown.join("\n").replace("target/release/latent", "latent"))
}

/// The cases in a results file, sorted, without their real time.
fn cases(path: &str) -> Vec<String> {
    let lines = std::fs::read_to_string(path).expect("the sweep wrote it");
    let mut cases: Vec<String> = lines
        .lines()
        .filter_map(|line| {
            let mut line: Value = serde_json::from_str(line).expect("results are JSON lines");
            let case = line.get_mut("case")?.as_object_mut()?;
            case.remove("wall_ms").expect("each case says how long it took");
            Some(serde_json::to_string(case).expect("it was JSON"))
        })
        .collect();
    cases.sort();
    cases
}

#[test]
fn a_sweep_over_generated_weeks_reads_as_reviewed() {
    let file = fresh("reads.jsonl");
    let arguments = [&["sweep", "generated", "--seeds", "31..37", "--json", &file], &PLANTED[..]].concat();
    let shown = screen(&arguments, 100);
    assert!(shown.lines().all(|line| line.chars().count() <= 120), "{shown}");
    reviewed().bind(|| insta::assert_snapshot!("sweep-planted", shown));
    let clean = fresh("clean.jsonl");
    let shown = screen(&["sweep", "generated", "--seeds", "31..35", "--json", &clean], 0);
    reviewed().bind(|| insta::assert_snapshot!("sweep-clean", shown));
}

#[test]
fn the_front_page_shows_a_sweep_as_it_is_printed() {
    let file = fresh("front-page.jsonl");
    let arguments = [&["sweep", "generated", "--seeds", "1..21", "--json", &file], &PLANTED[..]].concat();
    let shown = screen(&arguments, 100).replace("TMP/front-page.jsonl", ".latent/sweep.jsonl");
    assert_eq!(front_page("generated: 7 of 20 cases failed"), shown);
}

#[test]
fn the_front_page_shows_the_incident_as_it_was_reviewed() {
    let reviewed = Path::new(env!("CARGO_MANIFEST_DIR")).join("../reports/incident-2016.snap");
    let reviewed = std::fs::read_to_string(reviewed).expect("the report was reviewed");
    let shown = front_page("incident-2016@1: unrecoverable-loss, as expected");
    let hashes = std::fs::read_to_string(folder().join("../reports/hashes.txt"));
    let hashes = hashes.expect("reports/hashes.txt is in the tree");
    for line in shown.lines() {
        if let Some(trace) = line.trim().strip_prefix("trace") {
            let hash = trace.split_whitespace().next().unwrap_or_default();
            assert!(hashes.lines().any(|line| line == format!("incident-2016 {hash}")), "{line}");
            continue;
        }
        let line = line.split(" in …").next().unwrap_or(line);
        assert!(reviewed.contains(line.trim()), "'{line}' is not in the reviewed report");
    }
}

#[test]
fn one_job_two_jobs_and_four_slices_find_the_same() {
    let arguments = ["sweep", "generated", "--seeds", "21..33", "--release", "recompaction-overwrites"];
    let sweep = |file: &str, more: &[&str]| {
        latent(&[&arguments[..], &["--json", file], more].concat());
        cases(file)
    };
    let (one, two) = (fresh("one-job.jsonl"), fresh("two-jobs.jsonl"));
    let whole = sweep(&one, &["--jobs", "1"]);
    assert_eq!(whole.len(), 12);
    assert_eq!(sweep(&two, &["--jobs", "2"]), whole);
    let slices: Vec<String> = (1..=4).map(|index| fresh(&format!("slice-{index}.jsonl"))).collect();
    let mut together = Vec::new();
    for (index, file) in slices.iter().enumerate() {
        together.extend(sweep(file, &["--partition", &format!("slice:{}/4", index + 1)]));
    }
    together.sort();
    assert_eq!(together, whole);
    let merged = |files: &[&str]| report_of(command(&[&["merge", "--json"], files].concat()));
    let files: Vec<&str> = slices.iter().map(String::as_str).collect();
    assert_eq!(merged(&files), merged(&[&one]));
    assert_eq!(merged(&files).1, Some(100));
}

#[test]
fn a_generated_week_is_a_scenario_file_that_runs_the_same() {
    let shown = screen(&["print", "generated@33"], 0);
    reviewed().bind(|| insta::assert_snapshot!("generated-33", shown));
    let file = scratch("generated-33.json", &shown);
    let (printed, code) = report(&[file.to_str().expect("cargo's paths are UTF-8")]);
    assert_eq!(code, Some(0));
    assert_eq!(printed["trace_hash"], report(&["generated@33"]).0["trace_hash"]);
}

#[test]
fn a_case_runs_again_with_its_log() {
    let (whole, _) = report(&["generated@33"]);
    let hash = whole["trace_hash"].as_str().expect("a report has the trace's hash");
    let same = latent(&["repro", "generated@33", "--trace", hash]);
    assert_eq!(same.status.code(), Some(0), "{}", text(&same.stderr));
    let other = latent(&["repro", "generated@34", "--trace", hash]);
    assert_eq!(other.status.code(), Some(101));
    assert!(text(&other.stderr).contains("THIS IS NOT THE RECORDED RUN"), "{}", text(&other.stderr));
    let log = ["repro", "generated@33", "--log", "--node", "disk-3", "--from", "2016-12-18T18:16:40.254Z"];
    let shown = screen(&[&log[..], &["--to", "2016-12-18T18:16:40.261Z"]].concat(), 0);
    assert!(shown.lines().any(|line| line.starts_with("2016-12-18T18:16:40.")), "the log has lines: {shown}");
    assert!(shown.lines().count() < 40, "{shown}");
    reviewed().bind(|| insta::assert_snapshot!("repro-log", shown));
}

/// Shrinks a planted loss in a generated week: LATENT_SHRINK_SEEDS=1..41 tries more, in a release build. Not every week
/// recompacts a day with late data, so not every seed fails: of 1..41, 19 do.
#[test]
fn a_planted_loss_shrinks_to_a_handful_of_things() {
    let all: Vec<u64> = seeds("LATENT_SHRINK_SEEDS", 3..4).collect();
    let shrunk = AtomicUsize::new(0);
    let wrong = failures(&all, |seed| {
        let target = format!("generated@{seed}");
        let (found, code) = report(&[&[target.as_str()], &PLANTED[..]].concat());
        if code == Some(0) {
            return None;
        }
        shrunk.fetch_add(1, Ordering::Relaxed);
        let file = fresh(&format!("shrunk-{seed}.json"));
        let output = latent(
            &[&["shrink", &target, "--for", "2m", "--jobs", "2", "--out", &file], &PLANTED[..]].concat(),
        );
        if output.status.code() != Some(0) {
            return Some(format!("{target}: {}", text(&output.stderr)));
        }
        too_large(&file, &found).map(|printed| format!("{target}: {printed}\n{}", text(&output.stdout)))
    });
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let shrunk = shrunk.into_inner();
    assert!(
        shrunk > 0 && shrunk * 6 >= all.len(),
        "the planted loss shows in {shrunk} of {} weeks",
        all.len()
    );
}

/// Describes why a shrunk case is too large, or fails differently.
fn too_large(file: &str, found: &Value) -> Option<String> {
    let case = std::fs::read_to_string(file).expect("the case was written");
    let case: Value = serde_json::from_str(&case).expect("a case is JSON");
    let count = |pointer: &str| case.pointer(pointer).and_then(Value::as_array).map_or(0, Vec::len);
    // The one deploy puts everything on the planted release.
    let items = count("/plan/faults") + count("/plan/system/operations") + count("/scenario/deploys");
    let projects = count("/plan/system/tenants");
    if items > 3 || projects > 2 {
        return Some(format!("{items} faults, operations and deploys, {projects} projects"));
    }
    let (again, _) = report_of(command(&["repro", file, "--json"]));
    let fingerprints = |report: &Value| -> BTreeSet<String> {
        let all = report["violations"].as_array().into_iter().flatten();
        all.filter_map(|violation| violation["fingerprint"].as_str().map(str::to_owned)).collect()
    };
    if again["outcome"] != found["outcome"] || fingerprints(&again).is_disjoint(&fingerprints(found)) {
        return Some(format!("it ends {} {:?}", again["outcome"], fingerprints(&again)));
    }
    (again["trace_hash"] != case["case"]["trace_hash"]).then(|| "its hash is not the recorded one".to_owned())
}

/// A misspelt mark in a profile would fail every nightly, and no other test.
#[test]
fn profiles_name_scenarios_and_marks_that_there_are() {
    let root = folder().join("..");
    let written = std::fs::read_to_string(root.join("latent.toml")).expect("it is in the tree");
    let source = sources(&root.join("models"));
    let marks = written.lines().filter_map(|line| line.trim().strip_prefix('"')?.strip_suffix("\","));
    let marks: Vec<&str> = marks.collect();
    assert!(marks.len() > 20, "{marks:?}");
    for mark in marks {
        assert!(source.contains(&format!("\"{mark}\"")), "no code reaches the mark {mark} of latent.toml");
    }
    for profile in ["quick", "nightly", "weeks"] {
        let file = fresh(&format!("profile-{profile}.jsonl"));
        let mut sweep = command(&["sweep", "--profile", profile, "--for", "0s", "--json", &file]);
        let output = sweep.current_dir(&root).output().expect("cargo built the binary");
        // The profile was read; then there was no time for any case.
        assert_eq!(output.status.code(), Some(4), "{profile}: {}", text(&output.stderr));
    }
}

/// All Rust code below a folder.
fn sources(folder: &Path) -> String {
    let mut left: Vec<PathBuf> = vec![folder.to_owned()];
    let mut text = String::new();
    while let Some(path) = left.pop() {
        if path.is_dir() {
            let entries = std::fs::read_dir(&path).expect("a folder can be listed");
            left.extend(entries.map(|entry| entry.expect("a folder reads to its end").path()));
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            text.push_str(&std::fs::read_to_string(&path).expect("code is text"));
        }
    }
    text
}
