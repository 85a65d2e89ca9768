//! `merge FILES`: judges a sweep that ran in slices.

use super::sweep::{SweepOutput, junit_destination, report};
use super::{CliError, Context};
use crate::System;
use crate::exit;
use crate::print::terminal;
use crate::sweep::results::SweepResults;
use crate::sweep::summary::{SweepSummary, merge_slices};
use std::path::PathBuf;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The results files of all slices
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,
    /// Print the summary as one JSON object
    #[arg(long)]
    json: bool,
    /// Write results as JUnit XML to this file; `-` is the standard output
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,
    /// Overwrite a file that is not JUnit XML
    #[arg(long)]
    force: bool,
    /// Write annotations and the job summary for GitHub Actions
    #[arg(long)]
    annotate: bool,
    /// Print every failure and every mark
    #[arg(short, long)]
    verbose: bool,
}

pub(super) fn run<S: System>(context: &Context<'_>, arguments: &Args) -> Result<u8, CliError> {
    let junit = junit_destination(arguments.junit.as_deref(), arguments.force)?;
    let mut files = Vec::new();
    let mut wrong = Vec::new();
    for path in &arguments.files {
        match SweepResults::read(path) {
            Ok(results) => files.push((path.clone(), results)),
            Err(error) => wrong.push(error.to_string()),
        }
    }
    let together = if wrong.is_empty() { merge_slices(&files) } else { Err(wrong) };
    let (spec, records) = match together {
        Ok(together) => together,
        Err(wrong) => {
            terminal::eprint(&format!("error: the slices do not add up\n  {}\n", wrong.join("\n  ")));
            return Ok(exit::SLICES);
        }
    };
    let summary = SweepSummary::of(&spec, &records);
    let names: Vec<String> = arguments.files.iter().map(|path| path.display().to_string()).collect();
    let output = SweepOutput {
        junit,
        annotate: arguments.annotate,
        verbose: arguments.verbose,
        json: arguments.json,
        is_output_taken: false,
    };
    report::<S>(context, &output, &summary, &records, None, &names.join(" "))
}
