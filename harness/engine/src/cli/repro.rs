//! `repro NAME@SEED|CASE`: the same run again, to the bit, with as much of its log as wanted.

use super::run::{broken, progress_bar, show};
use super::{Context, Failure};
use crate::case::assemble::{Asked, assemble};
use crate::case::parent::{self, CaseError, Manner};
use crate::case::wire::{Line, LogRecord};
use crate::print::{json, out, text};
use crate::scenario::Moment;
use crate::target::{Target, shell_word};
use crate::{System, exit};
use jiff::Timestamp;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// A scenario and seed, `generated@7`, or a case's file
    #[arg(value_name = "NAME@SEED|CASE")]
    target: String,
    /// Print the event log to the output: what every node did, in order of virtual time
    #[arg(long)]
    log: bool,
    /// Of the log, only this node; may be given several times
    #[arg(long, value_name = "NAME", requires = "log")]
    node: Vec<String>,
    /// Of the log, only from this instant on, such as 2016-02-20T15:00:00Z
    #[arg(long, value_name = "T", requires = "log")]
    from: Option<Moment>,
    /// Of the log, only before this instant
    #[arg(long, value_name = "T", requires = "log")]
    to: Option<Moment>,
    /// Stop at this instant, without a verdict
    #[arg(long, value_name = "T")]
    until: Option<Moment>,
    /// The trace hash that the run must have, or how it begins [default: what the case's file records]
    #[arg(long, value_name = "HASH")]
    trace: Option<String>,
    /// Put the whole system on this release: one of the scenario's, or `good`
    #[arg(long, value_name = "NAME")]
    release: Option<String>,
    /// Print the report as one JSON object
    #[arg(long, conflicts_with = "log")]
    json: bool,
    /// Print the choices, marks and nodes too
    #[arg(short, long)]
    verbose: bool,
}

pub(super) fn run<S: System>(context: &Context<'_>, arguments: &Args) -> Result<u8, Failure> {
    let target = context.target::<S>(&arguments.target, arguments.release.as_deref())?;
    let repeat = format!("{} repro {}", shell_word(&context.program), target.arguments());
    let mut work = target.work();
    work.log = arguments.log;
    work.until_ms = arguments.until.map(|until| until.0.0);
    let choices = S::choices(&target.expand()?.system);
    let bar = progress_bar(&target.scenario);
    let (start_ms, mut unwritten, mut stopped) = (target.scenario.start.0.0, None, None);
    let judged = parent::run(&work, Manner::default(), |line| match line {
        Line::Log(record) => {
            if unwritten.is_none() && arguments.wants(record, start_ms) {
                let shown = format!("{}\n", log_line(record, start_ms));
                unwritten = bar.suspend(|| out::print(&shown)).err();
            }
        }
        Line::Stopped { trace_hash, trace_records } => stopped = Some((trace_hash.clone(), *trace_records)),
        other => show(&bar, other),
    });
    bar.finish_and_clear();
    if let Some(error) = unwritten {
        return Err(error.into());
    }
    if let (Some((hash, records)), Some(until)) = (stopped, arguments.until) {
        let again = format!("{repeat} --until {until}");
        out::print(&format!(
            "stopped at {until}\n  trace       {hash} after {records} records\n  again       {again}\n"
        ))?;
        return Ok(exit::CLEAN);
    }
    let judged = judged.map_err(|error| not_judged(&error, &repeat))?;
    let wall_seconds = context.started.elapsed().as_secs_f64();
    let asked = Asked { scenario: &target.scenario, seed: target.seed, choices, repeat, wall_seconds };
    let report = assemble::<S>(asked, judged).map_err(Failure::Internal)?;
    if arguments.json {
        let written = json::render::<S>(&report, arguments.verbose);
        let cannot = |error| Failure::Internal(format!("the report cannot be written: {error}"));
        out::print(&written.map_err(cannot)?)?;
    } else {
        out::print(&text::render::<S>(&report, arguments.verbose).to_string())?;
    }
    if let Some(differs) = differs(arguments, &target, &report.trace_hash, context.build) {
        out::complain(&differs);
        return Ok(exit::NONDETERMINISTIC);
    }
    Ok(report.exit_code())
}

impl Args {
    fn wants(&self, record: &LogRecord, start_ms: i64) -> bool {
        let at_ms = start_ms.saturating_add_unsigned(record.time_ns / 1_000_000);
        (self.node.is_empty() || self.node.contains(&record.node))
            && self.from.is_none_or(|from| at_ms >= from.0.0)
            && self.to.is_none_or(|to| at_ms < to.0.0)
    }
}

/// `2016-02-20 15:00:00.123456Z disk-1       Sync 'arb/3/…'`
fn log_line(record: &LogRecord, start_ms: i64) -> String {
    let at_us = start_ms.saturating_mul(1000).saturating_add_unsigned(record.time_ns / 1000);
    let at = Timestamp::from_microsecond(at_us)
        .map_or_else(|_| format!("{at_us} us"), |at| at.strftime("%Y-%m-%d %H:%M:%S%.6fZ").to_string());
    format!("{at} {:<12} {}", record.node, record.what)
}

fn not_judged(error: &CaseError, repeat: &str) -> Failure {
    broken(error, repeat)
}

/// What to say, loudly, if the run is not the one that was recorded.
fn differs<S: System>(arguments: &Args, target: &Target<S>, hash: &str, build: &str) -> Option<String> {
    let recorded = target.recorded.as_ref();
    let wanted = arguments.trace.as_deref().or(recorded.map(|recorded| recorded.trace_hash.as_str()))?;
    if hash.starts_with(wanted) {
        return None;
    }
    let by = recorded.map_or(String::new(), |recorded| format!(", recorded by {}", recorded.build));
    Some(format!(
        "\nTHIS IS NOT THE RECORDED RUN\n  recorded    {wanted}{by}\n  this run    {hash}, by {build}\n  \
         With the program that recorded it, the run is nondeterministic; with another one, the code has changed.\n"
    ))
}
