//! `print NAME[@SEED]`: prints a scenario as a file, to read, save or change.

use super::{CliError, Context};
use crate::print::terminal;
use crate::{System, exit};
use std::path::PathBuf;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// A built-in scenario's name, a file, or `generated@7`
    #[arg(value_name = "SCENARIO[@SEED]", required_unless_present = "bytes")]
    target: Option<String>,
    /// Use this seed; the same as SCENARIO@SEED
    #[arg(long, value_name = "N", conflicts_with = "bytes")]
    seed: Option<u64>,
    /// Put the whole system on this release
    #[arg(long, value_name = "NAME")]
    release: Option<String>,
    /// Generate the scenario from the bytes of a file, such as a fuzzer's input
    #[arg(long, value_name = "FILE", conflicts_with = "target")]
    bytes: Option<PathBuf>,
}

pub(super) fn run<S: System>(context: &Context<'_>, arguments: &Args) -> Result<u8, CliError> {
    let text = match (&arguments.bytes, &arguments.target) {
        (Some(path), _) => {
            let cannot = |error| CliError::Usage(format!("{}: {error}", path.display()));
            let bytes = std::fs::read(path).map_err(cannot)?;
            let scenario = S::generate(&bytes);
            scenario.ok_or_else(|| CliError::Usage(format!("{} has no generator", S::NAME)))?.to_text()
        }
        (None, target) => {
            let target = target.as_deref().unwrap_or_default();
            let found = context.target::<S>(target, arguments.seed, arguments.release.as_deref())?;
            let mut scenario = found.scenario;
            scenario.seed = found.seed;
            scenario.to_text()
        }
    };
    terminal::print(&text)?;
    Ok(exit::CLEAN)
}
