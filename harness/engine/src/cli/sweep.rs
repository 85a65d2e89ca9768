//! `sweep [SCENARIO]...`: many seeds, each case in a process of its own.

use super::progress::Bar;
use super::{Context, Failure};
use crate::case::parent::Manner;
use crate::case::{CASE_TIME, pool};
use crate::print::{out, sweep as printed};
use crate::profile::{self, Profile};
use crate::scenario::Span;
use crate::sweep::go::{self, Means, Stopped};
use crate::sweep::order::{FORMAT, Order, Place, Seeds, Slice, Swept, parse_range};
use crate::sweep::results::{BadResults, End, Ran, Results, Writer};
use crate::sweep::summary::Summary;
use crate::sweep::{annotate, junit};
use crate::target::{GENERATED, Target, shell_word};
use crate::{System, exit};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;
use xxhash_rust::xxh3::xxh3_64;

/// Seeds of a sweep that names none.
const SEEDS: (u64, u64) = (1, 101);

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Built-in scenarios' names, files, or `generated`: scenarios that the seed draws whole [default: generated]
    #[arg(value_name = "SCENARIO")]
    scenarios: Vec<String>,
    /// Seeds, the end excluded [env: LATENT_SEEDS]
    #[arg(long, value_name = "A..B", allow_hyphen_values = true)]
    seeds: Option<String>,
    /// Draw the seeds from a text, such as a date: the same text, the same seeds
    #[arg(long, value_name = "TEXT", conflicts_with = "seeds")]
    seeds_from: Option<String>,
    /// How many seeds to draw from the text
    #[arg(long, value_name = "N")]
    count: Option<u64>,
    /// Begin cases for so long, such as 30m
    #[arg(long = "for", value_name = "TIME", env = "LATENT_FOR")]
    lasts: Option<Span>,
    /// Cases side by side [default: all cores]
    #[arg(short, long, value_name = "N", env = "LATENT_JOBS", value_parser = pool::parse_jobs)]
    jobs: Option<usize>,
    /// Only a part, such as slice:1/4, to be put together by `merge`
    #[arg(long, value_name = "slice:I/N", env = "LATENT_PARTITION")]
    partition: Option<Slice>,
    /// Put the whole system on this release: one of the scenario's, or `good`
    #[arg(long, value_name = "NAME", env = "LATENT_RELEASE")]
    release: Option<String>,
    /// The settings of this profile in latent.toml [default: quick, where neither scenarios nor seeds are given]
    #[arg(long, value_name = "NAME", env = "LATENT_PROFILE")]
    profile: Option<String>,
    /// The longest that a case may take, real time [default: 5m]
    #[arg(long, value_name = "TIME", env = "LATENT_CASE_TIME")]
    case_time: Option<Span>,
    /// The most that a case may hold, in megabytes [default: 4096]
    #[arg(long, value_name = "MB", env = "LATENT_CASE_MEMORY_MB")]
    case_memory_mb: Option<u64>,
    /// A mark that some case must reach; may be given several times
    #[arg(long = "require", value_name = "MARK")]
    required_marks: Vec<String>,
    /// Where results go as JSON lines, each as it comes
    #[arg(long, value_name = "FILE", default_value = ".latent/sweep.jsonl")]
    json: PathBuf,
    /// Where results go as JUnit XML, at the end
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,
    /// Go on with a sweep that was interrupted
    #[arg(long)]
    resume: bool,
    /// Write annotations and the job's summary as GitHub Actions shows them
    #[arg(long)]
    annotate: bool,
    /// Print every failure and every mark
    #[arg(short, long)]
    verbose: bool,
}

/// What is to be done, once flags, environment, profile and defaults have had their say.
struct Settings<S: System> {
    order: Order,
    targets: Vec<Target<S>>,
    lasts: Option<Duration>,
    jobs: usize,
    manner: Manner,
}

pub(super) fn run<S: System>(context: &Context<'_>, arguments: &Args) -> Result<u8, Failure>
where
    S::Topic: Sync,
{
    let settings = settle::<S>(context, arguments)?;
    if let Some(path) = &arguments.junit {
        // Before the work: afterwards a slip of the path would cost it.
        crate::folders::for_file(path)
            .map_err(|error| Failure::Usage(format!("{}: {error}", path.display())))?;
    }
    let signal = super::interrupts()?;
    let (mut writer, mut ran, before_ms) = open(arguments, &settings.order, settings.jobs)?;
    let done: BTreeSet<(String, u64)> = ran.iter().map(|one| (one.scenario.clone(), one.seed)).collect();
    let is_done =
        |place: Place| done.contains(&(settings.order.scenarios[place.scenario].given.clone(), place.seed));
    let means = Means {
        order: &settings.order,
        targets: &settings.targets,
        jobs: settings.jobs,
        manner: settings.manner,
        until: settings.lasts.map(|lasts| context.started + lasts),
        signal,
    };
    let mut bar = Bar::new(settings.order.count(), ran.len() as u64, settings.lasts);
    let went = go::go(&means, is_done, |one| {
        if let Some(one) = one {
            writer.case(&one)?;
            bar.ran(&one);
            ran.push(one);
        }
        bar.look();
        Ok(())
    });
    bar.finish();
    let wall_ms = before_ms + u64::try_from(context.started.elapsed().as_millis()).unwrap_or(u64::MAX);
    if let Err(stopped) = went {
        return interrupted(context, arguments, &stopped, &settings.order, ran.len() as u64);
    }
    writer.end(&End { cases: ran.len() as u64, wall_ms })?;
    let summary = Summary::of(&settings.order, &ran);
    let file = arguments.json.display().to_string();
    let took = Some((wall_ms, settings.jobs));
    report(context, arguments.into(), &summary, &ran, took, &file)
}

/// What is written besides the screen.
pub(super) struct Wanted<'a> {
    pub junit: Option<&'a Path>,
    pub annotate: bool,
    pub verbose: bool,
    /// One JSON object instead of the screen.
    pub json: bool,
}

impl<'a> From<&'a Args> for Wanted<'a> {
    fn from(arguments: &'a Args) -> Wanted<'a> {
        let (annotate, verbose) = (arguments.annotate, arguments.verbose);
        Wanted { junit: arguments.junit.as_deref(), annotate, verbose, json: false }
    }
}

/// Prints what a sweep came to, and writes what else is wanted of it.
pub(super) fn report(
    context: &Context<'_>,
    wanted: Wanted<'_>,
    summary: &Summary,
    ran: &[Ran],
    took: Option<(u64, usize)>,
    file: &str,
) -> Result<u8, Failure> {
    // People first: what cannot be written shall not keep them from seeing what hours of work came to.
    let shown = printed::Printed { summary, program: &context.program, took, file };
    let screen = printed::text(&shown, wanted.verbose);
    if wanted.json {
        out::print(&format!("{}\n", printed::json(summary, &context.program)))?;
    } else {
        out::screen(&screen)?;
    }
    let cannot = |path: &Path, error| Failure::Internal(format!("{}: {error}", path.display()));
    if let Some(path) = wanted.junit {
        let mut sorted = ran.to_vec();
        sorted.sort_by(|a, b| (&a.scenario, a.seed).cmp(&(&b.scenario, b.seed)));
        let text = junit::render(summary, &sorted, &utc_now())?;
        crate::folders::for_file(path)
            .and_then(|()| std::fs::write(path, text))
            .map_err(|error| cannot(path, error))?;
    }
    if wanted.annotate {
        // With JSON the output is that one object: what GitHub reads as commands it reads from the other as well.
        let print = if wanted.json { print_aside } else { out::print };
        let plain = anstream::adapter::strip_str(&screen.to_string()).to_string();
        print(&annotate::lines(summary, &plain))?;
        #[expect(clippy::disallowed_methods, reason = "GitHub Actions names the file in the environment")]
        if let Ok(path) = std::env::var("GITHUB_STEP_SUMMARY") {
            let path = PathBuf::from(path);
            annotate::write_summary(&path, &plain).map_err(|error| cannot(&path, error))?;
        }
    }
    Ok(summary.exit_code())
}

fn print_aside(text: &str) -> std::io::Result<()> {
    out::complain(text);
    Ok(())
}

#[expect(clippy::disallowed_methods, reason = "a JUnit file says when its tests ran")]
fn utc_now() -> String {
    jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%S").to_string()
}

fn interrupted(
    context: &Context<'_>,
    arguments: &Args,
    stopped: &Stopped,
    order: &Order,
    done: u64,
) -> Result<u8, Failure> {
    let Stopped::Signal(number) = stopped else { return Err(Failure::Internal(stopped.to_string())) };
    let of = order.count().map_or(String::new(), |all| format!(" of {all}"));
    let line: Vec<String> = std::env::args().skip(1).filter(|word| word != "--resume").collect();
    let line: Vec<String> = line.iter().map(|word| shell_word(word)).collect();
    out::complain(&format!(
        "stopped after {done}{of} cases, all of them in {}\n  go on: {} {} --resume\n",
        arguments.json.display(),
        shell_word(&context.program),
        line.join(" ")
    ));
    Ok(exit::of_signal(*number))
}

/// Opens the file of results: a new one, or the one to go on with, with what stands in it.
fn open(arguments: &Args, order: &Order, jobs: usize) -> Result<(Writer, Vec<Ran>, u64), Failure> {
    let path = &arguments.json;
    let before = if path.exists() { Results::read(path) } else { return begin(arguments, order) };
    let mut before = match before {
        Ok(before) => before,
        Err(BadResults::OnlyBegun(_)) => return begin(arguments, order),
        Err(error) => {
            return Err(Failure::Usage(format!("{error}\n  give --json another file, or remove it")));
        }
    };
    if arguments.resume {
        if let Some(why) = before.order.differs_by(order) {
            let said = format!("{}: of another sweep, nothing to resume: {why}", path.display());
            let hint = "give the flags it was begun with, or leave --resume out to begin anew";
            return Err(Failure::Usage(format!("{said}\n  {hint}")));
        }
        // A sitting without an end did not say how long it was: no less than its cases took, side by side.
        let busy_ms: u64 = before.ran.iter().map(|one| one.wall_ms).sum();
        let before_ms = before.end.as_ref().map_or(busy_ms / jobs as u64, |end| end.wall_ms);
        let writer = Writer::resume(path, &mut before)?;
        return Ok((writer, before.ran, before_ms));
    }
    if before.end.is_none() && !before.ran.is_empty() {
        let aside = PathBuf::from(format!("{}.unfinished", path.display()));
        std::fs::rename(path, &aside)?;
        out::complain(&format!(
            "{} held an unfinished sweep of {} cases: it is in {} now\n",
            path.display(),
            before.ran.len(),
            aside.display()
        ));
    }
    begin(arguments, order)
}

fn begin(arguments: &Args, order: &Order) -> Result<(Writer, Vec<Ran>, u64), Failure> {
    let writer = Writer::begin(&arguments.json, order)
        .map_err(|error| Failure::Usage(format!("{}: {error}", arguments.json.display())))?;
    Ok((writer, Vec::new(), 0))
}

fn settle<S: System>(context: &Context<'_>, arguments: &Args) -> Result<Settings<S>, Failure> {
    let names_none =
        arguments.scenarios.is_empty() && arguments.seeds.is_none() && arguments.seeds_from.is_none();
    let profile = match &arguments.profile {
        None if !names_none => Profile::default(),
        asked => profile::find(asked.as_deref()).map_err(Failure::Usage)?,
    };
    let given = match (&arguments.scenarios, &profile.scenarios) {
        (flags, _) if !flags.is_empty() => flags.clone(),
        (_, Some(of_profile)) => of_profile.clone(),
        _ => vec![GENERATED.to_owned()],
    };
    let lasts = arguments.lasts.or(profile.lasts).map(|span| span.0);
    let (targets, scenarios) = swept::<S>(context, &given, arguments.release.as_deref())?;
    let mut required_marks = profile.required_marks.clone().unwrap_or_default();
    required_marks.extend(arguments.required_marks.iter().cloned());
    let order = Order {
        format: FORMAT,
        build: context.build.to_owned(),
        scenarios,
        seeds: seeds(arguments, &profile, lasts.is_some())?,
        slice: arguments.partition.unwrap_or(Slice::WHOLE),
        release: arguments.release.clone(),
        required_marks,
    };
    let case_time = arguments.case_time.or(profile.case_time).map_or(CASE_TIME, |span| span.0);
    let manner = Manner::limited(Some(case_time), arguments.case_memory_mb.or(profile.case_memory_mb));
    let jobs = pool::jobs(arguments.jobs.or(profile.jobs));
    Ok(Settings { order, targets, lasts, jobs, manner })
}

/// The scenarios of a sweep, each once.
fn swept<S: System>(
    context: &Context<'_>,
    given: &[String],
    release: Option<&str>,
) -> Result<(Vec<Target<S>>, Vec<Swept>), Failure> {
    let (mut targets, mut scenarios) = (Vec::new(), Vec::<Swept>::new());
    for name in given {
        let target = context.target::<S>(name, None, release)?;
        if target.is_case() || target.given != *name {
            let said =
                format!("{name}: a sweep brings its own seeds\n  give the scenario alone, and --seeds A..B");
            return Err(Failure::Usage(said));
        }
        if scenarios.iter().any(|swept| swept.given == *name) {
            return Err(Failure::Usage(format!("{name} is given twice")));
        }
        scenarios.push(Swept {
            given: name.clone(),
            digest: format!("{:016x}", xxh3_64(target.text.as_bytes())),
            required_marks: target.scenario.required_marks.clone(),
        });
        targets.push(target);
    }
    Ok((targets, scenarios))
}

/// The range of seeds that the environment names. Not read with the flags: to those it would seem to contradict
/// `--seeds-from`, which counts over it.
#[expect(clippy::disallowed_methods, reason = "settings of the command line may come from the environment")]
fn seeds_of_environment() -> Option<String> {
    std::env::var("LATENT_SEEDS").ok().filter(|text| !text.is_empty())
}

/// Which seeds: those of the flags, of the environment, of the profile, by default, whoever is first to name some.
fn seeds(arguments: &Args, profile: &Profile, has_end: bool) -> Result<Seeds, Failure> {
    let range = |text: &str| {
        let (from, to) = parse_range(text).map_err(Failure::Usage)?;
        Ok(Seeds::Range(from, Some(to)))
    };
    let drawn = |text: &str| drawn(text, arguments.count.or(profile.count), has_end);
    let found = if let Some(text) = &arguments.seeds {
        range(text)
    } else if let Some(text) = &arguments.seeds_from {
        drawn(text)
    } else if let Some(text) = seeds_of_environment() {
        range(&text)
    } else if let Some(text) = &profile.seeds {
        range(text)
    } else if let Some(text) = &profile.seeds_from {
        drawn(text)
    } else {
        Ok(Seeds::Range(SEEDS.0, (!has_end).then_some(SEEDS.1)))
    }?;
    if arguments.count.is_some() && matches!(found, Seeds::Range(..)) {
        let said = "--count says how many seeds to draw from a text, and there is none";
        return Err(Failure::Usage(format!("{said}\n  give --seeds-from TEXT, or --seeds A..B alone")));
    }
    Ok(found)
}

fn drawn(text: &str, count: Option<u64>, has_end: bool) -> Result<Seeds, Failure> {
    if count.is_none() && !has_end {
        return Err(Failure::Usage("how many seeds? give --count N or --for TIME".to_owned()));
    }
    Ok(Seeds::From { text: text.to_owned(), count })
}
