//! The command line: one file per command.

mod enumerate;
mod run;
mod scenarios;
mod schema;

use crate::case::{wire, worker};
use crate::print::out;
use crate::scenario::NamedScenario;
use crate::{System, exit};
use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};
use std::ffi::OsString;
use std::io;
use std::process::ExitCode;
use std::time::Instant;

#[derive(Debug, Parser)]
#[command(disable_help_subcommand = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run one scenario with one seed, and judge it
    Run(run::Args),
    /// Run one scenario again and again, with a crash, or one error, at each of its operations in turn
    Enumerate(enumerate::Args),
    /// List the built-in scenarios
    Scenarios,
    /// Print the JSON Schema of scenarios
    Schema,
    #[command(name = wire::WORKER, hide = true)]
    Worker,
}

/// What every command gets to know.
struct Context<'a> {
    named: &'a [NamedScenario],
    /// The program as it was called: what repeats a run.
    program: String,
    /// When this process began, as near as it can tell.
    started: Instant,
}

/// Why a command failed.
enum Failure {
    /// The user's: wrong usage or a bad scenario.
    Usage(String),
    /// Ours.
    Internal(String),
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Failure {
        Failure::Internal(format!("the output cannot be written: {error}"))
    }
}

/// The whole command line of a system's program, from arguments to exit code ([`crate::exit`]).
pub fn main<S: System>(named: &[NamedScenario]) -> ExitCode {
    #[expect(
        clippy::disallowed_methods,
        reason = "the parent process measures the real time that a run takes"
    )]
    let started = Instant::now();
    let arguments: Vec<OsString> = std::env::args_os().collect();
    let program =
        arguments.first().map_or_else(|| S::NAME.into(), |first| first.to_string_lossy().into_owned());
    let command = Cli::command().name(S::NAME).bin_name(S::NAME).after_help(codes());
    let parsed = command.try_get_matches_from(arguments).and_then(|matches| Cli::from_arg_matches(&matches));
    let cli = match parsed {
        Ok(cli) => cli,
        Err(error) => {
            // Help goes to the standard output, a complaint to the other; a closed pipe matters to neither.
            let _ = error.print();
            return ExitCode::from(if error.use_stderr() { exit::USAGE } else { exit::AS_EXPECTED });
        }
    };
    let context = Context { named, program, started };
    let done = match cli.command {
        Command::Run(arguments) => run::run::<S>(&context, &arguments),
        Command::Enumerate(arguments) => enumerate::run::<S>(&context, &arguments),
        Command::Scenarios => scenarios::run::<S>(&context),
        Command::Schema => schema::run::<S>(),
        Command::Worker => return worker::run::<S>(),
    };
    let (code, message) = match done {
        Ok(code) => return ExitCode::from(code),
        Err(Failure::Usage(message)) => (exit::USAGE, message),
        Err(Failure::Internal(message)) => (exit::INTERNAL, message),
    };
    out::complain(&format!("error: {}\n", message.trim_end()));
    ExitCode::from(code)
}

fn codes() -> String {
    let codes: Vec<String> =
        exit::MEANINGS.iter().map(|(code, meaning)| format!("{code} {meaning}")).collect();
    format!("Exit codes: {}", codes.join(", "))
}
