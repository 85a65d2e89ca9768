//! `run SCENARIO[@SEED]`: one case, one verdict.

use super::log::{LogArgs, LogPrinter};
use super::{CliError, Context};
use crate::System;
use crate::case::ipc::WorkerMessage;
use crate::case::parent::{self, CaseError, WorkerLimits};
use crate::case::report_builder::{RunContext, build_report};
use crate::case_source::{CaseSource, shell_word};
use crate::enumerate::InjectionPoint;
use crate::print::{humanize, json, terminal, text};
use crate::report::FaultReport;
use crate::scenario::Scenario;
use crate::variant::VariantArgs;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::thread;
use std::time::Duration;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// A built-in scenario's name, a file or `-` for the standard input, and the seed (default: the scenario's own,
    /// else 1)
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
    /// Inject a fault at one operation, as `latent enumerate` does: FAULT@NODE:NUMBER; may be given several times
    #[arg(long, value_name = "STRIKE")]
    inject: Vec<InjectionPoint>,
    #[command(flatten)]
    log: LogArgs,
    /// Put the whole system on this release: one of the scenario's, or `good`
    #[arg(long, value_name = "NAME")]
    release: Option<String>,
    #[command(flatten)]
    variants: VariantArgs,
    /// Leave address randomisation on in the case's process
    #[arg(long, hide = true)]
    keep_randomisation: bool,
}

pub(super) fn run<S: System>(context: &Context<'_>, arguments: &Args) -> Result<u8, CliError> {
    let target = context.target::<S>(&arguments.target, arguments.seed, arguments.release.as_deref())?;
    let target = target.varied(&arguments.variants)?;
    let mut repeat = format!("{} run {}", shell_word(&context.program), target.arguments());
    let mut request = target.request();
    request.log = arguments.log.log;
    for point in &arguments.inject {
        repeat = format!("{repeat} --inject {}", shell_word(&point.to_string()));
        request.faults.push(point.fault());
    }
    let CaseSource { scenario, seed, .. } = &target;

    let choices = S::choices(&target.expand().map_err(CliError::from)?.system);
    if arguments.verbose && !arguments.json {
        // Before the run, so that they are printed even if it panics or hangs.
        terminal::screen(&text::choices(&choices))?;
    }
    let bar = progress_bar(scenario);
    let limits = WorkerLimits {
        keep_randomisation: arguments.keep_randomisation,
        backtrace: arguments.verbose,
        ..WorkerLimits::default()
    };
    let mut log = LogPrinter::new(&arguments.log, scenario.start.0.0);
    let judged = parent::run(&request, limits, |line| match line {
        WorkerMessage::Log(record) => log.record(&bar, record),
        other => show(&bar, other),
    });
    bar.finish_and_clear();
    log.end()?;
    let judged = judged.map_err(|error| broken(&error, &repeat))?;
    arguments.log.check_nodes(&judged)?;

    let wall_seconds = context.started.elapsed().as_secs_f64();
    let release = target.release();
    let asked = RunContext { scenario, seed: *seed, release, choices, repeat, wall_seconds };
    let mut report = build_report::<S>(asked, judged).map_err(CliError::Internal)?;
    report.unfulfilled.extend(not_triggered(&arguments.inject, &report.faults));
    if arguments.json {
        let written = json::render::<S>(&report, arguments.verbose);
        let cannot = |error| CliError::Internal(format!("the report cannot be written: {error}"));
        terminal::print(&written.map_err(cannot)?)?;
    } else {
        terminal::screen(&text::render::<S>(&report, arguments.verbose))?;
    }
    for unfulfilled in &report.unfulfilled {
        terminal::eprint(&format!("error: {unfulfilled}\n"));
    }
    if report.is_vacuous() {
        terminal::eprint(&format!("error: {}\n", vacuous_message(S::ITEMS)));
    }
    Ok(report.exit_code())
}

/// Returns an error for each requested fault that was not triggered: they are the last of the run's faults.
fn not_triggered(points: &[InjectionPoint], faults: &[FaultReport]) -> Vec<String> {
    let of_case = faults.len().saturating_sub(points.len());
    let missed = points.iter().zip(&faults[of_case..]).filter(|(_, fault)| fault.triggered_ms.is_none());
    let message = |(point, fault): (&InjectionPoint, &FaultReport)| {
        let made = humanize::counted(fault.match_count, "operations");
        format!("fault not triggered: --inject {point}: {} made {made} in this run", point.node)
    };
    missed.map(message).collect()
}

/// Error message of a vacuous run.
pub(super) fn vacuous_message(items: &str) -> String {
    format!("vacuous run: 0 {items} acknowledged")
}

/// Converts the error of a case without a report, which is a failure whatever the scenario expects: of the code under
/// test if it panicked, otherwise an internal error, unless the scenario is invalid.
pub(super) fn broken(error: &CaseError, repeat: &str) -> CliError {
    let message = match error {
        CaseError::InternalPanic { place, .. } => {
            let trace: String = place.lines().skip(1).map(|line| format!("\n{line}")).collect();
            format!("{error} (report it with: {repeat}){trace}")
        }
        _ => format!("{error}\n  reproduce: {repeat}"),
    };
    match error {
        CaseError::ScenarioError(bad) => CliError::Usage(bad.clone()),
        CaseError::Panicked { .. } => CliError::Violation(message),
        CaseError::TimedOut(_) | CaseError::ExceededMemory(_) => CliError::Hung(message),
        _ => CliError::Internal(message),
    }
}

/// A shorter run shows no progress: a line that appears and vanishes is distracting.
const PROGRESS_AFTER: Duration = Duration::from_secs(2);
/// Interval of updates while virtual time does not advance, as during the checks.
const TICK: Duration = Duration::from_millis(250);

/// Returns a progress line in simulated days, shown on a terminal only, for runs that take more than two seconds.
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
    // Without this thread there is no progress line; everything else works.
    let _ = thread::Builder::new().name("progress".into()).spawn(move || {
        #[expect(clippy::disallowed_methods, reason = "a person waits in real time")]
        thread::sleep(PROGRESS_AFTER);
        if let Some(bar) = waiting.upgrade().filter(|bar| !bar.is_finished()) {
            bar.set_draw_target(ProgressDrawTarget::stderr());
            bar.enable_steady_tick(TICK);
        }
    });
}

pub(super) fn show(bar: &ProgressBar, line: &WorkerMessage) {
    match line {
        WorkerMessage::Time { sim_ms } => {
            let run_ms = bar.length().unwrap_or_default();
            bar.set_position((*sim_ms).min(run_ms));
            bar.set_message(days(*sim_ms, run_ms));
        }
        WorkerMessage::Phase(phase) => {
            let before = bar.message();
            let time = before.split(", ").next().unwrap_or_default();
            bar.set_message(format!("{time}, {phase}"));
        }
        WorkerMessage::Log(_)
        | WorkerMessage::Stopped { .. }
        | WorkerMessage::Result(_)
        | WorkerMessage::Refused(_)
        | WorkerMessage::ScenarioError(_)
        | WorkerMessage::Panicked { .. } => {}
    }
}

/// `day 2.4 of 5 d`; past the planned end, healing and checks follow. A run of less than a day uses smaller units.
fn days(sim_ms: u64, run_ms: u64) -> String {
    const DAY_MS: u64 = 86_400_000;
    if run_ms < DAY_MS {
        return format!("{} of {}", humanize::span_ms(sim_ms), humanize::span_ms(run_ms));
    }
    let tenths = sim_ms * 10 / DAY_MS;
    format!("day {}.{} of {}", tenths / 10, tenths % 10, humanize::span_ms(run_ms))
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
