//! `run SCENARIO[@SEED]`: one case, one verdict.

use super::log::{LogArgs, LogPrinter};
use super::{Context, Failure};
use crate::System;
use crate::case::assemble::{Asked, assemble};
use crate::case::parent::{self, CaseError, Manner};
use crate::case::wire::Line;
use crate::enumerate::Strike;
use crate::print::{json, out, text, words};
use crate::report::FaultReport;
use crate::scenario::Scenario;
use crate::target::{Target, shell_word};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::thread;
use std::time::Duration;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// A built-in scenario's name, a file or `-` for the standard input, and the seed (default: the scenario's own, else 1)
    #[arg(value_name = "SCENARIO[@SEED]")]
    target: String,
    /// Use this seed; the same as SCENARIO@SEED
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// Print the report as one JSON object
    #[arg(long)]
    json: bool,
    /// Print the choices, marks and nodes too
    #[arg(short, long)]
    verbose: bool,
    /// Strike one operation, as `latent enumerate` does: FAULT@NODE:NUMBER
    #[arg(long, value_name = "STRIKE")]
    strike: Option<Strike>,
    #[command(flatten)]
    log: LogArgs,
    /// Put the whole system on this release: one of the scenario's, or `good`
    #[arg(long, value_name = "NAME")]
    release: Option<String>,
    /// Leave address randomisation on in the case's process
    #[arg(long, hide = true)]
    keep_randomisation: bool,
}

pub(super) fn run<S: System>(context: &Context<'_>, arguments: &Args) -> Result<u8, Failure> {
    let target = context.target::<S>(&arguments.target, arguments.seed, arguments.release.as_deref())?;
    let mut repeat = format!("{} run {}", shell_word(&context.program), target.arguments());
    let mut work = target.work();
    work.log = arguments.log.log;
    if let Some(strike) = &arguments.strike {
        repeat = format!("{repeat} --strike {}", shell_word(&strike.to_string()));
        work.faults.push(strike.fault());
    }
    let Target { scenario, seed, .. } = &target;

    let choices = S::choices(&target.expand().map_err(Failure::from)?.system);
    if arguments.verbose && !arguments.json {
        // Before the run, so that they are there even if it panics or never ends.
        out::screen(&text::choices(&choices))?;
    }
    let bar = progress_bar(scenario);
    let manner = Manner {
        keep_randomisation: arguments.keep_randomisation,
        backtrace: arguments.verbose,
        ..Manner::default()
    };
    let mut log = LogPrinter::new(&arguments.log, scenario.start.0.0);
    let judged = parent::run(&work, manner, |line| match line {
        Line::Log(record) => log.record(&bar, record),
        other => show(&bar, other),
    });
    bar.finish_and_clear();
    log.end()?;
    let judged = judged.map_err(|error| broken(&error, &repeat))?;
    arguments.log.nodes_are_there(&judged)?;

    let wall_seconds = context.started.elapsed().as_secs_f64();
    let release = target.release();
    let asked = Asked { scenario, seed: *seed, release, choices, repeat, wall_seconds };
    let mut report = assemble::<S>(asked, judged).map_err(Failure::Internal)?;
    report.unmet.extend(arguments.strike.as_ref().and_then(|strike| not_triggered(strike, &report.faults)));
    if arguments.json {
        let written = json::render::<S>(&report, arguments.verbose);
        let cannot = |error| Failure::Internal(format!("the report cannot be written: {error}"));
        out::print(&written.map_err(cannot)?)?;
    } else {
        out::screen(&text::render::<S>(&report, arguments.verbose))?;
    }
    for unmet in &report.unmet {
        out::complain(&format!("error: {unmet}\n"));
    }
    if report.shows_nothing() {
        out::complain(&format!("error: {}\n", nothing_shown(S::ITEMS)));
    }
    Ok(report.exit_code())
}

/// What to say of a fault that was asked for and never triggered: it is the last of the run's.
fn not_triggered(strike: &Strike, faults: &[FaultReport]) -> Option<String> {
    let fault = faults.last().filter(|fault| fault.struck_ms.is_none())?;
    let made = words::counted(fault.counted, "operations");
    Some(format!("fault not triggered: --strike {strike}: {} made {made} in this run", strike.node))
}

/// What to say of a clean run in which nothing was there to be judged.
pub(super) fn nothing_shown(items: &str) -> String {
    format!("0 {items} acknowledged, so this run shows nothing")
}

/// A case without a report is a failure whatever the scenario expects: of the code under test if that panicked, ours if
/// not, unless the scenario itself was wrong.
pub(super) fn broken(error: &CaseError, repeat: &str) -> Failure {
    let said = match error {
        CaseError::ToolPanicked { place, .. } => {
            let trace: String = place.lines().skip(1).map(|line| format!("\n{line}")).collect();
            format!("{error} (report it with: {repeat}){trace}")
        }
        _ => format!("{error}\n  again: {repeat}"),
    };
    match error {
        CaseError::BadScenario(bad) => Failure::Usage(bad.clone()),
        CaseError::Panicked { .. } => Failure::Found(said),
        CaseError::TookTooLong(_) | CaseError::TookTooMuch(_) => Failure::Hung(said),
        _ => Failure::Internal(said),
    }
}

/// A run that is over sooner shows no progress: a line that comes and goes is noise.
const PROGRESS_AFTER: Duration = Duration::from_secs(2);
/// The line says that the run is alive also where virtual time stands still: while it is judged.
const TICK: Duration = Duration::from_millis(250);

/// One line in simulated days, on a terminal alone, for runs that take more than two seconds.
pub(super) fn progress_bar<T>(scenario: &Scenario<T>) -> ProgressBar {
    let run_ms = u64::try_from(scenario.run_for.0.as_millis()).unwrap_or(u64::MAX);
    let bar = ProgressBar::with_draw_target(Some(run_ms), ProgressDrawTarget::hidden());
    let style = ProgressStyle::with_template("{spinner} {prefix} {bar:30} {msg}, {elapsed} so far")
        .unwrap_or_else(|_| ProgressStyle::default_bar());
    bar.set_style(style);
    bar.set_prefix(scenario.name.clone());
    show_later(&bar);
    bar
}

fn show_later(bar: &ProgressBar) {
    let waiting = bar.downgrade();
    // Without this thread there is no progress line, and everything else works.
    let _ = thread::Builder::new().name("progress".into()).spawn(move || {
        #[expect(clippy::disallowed_methods, reason = "a person waits in real time")]
        thread::sleep(PROGRESS_AFTER);
        if let Some(bar) = waiting.upgrade().filter(|bar| !bar.is_finished()) {
            bar.set_draw_target(ProgressDrawTarget::stderr());
            bar.enable_steady_tick(TICK);
        }
    });
}

pub(super) fn show(bar: &ProgressBar, line: &Line) {
    match line {
        Line::Time { sim_ms } => {
            let run_ms = bar.length().unwrap_or_default();
            bar.set_position((*sim_ms).min(run_ms));
            bar.set_message(days(*sim_ms, run_ms));
        }
        Line::Phase(phase) => {
            let before = bar.message();
            let time = before.split(", ").next().unwrap_or_default();
            bar.set_message(format!("{time}, {phase}"));
        }
        Line::Log(_)
        | Line::Stopped { .. }
        | Line::Judged(_)
        | Line::Refused(_)
        | Line::BadScenario(_)
        | Line::Panicked { .. } => {}
    }
}

/// `day 2.4 of 5 d`; past the planned end, healing and judging go on. A run of less than a day counts smaller.
fn days(sim_ms: u64, run_ms: u64) -> String {
    const DAY_MS: u64 = 86_400_000;
    if run_ms < DAY_MS {
        return format!("{} of {}", words::span_ms(sim_ms), words::span_ms(run_ms));
    }
    let tenths = sim_ms * 10 / DAY_MS;
    format!("day {}.{} of {}", tenths / 10, tenths % 10, words::span_ms(run_ms))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_repeat_line_survives_a_shell() {
        assert_eq!(shell_word("incident-2016"), "incident-2016");
        assert_eq!(shell_word("my files/it's.json"), r"'my files/it'\''s.json'");
        assert_eq!(shell_word(""), "''");
    }

    #[test]
    fn progress_is_in_days() {
        assert_eq!(days(0, 432_000_000), "day 0.0 of 5 d");
        assert_eq!(days(2_400, 60_000), "2.4 s of 1 m");
        assert_eq!(days(207_400_000, 432_000_000), "day 2.4 of 5 d");
    }
}
