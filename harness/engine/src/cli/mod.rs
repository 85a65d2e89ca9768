//! The command line: one file per command.

mod completions;
mod corpus;
mod doctor;
mod enumerate;
mod environment;
mod explain;
mod interrupt;
mod log;
mod merge;
mod panics;
mod print;
mod progress;
mod repro;
mod results_file;
mod run;
mod scenarios;
mod schema;
mod shrink;
mod sweep;
mod usage;

use crate::case::{wire, worker};
use crate::output::OutputError;
use crate::print::out;
use crate::scenario::{BadScenario, NamedScenario, with_seed};
use crate::target::{MOST_ITEMS, Target};
use crate::{System, exit};
use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io;
use std::process::ExitCode;
use std::time::Instant;

#[derive(Debug, Parser)]
#[command(disable_help_subcommand = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
    /// Allow scenarios that ask for so many items
    #[arg(long, value_name = "N", global = true, env = "LATENT_MAX_ITEMS", default_value_t = MOST_ITEMS,
        value_parser = parse_items)]
    max_items: u64,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run one scenario with one seed, and judge it
    Run(run::Args),
    /// Run one scenario again and again, with a crash, or one error, at each of its operations in turn
    Enumerate(enumerate::Args),
    /// Run many seeds of some scenarios, each case in a process of its own
    Sweep(Box<sweep::Args>),
    /// Put the slices of a sweep together, and judge it
    Merge(merge::Args),
    /// Run a case again, to the bit, with as much of its log as wanted
    Repro(repro::Args),
    /// Make a failing case as small as it gets
    Shrink(shrink::Args),
    /// Replay, extend and tidy the cases that once failed
    Corpus(corpus::Args),
    /// Explain a word of a verdict: an invariant, outcome, exit code, mark or fingerprint
    Explain(explain::Args),
    /// List the built-in scenarios
    Scenarios,
    /// List the marks that a scenario can require or a fault can wait for
    Marks(explain::MarksArgs),
    /// Print a scenario as a file: a built-in one, or one that a seed draws whole
    Print(print::Args),
    /// Print the JSON Schema of scenarios
    Schema,
    /// Check this machine: whether the same case runs the same twice, memory, disk, terminal
    Doctor,
    /// Print a script that completes this command line in a shell
    Completions(completions::Args),
    /// Write the manual pages into a folder
    Man(completions::ManArgs),
}

/// What every command gets to know.
struct Context<'a> {
    named: &'a [NamedScenario],
    /// The program as it was called: what repeats a run.
    program: String,
    /// What it was built from.
    build: &'a str,
    /// When this process began, as near as it can tell.
    started: Instant,
    /// A scenario may ask for so many items.
    most_items: u64,
    /// Options that the environment gave, by their ids, with their variables.
    from_environment: BTreeMap<String, String>,
}

/// Why a command failed.
enum Failure {
    /// The user's: wrong usage or a bad scenario.
    Usage(String),
    /// Of the code under test, which panicked.
    Found(String),
    /// Of the code under test, which passed its limit of time or memory.
    Hung(String),
    /// Of the run, in which there was nothing to be judged.
    Nothing(String),
    /// Ours.
    Internal(String),
}

impl Context<'_> {
    /// A failure over the value of an option, which names the variable if the environment gave it.
    fn named_by_its_variable(&self, option: &str, failure: Failure) -> Failure {
        match self.from_environment.get(option) {
            Some(variable) => match failure {
                Failure::Usage(said) => {
                    let value = said.strip_prefix(&format!("--{option} "));
                    Failure::Usage(
                        value.map_or(format!("{variable}: {said}"), |rest| format!("{variable} {rest}")),
                    )
                }
                other => other,
            },
            None => failure,
        }
    }

    /// What a command is to work on.
    fn target<S: System>(
        &self,
        target: &str,
        seed: Option<u64>,
        release: Option<&str>,
    ) -> Result<Target<S>, Failure> {
        Ok(Target::find(&with_seed(target, seed)?, self.named, release, self.most_items)?)
    }
}

impl From<BadScenario> for Failure {
    fn from(bad: BadScenario) -> Failure {
        Failure::Usage(bad.to_string())
    }
}

impl From<OutputError> for Failure {
    fn from(error: OutputError) -> Failure {
        match error {
            OutputError::Failed(..) => Failure::Internal(error.to_string()),
            _ => Failure::Usage(error.to_string()),
        }
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Failure {
        Failure::Internal(format!("the output cannot be written: {error}"))
    }
}

/// The whole command line of a system's program, from arguments to exit code ([`crate::exit`]).
///
/// `build` says what the program was built from, such as version and commit: slices of one sweep must agree in it.
pub fn main<S: System>(named: &[NamedScenario], build: &'static str) -> ExitCode
where
    S::Topic: Sync,
{
    #[expect(
        clippy::disallowed_methods,
        reason = "the parent process measures the real time that a run takes"
    )]
    let started = Instant::now();
    let arguments: Vec<OsString> = std::env::args_os().collect();
    let program =
        arguments.first().map_or_else(|| S::NAME.into(), |first| first.to_string_lossy().into_owned());
    // Before anything is made that only people need: a sweep starts thousands of workers.
    if arguments.len() == 2 && arguments[1] == wire::WORKER {
        return worker::run::<S>();
    }
    let words: Vec<String> = arguments.iter().map(|word| word.to_string_lossy().into_owned()).collect();
    panics::end_as_errors(&words);
    let command = Cli::command().name(S::NAME).bin_name(S::NAME).version(build).after_help(codes());
    let parsed = command.clone().try_get_matches_from(arguments).and_then(|matches| {
        let from_environment = environment::given(&command, &matches);
        Cli::from_arg_matches(&matches).map(|cli| (cli, from_environment))
    });
    let (cli, from_environment) = match parsed {
        Ok(parsed) => parsed,
        Err(error) => {
            // Help goes to the standard output, a complaint to the other; a closed pipe matters to neither.
            let code = if error.use_stderr() { exit::USAGE } else { exit::CLEAN };
            let is_harmful = words.iter().any(|word| word.contains(out::is_harmful));
            let error = environment::named(usage::clearer(error, &words), &command, &words);
            out::of_clap(&error, is_harmful);
            return ExitCode::from(code);
        }
    };
    let context = Context { named, program, build, started, most_items: cli.max_items, from_environment };
    let done = match cli.command {
        Command::Run(arguments) => run::run::<S>(&context, &arguments),
        Command::Enumerate(arguments) => enumerate::run::<S>(&context, &arguments),
        Command::Sweep(arguments) => sweep::run::<S>(&context, &arguments),
        Command::Repro(arguments) => repro::run::<S>(&context, &arguments),
        Command::Shrink(arguments) => shrink::run::<S>(&context, &arguments),
        Command::Corpus(arguments) => corpus::run::<S>(&context, &arguments),
        Command::Merge(arguments) => merge::run(&context, &arguments),
        Command::Print(arguments) => print::run::<S>(&context, &arguments),
        Command::Scenarios => scenarios::run::<S>(&context),
        Command::Schema => schema::run::<S>(),
        Command::Explain(arguments) => explain::run::<S>(&arguments),
        Command::Marks(arguments) => explain::marks::<S>(&arguments),
        Command::Doctor => doctor::run::<S>(&context),
        Command::Completions(arguments) => completions::run(&arguments, command),
        Command::Man(arguments) => completions::man(&arguments, command),
    };
    let (code, message) = match done {
        Ok(code) => return ExitCode::from(code),
        Err(Failure::Usage(message)) => (exit::USAGE, message),
        Err(Failure::Found(message)) => (exit::VIOLATION, message),
        Err(Failure::Hung(message)) => (exit::HUNG, message),
        Err(Failure::Nothing(message)) => (exit::NOTHING_RAN, message),
        Err(Failure::Internal(message)) => (exit::INTERNAL, message),
    };
    out::complain(&format!("error: {}\n", message.trim_end()));
    ExitCode::from(code)
}

fn parse_items(text: &str) -> Result<u64, String> {
    let number = text.parse().ok().filter(|items| *items > 0);
    number.ok_or_else(|| format!("'{text}' is no number of items: write 1 or more"))
}

fn codes() -> String {
    let codes = exit::MEANINGS.iter().map(|(code, meaning)| format!("\n  {code:<4} {meaning}"));
    format!("Exit codes:{}", codes.collect::<String>())
}
