//! The outputs of a sweep at its end: the screen or JSON, JUnit XML, GitHub annotations.

use crate::System;
use crate::cli::context::{CliError, Context};
use crate::output::{Destination, FileFormat};
use crate::print::finding::fingerprint_text;
use crate::print::{sweep as printed, terminal};
use crate::sweep::results::CaseRecord;
use crate::sweep::summary::SweepSummary;
use crate::sweep::{github, junit};
use std::path::{Path, PathBuf};

/// Returns the destination of the JUnit file, if requested, which is writable.
pub(crate) fn junit_destination(path: Option<&Path>, force: bool) -> Result<Option<Destination>, CliError> {
    Ok(path.map(|path| Destination::prepare(path, FileFormat::JUnit, force)).transpose()?)
}

/// Outputs besides the results file.
pub(crate) struct SweepOutput {
    pub junit: Option<Destination>,
    pub annotate: bool,
    pub verbose: bool,
    /// One JSON object instead of the screen.
    pub json: bool,
    /// Whether the standard output is a stream of results: then the screen goes to the standard error.
    pub is_output_taken: bool,
}

/// Prints the summary of a sweep, and writes the other outputs.
pub(crate) fn report<S: System>(
    context: &Context<'_>,
    output: &SweepOutput,
    summary: &SweepSummary,
    records: &[CaseRecord],
    took: Option<(u64, usize)>,
    file: &str,
) -> Result<u8, CliError> {
    // The screen first: a write error must not hide hours of results.
    let describe = fingerprint_text::<S>;
    let shown = printed::SweepReport { summary, program: &context.program, took, file, describe };
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
