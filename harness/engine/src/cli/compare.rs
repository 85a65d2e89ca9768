//! `compare SCENARIO...`: the same seeds with several variants of a scenario's protection, side by side.

use super::progress::LINE_INTERVAL;
use super::{CliError, Context, signals};
use crate::case::ipc::CaseResult;
use crate::case::parent::{CaseError, WorkerLimits};
use crate::case::report_builder::{RunContext, build_report};
use crate::case::{CASE_TIME, pool};
use crate::case_source::{CaseSource, shell_word};
use crate::compare::{ColumnHeader, CompareHeader, CompareTable, ComparedCase, RecordedMeasure};
use crate::output::Journal;
use crate::print::humanize::{count, span_ms};
use crate::print::{compare as printed, terminal};
use crate::sweep::runner::now;
use crate::sweep::sweep_spec::parse_range;
use crate::variant::{VariantArgs, VariantAxis};
use crate::{System, exit};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::time::Instant;
use xxhash_rust::xxh3::xxh3_64;

/// Name of the column of the scenario as it is written.
const AS_WRITTEN: &str = "as written";
/// Width of the table where there is no terminal.
const COLUMNS: usize = 100;
/// Maximum number of cases.
const MAX_CASES: u64 = 100_000;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Scenarios: built-in names or files
    #[arg(value_name = "SCENARIO", required = true)]
    scenarios: Vec<String>,
    /// Run these seeds, the end excluded, in each column
    #[arg(long, value_name = "A..B", default_value = "1..21", value_parser = parse_range)]
    seeds: (u64, u64),
    /// Protections, one column each; `all` for every one [default: the scenario's own]
    #[arg(long, value_name = "NAME,...", value_delimiter = ',')]
    protection: Vec<String>,
    /// Run this many cases in parallel [default: all cores]
    #[arg(short, long, value_name = "N", env = "LATENT_JOBS", value_parser = pool::parse_jobs)]
    jobs: Option<usize>,
    /// Write the measures of each case to this file when they are known
    #[arg(long, value_name = "FILE", default_value = ".latent/compare.jsonl")]
    json: PathBuf,
    /// Continue an interrupted run from the file of --json
    #[arg(long)]
    resume: bool,
    /// Print the table as Markdown
    #[arg(long)]
    markdown: bool,
}

/// A column of the table, before its cases run.
struct ComparedColumn<S: System> {
    scenario: String,
    variant: String,
    source: CaseSource<S>,
}

impl<S: System> ComparedColumn<S> {
    fn header(&self) -> ColumnHeader {
        ColumnHeader {
            scenario: self.scenario.clone(),
            variant: self.variant.clone(),
            digest: format!("{:016x}", xxh3_64(self.source.text.as_bytes())),
        }
    }
}

pub(super) fn run<S: System>(context: &Context<'_>, arguments: &Args) -> Result<u8, CliError> {
    let columns = columns::<S>(context, arguments)?;
    let (from, to) = arguments.seeds;
    let all = to.saturating_sub(from).saturating_mul(columns.len() as u64);
    if all == 0 || all > MAX_CASES {
        let message = format!("{} cases: a comparison runs 1 to {}", count(all), count(MAX_CASES));
        return Err(CliError::Usage(format!("{message}\n  choose other --seeds")));
    }
    let headers: Vec<ColumnHeader> = columns.iter().map(ComparedColumn::header).collect();
    let signal = signals::install()?;
    let header = CompareHeader::new(context.build, headers.clone(), arguments.seeds);
    let (mut journal, mut cases) =
        Journal::open(&arguments.json, &header, arguments.resume).map_err(CliError::Usage)?;
    let is_done = |column: &ComparedColumn<S>, seed: u64, cases: &[ComparedCase]| {
        cases.iter().any(|case| {
            (case.seed, &case.scenario, &case.variant) == (seed, &column.scenario, &column.variant)
        })
    };
    let seeds_and_columns = (from..to).flat_map(|seed| columns.iter().map(move |column| (seed, column)));
    let todo: Vec<(u64, &ComparedColumn<S>)> =
        seeds_and_columns.filter(|(seed, column)| !is_done(column, *seed, &cases)).collect();
    let requests = todo
        .iter()
        .map(|(seed, column)| Ok(column.source.with_seed(*seed)?.request()))
        .collect::<Result<Vec<_>, CliError>>()?;
    let mut progress = Progress::new(all, cases.len() as u64);
    let limits = WorkerLimits::limited(Some(CASE_TIME), None);
    let (items, jobs): (Vec<usize>, usize) = ((0..todo.len()).collect(), pool::jobs(arguments.jobs));
    let mut failure = None;
    pool::run_until(
        &signal,
        &items,
        jobs,
        limits,
        |index| requests[*index].clone(),
        |index, judged| {
            let (seed, column) = todo[index];
            let ended = compared(column, seed, judged).and_then(|case| {
                journal.record(&case)?;
                cases.push(case);
                Ok(())
            });
            progress.ran();
            failure = ended.err();
            failure.is_none()
        },
    );
    progress.bar.finish_and_clear();
    signals::exit_on_next_signal();
    if let Some(failure) = failure {
        return Err(failure);
    }
    let signal = signal.load(Ordering::Relaxed);
    let is_stopped = signal != 0;
    let table = CompareTable::of(&cases, &headers);
    if arguments.markdown {
        terminal::print(&printed::markdown(&table))?;
    } else {
        let reproduce: Vec<String> = columns.iter().map(|column| reproduce(context, column)).collect();
        let took = span_ms(u64::try_from(context.started.elapsed().as_millis()).unwrap_or(u64::MAX));
        let columns = terminal::columns().unwrap_or(COLUMNS);
        terminal::print(&printed::text(&table, arguments.seeds, &took, &reproduce, columns))?;
    }
    if is_stopped {
        let (done, all) = (count(cases.len() as u64), count(all));
        terminal::eprint(&format!("stopped after {done} of {all} cases; continue with --resume\n"));
        return Ok(exit::of_signal(signal));
    }
    Ok(exit::CLEAN)
}

/// Returns the columns: each scenario with each variant, or as it is written.
fn columns<S: System>(context: &Context<'_>, arguments: &Args) -> Result<Vec<ComparedColumn<S>>, CliError> {
    let all = || S::variants(VariantAxis::Protection).iter().map(|one| one.name.to_owned()).collect();
    let is_all = arguments.protection.iter().any(|name| name == "all");
    let protections: Vec<String> = if is_all { all() } else { arguments.protection.clone() };
    let mut columns = Vec::new();
    for scenario in &arguments.scenarios {
        let source = || context.target::<S>(scenario, None, None);
        if protections.is_empty() {
            let (scenario, variant) = (scenario.clone(), AS_WRITTEN.to_owned());
            columns.push(ComparedColumn { scenario, variant, source: source()? });
        }
        for name in &protections {
            let source = source()?.varied(&VariantArgs::protection(name))?;
            columns.push(ComparedColumn { scenario: scenario.clone(), variant: name.clone(), source });
        }
    }
    // Cases are told apart by these names.
    for (number, column) in columns.iter().enumerate() {
        let is_same = |other: &&ComparedColumn<S>| {
            (&other.scenario, &other.variant) == (&column.scenario, &column.variant)
        };
        if columns[..number].iter().any(|other| is_same(&other)) {
            let message = format!("{} with {} is given twice", column.scenario, column.variant);
            return Err(CliError::Usage(format!("{message}\n  give each scenario and protection once")));
        }
        if column.source.is_case() || column.source.given != column.scenario {
            let message = format!("{}: a comparison has its own seeds", column.scenario);
            let hint = "give the scenario without a seed, and --seeds A..B";
            return Err(CliError::Usage(format!("{message}\n  {hint}")));
        }
    }
    Ok(columns)
}

/// Returns what a case measured. A case without a report ends the comparison: a table with a hole would be wrong.
fn compared<S: System>(
    column: &ComparedColumn<S>,
    seed: u64,
    judged: Result<CaseResult, CaseError>,
) -> Result<ComparedCase, CliError> {
    let name = format!("{}@{seed} with {}", column.scenario, column.variant);
    let judged = judged.map_err(|error| CliError::Internal(format!("{name}: {error}")))?;
    let (outcome, trace_hash) = (judged.outcome, judged.trace_hash.clone());
    let scenario = &column.source.scenario;
    let (choices, repeat) = (Vec::new(), String::new());
    let asked = RunContext { scenario, seed, release: None, choices, repeat, wall_seconds: 0.0 };
    let report = build_report::<S>(asked, judged).map_err(CliError::Internal)?;
    let recorded =
        |measure: crate::Measure| RecordedMeasure { name: measure.name.to_owned(), value: measure.value };
    Ok(ComparedCase {
        scenario: column.scenario.clone(),
        variant: column.variant.clone(),
        seed,
        outcome,
        trace_hash,
        measures: S::measures(&report).into_iter().map(recorded).collect(),
    })
}

/// Returns the command that runs one case of a column.
fn reproduce<S: System>(context: &Context<'_>, column: &ComparedColumn<S>) -> String {
    format!("{} run {}", shell_word(&context.program), column.source.arguments())
}

/// Progress: a bar on a terminal, a plain line at intervals elsewhere.
struct Progress {
    bar: ProgressBar,
    last_line: Instant,
}

impl Progress {
    fn new(all: u64, done: u64) -> Progress {
        let bar = ProgressBar::with_draw_target(Some(all), ProgressDrawTarget::stderr());
        let style = ProgressStyle::with_template("{bar:24} {pos} of {len} cases, {eta} left");
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        bar.set_position(done);
        Progress { bar, last_line: now() }
    }

    fn ran(&mut self) {
        self.bar.inc(1);
        if self.bar.is_hidden() && self.last_line.elapsed() >= LINE_INTERVAL {
            self.last_line = now();
            let all = self.bar.length().unwrap_or_default();
            terminal::eprint(&format!("{} of {} cases\n", count(self.bar.position()), count(all)));
        }
    }
}
