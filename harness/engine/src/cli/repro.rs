//! `repro NAME@SEED|CASE`: reproduces a run exactly, optionally with its event log.

use super::log::{LogArgs, LogPrinter};
use super::run::{broken, progress_bar, show, vacuous_message};
use super::{CliError, Context};
use crate::case::finding::Finding;
use crate::case::ipc::WorkerMessage;
use crate::case::parent::{self, CaseError, WorkerLimits};
use crate::case::report_builder::{RunContext, build_report};
use crate::case_file::{CaseHeader, HASH_DIGITS};
use crate::case_source::{CaseSource, shell_word};
use crate::print::{humanize, json, terminal, text};
use crate::scenario::{Span, Timestamp};
use crate::variant::VariantArgs;
use crate::{System, exit};
use std::fmt;

/// Minimum number of digits of a trace hash: a shorter prefix may match another run.
const MIN_DIGITS: usize = 8;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// A scenario and seed, `generated@7`, or a case file
    #[arg(value_name = "NAME@SEED|CASE")]
    target: String,
    /// Use this seed; the same as NAME@SEED
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    #[command(flatten)]
    log: LogArgs,
    /// Stop at this time, without a verdict
    #[arg(long, value_name = "T", conflicts_with = "json")]
    until: Option<Timestamp>,
    /// Stop the run after this much real time [default: no limit]
    #[arg(long, value_name = "TIME", env = "LATENT_CASE_TIME")]
    case_time: Option<Span>,
    /// Stop the run if it exceeds this much memory, in megabytes [default: 4096]
    #[arg(long, value_name = "MB", env = "LATENT_CASE_MEMORY_MB")]
    case_memory_mb: Option<u64>,
    /// Require this trace hash, or a prefix of it [default: the hash in the case file]
    #[arg(long, value_name = "HASH", value_parser = parse_trace)]
    trace: Option<String>,
    /// Put the whole system on this release: one of the scenario's, or `good`
    #[arg(long, value_name = "NAME")]
    release: Option<String>,
    #[command(flatten)]
    variants: VariantArgs,
    /// Print the report as one JSON object
    #[arg(long)]
    json: bool,
    /// Print the choices, marks and nodes too
    #[arg(short, long)]
    verbose: bool,
}

pub(super) fn run<S: System>(context: &Context<'_>, arguments: &Args) -> Result<u8, CliError> {
    let target = context.target::<S>(&arguments.target, arguments.seed, arguments.release.as_deref())?;
    let target = target.varied(&arguments.variants)?;
    let mut repeat = format!("{} repro {}", shell_word(&context.program), target.arguments());
    if let Some(time) = arguments.case_time {
        repeat = format!("{repeat} --case-time {time}");
    }
    if let Some(mb) = arguments.case_memory_mb {
        repeat = format!("{repeat} --case-memory-mb {mb}");
    }
    let limits = WorkerLimits::limited(arguments.case_time.map(|span| span.0), arguments.case_memory_mb);
    let mut request = target.request();
    request.log = arguments.log.log;
    request.until_ms = arguments.until.map(|until| until.0.0);
    let choices = S::choices(&target.expand()?.system);
    let bar = progress_bar(&target.scenario);
    let (mut log, mut stopped) = (LogPrinter::new(&arguments.log, target.scenario.start.0.0), None);
    let judged = parent::run(&request, limits, |line| match line {
        WorkerMessage::Log(record) => log.record(&bar, record),
        WorkerMessage::Stopped { trace_hash, trace_records } => {
            stopped = Some((trace_hash.clone(), *trace_records))
        }
        other => show(&bar, other),
    });
    bar.finish_and_clear();
    log.end()?;
    if let (Some((hash, records)), Some(until)) = (stopped, arguments.until) {
        let (reproduce, records) =
            (format!("{repeat} --until {until}"), humanize::counted(records, "records"));
        terminal::print(&format!(
            "stopped at {until}\n  trace       {hash} after {records}\n  reproduce   {reproduce}\n"
        ))?;
        return Ok(exit::CLEAN);
    }
    let judged = match judged {
        Ok(judged) => judged,
        Err(error) => {
            return not_judged(error, &target, &repeat, (arguments.trace.as_deref(), context.build));
        }
    };
    arguments.log.check_nodes(&judged)?;
    let finding = Finding::of(&judged);
    let wall_seconds = context.started.elapsed().as_secs_f64();
    let release = target.release();
    let asked =
        RunContext { scenario: &target.scenario, seed: target.seed, release, choices, repeat, wall_seconds };
    let report = build_report::<S>(asked, judged).map_err(CliError::Internal)?;
    if arguments.json {
        let written = json::render::<S>(&report, arguments.verbose);
        let cannot = |error| CliError::Internal(format!("the report cannot be written: {error}"));
        terminal::print(&written.map_err(cannot)?)?;
    } else {
        terminal::screen(&text::render::<S>(&report, arguments.verbose))?;
    }
    if let Some(differs) =
        differs(arguments.trace.as_deref(), target.compared_with(), &finding, context.build)
    {
        terminal::eprint(&differs);
        return Ok(exit::NONDETERMINISTIC);
    }
    if let Some(message) = compared(arguments, &target) {
        // With JSON the output is that one object; the note on an edited case goes to the standard error.
        match (arguments.json, target.is_edited) {
            (false, _) => terminal::print(&message)?,
            (true, true) => terminal::eprint(&message),
            (true, false) => {}
        }
    }
    if report.is_vacuous() {
        terminal::eprint(&format!("error: {}\n", vacuous_message(S::ITEMS)));
    }
    Ok(report.exit_code())
}

/// Returns the line that names the reference of a matching run.
fn compared<S: System>(arguments: &Args, target: &CaseSource<S>) -> Option<String> {
    let message = if arguments.trace.is_some() {
        "the trace matches --trace"
    } else if target.is_edited {
        "edited since it was recorded: a new case, its trace is not compared"
    } else {
        target.recorded.as_ref().map(|_| "this is the recorded run")?
    };
    Some(format!("  recorded    {message}\n"))
}

/// Parses a trace hash or a prefix of it.
fn parse_trace(text: &str) -> Result<String, String> {
    let is_hash =
        (MIN_DIGITS..=HASH_DIGITS).contains(&text.len()) && text.bytes().all(|c| c.is_ascii_hexdigit());
    let hint = "write its first 8 hexadecimal digits or more, as a report prints them";
    if is_hash { Ok(text.to_ascii_lowercase()) } else { Err(format!("not a trace hash; {hint}")) }
}

/// Handles a run without a verdict, which may still match the recorded one.
fn not_judged<S: System>(
    error: CaseError,
    target: &CaseSource<S>,
    repeat: &str,
    (asked, build): (Option<&str>, &str),
) -> Result<u8, CliError> {
    let failure = broken(&error, repeat);
    let Ok(finding) = Finding::from_error(error) else { return Err(failure) };
    let Some(differs) = differs(asked, target.compared_with(), &finding, build) else {
        if let Some(message) =
            target.recorded.as_ref().map(|_| "this is the recorded run").filter(|_| !target.is_edited)
        {
            terminal::eprint(&format!("  recorded    {message}\n"));
        }
        return Err(failure);
    };
    let (CliError::Violation(message)
    | CliError::Hung(message)
    | CliError::NothingRan(message)
    | CliError::Internal(message)
    | CliError::Usage(message)) = failure;
    terminal::eprint(&format!("error: {message}\n"));
    terminal::eprint(&differs);
    Ok(exit::NONDETERMINISTIC)
}

/// Returns the warning for a run that differs from the recorded or requested one. A run that did not end has no trace:
/// it is identified by its fingerprint.
fn differs(
    asked: Option<&str>,
    recorded: Option<&CaseHeader>,
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

/// Identity of a run.
#[derive(PartialEq, Eq)]
enum Identity<'a> {
    /// The trace hash.
    Trace(&'a str),
    /// Fingerprint of a run that did not end.
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
