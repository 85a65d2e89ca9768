//! `schema`: the JSON Schema of scenarios or reports.

use super::CliError;
use crate::print::{json, terminal};
use crate::{System, exit, scenario};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Print the schema of the report that `run --json` prints, the same for every system
    #[arg(long)]
    report: bool,
}

pub(super) fn run<S: System>(arguments: &Args) -> Result<u8, CliError> {
    let schema = if arguments.report { json::schema() } else { scenario::merged_schema::<S>() };
    terminal::print(&format!("{schema:#}\n"))?;
    Ok(exit::CLEAN)
}
