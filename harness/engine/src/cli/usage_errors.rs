//! Replaces misleading tips of clap's usage errors.
//!
//! clap takes an unknown option for a value (`to pass '-j' as a value, use '-- -j'`), or suggests the option with the
//! nearest spelling. The most common mistakes get a specific tip here.

use clap::builder::StyledStr;
use clap::error::{ContextKind, ContextValue, Error, ErrorKind};

/// Command (empty: any), option, and the replacement.
const OPTIONS: [(&str, &str, &str); 14] = [
    (
        "run",
        "-j",
        "`run` runs one case; --jobs is an option of `sweep`, `enumerate`, `shrink` and `corpus run`",
    ),
    (
        "run",
        "--jobs",
        "`run` runs one case; --jobs is an option of `sweep`, `enumerate`, `shrink` and `corpus run`",
    ),
    (
        "repro",
        "-j",
        "`repro` runs one case; --jobs is an option of `sweep`, `enumerate`, `shrink` and `corpus run`",
    ),
    (
        "repro",
        "--jobs",
        "`repro` runs one case; --jobs is an option of `sweep`, `enumerate`, `shrink` and `corpus run`",
    ),
    ("run", "--seeds", "`run` takes one seed: SCENARIO@7 or --seed 7; `sweep` takes many: --seeds A..B"),
    ("repro", "--seeds", "`repro` takes one seed: NAME@7 or --seed 7"),
    (
        "sweep",
        "--seed",
        "`sweep` takes a range, its end excluded: --seeds 3..4; `run` takes one seed: --seed 3",
    ),
    ("sweep", "--log", "the log is of one case: `repro NAME@SEED --log`"),
    (
        "sweep",
        "--inject",
        "one operation of one case is struck by `run --inject`, each in turn by `enumerate`",
    ),
    ("run", "--trace", "the hash of a run is checked by `repro --trace HASH`"),
    ("run", "--until", "a run is stopped before its end by `repro --until TIME`"),
    ("", "--partition", "only `sweep` and `enumerate` run a part: --partition slice:1/4"),
    ("", "--resume", "only `sweep` and `enumerate` continue an interrupted run"),
    ("", "--release", "--release is an option of `run`, `repro`, `sweep`, `enumerate`, `shrink` and `print`"),
];

/// Common guesses, and the command to use.
const COMMANDS: [(&[&str], &str); 10] = [
    (
        &["list", "ls", "names"],
        "built-in scenarios: `scenarios`; cases of the corpus: `corpus list`; marks: `marks`",
    ),
    (&["help"], "`--help`, or `COMMAND --help`"),
    (&["version"], "`--version`"),
    (&["test", "start", "exec"], "one case: `run SCENARIO`; many seeds: `sweep SCENARIO --seeds 1..101`"),
    (&["fuzz", "search", "explore"], "many seeds: `sweep`; a fault at each operation: `enumerate`"),
    (&["replay", "reproduce", "debug", "log"], "`repro NAME@SEED`, with --log for what every node did"),
    (&["minimize", "minimise", "reduce"], "`shrink NAME@SEED`"),
    (&["show", "cat", "dump"], "`print SCENARIO`"),
    (&["invariants", "why", "glossary", "info"], "`explain`, with or without a word"),
    (
        &["check", "validate", "lint"],
        "a scenario is checked by `run`; its JSON Schema is printed by `schema`",
    ),
];

/// Returns the error with a better tip, if there is one.
pub(super) fn improve(mut error: Error, arguments: &[String]) -> Error {
    match error.kind() {
        ErrorKind::UnknownArgument => {
            // Always wrong here: none of our values begins with a hyphen.
            error.remove(ContextKind::Suggested);
            let Some(option) = text(&error, ContextKind::InvalidArg) else { return error };
            let command = arguments.iter().skip(1).find(|word| !word.starts_with('-'));
            let command = command.map_or("", String::as_str);
            let option = option.split('=').next().unwrap_or_default();
            let tip =
                OPTIONS.iter().find(|(of, name, _)| (of.is_empty() || *of == command) && *name == option);
            if let Some((_, _, tip)) = tip {
                error.remove(ContextKind::SuggestedArg);
                give(&mut error, tip);
            }
        }
        ErrorKind::InvalidSubcommand => {
            let Some(command) = text(&error, ContextKind::InvalidSubcommand) else { return error };
            if let Some((_, tip)) = COMMANDS.iter().find(|(names, _)| names.contains(&command.as_str())) {
                error.remove(ContextKind::SuggestedSubcommand);
                give(&mut error, tip);
            }
        }
        _ => {}
    }
    error
}

fn text(error: &Error, kind: ContextKind) -> Option<String> {
    match error.get(kind)? {
        ContextValue::String(text) => Some(text.clone()),
        _ => None,
    }
}

fn give(error: &mut Error, tip: &'static str) {
    error.insert(ContextKind::Suggested, ContextValue::StyledStrs(vec![StyledStr::from(tip)]));
}
