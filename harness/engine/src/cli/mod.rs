//! The command line: one file per command.

mod bugs;
mod compare;
mod completions;
mod context;
mod corpus;
mod doctor;
mod enumerate;
mod environment;
mod explain;
mod log;
mod merge;
mod panic_hook;
mod print;
mod progress;
mod repro;
mod run;
mod scenarios;
mod schema;
mod shrink;
mod signals;
mod sweep;
mod usage_errors;

use crate::case::{ipc, worker};
use crate::case_source::MAX_ITEMS;
use crate::print::escape::is_unprintable;
use crate::print::terminal;
use crate::scenario::NamedScenario;
use crate::{System, exit};
use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};
use context::{CliError, Context};
use std::ffi::OsString;
use std::process::ExitCode;
use std::time::Instant;

#[derive(Debug, Parser)]
#[command(disable_help_subcommand = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
    /// Allow scenarios with up to this many items
    #[arg(long, value_name = "N", global = true, env = "LATENT_MAX_ITEMS", default_value_t = MAX_ITEMS,
        value_parser = parse_items)]
    max_items: u64,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run one case: a scenario with a seed
    Run(run::Args),
    /// Run one case repeatedly, with a crash or an error at each of its operations in turn
    Enumerate(enumerate::Args),
    /// Run many seeds of some scenarios, each case in its own process
    Sweep(Box<sweep::Args>),
    /// Merge the slices of a sweep and judge it
    Merge(merge::Args),
    /// Reproduce a run exactly, optionally with its event log
    Repro(repro::Args),
    /// Shrink a failing case
    Shrink(shrink::Args),
    /// Run and manage the regression cases
    Corpus(corpus::Args),
    /// Measure how soon each planted bug is caught
    Bugs(bugs::Args),
    /// Compare protections over the same seeds
    Compare(compare::Args),
    /// Explain a term of a verdict: an invariant, outcome, exit code, mark or fingerprint
    Explain(explain::Args),
    /// List the built-in scenarios
    Scenarios,
    /// List the marks that a scenario can require or a fault can wait for
    Marks(explain::MarksArgs),
    /// Print a built-in or generated scenario as a file
    Print(print::Args),
    /// Print the JSON Schema of scenarios or reports
    Schema(schema::Args),
    /// Check this machine: determinism, memory, disk, terminal
    Doctor,
    /// Print a shell completion script
    Completions(completions::Args),
    /// Write the manual pages to a folder
    Man(completions::ManArgs),
}

/// Runs the command line of a system's program, from arguments to exit code ([`crate::exit`]).
///
/// `build` identifies the program, such as version and commit: slices of one sweep must have the same.
pub fn main<S: System>(named: &[NamedScenario], build: &'static str) -> ExitCode
where
    S::Config: Sync,
{
    #[expect(
        clippy::disallowed_methods,
        reason = "the parent process measures the real time that a run takes"
    )]
    let started = Instant::now();
    let arguments: Vec<OsString> = std::env::args_os().collect();
    let program =
        arguments.first().map_or_else(|| S::NAME.into(), |first| first.to_string_lossy().into_owned());
    // Before the setup that only people need: a sweep starts thousands of workers.
    if arguments.len() == 2 && arguments[1] == ipc::WORKER {
        return worker::run::<S>();
    }
    let words: Vec<String> = arguments.iter().map(|word| word.to_string_lossy().into_owned()).collect();
    panic_hook::install_panic_hook(&words);
    let command = Cli::command().name(S::NAME).bin_name(S::NAME).version(build).after_help(codes());
    let parsed = command.clone().try_get_matches_from(arguments).and_then(|matches| {
        let from_environment = environment::given(&command, &matches);
        Cli::from_arg_matches(&matches).map(|cli| (cli, from_environment))
    });
    let (cli, from_environment) = match parsed {
        Ok(parsed) => parsed,
        Err(error) => {
            // Help goes to the standard output, an error to the standard error; a closed pipe is ignored in both cases.
            let code = if error.use_stderr() { exit::USAGE } else { exit::CLEAN };
            let has_unprintable = words.iter().any(|word| word.contains(is_unprintable));
            let error = environment::named(usage_errors::improve(error, &words), &command, &words);
            terminal::clap_error(&error, has_unprintable);
            return ExitCode::from(code);
        }
    };
    let context = Context { named, program, build, started, max_items: cli.max_items, from_environment };
    let done = match cli.command {
        Command::Run(arguments) => run::run::<S>(&context, &arguments),
        Command::Enumerate(arguments) => enumerate::run::<S>(&context, &arguments),
        Command::Sweep(arguments) => sweep::run::<S>(&context, &arguments),
        Command::Repro(arguments) => repro::run::<S>(&context, &arguments),
        Command::Shrink(arguments) => shrink::run::<S>(&context, &arguments),
        Command::Corpus(arguments) => corpus::run::<S>(&context, &arguments),
        Command::Bugs(arguments) => bugs::run::<S>(&context, &arguments),
        Command::Compare(arguments) => compare::run::<S>(&context, &arguments),
        Command::Merge(arguments) => merge::run::<S>(&context, &arguments),
        Command::Print(arguments) => print::run::<S>(&context, &arguments),
        Command::Scenarios => scenarios::run::<S>(&context),
        Command::Schema(arguments) => schema::run::<S>(&arguments),
        Command::Explain(arguments) => explain::run::<S>(&arguments),
        Command::Marks(arguments) => explain::marks::<S>(&arguments),
        Command::Doctor => doctor::run::<S>(&context),
        Command::Completions(arguments) => completions::run(&arguments, command),
        Command::Man(arguments) => completions::man(&arguments, command),
    };
    let (code, message) = match done {
        Ok(code) => return ExitCode::from(code),
        Err(CliError::Usage(message)) => (exit::USAGE, message),
        Err(CliError::Violation(message)) => (exit::VIOLATION, message),
        Err(CliError::Hung(message)) => (exit::HUNG, message),
        Err(CliError::NothingRan(message)) => (exit::NOTHING_RAN, message),
        Err(CliError::Internal(message)) => (exit::INTERNAL, message),
    };
    terminal::eprint(&format!("error: {}\n", message.trim_end()));
    ExitCode::from(code)
}

fn parse_items(text: &str) -> Result<u64, String> {
    let number = text.parse().ok().filter(|items| *items > 0);
    number.ok_or_else(|| format!("invalid number of items '{text}': write 1 or more"))
}

fn codes() -> String {
    let codes = exit::MEANINGS.iter().map(|(code, meaning)| format!("\n  {code:<4} {meaning}"));
    format!("Exit codes:{}", codes.collect::<String>())
}
