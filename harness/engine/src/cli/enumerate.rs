//! `enumerate SCENARIO[@SEED]`: a crash, or one error, at each operation in turn.

use super::progress::LINE_EVERY;
use super::{Context, Failure, interrupt, log};
use crate::case::assemble::missing_marks;
use crate::case::parent::{self, CaseError, Manner};
use crate::case::pool;
use crate::case::wire::Work;
use crate::enumerate::{Faults, Header, Outline, Planned, Record, Tally, Wanted};
use crate::print::words::{count, counted, span_ms};
use crate::print::{enumerate as printed, out};
use crate::scenario::{Moment, Scenario};
use crate::sweep::go::now;
use crate::sweep::order::Slice;
use crate::target::{Target, shell_word};
use crate::{System, exit};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use xxhash_rust::xxh3::xxh3_64;

/// A struck run may take this many times as long as the surveyed one, in seconds of real time, and never less than the
/// least: a machine under load is no hung case.
const LIMIT_TIMES: u32 = 50;
const LEAST_LIMIT_S: u32 = 60;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// A built-in scenario's name or a file, and the seed (the scenario's own if none is given, else 1)
    #[arg(value_name = "SCENARIO[@SEED]")]
    target: String,
    /// Use this seed; the same as SCENARIO@SEED
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// Inject only this fault, named as in --strike, or `crash` or `lost` for any of these; may be given several times
    #[arg(long, value_name = "FAULT", value_delimiter = ',')]
    fault: Vec<Faults>,
    /// Inject only at this node
    #[arg(long, value_name = "NAME")]
    node: Option<String>,
    /// Inject only at operations from this time on, such as 2016-02-20T15:00:00Z
    #[arg(long, value_name = "A")]
    from: Option<Moment>,
    /// Inject only at operations before this time
    #[arg(long, value_name = "B")]
    to: Option<Moment>,
    /// Put the whole system on this release: one of the scenario's, or `good`
    #[arg(long, value_name = "NAME")]
    release: Option<String>,
    /// Run one part, such as slice:1/4; the whole is clean if every part is
    #[arg(long, value_name = "slice:I/N", env = "LATENT_PARTITION")]
    partition: Option<Slice>,
    /// Runs at a time [default: all cores]
    #[arg(short, long, value_name = "N", env = "LATENT_JOBS", value_parser = pool::parse_jobs)]
    jobs: Option<usize>,
    /// Write each run to this file as it ends
    #[arg(long, value_name = "FILE", default_value = ".latent/enumerate.jsonl")]
    results: PathBuf,
    /// Continue an interrupted enumeration from its file of results
    #[arg(long)]
    resume: bool,
    /// Print the summary as one JSON object
    #[arg(long)]
    json: bool,
    /// Print every failure, not only the first of each kind
    #[arg(short, long)]
    verbose: bool,
}

pub(super) fn run<S: System>(context: &Context<'_>, arguments: &Args) -> Result<u8, Failure> {
    let target = context.target::<S>(&arguments.target, arguments.seed, arguments.release.as_deref())?;
    let base = target.work();
    let repeat = format!("{} run {}", shell_word(&context.program), target.arguments());
    let signal = interrupt::interrupts()?;

    let (outline, limit_s) = survey::<S>(context, &base, &target.scenario, arguments, &repeat)?;
    if signal.load(Ordering::Relaxed) != 0 {
        return Ok(exit::of_signal(signal.load(Ordering::Relaxed)));
    }
    if outline.strikes.is_empty() {
        return Err(Failure::Usage(nothing_chosen(arguments)));
    }
    let outline = outline.slice(arguments.partition.unwrap_or(Slice::WHOLE));
    if outline.strikes.is_empty() {
        out::complain(&format!(
            "no run falls in {}: 0 of 0 runs\n",
            arguments.partition.unwrap_or(Slice::WHOLE)
        ));
        return Ok(exit::NOTHING_RAN);
    }
    let mut tally = Tally::new(&outline, target.scenario.expect);
    let (mut record, done) = open(context, &target, arguments, &outline, &mut tally)?;
    let left: Vec<(usize, &Planned)> =
        outline.strikes.iter().enumerate().filter(|(index, _)| !done.contains(index)).collect();
    let jobs = pool::jobs(arguments.jobs);
    let limit_ms = Some(u64::from(limit_s) * 1000);
    let manner = Manner { keep_randomisation: false, limit_ms, ..Manner::default() };
    run_all(&base, (&outline, &left), (jobs, manner), &signal, &mut tally, &mut record)?;
    interrupt::end_at_once();
    let signal = signal.load(Ordering::Relaxed);
    let is_whole = tally.runs == outline.strikes.len() as u64;
    if is_whole {
        record.end(outline.strikes.len()).map_err(Failure::Internal)?;
    }

    let wall = context.started.elapsed();
    let again = format!("{} {}", shell_word(&context.program), words(&target, arguments));
    let (name, seed, outline, tally) = (&target.scenario.name, target.seed, &outline, &tally);
    let slice = arguments.partition.filter(|slice| *slice != Slice::WHOLE);
    let summary =
        printed::Summary { name, seed, outline, tally, wall, jobs, repeat, again: again.clone(), slice };
    if arguments.json {
        out::print(&printed::json(&summary))?;
    } else {
        out::screen(&printed::text(&summary, arguments.verbose))?;
    }
    if !is_whole {
        let (runs, all) = (count(tally.runs), counted(outline.strikes.len() as u64, "runs"));
        let results = results_of(arguments);
        out::complain(&format!("stopped after {runs} of {all}\n  continue: {again}{results} --resume\n"));
        return Ok(exit::of_signal(signal));
    }
    Ok(tally.exit_code())
}

/// Runs what is left, until it is done or a signal comes.
fn run_all(
    base: &Work,
    (outline, left): (&Outline, &[(usize, &Planned)]),
    (jobs, manner): (usize, Manner),
    signal: &AtomicUsize,
    tally: &mut Tally,
    record: &mut Record,
) -> Result<(), Failure> {
    let mut progress = Progress::new(outline.strikes.len() as u64, tally.runs);
    let work_of = |(_, planned): &(usize, &Planned)| {
        let mut work = base.clone();
        work.faults.push(planned.strike.fault());
        work
    };
    let mut broken = None;
    pool::run_until(signal, left, jobs, manner, work_of, |index, ended| {
        if let Err(CaseError::Start(error)) = &ended {
            // Nothing ran: that is no result of the code under test.
            broken = Some(format!("a case cannot be started: {error}"));
            return false;
        }
        let ran = tally.note(outline, left[index].0, &ended);
        broken = record.ran(&ran).err();
        progress.ran(tally);
        broken.is_none()
    });
    progress.bar.finish_and_clear();
    broken.map_or(Ok(()), |said| Err(Failure::Internal(said)))
}

/// Opens the file of results: a new one, or the one to continue with, whose runs are counted. Returns the places of those.
fn open<S: System>(
    context: &Context<'_>,
    target: &Target<S>,
    arguments: &Args,
    outline: &Outline,
    tally: &mut Tally,
) -> Result<(Record, BTreeSet<usize>), Failure> {
    let digest = format!("{:016x}", xxh3_64(target.text.as_bytes()));
    let header = Header::new(context.build, words(target, arguments), digest, outline.strikes.len());
    let path = &arguments.results;
    if !arguments.resume {
        let (record, aside) = Record::begin(path, &header).map_err(Failure::Usage)?;
        if let Some(aside) = aside {
            let (path, aside) = (path.display(), aside.display());
            out::complain(&format!("{path} held an unfinished enumeration: it is in {aside} now\n"));
        }
        return Ok((record, BTreeSet::new()));
    }
    let (record, before) = Record::resume(path, &header).map_err(Failure::Usage)?;
    let mut done = BTreeSet::new();
    for ran in &before {
        let index = outline.strikes.iter().position(|planned| planned.strike.to_string() == ran.strike);
        if let Some(index) = index.filter(|index| done.insert(*index)) {
            tally.count(outline, index, ran);
        }
    }
    Ok((record, done))
}

/// Runs the case once without a strike: it must end as expected, and says which operations there are.
fn survey<S: System>(
    context: &Context<'_>,
    base: &Work,
    scenario: &Scenario<S::Topic>,
    arguments: &Args,
    repeat: &str,
) -> Result<(Outline, u32), Failure> {
    let work = Work { survey: true, ..base.clone() };
    let before = context.started.elapsed();
    let judged =
        parent::run(&work, Manner::default(), |_| {}).map_err(|error| super::run::broken(&error, repeat))?;
    let took = context.started.elapsed().saturating_sub(before);
    let missing = missing_marks(scenario, &judged.marks);
    if judged.outcome() != scenario.expect || !missing.is_empty() {
        let message =
            format!("{} does not end as it expects before anything strikes it: see {repeat}", scenario.name);
        return Err(Failure::Usage(message));
    }
    let known: Vec<&str> = judged.nodes.iter().map(|node| node.name.as_str()).collect();
    if let Some(node) = arguments.node.as_ref().filter(|node| !known.contains(&node.as_str())) {
        return Err(log::no_node(&format!("--node {node}"), node, &known));
    }
    let wanted = Wanted {
        faults: arguments.fault.iter().flat_map(|faults| faults.kinds.clone()).collect(),
        node: arguments.node.clone(),
        from_ms: arguments.from.map(|moment| moment.0.0),
        to_ms: arguments.to.map(|moment| moment.0.0),
    };
    let limit = took.max(Duration::from_millis(1)) * LIMIT_TIMES;
    let limit_s = u32::try_from(limit.as_secs()).unwrap_or(u32::MAX).max(LEAST_LIMIT_S);
    Ok((Outline::of(judged.ops, &wanted, S::OUTSIDE), limit_s))
}

fn nothing_chosen(arguments: &Args) -> String {
    format!("no operation is chosen by{}: an enumeration of nothing shows nothing", filters(arguments))
}

/// The words that enumerate the same again.
fn words<S: System>(target: &Target<S>, arguments: &Args) -> String {
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

/// What was asked for besides the case, each with a space before it.
fn filters(arguments: &Args) -> String {
    let faults = arguments.fault.iter().map(|fault| format!(" --fault {fault}"));
    let others = [
        arguments.node.as_ref().map(|node| format!(" --node {}", shell_word(node))),
        arguments.from.map(|from| format!(" --from {from}")),
        arguments.to.map(|to| format!(" --to {to}")),
    ];
    faults.chain(others.into_iter().flatten()).collect()
}

/// How many runs are done, how fast, how long it will take: a line on a terminal, one now and then elsewhere.
struct Progress {
    bar: ProgressBar,
    before: u64,
    began: Instant,
    last_line: Instant,
}

impl Progress {
    fn new(all: u64, before: u64) -> Progress {
        let bar = ProgressBar::with_draw_target(Some(all), ProgressDrawTarget::stderr());
        let style = ProgressStyle::with_template("{bar:24} {msg}");
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        bar.set_position(before);
        let began = now();
        Progress { bar, before, began, last_line: began }
    }

    fn ran(&mut self, tally: &Tally) {
        self.bar.inc(1);
        let message = self.message(tally);
        if self.bar.is_hidden() && self.last_line.elapsed() >= LINE_EVERY {
            self.last_line = now();
            out::complain(&format!("{message}\n"));
        }
        self.bar.set_message(message);
    }

    fn message(&self, tally: &Tally) -> String {
        let all = self.bar.length().unwrap_or_default();
        let (done, left) = (tally.runs.saturating_sub(self.before).max(1), all.saturating_sub(tally.runs));
        let took_ms = u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX);
        let left_ms = took_ms.saturating_mul(left) / done;
        let failed = match tally.failed_runs() {
            0 => String::new(),
            failed => format!(", {} failed", count(failed)),
        };
        format!(
            "{} of {} runs{failed}, {} left",
            count(tally.runs),
            count(all),
            span_ms(left_ms / 1000 * 1000)
        )
    }
}
