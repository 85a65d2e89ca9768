//! `enumerate SCENARIO[@SEED]`: a crash, or one error, at each operation in turn.

use super::{Context, Failure};
use crate::case::assemble::missing_marks;
use crate::case::parent::{self, CaseError, Manner};
use crate::case::pool;
use crate::case::wire::Work;
use crate::enumerate::{Faults, Outline, Tally, Wanted};
use crate::print::{enumerate as printed, out};
use crate::scenario::{Moment, Scenario};
use crate::target::shell_word;
use crate::{System, exit};
use clap::ValueEnum as _;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::time::Duration;

/// A struck run may take this many times as long as the surveyed one, in seconds of real time, and never less than the
/// least: a machine under load is no hung case.
const LIMIT_TIMES: u32 = 50;
const LEAST_LIMIT_S: u32 = 60;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// A built-in scenario's name or a file, and the seed (the scenario's own if none is given, else 1)
    #[arg(value_name = "SCENARIO[@SEED]")]
    target: String,
    /// Only crashes, or only errors
    #[arg(long)]
    fault: Option<Faults>,
    /// Only at this node
    #[arg(long, value_name = "NAME")]
    node: Option<String>,
    /// Only operations from this instant on, such as 2016-02-20T15:00:00Z
    #[arg(long, value_name = "A")]
    from: Option<Moment>,
    /// Only operations before this instant
    #[arg(long, value_name = "B")]
    to: Option<Moment>,
    /// Runs side by side [default: all cores]
    #[arg(long)]
    jobs: Option<usize>,
    /// Print the summary as one JSON object
    #[arg(long)]
    json: bool,
    /// Print every failure, not only the first of each kind
    #[arg(short, long)]
    verbose: bool,
}

pub(super) fn run<S: System>(context: &Context<'_>, arguments: &Args) -> Result<u8, Failure> {
    let target = context.target::<S>(&arguments.target, None)?;
    let (base, seed) = (target.work(), target.seed);
    let repeat = format!("{} run {}", shell_word(&context.program), target.arguments());
    let scenario = &target.scenario;

    let (outline, limit_s) = survey::<S>(context, &base, scenario, arguments, &repeat)?;
    if outline.strikes.is_empty() {
        return Err(Failure::Usage(nothing_chosen(arguments)));
    }
    let mut tally = Tally::new(&outline, scenario.expect);
    let bar = progress_bar(&scenario.name, outline.strikes.len());
    let jobs = arguments.jobs.unwrap_or_else(pool::cores);
    let manner =
        Manner { keep_randomisation: false, limit_ms: Some(u64::from(limit_s) * 1000), ..Manner::default() };
    let work_of = |planned: &crate::enumerate::Planned| {
        let mut work = base.clone();
        work.faults.push(planned.strike.fault());
        work
    };
    pool::run_all(&outline.strikes, jobs, manner, work_of, |index, ended| {
        tally.note(&outline, index, &ended);
        if let Err(CaseError::Start(error)) = &ended {
            bar.println(format!("a case cannot be started: {error}"));
        }
        bar.set_message(match tally.failed_runs() {
            0 => String::new(),
            failed => format!(", {failed} failed"),
        });
        bar.inc(1);
    });
    bar.finish_and_clear();

    let wall = context.started.elapsed();
    let again = format!("{}{}", repeat.replacen(" run ", " enumerate ", 1), filters(arguments));
    let (name, outline, tally) = (&scenario.name, &outline, &tally);
    let summary = printed::Summary { name, seed, outline, tally, wall, jobs, repeat, again };
    if arguments.json {
        out::print(&printed::json(&summary))?;
    } else {
        out::print(&printed::text(&summary, arguments.verbose).to_string())?;
    }
    Ok(if tally.as_expected() { exit::CLEAN } else { exit::VIOLATION })
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
        let message = format!("no node is called '{node}'; nodes: {}", known.join(", "));
        return Err(Failure::Usage(message));
    }
    let wanted = Wanted {
        faults: arguments.fault,
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

/// What was asked for besides the case, each with a space before it.
fn filters(arguments: &Args) -> String {
    let name = |faults: Faults| faults.to_possible_value().map(|value| value.get_name().to_owned());
    let filters = [
        arguments.fault.and_then(name).map(|fault| format!(" --fault {fault}")),
        arguments.node.as_ref().map(|node| format!(" --node {}", shell_word(node))),
        arguments.from.map(|from| format!(" --from {from}")),
        arguments.to.map(|to| format!(" --to {to}")),
    ];
    filters.into_iter().flatten().collect()
}

/// One line on a terminal alone: how many are done, how fast, how long it will take.
fn progress_bar(name: &str, runs: usize) -> ProgressBar {
    let bar = ProgressBar::with_draw_target(Some(runs as u64), ProgressDrawTarget::stderr());
    let template = "{prefix} {bar:30} {pos} of {len} runs, {per_sec:0}, {eta} left{msg}";
    bar.set_style(ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar()));
    bar.set_prefix(name.to_owned());
    bar
}
