//! `sweep [SCENARIO]...`: many seeds, each case in its own process.

use super::progress::SweepProgress;
use super::results_file::{nothing_to_resume, open};
use super::{CliError, Context, signals};
use crate::case::parent::WorkerLimits;
use crate::case::{CASE_MEMORY_MB, CASE_TIME, pool};
use crate::case_source::{CaseSource, GENERATED, shell_word};
use crate::output::{Destination, FileFormat, STANDARD, is_stream};
use crate::print::{sweep as printed, terminal};
use crate::profile::{self, Profile};
use crate::scenario::{SerializedOutcome, Span};
use crate::sweep::partition::{self, Partition};
use crate::sweep::results::{CaseRecord, ResultsFooter, SweepResults};
use crate::sweep::runner::{self, SweepContext, SweepError};
use crate::sweep::summary::SweepSummary;
use crate::sweep::sweep_spec::{
    CaseKey, FORMAT, Limits, Seeds, Slice, SweepSpec, SweptScenario, parse_range,
};
use crate::sweep::{github, junit};
use crate::{System, exit, explain};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::time::Duration;
use xxhash_rust::xxh3::xxh3_64;

/// Default seeds of a sweep.
const SEEDS: (u64, u64) = (1, 101);

#[derive(Clone, Debug, clap::Args)]
pub(super) struct Args {
    /// Built-in scenarios' names, files, or `generated` for generated scenarios [default: generated]
    #[arg(value_name = "SCENARIO")]
    scenarios: Vec<String>,
    /// Run these seeds, the end excluded [env: LATENT_SEEDS]
    #[arg(long, value_name = "A..B", allow_hyphen_values = true)]
    seeds: Option<String>,
    /// Derive the seeds from a text, such as a date: the same text gives the same seeds
    #[arg(long, value_name = "TEXT", conflicts_with = "seeds")]
    seeds_from: Option<String>,
    /// Derive this many seeds from the text
    #[arg(long, value_name = "N")]
    count: Option<u64>,
    /// Stop starting new cases after this long, such as 30m
    #[arg(long = "for", value_name = "TIME", env = "LATENT_FOR")]
    duration: Option<Span>,
    /// Run this many cases in parallel [default: all cores]
    #[arg(short, long, value_name = "N", env = "LATENT_JOBS", value_parser = pool::parse_jobs)]
    jobs: Option<usize>,
    /// Run one partition, such as slice:1/4; combine with `merge`. `auto` reads it from the variables of Slurm,
    /// Kubernetes, GitHub, GitLab or Buildkite
    #[arg(long, value_name = "slice:I/N|auto", env = "LATENT_PARTITION")]
    partition: Option<Partition>,
    /// Put the whole system on this release: one of the scenario's, or `good`
    #[arg(long, value_name = "NAME", env = "LATENT_RELEASE")]
    release: Option<String>,
    /// Use this profile of latent.toml [default: quick, if neither scenarios nor seeds are given]
    #[arg(long, value_name = "NAME", env = "LATENT_PROFILE")]
    profile: Option<String>,
    /// Stop a case after this much real time [default: 5m]
    #[arg(long, value_name = "TIME", env = "LATENT_CASE_TIME")]
    case_time: Option<Span>,
    /// Stop a case that exceeds this much memory, in megabytes [default: 4096]
    #[arg(long, value_name = "MB", env = "LATENT_CASE_MEMORY_MB")]
    case_memory_mb: Option<u64>,
    /// Exit like this if no case ran, as in a slice of few seeds: `fail` with code 4, `warn` or `pass` with code 0
    #[arg(long, value_name = "HOW", value_enum, default_value_t = NoCasesPolicy::Fail, env = "LATENT_NO_CASES",
        hide_possible_values = true)]
    no_cases: NoCasesPolicy,
    /// Require that some case reaches this mark; may be given several times
    #[arg(long = "require", value_name = "MARK")]
    required_marks: Vec<String>,
    /// Write results as JSON lines to this file when each case ends; `-` is the standard output
    #[arg(long, value_name = "FILE", default_value = ".latent/sweep.jsonl")]
    pub(super) json: PathBuf,
    /// Write results as JUnit XML to this file at the end; `-` is the standard output
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,
    /// Overwrite a file that is not JUnit XML
    #[arg(long)]
    force: bool,
    /// Continue the interrupted sweep in the file of --json; without scenarios and seeds, with its own settings
    #[arg(long)]
    pub(super) resume: bool,
    /// Continue if the results file exists, else start: for a scheduler that repeats the same command
    #[arg(long)]
    resume_if_exists: bool,
    /// Write annotations and the job summary for GitHub Actions
    #[arg(long)]
    annotate: bool,
    /// Print every failure and every mark
    #[arg(short, long)]
    verbose: bool,
}

/// Exit code of a sweep in which no case ran.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum NoCasesPolicy {
    /// Exit code 0.
    Pass,
    /// Exit code 0, and a warning.
    Warn,
    /// Exit code 4.
    Fail,
}

/// Settings of a sweep, resolved from flags, environment, profile and defaults.
struct SweepSettings<S: System> {
    spec: SweepSpec,
    targets: Vec<CaseSource<S>>,
    duration: Option<Duration>,
    jobs: usize,
    limits: WorkerLimits,
}

pub(super) fn run<S: System>(context: &Context<'_>, arguments: &Args) -> Result<u8, CliError>
where
    S::Config: Sync,
{
    let resume = arguments.resume || (arguments.resume_if_exists && arguments.json.exists());
    let arguments = &Args { resume, ..arguments.clone() };
    let settings = resolve_settings::<S>(context, arguments)?;
    let signal = signals::install()?;
    let junit = junit_destination(arguments.junit.as_deref(), arguments.force)?;
    let (mut writer, mut records, before_ms) =
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
    let code = report(context, &output, &summary, &records, took, &file)?;
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

/// Returns the destination of the JUnit file, if requested, which is writable.
pub(super) fn junit_destination(path: Option<&Path>, force: bool) -> Result<Option<Destination>, CliError> {
    Ok(path.map(|path| Destination::prepare(path, FileFormat::JUnit, force)).transpose()?)
}

/// Outputs besides the results file.
pub(super) struct SweepOutput {
    pub junit: Option<Destination>,
    pub annotate: bool,
    pub verbose: bool,
    /// One JSON object instead of the screen.
    pub json: bool,
    /// Whether the standard output is a stream of results: then the screen goes to the standard error.
    pub is_output_taken: bool,
}

/// Prints the summary of a sweep, and writes the other outputs.
pub(super) fn report(
    context: &Context<'_>,
    output: &SweepOutput,
    summary: &SweepSummary,
    records: &[CaseRecord],
    took: Option<(u64, usize)>,
    file: &str,
) -> Result<u8, CliError> {
    // The screen first: a write error must not hide hours of results.
    let shown = printed::SweepReport { summary, program: &context.program, took, file };
    let screen = printed::text(&shown, output.verbose);
    let plain = anstream::adapter::strip_str(&screen.to_string()).to_string();
    let junit_is_output = output.junit.as_ref().is_some_and(Destination::is_standard_output);
    if output.json {
        terminal::print(&format!("{}\n", printed::json(summary, &context.program)))?;
    } else if output.is_output_taken || junit_is_output {
        terminal::eprint(&plain);
    } else {
        terminal::screen(&screen)?;
    }
    let cannot = |path: &Path, error| CliError::Internal(format!("{}: {error}", path.display()));
    if let Some(junit) = &output.junit {
        let mut sorted = records.to_vec();
        sorted.sort_by(|a, b| (&a.scenario, a.seed).cmp(&(&b.scenario, b.seed)));
        junit.write(&junit::render(summary, &sorted, &utc_now())?)?;
    }
    if output.annotate {
        // With JSON the output is that one object; GitHub also reads commands from the standard error.
        let is_taken = output.json || output.is_output_taken || junit_is_output;
        let print = if is_taken { print_aside } else { terminal::print };
        print(&github::lines(summary, &plain))?;
        #[expect(clippy::disallowed_methods, reason = "GitHub Actions names the file in the environment")]
        if let Ok(path) = std::env::var("GITHUB_STEP_SUMMARY") {
            let path = PathBuf::from(path);
            github::write_summary(&path, &plain).map_err(|error| cannot(&path, error))?;
        }
    }
    Ok(summary.exit_code())
}

fn print_aside(text: &str) -> std::io::Result<()> {
    terminal::eprint(text);
    Ok(())
}

#[expect(clippy::disallowed_methods, reason = "a JUnit file says when its tests ran")]
fn utc_now() -> String {
    jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%S").to_string()
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

fn resolve_settings<S: System>(
    context: &Context<'_>,
    arguments: &Args,
) -> Result<SweepSettings<S>, CliError> {
    if let Some(settings) = resumed::<S>(context, arguments)? {
        return Ok(settings);
    }
    let names_none =
        arguments.scenarios.is_empty() && arguments.seeds.is_none() && arguments.seeds_from.is_none();
    let profile = match &arguments.profile {
        None if !names_none => Profile::default(),
        asked => profile::find(asked.as_deref())
            .map_err(|message| context.named_by_its_variable("profile", CliError::Usage(message)))?,
    };
    let given = match (&arguments.scenarios, &profile.scenarios) {
        (flags, _) if !flags.is_empty() => flags.clone(),
        (_, Some(of_profile)) => of_profile.clone(),
        _ => vec![GENERATED.to_owned()],
    };
    let duration = arguments.duration.or(profile.duration).map(|span| span.0);
    let (targets, scenarios) = load_scenarios::<S>(context, &given, arguments.release.as_deref())
        .map_err(|failure| context.named_by_its_variable("release", failure))?;
    for mark in &arguments.required_marks {
        known_mark::<S>(mark, "--require")?;
    }
    let mut required_marks = profile.required_marks.clone().unwrap_or_default();
    for mark in &required_marks {
        known_mark::<S>(mark, "latent.toml: required-marks")?;
    }
    required_marks.extend(arguments.required_marks.iter().cloned());
    let spec = SweepSpec {
        format: FORMAT,
        build: context.build.to_owned(),
        scenarios,
        seeds: seeds(arguments, &profile, duration.is_some())?,
        slice: slice(arguments.partition)?,
        release: arguments.release.clone(),
        required_marks,
        limits: Limits {
            for_ms: duration.map(whole_ms),
            case_time_ms: whole_ms(
                arguments.case_time.or(profile.case_time).map_or(CASE_TIME, |span| span.0),
            ),
            case_memory_mb: arguments.case_memory_mb.or(profile.case_memory_mb).unwrap_or(CASE_MEMORY_MB),
        },
    };
    let jobs = pool::jobs(arguments.jobs.or(profile.jobs));
    Ok(SweepSettings::of(spec, targets, jobs))
}

/// Checks a mark before the sweep, which could only fail after hours.
fn known_mark<S: System>(mark: &str, given_by: &str) -> Result<(), CliError> {
    match explain::unknown_mark::<S>(mark) {
        None => Ok(()),
        Some((message, hint)) => Err(CliError::Usage(format!("{given_by}: {message}\n  {hint}"))),
    }
}

fn whole_ms(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// Returns the settings of the sweep to continue, if `--resume` names no sweep itself; limits may be given with it.
fn resumed<S: System>(context: &Context<'_>, arguments: &Args) -> Result<Option<SweepSettings<S>>, CliError> {
    let names_one = !arguments.scenarios.is_empty()
        || arguments.seeds.is_some()
        || arguments.seeds_from.is_some()
        || arguments.count.is_some()
        || arguments.partition.is_some()
        || arguments.release.is_some()
        || arguments.profile.is_some()
        || !arguments.required_marks.is_empty();
    if !arguments.resume || names_one || is_stream(&arguments.json) {
        return Ok(None);
    }
    if !arguments.json.exists() {
        return Err(nothing_to_resume(&arguments.json));
    }
    let before = SweepResults::read(&arguments.json);
    let before = before.map_err(|error| CliError::Usage(format!("{error}\n  there is nothing to resume")))?;
    let recorded = before.spec;
    let given: Vec<String> =
        recorded.scenarios.iter().map(|load_scenarios| load_scenarios.given.clone()).collect();
    let (targets, scenarios) = load_scenarios::<S>(context, &given, recorded.release.as_deref())?;
    let limits = Limits {
        for_ms: arguments.duration.map(|span| whole_ms(span.0)).or(recorded.limits.for_ms),
        case_time_ms: arguments.case_time.map_or(recorded.limits.case_time_ms, |span| whole_ms(span.0)),
        case_memory_mb: arguments.case_memory_mb.unwrap_or(recorded.limits.case_memory_mb),
    };
    let build = context.build.to_owned();
    let spec = SweepSpec { build, scenarios, limits, ..recorded };
    Ok(Some(SweepSettings::of(spec, targets, pool::jobs(arguments.jobs))))
}

impl<S: System> SweepSettings<S> {
    fn of(spec: SweepSpec, targets: Vec<CaseSource<S>>, jobs: usize) -> SweepSettings<S> {
        let Limits { for_ms, case_time_ms, case_memory_mb } = spec.limits;
        let limits = WorkerLimits::limited(Some(Duration::from_millis(case_time_ms)), Some(case_memory_mb));
        let duration = for_ms.map(Duration::from_millis);
        SweepSettings { spec, targets, duration, jobs, limits }
    }
}

/// Returns the requested slice; prints the source of an `auto` slice to the standard error.
fn slice(asked: Option<Partition>) -> Result<Slice, CliError> {
    match asked {
        None => Ok(Slice::WHOLE),
        Some(Partition::Slice(slice)) => Ok(slice),
        Some(Partition::Auto) => {
            let found = partition::of_environment().map_err(CliError::Usage)?;
            terminal::eprint(&format!("{found}\n"));
            Ok(found.slice)
        }
    }
}

/// Returns the scenarios of a sweep, each once.
fn load_scenarios<S: System>(
    context: &Context<'_>,
    given: &[String],
    release: Option<&str>,
) -> Result<(Vec<CaseSource<S>>, Vec<SweptScenario>), CliError> {
    let (mut targets, mut scenarios) = (Vec::new(), Vec::<SweptScenario>::new());
    for name in given {
        let target = context.target::<S>(name, None, release)?;
        if target.is_case() || target.given != *name {
            let message = format!(
                "{name}: a sweep has its own seeds\n  give the scenario without a seed, and --seeds A..B"
            );
            return Err(CliError::Usage(message));
        }
        if scenarios.iter().any(|load_scenarios| load_scenarios.given == *name) {
            return Err(CliError::Usage(format!("{name} is given twice")));
        }
        scenarios.push(SweptScenario {
            given: name.clone(),
            digest: format!("{:016x}", xxh3_64(target.text.as_bytes())),
            expect: SerializedOutcome(target.scenario.expect),
            required_marks: target.scenario.required_marks.clone(),
        });
        targets.push(target);
    }
    Ok((targets, scenarios))
}

/// Returns the range of seeds that the environment sets. Not read with the flags: clap would report a conflict with
/// `--seeds-from`, which has precedence.
#[expect(clippy::disallowed_methods, reason = "settings of the command line may come from the environment")]
fn seeds_of_environment() -> Option<String> {
    std::env::var("LATENT_SEEDS").ok().filter(|text| !text.is_empty())
}

/// Returns the seeds from the first source that sets them: flags, environment, profile, default.
fn seeds(arguments: &Args, profile: &Profile, has_end: bool) -> Result<Seeds, CliError> {
    let range = |text: &str| {
        let (from, to) = parse_range(text).map_err(CliError::Usage)?;
        Ok(Seeds::Range(from, Some(to)))
    };
    let drawn = |text: &str| drawn(text, arguments.count.or(profile.count), has_end);
    let found = if let Some(text) = &arguments.seeds {
        range(text)
    } else if let Some(text) = &arguments.seeds_from {
        drawn(text)
    } else if let Some(text) = seeds_of_environment() {
        parse_range(&text)
            .map(|(from, to)| Seeds::Range(from, Some(to)))
            .map_err(|message| CliError::Usage(format!("LATENT_SEEDS: {message}")))
    } else if let Some(text) = &profile.seeds {
        range(text)
    } else if let Some(text) = &profile.seeds_from {
        drawn(text)
    } else {
        Ok(Seeds::Range(SEEDS.0, (!has_end).then_some(SEEDS.1)))
    }?;
    if arguments.count.is_some() && matches!(found, Seeds::Range(..)) {
        let message = "--count is the number of seeds derived from a text, but no text is given";
        return Err(CliError::Usage(format!("{message}\n  give --seeds-from TEXT, or --seeds A..B alone")));
    }
    Ok(found)
}

fn drawn(text: &str, count: Option<u64>, has_end: bool) -> Result<Seeds, CliError> {
    if count.is_none() && !has_end {
        return Err(CliError::Usage("how many seeds? give --count N or --for TIME".to_owned()));
    }
    Ok(Seeds::From { text: text.to_owned(), count })
}
