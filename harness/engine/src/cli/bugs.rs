//! `bugs [NAME]...`: the scoreboard of planted bugs.

use super::{CliError, Context, signals};
use crate::case::finding::Finding;
use crate::case::parent::{self, WorkerLimits};
use crate::case::{CASE_TIME, pool};
use crate::case_source::{CaseSource, GENERATED};
use crate::output::Journal;
use crate::print::bugs::{self as printed, Scoreboard};
use crate::print::humanize::{hanging, span_ms};
use crate::print::terminal;
use crate::scenario::{Span, suggest};
use crate::scoreboard::{
    BugRecord, BugResult, BugsHeader, Catch, PlantedBug, SearchContext, SearchError, ShrunkCount,
};
use crate::shrink::{CandidateRunner, Shrinker, SmallestCase, TargetFailure};
use crate::sweep::runner::now;
use crate::{Reduction, System, exit};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// Distance between the first seeds of two searches: more seeds than a search may run.
const SEARCH_STRIDE: u64 = 100_000;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Planted bugs [default: all]
    #[arg(value_name = "NAME")]
    names: Vec<String>,
    /// Search in this scenario; may be given several times
    #[arg(long = "in", value_name = "SCENARIO", default_value = GENERATED)]
    scenarios: Vec<String>,
    /// End a search after this many seeds
    #[arg(long, value_name = "N", default_value_t = 500, value_parser = clap::value_parser!(u64).range(1..SEARCH_STRIDE))]
    seeds: u64,
    /// Search this many times for each bug, from different seeds; the median counts
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u64).range(1..100))]
    searches: u64,
    /// Start the first search at this seed
    #[arg(long, value_name = "N", default_value_t = 1)]
    first_seed: u64,
    /// Shrink the first catch of each bug for this long, such as 1m [default: do not shrink]
    #[arg(long, value_name = "TIME")]
    shrink: Option<Span>,
    /// Stop starting searches after this long, such as 30m
    #[arg(long = "for", value_name = "TIME", env = "LATENT_FOR")]
    duration: Option<Span>,
    /// Run this many cases in parallel [default: all cores]
    #[arg(short, long, value_name = "N", env = "LATENT_JOBS", value_parser = pool::parse_jobs)]
    jobs: Option<usize>,
    /// Write the result of each bug to this file when it is known
    #[arg(long, value_name = "FILE", default_value = ".latent/bugs.jsonl")]
    json: PathBuf,
    /// Continue an interrupted run from the file of --json
    #[arg(long)]
    resume: bool,
    /// Print the bugs with the mistake and its source, and search for none
    #[arg(long)]
    list: bool,
    /// Print the table as Markdown
    #[arg(long)]
    markdown: bool,
}

/// What every search uses.
struct Board<'a> {
    arguments: &'a Args,
    first_seeds: Vec<u64>,
    jobs: usize,
    limits: WorkerLimits,
    signal: &'a AtomicUsize,
    until: Option<Instant>,
}

pub(super) fn run<S: System>(context: &Context<'_>, arguments: &Args) -> Result<u8, CliError> {
    let bugs = chosen::<S>(&arguments.names)?;
    if arguments.list {
        terminal::print(&list(&bugs))?;
        return Ok(exit::CLEAN);
    }
    let signal = signals::install()?;
    let first_seeds: Vec<u64> = (0..arguments.searches)
        .map(|search| arguments.first_seed.saturating_add(search * SEARCH_STRIDE))
        .collect();
    let header = BugsHeader::new(context.build, first_seeds.clone(), arguments.seeds);
    let (mut journal, mut records) =
        Journal::open(&arguments.json, &header, arguments.resume).map_err(CliError::Usage)?;
    let board = Board {
        arguments,
        first_seeds,
        jobs: pool::jobs(arguments.jobs),
        limits: WorkerLimits::limited(Some(CASE_TIME), None),
        signal: &signal,
        until: arguments.duration.and_then(|duration| context.started.checked_add(duration.0)),
    };
    let mut stopped = false;
    'all: for bug in &bugs {
        for scenario in &arguments.scenarios {
            if records.iter().any(|record| record.bug == bug.name && record.scenario == *scenario) {
                continue;
            }
            let Some(record) = measure::<S>(context, &board, *bug, scenario)? else {
                stopped = true;
                break 'all;
            };
            let result: &str = record.result().into();
            terminal::eprint(&format!(
                "{}: {result} in {scenario}, {} so far\n",
                bug.name,
                span_ms(u64::try_from(context.started.elapsed().as_millis()).unwrap_or(u64::MAX))
            ));
            journal.record(&record)?;
            records.push(record);
        }
    }
    signals::exit_on_next_signal();
    records.retain(|record| bugs.iter().any(|bug| bug.name == record.bug));
    show(arguments, &records)?;
    match signal.load(Ordering::Relaxed) {
        0 if stopped => {
            terminal::eprint("stopped by --for; continue with --resume\n");
            Ok(exit::CLEAN)
        }
        0 => Ok(exit_code(&records)),
        number => Ok(exit::of_signal(number)),
    }
}

fn list(bugs: &[PlantedBug]) -> String {
    let width = bugs.iter().map(|bug| bug.name.len()).max().unwrap_or(0);
    let row = |bug: &PlantedBug| {
        // A doc comment keeps its line breaks.
        let mistake = bug.mistake.split_whitespace().collect::<Vec<_>>().join(" ");
        let text = format!("{mistake} ({})", bug.source);
        hanging(&format!("{:width$}  ", bug.name), &text, terminal::columns())
    };
    bugs.iter().map(row).collect()
}

fn exit_code(records: &[BugRecord]) -> u8 {
    let is_good = |record: &BugRecord| matches!(record.result(), BugResult::Caught | BugResult::Equivalent);
    if records.iter().all(is_good) { exit::CLEAN } else { exit::VIOLATION }
}

fn show(arguments: &Args, records: &[BugRecord]) -> Result<(), CliError> {
    let searches = usize::try_from(arguments.searches).unwrap_or(usize::MAX);
    let board = Scoreboard { records, limit: arguments.seeds, searches };
    if arguments.markdown {
        terminal::print(&printed::markdown(&board))?;
    } else {
        terminal::screen(&printed::text(&board, false))?;
    }
    Ok(())
}

/// Returns the bugs of these names, or all.
fn chosen<S: System>(names: &[String]) -> Result<Vec<PlantedBug>, CliError> {
    let all = S::planted_bugs();
    if all.is_empty() {
        return Err(CliError::Usage(format!("no bugs are planted in {}", S::NAME)));
    }
    if names.is_empty() {
        return Ok(all);
    }
    let of_name = |name: &String| match all.iter().find(|bug| bug.name == name) {
        Some(bug) => Ok(*bug),
        None => {
            let similar = suggest::suggest(name, all.iter().map(|bug| bug.name));
            let similar = similar.first().map_or(String::new(), |name| format!("did you mean {name}? "));
            Err(CliError::Usage(format!(
                "unknown bug '{name}'\n  {similar}`{} bugs --list` prints all",
                S::NAME
            )))
        }
    };
    names.iter().map(of_name).collect()
}

/// Searches for one bug in one scenario. `None`: it was stopped.
fn measure<S: System>(
    context: &Context<'_>,
    board: &Board<'_>,
    bug: PlantedBug,
    scenario: &str,
) -> Result<Option<BugRecord>, CliError> {
    let mut record = BugRecord {
        bug: bug.name.to_owned(),
        scenario: scenario.to_owned(),
        equivalent: bug.equivalent.map(str::to_owned),
        searches: Vec::new(),
        shrunk: Vec::new(),
    };
    if record.equivalent.is_some() {
        return Ok(Some(record));
    }
    let target = context.target::<S>(scenario, None, Some(bug.name))?;
    let good = context.target::<S>(scenario, None, Some("good"))?;
    let search = SearchContext {
        bug,
        target: &target,
        good: &good,
        jobs: board.jobs,
        limits: board.limits,
        signal: board.signal,
        until: board.until,
    };
    for first_seed in &board.first_seeds {
        match search.run(*first_seed, board.arguments.seeds) {
            Ok(one) => record.searches.push(one),
            Err(SearchError::Stopped) => return Ok(None),
            Err(SearchError::Scenario(bad)) => return Err(bad.into()),
            Err(error @ SearchError::Case(..)) => return Err(CliError::Internal(error.to_string())),
        }
    }
    if let (Some(span), Some(catch)) = (board.arguments.shrink, record.first_catch()) {
        record.shrunk = shrunk::<S>(board, &target, catch, span.0)?;
    }
    Ok(Some(record))
}

/// Shrinks the case of a catch for at most this long.
fn shrunk<S: System>(
    board: &Board<'_>,
    target: &CaseSource<S>,
    catch: &Catch,
    span: Duration,
) -> Result<Vec<ShrunkCount>, CliError> {
    let source = target.with_seed(catch.seed)?;
    let judged = parent::run(&source.request(), board.limits, |_| {});
    let finding = match judged {
        Ok(judged) => Finding::of(&judged),
        Err(error) => Finding::from_error(error).map_err(|error| CliError::Internal(error.to_string()))?,
    };
    let failure = TargetFailure { outcome: finding.outcome, fingerprint: finding.fingerprint.clone() };
    let runner =
        CandidateRunner { target: failure, limits: board.limits, jobs: board.jobs, runs: AtomicU64::new(0) };
    let first = SmallestCase { case: source.case()?, finding };
    let until = now().checked_add(span);
    let found = Shrinker::<S>::new(&runner, (until, board.signal), first, &mut |_, _| {}).run();
    let mut counts = vec![("faults", found.case.plan.faults.len())];
    for reduction in S::reductions() {
        if let Reduction::Remove { what, count, .. } = reduction {
            counts.push((what, count(&found.case)));
        }
    }
    let counts = counts.into_iter().filter(|(_, count)| *count > 0);
    Ok(counts.map(|(what, count)| ShrunkCount { what: what.to_owned(), count: count as u64 }).collect())
}
