//! `repro NAME@SEED|CASE`: the same run again, to the bit, with as much of its log as wanted.

use super::log::{LogArgs, LogPrinter};
use super::run::{broken, nothing_shown, progress_bar, show};
use super::{Context, Failure};
use crate::case::assemble::{Asked, assemble};
use crate::case::finding::Finding;
use crate::case::parent::{self, CaseError, Manner};
use crate::case::wire::Line;
use crate::case_file::{HASH_DIGITS, Recorded};
use crate::print::{json, out, text, words};
use crate::scenario::{Moment, Span};
use crate::target::{Target, shell_word};
use crate::{System, exit};
use std::fmt;

/// A hash is asked for by at least so many of its digits: by fewer, another run may have it too.
const LEAST_DIGITS: usize = 8;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// A scenario and seed, `generated@7`, or a case's file
    #[arg(value_name = "NAME@SEED|CASE")]
    target: String,
    /// Use this seed; the same as NAME@SEED
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    #[command(flatten)]
    log: LogArgs,
    /// Stop at this instant, without a verdict
    #[arg(long, value_name = "T", conflicts_with = "json")]
    until: Option<Moment>,
    /// The longest that it may take, real time [default: no limit]
    #[arg(long, value_name = "TIME", env = "LATENT_CASE_TIME")]
    case_time: Option<Span>,
    /// The most that it may hold, in megabytes [default: 4096]
    #[arg(long, value_name = "MB", env = "LATENT_CASE_MEMORY_MB")]
    case_memory_mb: Option<u64>,
    /// The trace hash that the run must have, or how it begins [default: what the case's file records]
    #[arg(long, value_name = "HASH", value_parser = parse_trace)]
    trace: Option<String>,
    /// Put the whole system on this release: one of the scenario's, or `good`
    #[arg(long, value_name = "NAME")]
    release: Option<String>,
    /// Print the report as one JSON object
    #[arg(long)]
    json: bool,
    /// Print the choices, marks and nodes too
    #[arg(short, long)]
    verbose: bool,
}

pub(super) fn run<S: System>(context: &Context<'_>, arguments: &Args) -> Result<u8, Failure> {
    let target = context.target::<S>(&arguments.target, arguments.seed, arguments.release.as_deref())?;
    let mut repeat = format!("{} repro {}", shell_word(&context.program), target.arguments());
    if let Some(time) = arguments.case_time {
        repeat = format!("{repeat} --case-time {time}");
    }
    if let Some(mb) = arguments.case_memory_mb {
        repeat = format!("{repeat} --case-memory-mb {mb}");
    }
    let manner = Manner::limited(arguments.case_time.map(|span| span.0), arguments.case_memory_mb);
    let mut work = target.work();
    work.log = arguments.log.log;
    work.until_ms = arguments.until.map(|until| until.0.0);
    let choices = S::choices(&target.expand()?.system);
    let bar = progress_bar(&target.scenario);
    let (mut log, mut stopped) = (LogPrinter::new(&arguments.log, target.scenario.start.0.0), None);
    let judged = parent::run(&work, manner, |line| match line {
        Line::Log(record) => log.record(&bar, record),
        Line::Stopped { trace_hash, trace_records } => stopped = Some((trace_hash.clone(), *trace_records)),
        other => show(&bar, other),
    });
    bar.finish_and_clear();
    log.end()?;
    if let (Some((hash, records)), Some(until)) = (stopped, arguments.until) {
        let (again, records) = (format!("{repeat} --until {until}"), words::counted(records, "records"));
        out::print(&format!(
            "stopped at {until}\n  trace       {hash} after {records}\n  again       {again}\n"
        ))?;
        return Ok(exit::CLEAN);
    }
    let judged = match judged {
        Ok(judged) => judged,
        Err(error) => {
            return not_judged(error, &target, &repeat, (arguments.trace.as_deref(), context.build));
        }
    };
    arguments.log.nodes_are_there(&judged)?;
    let finding = Finding::of(&judged);
    let wall_seconds = context.started.elapsed().as_secs_f64();
    let release = target.release();
    let asked =
        Asked { scenario: &target.scenario, seed: target.seed, release, choices, repeat, wall_seconds };
    let report = assemble::<S>(asked, judged).map_err(Failure::Internal)?;
    if arguments.json {
        let written = json::render::<S>(&report, arguments.verbose);
        let cannot = |error| Failure::Internal(format!("the report cannot be written: {error}"));
        out::print(&written.map_err(cannot)?)?;
    } else {
        out::screen(&text::render::<S>(&report, arguments.verbose))?;
    }
    if let Some(differs) =
        differs(arguments.trace.as_deref(), target.compared_with(), &finding, context.build)
    {
        out::complain(&differs);
        return Ok(exit::NONDETERMINISTIC);
    }
    if let Some(said) = compared(arguments, &target) {
        // With JSON the output is that one object; what was edited must still be said.
        match (arguments.json, target.is_edited) {
            (false, _) => out::print(&said)?,
            (true, true) => out::complain(&said),
            (true, false) => {}
        }
    }
    if report.shows_nothing() {
        out::complain(&format!("error: {}\n", nothing_shown(S::ITEMS)));
    }
    Ok(report.exit_code())
}

/// The line about what the run was compared with, once it is found to be the same.
fn compared<S: System>(arguments: &Args, target: &Target<S>) -> Option<String> {
    let said = if arguments.trace.is_some() {
        "the trace is the one asked for"
    } else if target.is_edited {
        "edited since it was recorded: a new case, its trace is compared with nothing"
    } else {
        target.recorded.as_ref().map(|_| "this is the recorded run")?
    };
    Some(format!("  recorded    {said}\n"))
}

/// A trace hash or its beginning, as somebody types it.
fn parse_trace(text: &str) -> Result<String, String> {
    let is_hash =
        (LEAST_DIGITS..=HASH_DIGITS).contains(&text.len()) && text.bytes().all(|c| c.is_ascii_hexdigit());
    let hint = "write its first 8 hexadecimal digits or more, as a report prints them";
    if is_hash { Ok(text.to_ascii_lowercase()) } else { Err(format!("not a trace hash; {hint}")) }
}

/// A run without a verdict: it may be the recorded one all the same.
fn not_judged<S: System>(
    error: CaseError,
    target: &Target<S>,
    repeat: &str,
    (asked, build): (Option<&str>, &str),
) -> Result<u8, Failure> {
    let failure = broken(&error, repeat);
    let Ok(finding) = Finding::of_broken(error) else { return Err(failure) };
    let Some(differs) = differs(asked, target.compared_with(), &finding, build) else {
        if let Some(said) =
            target.recorded.as_ref().map(|_| "this is the recorded run").filter(|_| !target.is_edited)
        {
            out::complain(&format!("  recorded    {said}\n"));
        }
        return Err(failure);
    };
    let (Failure::Found(said)
    | Failure::Hung(said)
    | Failure::Nothing(said)
    | Failure::Internal(said)
    | Failure::Usage(said)) = failure;
    out::complain(&format!("error: {said}\n"));
    out::complain(&differs);
    Ok(exit::NONDETERMINISTIC)
}

/// What to say, loudly, if the run is not the one that was recorded, or that a flag asks for. A run that never ended has
/// no trace: it is known by its fingerprint.
fn differs(
    asked: Option<&str>,
    recorded: Option<&Recorded>,
    finding: &Finding,
    build: &str,
) -> Option<String> {
    let (wanted, by) = match (asked, recorded) {
        (Some(asked), _) => (Identity::Trace(asked), String::new()),
        (None, Some(recorded)) => {
            let by = format!(", recorded by {}", recorded.build);
            (Identity::of(&recorded.trace_hash, &recorded.fingerprint), by)
        }
        (None, None) => return None,
    };
    let this = Identity::of(&finding.trace_hash, &finding.fingerprint);
    let is_same = match (&wanted, &this) {
        (Identity::Trace(wanted), Identity::Trace(this)) => this.starts_with(wanted),
        (wanted, this) => wanted == this,
    };
    if is_same {
        return None;
    }
    Some(format!(
        "\nTHIS IS NOT THE RECORDED RUN\n  recorded    {wanted}{by}\n  this run    {this}, by {build}\n  \
         With the program that recorded it, the run is nondeterministic; with another one, the code has changed.\n"
    ))
}

/// What a run is known by.
#[derive(PartialEq, Eq)]
enum Identity<'a> {
    /// The hash of its trace.
    Trace(&'a str),
    /// It never ended: what ended it.
    Ended(&'a str),
}

impl<'a> Identity<'a> {
    fn of(trace_hash: &'a str, fingerprint: &'a str) -> Identity<'a> {
        if trace_hash.is_empty() { Identity::Ended(fingerprint) } else { Identity::Trace(trace_hash) }
    }
}

impl fmt::Display for Identity<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Identity::Trace(what) | Identity::Ended(what)) = self;
        f.write_str(what)
    }
}
