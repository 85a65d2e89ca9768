//! `sweep [SCENARIO]...`: many seeds, each case in its own process.

mod args;
mod report;
mod results_file;
mod settings;

pub(super) use args::Args;
pub(super) use report::{SweepOutput, junit_destination, report};

use super::progress::SweepProgress;
use super::{CliError, Context, signals};
use crate::case_source::shell_word;
use crate::output::{STANDARD, is_stream};
use crate::print::terminal;
use crate::sweep::results::ResultsFooter;
use crate::sweep::runner::{self, SweepContext, SweepError};
use crate::sweep::summary::SweepSummary;
use crate::sweep::sweep_spec::{CaseKey, SweepSpec};
use crate::{System, exit};
use args::NoCasesPolicy;
use results_file::{OpenedResults, open};
use settings::resolve_settings;
use std::collections::BTreeSet;
use std::path::Path;
use std::sync::atomic::Ordering;

pub(super) fn run<S: System>(context: &Context<'_>, arguments: &Args) -> Result<u8, CliError>
where
    S::Config: Sync,
{
    let resume = arguments.resume || (arguments.resume_if_exists && arguments.json.exists());
    let arguments = &Args { resume, ..arguments.clone() };
    let settings = resolve_settings::<S>(context, arguments)?;
    let signal = signals::install()?;
    let junit = junit_destination(arguments.junit.as_deref(), arguments.force)?;
    let OpenedResults { mut writer, mut records, before_ms } =
        open(arguments, &settings.spec, settings.jobs, signal.clone())?;
    let done: BTreeSet<(String, u64)> = records.iter().map(|one| (one.scenario.clone(), one.seed)).collect();
    let is_done =
        |place: CaseKey| done.contains(&(settings.spec.scenarios[place.scenario].given.clone(), place.seed));
    let sweep_context = SweepContext {
        spec: &settings.spec,
        targets: &settings.targets,
        jobs: settings.jobs,
        limits: settings.limits,
        until: settings.duration.and_then(|duration| context.started.checked_add(duration)),
        signal: signal.clone(),
    };
    let mut progress = SweepProgress::new(settings.spec.count(), records.len() as u64, settings.duration);
    let result = runner::run_cases(&sweep_context, is_done, |one| {
        if let Some(one) = one {
            writer.case(&one)?;
            progress.ran(&one);
            records.push(one);
        }
        progress.tick();
        writer.check()
    });
    progress.finish();
    let wall_ms =
        before_ms.saturating_add(u64::try_from(context.started.elapsed().as_millis()).unwrap_or(u64::MAX));
    let result = result
        .and_then(|()| Ok(writer.end(&ResultsFooter { cases: records.len() as u64, wall_ms })?))
        // A signal that interrupts a blocked write counts as a signal, not as a write error.
        .map_err(|stopped| match (signal.load(Ordering::Relaxed), stopped) {
            (0, stopped) => stopped,
            (number, _) => SweepError::Signal(number),
        });
    signals::exit_on_next_signal();
    if let Err(stopped) = result {
        return interrupted(context, arguments, &stopped, &settings.spec, records.len() as u64);
    }
    let summary = SweepSummary::of(&settings.spec, &records);
    let file = arguments.json.display().to_string();
    let took = Some((wall_ms, settings.jobs));
    let output = SweepOutput {
        junit,
        annotate: arguments.annotate,
        verbose: arguments.verbose,
        json: false,
        is_output_taken: arguments.json == Path::new(STANDARD),
    };
    let code = report::<S>(context, &output, &summary, &records, took, &file)?;
    Ok(if summary.cases == 0 { without_cases(arguments.no_cases, &summary) } else { code })
}

fn without_cases(policy: NoCasesPolicy, summary: &SweepSummary) -> u8 {
    let slice = if summary.is_slice() { format!("{} of ", summary.spec.slice) } else { String::new() };
    let message = format!("0 cases ran: {slice}{} has none", summary.spec.seeds);
    match policy {
        NoCasesPolicy::Pass => exit::CLEAN,
        NoCasesPolicy::Warn => {
            terminal::eprint(&format!("warning: {message}\n"));
            exit::CLEAN
        }
        NoCasesPolicy::Fail => {
            terminal::eprint(&format!("error: {message}; --no-cases warn lets it pass\n"));
            exit::NOTHING_RAN
        }
    }
}

fn interrupted(
    context: &Context<'_>,
    arguments: &Args,
    stopped: &SweepError,
    spec: &SweepSpec,
    done: u64,
) -> Result<u8, CliError> {
    let SweepError::Signal(number) = stopped else {
        let message = match stopped {
            SweepError::Write(error) => format!("{}: {error}", arguments.json.display()),
            stopped => stopped.to_string(),
        };
        return Err(CliError::Internal(message));
    };
    if is_stream(&arguments.json) {
        terminal::eprint(&format!("stopped after {done} cases\n"));
        return Ok(exit::of_signal(*number));
    }
    let of = spec.count().map_or(String::new(), |all| format!(" of {all}"));
    let line: Vec<String> = std::env::args().skip(1).filter(|word| word != "--resume").collect();
    let line: Vec<String> = line.iter().map(|word| shell_word(word)).collect();
    terminal::eprint(&format!(
        "stopped after {done}{of} cases, all of them in {}\n  continue: {} {} --resume\n",
        arguments.json.display(),
        shell_word(&context.program),
        line.join(" ")
    ));
    Ok(exit::of_signal(*number))
}
