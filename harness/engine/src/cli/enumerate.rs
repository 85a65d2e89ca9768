//! `enumerate SCENARIO[@SEED]`: a crash, or one error, at each operation in turn.

use super::progress::LINE_INTERVAL;
use super::{CliError, Context, log, signals};
use crate::case::ipc::CaseRequest;
use crate::case::parent::{self, CaseError, WorkerLimits};
use crate::case::pool;
use crate::case::report_builder::marks_not_reached;
use crate::case_source::{CaseSource, shell_word};
use crate::enumerate::{
    EnumerationHeader, EnumerationJournal, EnumerationPlan, EnumerationStats, FaultFilter, OpFilter,
    PlannedRun,
};
use crate::output::{STANDARD, is_stream};
use crate::print::humanize::{count, counted, span_ms};
use crate::print::{enumerate as printed, terminal};
use crate::scenario::{Scenario, Timestamp};
use crate::sweep::runner::now;
use crate::sweep::sweep_spec::Slice;
use crate::{System, exit};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use xxhash_rust::xxh3::xxh3_64;

/// Limit of a run's real time, as a multiple of the recording run's, and its minimum in seconds: a busy machine does
/// not mean a hung case.
const LIMIT_TIMES: u32 = 50;
const MIN_LIMIT_S: u32 = 60;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// A built-in scenario's name or a file, and the seed (the scenario's own if none is given, else 1)
    #[arg(value_name = "SCENARIO[@SEED]")]
    target: String,
    /// Use this seed; the same as SCENARIO@SEED
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// Inject only this fault, named as in --inject, or `crash` or `lost` for any of these; may be given several times
    #[arg(long, value_name = "FAULT", value_delimiter = ',')]
    fault: Vec<FaultFilter>,
    /// Inject only at this node
    #[arg(long, value_name = "NAME")]
    node: Option<String>,
    /// Inject only at operations from this time on, such as 2016-02-20T15:00:00Z
    #[arg(long, value_name = "A")]
    from: Option<Timestamp>,
    /// Inject only at operations before this time
    #[arg(long, value_name = "B")]
    to: Option<Timestamp>,
    /// Put the whole system on this release: one of the scenario's, or `good`
    #[arg(long, value_name = "NAME")]
    release: Option<String>,
    /// Run one partition, such as slice:1/4; the enumeration is clean if every partition is
    #[arg(long, value_name = "slice:I/N", env = "LATENT_PARTITION")]
    partition: Option<Slice>,
    /// Run this many cases in parallel [default: all cores]
    #[arg(short, long, value_name = "N", env = "LATENT_JOBS", value_parser = pool::parse_jobs)]
    jobs: Option<usize>,
    /// Write each run to this file when it ends; `-` is the standard output
    #[arg(long, value_name = "FILE", default_value = ".latent/enumerate.jsonl")]
    results: PathBuf,
    /// Continue an interrupted enumeration from its results file
    #[arg(long)]
    resume: bool,
    /// Print the summary as one JSON object
    #[arg(long)]
    json: bool,
    /// Print every failure, not only the first of each kind
    #[arg(short, long)]
    verbose: bool,
}

pub(super) fn run<S: System>(context: &Context<'_>, arguments: &Args) -> Result<u8, CliError> {
    let is_output_taken = arguments.results == Path::new(STANDARD);
    if is_output_taken && arguments.json {
        let message = "--json and --results - both write to the standard output";
        return Err(CliError::Usage(format!("{message}\n  give --results a file")));
    }
    let target = context.target::<S>(&arguments.target, arguments.seed, arguments.release.as_deref())?;
    let base = target.request();
    let repeat = format!("{} run {}", shell_word(&context.program), target.arguments());
    let signal = signals::install()?;

    let (plan, limit_s) = survey::<S>(context, &base, &target.scenario, arguments, &repeat)?;
    if signal.load(Ordering::Relaxed) != 0 {
        return Ok(exit::of_signal(signal.load(Ordering::Relaxed)));
    }
    if plan.runs.is_empty() {
        return Err(CliError::Usage(nothing_chosen(arguments)));
    }
    let plan = plan.slice(arguments.partition.unwrap_or(Slice::WHOLE));
    if plan.runs.is_empty() {
        terminal::eprint(&format!("0 runs in {}\n", arguments.partition.unwrap_or(Slice::WHOLE)));
        return Ok(exit::NOTHING_RAN);
    }
    let mut stats = EnumerationStats::new(&plan, target.scenario.expect);
    let (mut record, done) = open(context, &target, arguments, &plan, &mut stats, &signal)?;
    let left: Vec<(usize, &PlannedRun)> =
        plan.runs.iter().enumerate().filter(|(index, _)| !done.contains(index)).collect();
    let jobs = pool::jobs(arguments.jobs);
    let limit_ms = Some(u64::from(limit_s) * 1000);
    let limits = WorkerLimits { keep_randomisation: false, limit_ms, ..WorkerLimits::default() };
    run_all(&base, (&plan, &left), (jobs, limits), &signal, &mut stats, &mut record)?;
    signals::exit_on_next_signal();
    let signal = signal.load(Ordering::Relaxed);
    let is_whole = stats.runs == plan.runs.len() as u64;
    if is_whole && let Err(message) = record.end(plan.runs.len()) {
        // A signal that interrupts a blocked write counts as a signal, not as a write error.
        return if signal == 0 { Err(CliError::Internal(message)) } else { Ok(exit::of_signal(signal)) };
    }

    let wall = context.started.elapsed();
    let reproduce = format!("{} {}", shell_word(&context.program), arguments_of(&target, arguments));
    let (name, seed, plan, stats) = (&target.scenario.name, target.seed, &plan, &stats);
    let slice = arguments.partition.filter(|slice| *slice != Slice::WHOLE);
    let summary = printed::EnumerationReport {
        name,
        seed,
        plan,
        stats,
        wall,
        jobs,
        repeat,
        reproduce: reproduce.clone(),
        slice,
    };
    if arguments.json {
        terminal::print(&printed::json(&summary))?;
    } else if is_output_taken {
        let screen = printed::text(&summary, arguments.verbose).to_string();
        terminal::eprint(&anstream::adapter::strip_str(&screen).to_string());
    } else {
        terminal::screen(&printed::text(&summary, arguments.verbose))?;
    }
    if !is_whole {
        let (runs, all) = (count(stats.runs), counted(plan.runs.len() as u64, "runs"));
        let results = results_of(arguments);
        let next = match is_stream(&arguments.results) {
            true => String::new(),
            false => format!("  continue: {reproduce}{results} --resume\n"),
        };
        terminal::eprint(&format!("stopped after {runs} of {all}\n{next}"));
        return Ok(exit::of_signal(signal));
    }
    Ok(stats.exit_code())
}

/// Runs the remaining injections until they are done or a signal arrives.
fn run_all(
    base: &CaseRequest,
    (plan, left): (&EnumerationPlan, &[(usize, &PlannedRun)]),
    (jobs, limits): (usize, WorkerLimits),
    signal: &AtomicUsize,
    stats: &mut EnumerationStats,
    record: &mut EnumerationJournal,
) -> Result<(), CliError> {
    let mut progress = EnumerationProgress::new(plan.runs.len() as u64, stats.runs);
    let work_of = |(_, planned): &(usize, &PlannedRun)| {
        let mut request = base.clone();
        request.faults.push(planned.point.fault());
        request
    };
    let mut broken = None;
    pool::run_until(signal, left, jobs, limits, work_of, |index, ended| {
        if let Err(CaseError::Start(error)) = &ended {
            // Nothing ran, so this is not a result of the code under test.
            broken = Some(format!("a case cannot be started: {error}"));
            return false;
        }
        let ran = stats.note(plan, left[index].0, &ended);
        broken = record.ran(&ran).err();
        progress.ran(stats);
        broken.is_none()
    });
    progress.bar.finish_and_clear();
    // A signal that interrupts a blocked write counts as a signal, not as a write error.
    let broken = broken.filter(|_| signal.load(Ordering::Relaxed) == 0);
    broken.map_or(Ok(()), |message| Err(CliError::Internal(message)))
}

/// Opens the results file: a new one, or the one to continue, whose runs are counted. Returns the indices of those
/// runs.
fn open<S: System>(
    context: &Context<'_>,
    target: &CaseSource<S>,
    arguments: &Args,
    plan: &EnumerationPlan,
    stats: &mut EnumerationStats,
    signal: &Arc<AtomicUsize>,
) -> Result<(EnumerationJournal, BTreeSet<usize>), CliError> {
    let digest = format!("{:016x}", xxh3_64(target.text.as_bytes()));
    let header =
        EnumerationHeader::new(context.build, arguments_of(target, arguments), digest, plan.runs.len());
    let path = &arguments.results;
    if is_stream(path) {
        if arguments.resume {
            return Err(CliError::Usage(format!(
                "{}: nothing to resume: this is a stream\n  give --results the file of the enumeration to continue",
                path.display()
            )));
        }
        let record = EnumerationJournal::begin_stream(path, &header, Arc::clone(signal));
        return Ok((record.map_err(CliError::Internal)?, BTreeSet::new()));
    }
    if !arguments.resume {
        let (record, aside) = EnumerationJournal::begin(path, &header).map_err(CliError::Usage)?;
        if let Some(aside) = aside {
            let (path, aside) = (path.display(), aside.display());
            terminal::eprint(&format!("{path} held an unfinished enumeration, which was moved to {aside}\n"));
        }
        return Ok((record, BTreeSet::new()));
    }
    let (record, before) = EnumerationJournal::resume(path, &header).map_err(CliError::Usage)?;
    let mut done = BTreeSet::new();
    for ran in &before {
        let index = plan.runs.iter().position(|planned| planned.point.to_string() == ran.point);
        if let Some(index) = index.filter(|index| done.insert(*index)) {
            stats.count(plan, index, ran);
        }
    }
    Ok((record, done))
}

/// Runs the case once without injection: it must end as expected. Its operations are recorded.
fn survey<S: System>(
    context: &Context<'_>,
    base: &CaseRequest,
    scenario: &Scenario<S::Config>,
    arguments: &Args,
    repeat: &str,
) -> Result<(EnumerationPlan, u32), CliError> {
    let request = CaseRequest { survey: true, ..base.clone() };
    let before = context.started.elapsed();
    let judged = parent::run(&request, WorkerLimits::default(), |_| {})
        .map_err(|error| super::run::broken(&error, repeat))?;
    let took = context.started.elapsed().saturating_sub(before);
    let missing = marks_not_reached(scenario, &judged.marks);
    if !scenario.expect.is_met_by(judged.outcome) || !missing.is_empty() {
        let message = format!("{} does not end as expected without injection: see {repeat}", scenario.name);
        return Err(CliError::Usage(message));
    }
    let known: Vec<&str> = judged.nodes.iter().map(|node| node.name.as_str()).collect();
    if let Some(node) = arguments.node.as_ref().filter(|node| !known.contains(&node.as_str())) {
        return Err(log::unknown_node(&format!("--node {node}"), node, &known));
    }
    let wanted = OpFilter {
        faults: arguments.fault.iter().flat_map(|faults| faults.kinds.clone()).collect(),
        node: arguments.node.clone(),
        from_ms: arguments.from.map(|moment| moment.0.0),
        to_ms: arguments.to.map(|moment| moment.0.0),
    };
    let limit = took.max(Duration::from_millis(1)) * LIMIT_TIMES;
    let limit_s = u32::try_from(limit.as_secs()).unwrap_or(u32::MAX).max(MIN_LIMIT_S);
    Ok((EnumerationPlan::of(judged.ops, &wanted, S::OUTSIDE), limit_s))
}

fn nothing_chosen(arguments: &Args) -> String {
    format!("no operations selected by{}", filters(arguments))
}

/// Returns the arguments that repeat the enumeration.
fn arguments_of<S: System>(target: &CaseSource<S>, arguments: &Args) -> String {
    let slice = arguments.partition.map_or(String::new(), |slice| format!(" --partition {slice}"));
    format!("enumerate {}{}{slice}", target.arguments(), filters(arguments))
}

fn results_of(arguments: &Args) -> String {
    let path = arguments.results.display().to_string();
    if path == ".latent/enumerate.jsonl" {
        String::new()
    } else {
        format!(" --results {}", shell_word(&path))
    }
}

/// Returns the filter options, each preceded by a space.
fn filters(arguments: &Args) -> String {
    let faults = arguments.fault.iter().map(|fault| format!(" --fault {fault}"));
    let others = [
        arguments.node.as_ref().map(|node| format!(" --node {}", shell_word(node))),
        arguments.from.map(|from| format!(" --from {from}")),
        arguments.to.map(|to| format!(" --to {to}")),
    ];
    faults.chain(others.into_iter().flatten()).collect()
}

/// Progress of an enumeration: a bar on a terminal, a plain line at intervals elsewhere.
struct EnumerationProgress {
    bar: ProgressBar,
    before: u64,
    began: Instant,
    last_line: Instant,
}

impl EnumerationProgress {
    fn new(all: u64, before: u64) -> EnumerationProgress {
        let bar = ProgressBar::with_draw_target(Some(all), ProgressDrawTarget::stderr());
        let style = ProgressStyle::with_template("{bar:24} {msg}");
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        bar.set_position(before);
        let began = now();
        EnumerationProgress { bar, before, began, last_line: began }
    }

    fn ran(&mut self, stats: &EnumerationStats) {
        self.bar.inc(1);
        let message = self.message(stats);
        if self.bar.is_hidden() && self.last_line.elapsed() >= LINE_INTERVAL {
            self.last_line = now();
            terminal::eprint(&format!("{message}\n"));
        }
        self.bar.set_message(message);
    }

    fn message(&self, stats: &EnumerationStats) -> String {
        let all = self.bar.length().unwrap_or_default();
        let (done, left) = (stats.runs.saturating_sub(self.before).max(1), all.saturating_sub(stats.runs));
        let took_ms = u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX);
        let left_ms = took_ms.saturating_mul(left) / done;
        let failed = match stats.failed_runs() {
            0 => String::new(),
            failed => format!(", {} failed", count(failed)),
        };
        format!(
            "{} of {} runs{failed}, {} left",
            count(stats.runs),
            count(all),
            span_ms(left_ms / 1000 * 1000)
        )
    }
}
