//! What every command gets, and the reasons why it fails.

use crate::System;
use crate::case_source::CaseSource;
use crate::output::OutputError;
use crate::scenario::{NamedScenario, ScenarioError, with_seed};
use std::collections::BTreeMap;
use std::io;
use std::time::Instant;

/// Context of every command.
pub(super) struct Context<'a> {
    pub(super) named: &'a [NamedScenario],
    /// The program as it was called, for commands that reproduce a run.
    pub(super) program: String,
    /// Version and commit of the program.
    pub(super) build: &'a str,
    /// Start of this process, measured at the start of `main`.
    pub(super) started: Instant,
    /// Limit of a scenario's items.
    pub(super) max_items: u64,
    /// Options set by the environment: their variables, by option id.
    pub(super) from_environment: BTreeMap<String, String>,
}

/// Reason why a command failed.
pub(super) enum CliError {
    /// Wrong usage or an invalid scenario.
    Usage(String),
    /// The code under test panicked.
    Violation(String),
    /// The case exceeded its limit of time or memory.
    Hung(String),
    /// The run was vacuous.
    NothingRan(String),
    /// An internal error.
    Internal(String),
}

impl Context<'_> {
    /// Adds the variable's name to an error in an option's value, if the environment set the option.
    pub(super) fn named_by_its_variable(&self, option: &str, failure: CliError) -> CliError {
        match self.from_environment.get(option) {
            Some(variable) => match failure {
                CliError::Usage(message) => {
                    let value = message.strip_prefix(&format!("--{option} "));
                    CliError::Usage(
                        value.map_or(format!("{variable}: {message}"), |rest| format!("{variable} {rest}")),
                    )
                }
                other => other,
            },
            None => failure,
        }
    }

    /// Loads the input of a command.
    pub(super) fn target<S: System>(
        &self,
        target: &str,
        seed: Option<u64>,
        release: Option<&str>,
    ) -> Result<CaseSource<S>, CliError> {
        Ok(CaseSource::find(&with_seed(target, seed)?, self.named, release, self.max_items)?)
    }
}

impl From<ScenarioError> for CliError {
    fn from(bad: ScenarioError) -> CliError {
        CliError::Usage(bad.to_string())
    }
}

impl From<OutputError> for CliError {
    fn from(error: OutputError) -> CliError {
        match error {
            OutputError::Failed(..) => CliError::Internal(error.to_string()),
            _ => CliError::Usage(error.to_string()),
        }
    }
}

impl From<io::Error> for CliError {
    fn from(error: io::Error) -> CliError {
        CliError::Internal(format!("the output cannot be written: {error}"))
    }
}
