//! `enumerate SCENARIO[@SEED]`: a crash, or one error, at each operation in turn, or a pair of these.

mod args;
mod progress;

pub(super) use args::Args;

use super::{CliError, Context, log, signals};
use crate::case::ipc::{CaseRequest, SerializedOp};
use crate::case::parent::{self, CaseError, WorkerLimits};
use crate::case::pool;
use crate::case::report_builder::marks_not_reached;
use crate::case_source::{CaseSource, shell_word};
use crate::enumerate::{
    EnumerationHeader, EnumerationJournal, EnumerationPlan, EnumerationStats, PlannedRun, RunKey,
    SecondFaults, TooManyRuns,
};
use crate::output::{STANDARD, is_stream};
use crate::print::humanize::{count, counted};
use crate::print::{enumerate as printed, terminal};
use crate::scenario::Scenario;
use crate::sweep::sweep_spec::Slice;
use crate::{System, exit};
use progress::EnumerationProgress;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use xxhash_rust::xxh3::xxh3_64;

/// Limit of a run's real time, as a multiple of the recording run's, and its minimum in seconds: a busy machine does
/// not mean a hung case.
const LIMIT_TIMES: u32 = 50;
const MIN_LIMIT_S: u32 = 60;

/// Largest number of runs of an enumeration of pairs, or of a slice of it: an hour or two for cases of 40 ms on two
/// cores. Single faults have no limit, since their number is that of the operations.
const MAX_PAIR_RUNS: u64 = 200_000;

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

    let (ops, limit_s) = survey::<S>(context, &base, &target.scenario, arguments, &repeat)?;
    if signal.load(Ordering::Relaxed) != 0 {
        return Ok(exit::of_signal(signal.load(Ordering::Relaxed)));
    }
    let plan = plan_of::<S>(ops, arguments)?;
    if plan.runs.is_empty() {
        terminal::eprint(&format!("0 runs in {}\n", arguments.slice()));
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
    let reproduce = format!("{} {}", shell_word(&context.program), arguments.to_repeat(&target));
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
        let results = arguments.results_option();
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
        request.faults.extend(planned.faults());
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
    progress.end();
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
    let repeat = arguments.to_repeat(target);
    let header = EnumerationHeader::new(context.build, repeat, digest, plan.runs.len());
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
    let by_key: BTreeMap<RunKey, usize> =
        plan.runs.iter().enumerate().map(|(index, planned)| (planned.key(), index)).collect();
    let mut done = BTreeSet::new();
    for ran in &before {
        let index = by_key.get(&ran.key()).copied();
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
) -> Result<(Vec<SerializedOp>, u32), CliError> {
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
    let limit = took.max(Duration::from_millis(1)) * LIMIT_TIMES;
    let limit_s = u32::try_from(limit.as_secs()).unwrap_or(u32::MAX).max(MIN_LIMIT_S);
    Ok((judged.ops, limit_s))
}

/// Plans the runs of the requested slice.
fn plan_of<S: System>(ops: Vec<SerializedOp>, arguments: &Args) -> Result<EnumerationPlan, CliError> {
    let pairs = arguments.pair_options().map(|options| SecondFaults::of(&ops, options, S::OUTSIDE));
    let plan = EnumerationPlan::of(ops, &arguments.filter(), S::OUTSIDE);
    if plan.runs.is_empty() {
        return Err(CliError::Usage(format!("no operations selected by{}", arguments.selection())));
    }
    let Some(seconds) = pairs else { return Ok(plan.slice(arguments.slice())) };
    if plan.count_pairs(&seconds) == 0 {
        return Err(CliError::Usage(format!("no second faults selected by{}", arguments.selection())));
    }
    plan.paired(&seconds, arguments.slice(), MAX_PAIR_RUNS).map_err(too_many)
}

fn too_many(TooManyRuns { runs, slices }: TooManyRuns) -> CliError {
    let (runs, limit) = (counted(runs, "runs"), count(MAX_PAIR_RUNS));
    CliError::Usage(format!(
        "{runs} of pairs, and at most {limit} are allowed\n  \
         --fault, --node, --from and --to choose fewer first faults, --second and --pairs=K fewer second ones; \
         or run parts: --partition slice:1/{slices}"
    ))
}
