//! End-to-end tests of the write-ahead log of `examples/wal.rs`, as processes, one case at a time.

mod common;
#[path = "whole_process/usage.rs"]
mod usage;
#[path = "../examples/wal.rs"]
mod wal;

use common::{Test, own_path, tests, text};
use serde_json::Value;
use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::path::PathBuf;
use std::process::{Command, ExitCode, Output, Stdio};

const TESTS: &[Test] = tests![
    the_correct_log_loses_no_acknowledged_record_at_any_power_failure,
    the_correct_log_survives_the_faults_of_the_nemesis,
    the_planted_bug_is_caught_with_one_fingerprint,
    a_case_runs_the_same_in_every_process,
    a_run_is_one_screen,
    verbose_prints_everything,
    json_is_one_object_with_what_is_promised,
    a_required_mark_that_is_missed_fails_the_run,
    a_log_that_does_not_finish_hangs,
    a_panic_is_a_finding_that_can_be_repeated,
    a_worker_that_is_killed_is_an_internal_error,
    a_stored_plan_overrides_scenario_and_seed,
    usage::a_bad_scenario_is_refused_with_its_place,
    usage::a_fault_at_a_node_that_is_not_there_is_refused,
    usage::wrong_usage_is_2,
    usage::scenarios_and_schema_are_listed,
    usage::a_reader_that_leaves_is_no_error,
];

fn main() -> ExitCode {
    common::main(wal::main, &[TESTS])
}

/// Runs the example with these arguments to its end.
fn wal(arguments: &[&str]) -> Output {
    Command::new(own_path())
        .args(arguments)
        .env("RUST_BACKTRACE", "0")
        .output()
        .expect("this program can be started")
}

/// Returns the JSON report of a run, and its exit code.
fn report(arguments: &[&str]) -> (Value, Option<i32>) {
    let output = wal(&[&["run", "--json"], arguments].concat());
    let value = serde_json::from_slice(&output.stdout).unwrap_or_else(|error| {
        panic!("{error}: {}{}", text(&output.stdout), text(&output.stderr));
    });
    (value, output.status.code())
}

/// Writes a scenario file for one test, named after it, with fields added to those of a small correct run.
fn scenario(name: &str, more: &str) -> String {
    scenario_for(name, "1m", more)
}

fn scenario_for(name: &str, run_for: &str, more: &str) -> String {
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}.json"));
    let text = format!(
        "{{\n  \"name\": \"{name}\",\n  \"start\": \"2016-02-22T00:00:00Z\",\n  \"run_for\": \"{run_for}\",\n  {more}\n}}\n"
    );
    std::fs::write(&path, text).expect("cargo's directory for tests can be written");
    path.to_str().expect("cargo's directories are UTF-8").to_owned()
}

/// Removes variable parts: paths and real time, which depend on the machine; trace hashes and counts, which change with
/// the simulator.
fn stable(output: &[u8], scenario: &str) -> String {
    let own = own_path();
    let shown = text(output).replace(own.to_str().expect("cargo's directories are UTF-8"), "wal");
    let shown = if scenario.is_empty() { shown } else { shown.replace(scenario, "FILE") };
    let line = |line: &str| match line.split_once(" in ") {
        Some((before, _)) if line.contains(" x real time") => format!("{before} in …"),
        _ if line.starts_with("  trace ") => "  trace       …".to_owned(),
        _ => line.to_owned(),
    };
    shown.lines().map(line).collect::<Vec<_>>().join("\n")
}

fn the_correct_log_loses_no_acknowledged_record_at_any_power_failure() {
    let mut operation = 0;
    loop {
        operation += 1;
        let (report, code) = report(&[&format!("correct@{operation}")]);
        let fault = &report["faults"][0];
        if fault["fault"]["trigger"]["nth_op"]["n"] != operation {
            break; // the seeds begin again at the first operation
        }
        assert_eq!((report["outcome"].as_str(), code), (Some("clean"), Some(0)), "{report:#}");
        assert!(fault["triggered_ms"].is_i64(), "power failed at operation {operation}: {fault}");
        assert_eq!(report["told_safe"], 10);
    }
    assert_eq!(operation - 1, 26, "six operations to open the log, two for each of ten records");
}

fn the_correct_log_survives_the_faults_of_the_nemesis() {
    let output = wal(&["sweep", "rough", "--seeds", "1..31", "--json", "-"]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stdout));
    let struck = [
        "\"kill\"",
        "\"disk_error\"",
        "\"sync_failure\"",
        "\"disk_full\"",
        "\"crash_loop\"",
        "\"short_read\"",
    ];
    for fault in struck {
        assert!(text(&output.stdout).contains(fault), "{fault} struck no operation");
    }
}

fn the_planted_bug_is_caught_with_one_fingerprint() {
    let (mut fingerprints, mut caught) = (BTreeSet::new(), 0);
    for seed in 1..=16 {
        let (report, code) = report(&[&format!("missing-sync@{seed}")]);
        match report["outcome"].as_str() {
            Some("clean") => assert_eq!(code, Some(0)),
            Some("unrecoverable-loss") => {
                assert_eq!(code, Some(100));
                caught += 1;
                let fingerprint = report["violations"][0]["fingerprint"].as_str().map(str::to_owned);
                fingerprints.insert(fingerprint.expect("a violation has a fingerprint"));
            }
            _ => panic!("{report:#}"),
        }
    }
    assert!(caught >= 4, "a crash after several unsynced records loses some of them: caught {caught} of 16");
    assert_eq!(fingerprints.into_iter().collect::<Vec<_>>(), ["W1:missing:after-crash:loss"]);
}

fn a_case_runs_the_same_in_every_process() {
    let hash = |arguments: &[&str]| report(arguments).0["trace_hash"].as_str().map(str::to_owned);
    let first = hash(&["missing-sync@12"]);
    assert!(first.as_ref().is_some_and(|hash| hash.len() == 32));
    assert_eq!(hash(&["missing-sync@12"]), first);
    assert_eq!(hash(&["missing-sync@12", "--keep-randomisation"]), first);
    assert_ne!(hash(&["missing-sync@13"]), first);
}

fn a_run_is_one_screen() {
    let output = wal(&["run", "missing-sync@12"]);
    assert_eq!(output.status.code(), Some(100));
    insta::assert_snapshot!(stable(&output.stdout, ""), @"
    missing-sync@12: unrecoverable-loss, expected clean
      simulated   1 m from 2016-02-22 00:00:00Z in …
      records     10 told safe, 5 kept
      detected by nothing
      violated    W1:missing:after-crash:loss  once, 5 records, first 2016-02-22 00:01:00Z
                  wal: 0, 1, 2, 3, 4
      trace       …
      reproduce   wal run missing-sync@12
      explain     wal explain W1:missing:after-crash:loss
    ");
    assert!(output.stderr.is_empty(), "no progress without a terminal: {}", text(&output.stderr));
    assert!(!output.stdout.contains(&0x1b), "no colours without a terminal");
}

fn verbose_prints_everything() {
    let output = wal(&["run", "-v", "correct@9"]);
    assert_eq!(output.status.code(), Some(0));
    insta::assert_snapshot!(stable(&output.stdout, ""), @r#"
      choices     {"drawn":[{"trigger":{"nth_op":{"node":"log","op":"disk","path_prefix":"","n":9,"after_ms":0}},"action":{"kill":{"node":"log","restart_after_ms":1000,"keeps":null,"tear_bytes":null}}}]}
    correct@9: clean, as expected
      simulated   1 m from 2016-02-22 00:00:00Z in …
      records     10 told safe, 10 kept
      violated    nothing
      faults      2016-02-22 00:00:00Z {"trigger":{"nth_op":{"node":"log","op":"disk","path_prefix":"","n":9,"after_ms":0}},"action":{"kill":{"node":"log","restart_after_ms":1000,"keeps":null,"tear_bytes":null}}}
      marks       wal.recovered 1
      nodes       log              2 boots, 33 disk operations, 0 messages, 1 mark
      trace       …
      reproduce   wal run correct@9
    "#);
}

fn json_is_one_object_with_what_is_promised() {
    let output = wal(&["run", "missing-sync@12", "--json"]);
    assert_eq!(text(&output.stdout).lines().count(), 1);
    let report: Value = serde_json::from_slice(&output.stdout).expect("it is JSON");
    let keys: Vec<&str> = report.as_object().expect("it is an object").keys().map(String::as_str).collect();
    insta::assert_snapshot!(keys.join(" "), @"as_expected beyond_budget caveat detections expected expected_as_written faults hung kept marks marks_not_reached outcome release reproduce scenario seed shortfall sim_seconds start_ms told_safe trace_hash trace_records violations wall_seconds");
    let violation: Vec<&str> =
        report["violations"][0].as_object().expect("it is an object").keys().map(String::as_str).collect();
    insta::assert_snapshot!(violation.join(" "), @"at_ms detail file fingerprint invariant keys kind loses_items records stage");
    assert!(report["wall_seconds"].as_f64().is_some_and(|seconds| seconds > 0.0));
    assert_eq!(report["sim_seconds"], 60.0);
    let (verbose, _) = self::report(&["missing-sync@12", "-v"]);
    assert_eq!(verbose["nodes"][0]["name"], "log");
    assert_eq!(verbose["nodes"][0]["boots"], 2);
}

fn a_required_mark_that_is_missed_fails_the_run() {
    let file = scenario("missed", r#""records": 3, "required_marks": ["wal.recovered", "wal.complete"]"#);
    let output = wal(&["run", &format!("{file}@12")]);
    assert_eq!(output.status.code(), Some(103));
    insta::assert_snapshot!(stable(&output.stdout, &file), @"
    missed@12: clean, required marks not reached: wal.complete
      simulated   1 m from 2016-02-22 00:00:00Z in …
      records     3 told safe, 3 kept
      violated    nothing
      marks       not reached: wal.complete
      trace       …
      reproduce   wal run FILE@12
      explain     wal explain wal.complete
    ");
    let (report, code) = report(&[&file]);
    assert_eq!((report["outcome"].as_str(), code), (Some("clean"), Some(103)));
    assert_eq!(report["as_expected"], false);
}

fn a_log_that_does_not_finish_hangs() {
    let file = scenario("stuck", r#""records": 1000000, "expect": "hung""#);
    let (report, code) = report(&[&file]);
    assert_eq!((report["outcome"].as_str(), code), (Some("hung"), Some(0)), "{report:#}");
    assert!(report["hung"].as_str().is_some_and(|what| what.contains("the log stopped at record")));
}

/// The example's log panics on a disk that never works again: the error names the location and how to reproduce it.
fn a_panic_is_a_finding_that_can_be_repeated() {
    let fault = r#"{ "trigger": { "at_ms": 1456099200000 },
      "action": { "disk_error": { "node": "log", "op": "append" } } }"#;
    let file = scenario("broken-disk", &format!(r#""records": 3, "faults": [{fault}]"#));
    let output = wal(&["run", &format!("{file}@100")]);
    assert_eq!(output.status.code(), Some(100));
    assert!(output.stdout.is_empty());
    let printed = stable(&output.stderr, &file);
    let expected = "error: the code of log panicked: the disk fails again and again: ";
    assert!(printed.contains(expected), "{printed}");
    assert!(printed.contains("/wal.rs:"), "{printed}");
    assert!(printed.ends_with("reproduce: wal run FILE@100"), "{printed}");
}

/// A worker killed by the operating system must not look like a verdict.
fn a_worker_that_is_killed_is_an_internal_error() {
    let file = scenario_for("killed", "300d", r#""records": 20000000"#);
    let mut parent = Command::new(own_path())
        .args(["run", &file])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("this program can be started");
    kill_child_of(parent.id());
    let mut printed = String::new();
    parent.stderr.take().expect("it is piped").read_to_string(&mut printed).expect("it is UTF-8");
    let status = parent.wait().expect("it is our child");
    assert_eq!(status.code(), Some(1), "{printed}");
    assert!(printed.contains("exited without a report: signal: 9"), "{printed}");
}

/// Waits until the process has a child, and kills it, on Linux.
fn kill_child_of(parent: u32) {
    let children = format!("/proc/{parent}/task/{parent}/children");
    for _ in 0..100_000 {
        let listed = std::fs::read_to_string(&children).expect("the parent still runs");
        if let Some(child) = listed.split_whitespace().next() {
            let killed = Command::new("kill").args(["-9", child]).status().expect("kill can be started");
            assert!(killed.success());
            return;
        }
        std::thread::yield_now();
    }
    panic!("process {parent} never started a worker");
}

/// A stored plan overrides scenario and seed: here one without the fault of the seed.
fn a_stored_plan_overrides_scenario_and_seed() {
    let work = |plan: Value| {
        let file = scenario("planned", r#""records": 3"#);
        let text = std::fs::read_to_string(&file).expect("it was just written");
        let mut work = serde_json::json!({ "file": file, "text": text, "seed": 12 });
        if !plan.is_null() {
            work["plan"] = plan;
        }
        let mut worker = Command::new(own_path())
            .arg("__worker")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("this program can be started");
        let mut input = worker.stdin.take().expect("it is piped");
        input.write_all(work.to_string().as_bytes()).expect("the worker reads");
        drop(input);
        text_of_last_line(&worker.wait_with_output().expect("it is our child"))
    };
    let expanded = work(Value::Null);
    assert_eq!(expanded["judged"]["nodes"][0]["boots"], 2, "{expanded:#}");
    let plan =
        serde_json::json!({ "scheduler_seed": 1, "draw_seed": 1, "faults": [], "system": { "drawn": [] } });
    let stored = work(plan);
    assert_eq!(stored["judged"]["nodes"][0]["boots"], 1, "{stored:#}");
    let refused = work(serde_json::json!({ "scheduler_seed": "one" }));
    assert!(refused["refused"].as_str().is_some_and(|why| why.contains("the stored plan cannot be read")));
}

/// Returns the last line of a worker, without its prefix.
fn text_of_last_line(output: &Output) -> Value {
    let printed = text(&output.stdout);
    let last = printed.lines().last().expect("a worker says something");
    let json = last.strip_prefix("\u{1}latent ").expect("a worker's lines begin alike");
    serde_json::from_str(json).expect("a worker's lines are JSON")
}
