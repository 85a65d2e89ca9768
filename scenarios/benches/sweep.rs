//! Cost of a sweep: speed-up of a second job, overhead of a process for each case, cost of a generated week.
//!
//! **Two jobs.** The same cases of `one-day`, swept with `--jobs 1` and with `--jobs 2`: real time from the start of
//! the program to its end, the least of several alternating rounds. As a reference for the machine, two programs run at
//! once, each with one job and half of the cases: the sweep is at fault only if two programs are fast enough and two
//! jobs are not. Not measured on a machine with a single core. On a shared machine, a second process also gets a second
//! share of the cores: a ratio beyond the possible speed-up is an artefact and counts as not measured.
//!
//! **A separate process.** The same cases swept with one job, and run sequentially in this process by
//! `latent_engine::run_in_process`, with the same code and the same allocator on a separate thread. The difference, for
//! each process that the sweep started (it runs some cases twice), is the overhead: start, addresses, cold caches, a
//! new heap, the transfer of the request and of the verdict through pipes, a line in the results file, and an equal
//! share of the sweep's start and end. Processor time (user and system, of the sweep and its workers) and real time,
//! each the least of several rounds. Once with nearly empty cases of minutes, once with `one-day`, whose heap is
//! larger.
//!
//! **A generated week.** Processor time of `latent run generated@SEED --json` and its worker, including the generation
//! of the scenario, the plan, the verdict, and the separate process; one run for each seed, the median.
//!
//! Real time depends on the machine's load, and processor time on shared caches: measure on an idle machine. Its load
//! at the start is printed where the system reports it.
//!
//! Run by `cargo bench -p latent --bench sweep`. Exits with 1 when a limit is exceeded, or could not be checked.

#![expect(clippy::disallowed_methods, reason = "a benchmark looks at the real clock")]

mod cost;

use cost::{ResourceUsage, RunningProgram, latent};
use latent_engine::run_in_process;
use latent_world::Latent;
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::{ExitCode, Stdio};
use std::time::Instant;

/// As in the binary: a case in this process must be the same work.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const ROUNDS: usize = 5;

/// Minimum speed-up of two jobs.
const TWO_JOBS_AT_LEAST: f64 = 1.9;
/// Maximum speed-up of two jobs, with a tolerance for the clock.
const TWO_JOBS_AT_MOST: f64 = 2.1;
/// Limit of the cost of a case's own process, in milliseconds of the processor and of real time.
const PROCESS_AT_MOST_MS: f64 = 5.0;
/// Limit of the median cost of a generated week, in milliseconds of the processor.
const WEEK_AT_MOST_MS: f64 = 150.0;
const WEEKS: u64 = 41;

const ONE_DAY: &str = include_str!("../one-day.json");
const DAYS: u64 = 80;

/// Nearly empty cases: a world is built, receives about ten events, is healed and judged.
const MINUTES: &str = r#"{
  "name": "minutes",
  "start": "2016-02-20T12:00:00Z",
  "run_for": "10m",
  "zones": [{ "zone": "Asia/Tokyo", "weight": 1 }],
  "tenants": [{ "name": "only", "count": 1, "events_per_day": [1440, 1440], "requests_per_day": 288 }],
  "expect": "clean"
}"#;
const MINUTES_CASES: u64 = 200;

fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join(name)
}

fn text_of(path: &Path) -> &str {
    path.to_str().expect("cargo's directories are UTF-8")
}

/// A running sweep, and the path of its results.
struct Sweep(RunningProgram, PathBuf);

impl Sweep {
    /// Starts seeds 1 to `cases` of a scenario.
    fn start(scenario: &str, cases: u64, jobs: usize, slice: &str) -> Sweep {
        let results = file(&format!("sweep-{}.jsonl", slice.replace([':', '/'], "-")));
        let (seeds, jobs) = (format!("1..{}", cases + 1), jobs.to_string());
        let mut command =
            latent(&["sweep", scenario, "--seeds", &seeds, "--jobs", &jobs, "--partition", slice]);
        command.args(["--json", text_of(&results)]).stdout(Stdio::null()).stderr(Stdio::null());
        Sweep(RunningProgram::start(&mut command), results)
    }

    fn whole(scenario: &str, cases: u64, jobs: usize) -> (ResourceUsage, u64) {
        Sweep::start(scenario, cases, jobs, "slice:1/1").finish()
    }

    /// Returns its resource usage, and the number of processes that it started for cases.
    fn finish(self) -> (ResourceUsage, u64) {
        let Sweep(running, results) = self;
        let ended = running.finish();
        assert_eq!(ended.code, Some(0), "a failed sweep cannot be measured: see {}", results.display());
        let written = std::fs::read_to_string(&results).expect("a sweep writes its results");
        let lines = written.lines().map(|line| serde_json::from_str(line).expect("results are JSON lines"));
        let runs = lines.map(|line: Value| match &line["case"]["determinism_checked"] {
            Value::Bool(twice) => 1 + u64::from(*twice),
            _ => 0,
        });
        (ended.cost, runs.sum())
    }
}

fn least(seconds: impl Iterator<Item = f64>) -> f64 {
    seconds.min_by(f64::total_cmp).expect("there are rounds")
}

/// Prints the speed-up of two jobs; returns a violated limit.
fn two_jobs(rounds: usize) -> Option<String> {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    if cores < 2 {
        println!("two jobs: not measured on a machine with a single core");
        return None;
    }
    let round = |_| {
        let one = Sweep::whole("one-day", DAYS, 1).0.wall_seconds;
        let two = Sweep::whole("one-day", DAYS, 2).0.wall_seconds;
        let halves = ["slice:1/2", "slice:2/2"].map(|slice| Sweep::start("one-day", DAYS, 1, slice));
        let slower_half = halves.map(|half| half.finish().0.wall_seconds).into_iter().fold(0.0, f64::max);
        (one, two, slower_half)
    };
    let walls: Vec<_> = (0..rounds).map(round).collect();
    let one = least(walls.iter().map(|wall| wall.0));
    let ratio = one / least(walls.iter().map(|wall| wall.1));
    let of_machine = one / least(walls.iter().map(|wall| wall.2));
    println!(
        "two jobs: {ratio:.2} times as fast as one ({one:.2} s); two programs with half each: {of_machine:.2} times"
    );
    let sentence =
        format!("two jobs were {ratio:.2} times as fast as one, and two programs {of_machine:.2} times");
    if ratio < TWO_JOBS_AT_LEAST {
        Some(format!("{sentence}: less than {TWO_JOBS_AT_LEAST}"))
    } else if ratio > TWO_JOBS_AT_MOST {
        Some(format!("{sentence}: no measure, since it is more than two jobs can give"))
    } else {
        None
    }
}

/// Measures `work` in this process.
fn of_here(work: impl FnOnce()) -> ResourceUsage {
    let (started, before) = (Instant::now(), usage_here());
    work();
    let (wall_seconds, after) = (started.elapsed().as_secs_f64(), usage_here());
    let cpu_seconds = cost::cpu_seconds(&after) - cost::cpu_seconds(&before);
    ResourceUsage { wall_seconds, cpu_seconds, peak_mb: after.ru_maxrss.unsigned_abs() / 1024 }
}

#[expect(unsafe_code, reason = "std does not tell a process's own resource usage; getrusage does")]
fn usage_here() -> libc::rusage {
    // SAFETY: rusage is plain numbers, for which zeros are a value.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    // SAFETY: the pointer is to a live local of the right type.
    let told = unsafe { libc::getrusage(libc::RUSAGE_SELF, &raw mut usage) };
    assert_eq!(told, 0, "a process may ask for its own usage");
    usage
}

/// Real and processor time of a case, in milliseconds.
#[derive(Clone, Copy)]
struct PerCase {
    wall_ms: f64,
    cpu_ms: f64,
}

impl PerCase {
    fn of(cost: ResourceUsage, cases: u64) -> PerCase {
        let each_ms = |seconds: f64| seconds * 1e3 / cases as f64;
        PerCase { wall_ms: each_ms(cost.wall_seconds), cpu_ms: each_ms(cost.cpu_seconds) }
    }

    fn least(of: &[PerCase]) -> PerCase {
        PerCase {
            wall_ms: least(of.iter().map(|one| one.wall_ms)),
            cpu_ms: least(of.iter().map(|one| one.cpu_ms)),
        }
    }
}

/// Prints the overhead of a case's own process, for the scenario with this text; returns violated limits.
fn process(scenario: &str, text: &str, cases: u64, rounds: usize) -> Vec<String> {
    let all_here = || {
        for seed in 1..=cases {
            let report = run_in_process::<Latent>(text, seed).expect("the sweep ran the same scenario");
            assert!(report.as_expected(), "{scenario}@{seed}: a failed run cannot be measured");
        }
    };
    let (mut apart, mut here) = (Vec::new(), Vec::new());
    for _ in 0..rounds {
        let (cost, processes) = Sweep::whole(scenario, cases, 1);
        apart.push(PerCase::of(cost, processes));
        here.push(PerCase::of(of_here(all_here), cases));
    }
    let (apart, here) = (PerCase::least(&apart), PerCase::least(&here));
    let (cpu_ms, wall_ms) = (apart.cpu_ms - here.cpu_ms, apart.wall_ms - here.wall_ms);
    let name = Path::new(scenario).file_stem().map_or(scenario.into(), |stem| stem.to_string_lossy());
    println!(
        "a process of its own, {name}: {cpu_ms:.2} ms of the processor ({:.2} less {:.2}), {wall_ms:.2} ms of real time ({:.2} less {:.2})",
        apart.cpu_ms, here.cpu_ms, apart.wall_ms, here.wall_ms
    );
    let checked = [("of the processor", cpu_ms), ("of real time", wall_ms)];
    let passed = checked.into_iter().filter(|(_, ms)| *ms > PROCESS_AT_MOST_MS);
    passed
        .map(|(what, ms)| {
            format!(
                "a process of its own cost a case of {name} {ms:.2} ms {what}, more than {PROCESS_AT_MOST_MS}"
            )
        })
        .collect()
}

/// Measures a generated case; or returns why it cannot be measured.
fn week(seed: u64) -> Result<ResourceUsage, String> {
    let case = format!("generated@{seed}");
    let ended = RunningProgram::start(latent(&["run", &case, "--json"]).stdout(Stdio::piped())).finish();
    let report: Value = serde_json::from_str(&ended.printed)
        .map_err(|_| format!("{case} has no report: exit code {:?}", ended.code))?;
    if report["as_expected"] != true {
        return Err(format!("{case} cannot be measured: it ended as {}", report["outcome"]));
    }
    Ok(ended.cost)
}

/// Prints the cost of generated weeks; returns a violated limit.
fn weeks() -> Option<String> {
    let costs = match (1..=WEEKS).map(week).collect::<Result<Vec<ResourceUsage>, String>>() {
        Ok(costs) => costs,
        Err(why) => return Some(format!("a generated week could not be measured: {why}")),
    };
    let mut all_ms: Vec<f64> = costs.iter().map(|cost| cost.cpu_seconds * 1e3).collect();
    all_ms.sort_by(f64::total_cmp);
    let (least_ms, median_ms, most_ms) = (all_ms[0], all_ms[all_ms.len() / 2], all_ms[all_ms.len() - 1]);
    let peak_mb = costs.iter().map(|cost| cost.peak_mb).max().unwrap_or_default();
    println!(
        "a generated week: {median_ms:.0} ms of the processor at the median of {WEEKS}, {least_ms:.0} to {most_ms:.0} ms; at most {peak_mb} MB"
    );
    (median_ms > WEEK_AT_MOST_MS).then(|| {
        format!("a generated week took {median_ms:.0} ms of the processor, more than {WEEK_AT_MOST_MS}")
    })
}

fn main() -> ExitCode {
    let minutes = file("minutes.json");
    std::fs::write(&minutes, MINUTES).expect("cargo's directory for benchmarks can be written");
    // `cargo test --benches` and `cargo bench -- --test` only check that it runs.
    let asked = |flag: &str| std::env::args().any(|argument| argument == flag);
    if asked("--test") || !asked("--bench") {
        process(text_of(&minutes), MINUTES, 3, 1);
        return ExitCode::SUCCESS;
    }
    if let Ok(load) = std::fs::read_to_string("/proc/loadavg") {
        let load: Vec<&str> = load.split(' ').take(3).collect();
        println!("load of the machine over 1, 5 and 15 minutes: {}", load.join(", "));
    }
    let mut passed: Vec<String> = two_jobs(ROUNDS).into_iter().collect();
    passed.extend(process(text_of(&minutes), MINUTES, MINUTES_CASES, ROUNDS));
    passed.extend(process("one-day", ONE_DAY, DAYS, ROUNDS));
    passed.extend(weeks());
    for sentence in &passed {
        eprintln!(
            "too slow, or not measured: {sentence}; if the machine is busy, measure again when it is not"
        );
    }
    if passed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
