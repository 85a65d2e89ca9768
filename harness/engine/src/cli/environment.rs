//! Options that are set by environment variables: an error in one of them names its variable.

use clap::error::{ContextKind, ContextValue, Error};
use clap::parser::ValueSource;
use clap::{Arg, ArgMatches, Command};
use std::collections::BTreeMap;

/// Returns the options of the selected command that the environment set: their ids and variables.
pub(super) fn given(command: &Command, matches: &ArgMatches) -> BTreeMap<String, String> {
    let (mut command, mut matches) = (command, matches);
    let mut given = BTreeMap::new();
    loop {
        let of_environment = |arg: &&Arg| {
            let id = arg.get_id().as_str();
            // A group's id has no source, and asking for it panics.
            let is_known = matches.try_contains_id(id).unwrap_or(false);
            is_known && matches.value_source(id) == Some(ValueSource::EnvVariable)
        };
        let found = command.get_arguments().filter(of_environment);
        given.extend(found.filter_map(|arg| Some((arg.get_id().to_string(), variable(arg)?))));
        let Some((name, inner)) = matches.subcommand() else { return given };
        let Some(chosen) = command.find_subcommand(name) else { return given };
        (command, matches) = (chosen, inner);
    }
}

/// Adds the variable's name to an error in an option's value, if a variable set it.
pub(super) fn named(mut error: Error, command: &Command, words: &[String]) -> Error {
    let (Some(option), Some(value)) =
        (text(&error, ContextKind::InvalidArg), text(&error, ContextKind::InvalidValue))
    else {
        return error;
    };
    // As clap writes it: `--jobs <N>`.
    let long = option.split([' ', '=']).next().unwrap_or_default().trim_start_matches("--");
    let all = std::iter::once(command).chain(all_below(command));
    let args: Vec<&Arg> = all.flat_map(Command::get_arguments).collect();
    let Some(arg) = args.into_iter().find(|arg| arg.get_long() == Some(long) && arg.get_env().is_some())
    else {
        return error;
    };
    if is_given(arg, words) || arg.get_env().and_then(std::env::var_os).is_none_or(|set| *set != *value) {
        return error;
    }
    if let Some(variable) = variable(arg) {
        error.insert(ContextKind::InvalidArg, ContextValue::String(format!("{variable} ({option})")));
    }
    error
}

fn all_below(command: &Command) -> Vec<&Command> {
    let below = command.get_subcommands();
    below.flat_map(|one| std::iter::once(one).chain(all_below(one))).collect()
}

/// Whether the command line itself has the option, in any spelling.
fn is_given(arg: &Arg, words: &[String]) -> bool {
    let long = arg.get_long().map(|long| format!("--{long}"));
    let short = arg.get_short().map(|short| format!("-{short}"));
    words.iter().any(|word| {
        let is_long = long.as_ref().is_some_and(|long| word.split('=').next() == Some(long));
        let is_short = short.as_ref().is_some_and(|short| word.starts_with(short) && !word.starts_with("--"));
        is_long || is_short
    })
}

fn variable(arg: &Arg) -> Option<String> {
    arg.get_env().map(|name| name.to_string_lossy().into_owned())
}

fn text(error: &Error, kind: ContextKind) -> Option<String> {
    match error.get(kind)? {
        ContextValue::String(text) => Some(text.clone()),
        _ => None,
    }
}
