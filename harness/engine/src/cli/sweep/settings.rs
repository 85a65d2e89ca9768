//! Settings of a sweep: from flags, environment, profile and defaults, or from the file of the sweep to continue.

use super::args::Args;
use super::results_file::nothing_to_resume;
use crate::case::parent::WorkerLimits;
use crate::case::{CASE_MEMORY_MB, CASE_TIME, pool};
use crate::case_source::{CaseSource, GENERATED};
use crate::cli::context::{CliError, Context};
use crate::output::is_stream;
use crate::print::terminal;
use crate::profile::{self, Profile};
use crate::sweep::partition::{self, Partition};
use crate::sweep::results::SweepResults;
use crate::sweep::sweep_spec::{FORMAT, Limits, Seeds, Slice, SweepSpec, SweptScenario, parse_range};
use crate::{Problem, System, explain};
use std::time::Duration;
use xxhash_rust::xxh3::xxh3_64;

/// Default seeds of a sweep.
const SEEDS: (u64, u64) = (1, 101);

/// Settings of a sweep, resolved from flags, environment, profile and defaults.
pub(super) struct SweepSettings<S: System> {
    pub(super) spec: SweepSpec,
    pub(super) targets: Vec<CaseSource<S>>,
    pub(super) duration: Option<Duration>,
    pub(super) jobs: usize,
    pub(super) limits: WorkerLimits,
}

/// Resolves the settings of the sweep to run.
///
/// # Errors
/// A setting is invalid, or there is nothing to continue.
pub(super) fn resolve_settings<S: System>(
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
        asked => profile::find(asked.as_deref(), explain::unknown_mark::<S>)
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
        check_mark::<S>(mark)?;
    }
    let mut required_marks: Vec<String> =
        profile.required_marks.iter().flatten().map(|mark| mark.get_ref().clone()).collect();
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
fn check_mark<S: System>(mark: &str) -> Result<(), CliError> {
    match explain::unknown_mark::<S>(mark) {
        None => Ok(()),
        Some(Problem { message, hint }) => Err(CliError::Usage(format!("--require: {message}\n  {hint}"))),
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
            expect: target.scenario.expect,
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
