//! `shrink NAME@SEED|CASE`: searches for the smallest case that fails in the same way.

use super::progress::LINE_INTERVAL;
use super::{CliError, Context, signals};
use crate::case::finding::Finding;
use crate::case::parent::{self, WorkerLimits};
use crate::case::pool;
use crate::case_file::{self, CaseHeader};
use crate::case_source::{CaseSource, shell_word};
use crate::output::{Destination, FileFormat, OutputError, STANDARD, is_stream};
use crate::print::finding::finding_text;
use crate::print::{humanize, terminal};
use crate::scenario::Span;
use crate::shrink::{CandidateRunner, Shrinker, SmallestCase, TargetFailure};
use crate::sweep::runner::now;
use crate::{CaseOf, Reduction, System, exit};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Default limit of a candidate's real time.
const CANDIDATE_TIME: Duration = Duration::from_secs(120);
/// Maximum growth of a case's header while the case gets smaller.
const HEADER_BYTES: usize = 4096;
/// Default duration of the search.
const DEFAULT_DURATION: Duration = Duration::from_secs(300);

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// A failing case: `generated@7`, a scenario and seed, or a case file
    #[arg(value_name = "NAME@SEED|CASE")]
    target: String,
    /// Use this seed; the same as NAME@SEED
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// Stop the search after this long [default: 5m]
    #[arg(long = "for", value_name = "TIME", env = "LATENT_FOR")]
    duration: Option<Span>,
    /// Run this many candidates in parallel [default: all cores]
    #[arg(short, long, value_name = "N", env = "LATENT_JOBS", value_parser = pool::parse_jobs)]
    jobs: Option<usize>,
    /// Put the whole system on this release: one of the scenario's, or `good`
    #[arg(long, value_name = "NAME")]
    release: Option<String>,
    /// Stop a candidate after this much real time [default: 2m]
    #[arg(long, value_name = "TIME", env = "LATENT_CASE_TIME")]
    case_time: Option<Span>,
    /// Stop a candidate that exceeds this much memory, in megabytes [default: 4096]
    #[arg(long, value_name = "MB", env = "LATENT_CASE_MEMORY_MB")]
    case_memory_mb: Option<u64>,
    /// Write the shrunk case to this file; `-` is the standard output [default: NAME-SEED.case.json]
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Overwrite a file that is not a case, or is the input itself
    #[arg(long)]
    force: bool,
}

pub(super) fn run<S: System>(context: &Context<'_>, arguments: &Args) -> Result<u8, CliError> {
    let target = context.target::<S>(&arguments.target, arguments.seed, arguments.release.as_deref())?;
    let case = target.case()?;
    let path = arguments.out.clone().unwrap_or_else(|| default_path(&target));
    let to = destination(&target, &path, arguments.force)?;
    let case_time = arguments.case_time.map_or(CANDIDATE_TIME, |span| span.0);
    let limits = WorkerLimits::limited(Some(case_time), arguments.case_memory_mb);
    let finding = first_run::<S>(context, &target, limits)?;
    let failure = TargetFailure { outcome: finding.outcome, fingerprint: finding.fingerprint.clone() };
    let first = SmallestCase { case, finding };
    // A shrunk case is rarely longer than the original: only where it writes out many requests.
    let original = case_file::to_text::<S>(&record::<S>(context, &target, &first), &first.case);
    let space = to.reserve(original.len() + HEADER_BYTES)?;
    let jobs = pool::jobs(arguments.jobs);
    let signal = signals::install()?;
    let runner = CandidateRunner { target: failure, limits, jobs, runs: AtomicU64::new(0) };
    let until = context.started.checked_add(arguments.duration.map_or(DEFAULT_DURATION, |span| span.0));

    let before = first.case.clone();
    let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
    bar.set_style(
        ProgressStyle::with_template("{spinner} {msg}").unwrap_or_else(|_| ProgressStyle::default_spinner()),
    );
    let mut last_line = context.started;
    let mut on_step = |what: &str, found: &SmallestCase<S>| {
        let runs = humanize::counted(runner.runs.load(Ordering::Relaxed), "runs");
        let records = humanize::counted(found.finding.trace_records, "records");
        let message = format!("{what}: {runs}, {records}");
        if bar.is_hidden() && last_line.elapsed() >= LINE_INTERVAL {
            last_line = now();
            terminal::eprint(&format!("{message}\n"));
        }
        bar.set_message(message);
        bar.tick();
    };
    let found = Shrinker::new(&runner, (until, &signal), first, &mut on_step).run();
    bar.finish_and_clear();

    signals::exit_on_next_signal();
    let recorded = record::<S>(context, &target, &found);
    to.write_reserved(space, &case_file::to_text::<S>(&recorded, &found.case))?;
    let took_ms = u64::try_from(context.started.elapsed().as_millis()).unwrap_or(u64::MAX);
    let shown = screen(context, &target, (&before, &found), &runner, took_ms, &path.display().to_string());
    if to.is_standard_output() {
        terminal::eprint(&shown);
    } else {
        terminal::print(&shown)?;
    }
    let number = signal.load(Ordering::Relaxed);
    if number == 0 {
        return Ok(exit::CLEAN);
    }
    terminal::eprint("interrupted: this is the smallest case so far; shrink its file to continue\n");
    Ok(exit::of_signal(number))
}

/// Runs the original case, which must fail.
fn first_run<S: System>(
    context: &Context<'_>,
    target: &CaseSource<S>,
    limits: WorkerLimits,
) -> Result<Finding, CliError> {
    let reproduce = format!("{} run {}", shell_word(&context.program), target.arguments());
    let finding = match parent::run(&target.request(), limits, |_| {}) {
        Ok(judged) => Finding::of(&judged),
        Err(error) => Finding::from_error(error).map_err(|error| super::run::broken(&error, &reproduce))?,
    };
    if finding.is_vacuous() {
        let message = super::run::vacuous_message(S::ITEMS);
        return Err(CliError::NothingRan(format!("{}: {message}\n  see: {reproduce}", target.name())));
    }
    if finding.fingerprint.is_empty() {
        let message =
            format!("{} ends {}: nothing to shrink\n  see: {reproduce}", target.name(), finding.outcome);
        return Err(CliError::Usage(message));
    }
    Ok(finding)
}

fn default_path<S: System>(target: &CaseSource<S>) -> PathBuf {
    let name = target.given.rsplit('/').next().unwrap_or_default();
    let name = name.trim_end_matches(".json").trim_end_matches(".case");
    let name = if name == STANDARD { "case" } else { name };
    let seed = if target.is_case() { String::new() } else { format!("-{}", target.seed) };
    let mut path = PathBuf::from(format!("{name}{seed}.case.json"));
    // Never overwrites the original case.
    let mut ending = String::new();
    while is_same_file(&path, Path::new(&target.given)) {
        ending.push_str("-shrunk");
        path = PathBuf::from(format!("{name}{seed}{ending}.case.json"));
    }
    path
}

/// Returns the destination of the shrunk case, which is writable.
fn destination<S: System>(target: &CaseSource<S>, path: &Path, force: bool) -> Result<Destination, CliError> {
    if !force && !is_stream(path) && is_same_file(path, Path::new(&target.given)) {
        return Err(OutputError::Input(path.to_owned()).into());
    }
    Ok(Destination::prepare(path, FileFormat::Case, force)?)
}

fn is_same_file(one: &Path, other: &Path) -> bool {
    let there = |path: &Path| std::fs::canonicalize(path).ok();
    there(one).is_some_and(|one| there(other) == Some(one))
}

fn record<S: System>(context: &Context<'_>, target: &CaseSource<S>, found: &SmallestCase<S>) -> CaseHeader {
    let finding = &found.finding;
    let about = match &target.recorded {
        Some(recorded) => recorded.about.clone(),
        None => CaseHeader::about(&finding.fingerprint, finding.items, S::ITEMS, &finding.detail),
    };
    let origin =
        target.recorded.as_ref().map_or_else(|| target.arguments(), |recorded| recorded.found.clone());
    let what = (finding.outcome, finding.fingerprint.as_str());
    CaseHeader::new(origin, about, what, finding.trace_hash.clone(), context.build)
}

fn screen<S: System>(
    context: &Context<'_>,
    target: &CaseSource<S>,
    (before, found): (&CaseOf<S>, &SmallestCase<S>),
    runner: &CandidateRunner,
    took_ms: u64,
    path: &str,
) -> String {
    let mut counts = vec![("faults", before.plan.faults.len(), found.case.plan.faults.len())];
    for reduction in S::reductions() {
        if let Reduction::Remove { what, count, .. } = reduction {
            counts.push((what, count(before), count(&found.case)));
        }
    }
    let counts: Vec<String> = counts
        .into_iter()
        .filter(|(_, before, _)| *before > 0)
        .map(|(what, before, after)| {
            format!("{what} {} -> {}", humanize::count(before as u64), humanize::count(after as u64))
        })
        .collect();
    let (program, finding) = (shell_word(&context.program), &found.finding);
    let (name, file) = (target.name(), shell_word(path));
    let detail =
        if finding.detail.is_empty() { String::new() } else { format!("  found       {}\n", finding.detail) };
    format!(
        "{name}: {}\n  shrunk      {}\n  runs        {} in {}, {}\n{detail}  case        {file}\n  reproduce   {program} repro {file}\n  save        {program} corpus add {file}\n",
        finding_text::<S>(finding),
        counts.join(", "),
        humanize::count(runner.runs.load(Ordering::Relaxed)),
        humanize::span_ms(took_ms),
        humanize::counted(runner.jobs as u64, "jobs"),
    )
}
