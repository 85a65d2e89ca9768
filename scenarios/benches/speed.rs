//! Cost of whole runs, and whether it is linear in the simulated work.
//!
//! Each case is a process; its cost is the kernel's account of it and its worker (`wait4`): CPU seconds and the largest
//! resident set. Limits apply to CPU seconds, the least of three runs: wall time on a shared machine depends on its
//! load. Wall time is printed too.
//!
//! Run by `cargo bench -p latent --bench speed`. Exits with 1 when a limit is exceeded.

#![expect(clippy::disallowed_methods, reason = "a benchmark looks at the real clock")]

mod cost;

use cost::{CompletedProgram, ResourceUsage, RunningProgram, latent};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::{ExitCode, Stdio};

const RUNS: usize = 3;

/// Limits of built-in scenarios, as promised by the design.
const LIMITS: [(&str, f64, u64); 2] = [("quiet-week", 0.5, 100), ("incident-2016", 5.0, 1_000)];

/// Twice the work may cost at most this factor, net of the cost of an empty world.
const DOUBLE_AT_MOST: f64 = 2.6;

/// Sixteen weeks may cost at most this multiple of one week: sixteen, and a little for effects of a long run. Not met: on
/// 2026-12-01 they cost 18.9 times as much, 11.9 s of processor time against 0.63 s.
const SIXTEEN_WEEKS_AT_MOST: f64 = 17.0;

/// Resource usage and report of one run.
#[derive(Clone, Debug)]
struct MeasuredRun {
    cost: ResourceUsage,
    report: Value,
}

fn run_once(case: &str) -> MeasuredRun {
    let mut command = latent(&["run", case, "--json"]);
    let CompletedProgram { cost, code, printed } =
        RunningProgram::start(command.stdout(Stdio::piped())).finish();
    let report: Value = serde_json::from_str(&printed)
        .unwrap_or_else(|error| panic!("{case}: no report, exit code {code:?}: {error}"));
    assert_eq!(report["as_expected"], true, "{case}: a failed run cannot be measured: {report}");
    MeasuredRun { cost, report }
}

/// Measures the cheapest of several runs, by CPU seconds, and prints it as a line of the table.
fn measure(label: &str, case: &str) -> ResourceUsage {
    measure_of(RUNS, label, case)
}

fn measure_of(runs: usize, label: &str, case: &str) -> ResourceUsage {
    let runs = (0..runs).map(|_| run_once(case));
    let by_cpu =
        |one: &MeasuredRun, next: &MeasuredRun| one.cost.cpu_seconds.total_cmp(&next.cost.cpu_seconds);
    let MeasuredRun { cost, report } = runs.min_by(by_cpu).expect("there are runs");
    let work = |name: &str| report["work"][name].as_f64().unwrap_or(0.0) / cost.cpu_seconds;
    println!(
        "{label:<28} {:>8.2} {:>8.2} {:>7} {:>9} {:>13.0} {:>12.0}",
        cost.wall_seconds,
        cost.cpu_seconds,
        cost.peak_mb,
        report["events"]["sent"].as_u64().unwrap_or(0),
        work("event_copies_held"),
        work("compaction_runs"),
    );
    cost
}

/// Writes `quiet-week` with its events and its days multiplied, without required marks.
fn variant(name: &str, events: (u64, u64), days: u64) -> PathBuf {
    let text = include_str!("../quiet-week.json");
    let mut scenario: Value = serde_json::from_str(text).expect("a built-in scenario is JSON");
    scenario["name"] = json!(name);
    scenario["run_for"] = json!(format!("{days}d"));
    scenario["required_marks"] = json!([]);
    for class in scenario["tenants"].as_array_mut().expect("it has tenants") {
        for bound in class["events_per_day"].as_array_mut().expect("least and most") {
            *bound = json!(bound.as_u64().expect("a count") * events.0 / events.1);
        }
    }
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}.json"));
    std::fs::write(&path, scenario.to_string()).expect("cargo's directory for benchmarks can be written");
    path
}

fn measure_variant(label: &str, events: (u64, u64), days: u64) -> ResourceUsage {
    let path = variant(&label.replace(' ', "-"), events, days);
    measure(label, path.to_str().expect("cargo's directories are UTF-8"))
}

/// A sentence for each exceeded limit.
fn passed(
    named: &[(ResourceUsage, (&str, f64, u64))],
    doubled: &[(&str, f64)],
    sixteen_weeks: f64,
) -> Vec<String> {
    let mut passed = Vec::new();
    for (cost, (name, seconds, mb)) in named {
        if cost.cpu_seconds > *seconds {
            passed.push(format!("{name} took {:.2} CPU seconds, more than {seconds}", cost.cpu_seconds));
        }
        if cost.peak_mb > *mb {
            passed.push(format!("{name} took {} MB, more than {mb}", cost.peak_mb));
        }
    }
    for (what, ratio) in doubled.iter().filter(|(_, ratio)| *ratio > DOUBLE_AT_MOST) {
        passed.push(format!("twice the {what} cost {ratio:.2} times as much, more than {DOUBLE_AT_MOST}"));
    }
    if sixteen_weeks > SIXTEEN_WEEKS_AT_MOST {
        passed.push(format!(
            "112 days cost {sixteen_weeks:.2} times as much as 7, more than {SIXTEEN_WEEKS_AT_MOST}"
        ));
    }
    passed
}

fn main() -> ExitCode {
    // `cargo test --benches` and `cargo bench -- --test` only check that it runs.
    let asked = |flag: &str| std::env::args().any(|argument| argument == flag);
    if asked("--test") || !asked("--bench") {
        run_once("quiet-week");
        return ExitCode::SUCCESS;
    }
    println!(
        "{:<28} {:>8} {:>8} {:>7} {:>9} {:>13} {:>12}",
        "case, least of three", "wall s", "CPU s", "MB", "events", "copies/CPU s", "runs/CPU s"
    );
    let named: Vec<_> = LIMITS.into_iter().map(|limit| (measure(limit.0, limit.0), limit)).collect();
    let empty = measure_variant("empty week", (0, 1), 7).cpu_seconds;
    let half = measure_variant("half the events", (1, 2), 7).cpu_seconds - empty;
    let same = measure_variant("the events", (1, 1), 7).cpu_seconds;
    let double = measure_variant("double the events", (2, 1), 7).cpu_seconds - empty;
    let long = measure_variant("double the days", (1, 1), 14).cpu_seconds;
    let doubled = [
        ("events, from half to all", (same - empty) / half),
        ("events, from all to double", double / (same - empty)),
        ("days", long / same),
    ];
    for (what, ratio) in doubled {
        println!("twice the {what}: {ratio:.2} times the cost");
    }
    let path = variant("sixteen-weeks", (1, 1), 112);
    // A long run averages out random effects: one is enough.
    let sixteen = measure_of(1, "sixteen weeks", path.to_str().expect("cargo's directories are UTF-8"));
    let sixteen_weeks = sixteen.cpu_seconds / same;
    println!("112 days: {sixteen_weeks:.2} times the cost of 7");
    let passed = passed(&named, &doubled, sixteen_weeks);
    for sentence in &passed {
        eprintln!(
            "too slow, too large, or not linear: {sentence}; if the machine is busy, measure again when it is not"
        );
    }
    if passed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
