//! `print NAME[@SEED]`: prints a scenario as a file, to read, save or change.

use super::{CliError, Context};
use crate::case_source::{GENERATED, generator};
use crate::print::terminal;
use crate::variant::VariantArgs;
use crate::{Generator, System, exit};
use std::path::PathBuf;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// A built-in scenario's name, a file, or `generated@7`; with --bytes, the name of a generator
    #[arg(value_name = "SCENARIO[@SEED]", required_unless_present = "bytes")]
    target: Option<String>,
    /// Use this seed; the same as SCENARIO@SEED
    #[arg(long, value_name = "N", conflicts_with = "bytes")]
    seed: Option<u64>,
    /// Put the whole system on this release
    #[arg(long, value_name = "NAME")]
    release: Option<String>,
    #[command(flatten)]
    variants: VariantArgs,
    /// Generate the scenario from the bytes of a file, such as a fuzzer's input
    #[arg(long, value_name = "FILE")]
    bytes: Option<PathBuf>,
}

pub(super) fn run<S: System>(context: &Context<'_>, arguments: &Args) -> Result<u8, CliError> {
    let text = match (&arguments.bytes, &arguments.target) {
        (Some(path), _) => {
            let cannot = |error| CliError::Usage(format!("{}: {error}", path.display()));
            let bytes = std::fs::read(path).map_err(cannot)?;
            let name = arguments.target.as_deref().unwrap_or(GENERATED);
            (generator_named::<S>(name)?.generate)(&bytes).to_text()
        }
        (None, target) => {
            let target = target.as_deref().unwrap_or_default();
            let found = context.target::<S>(target, arguments.seed, arguments.release.as_deref())?;
            let found = found.varied(&arguments.variants)?;
            let mut scenario = found.scenario;
            scenario.seed = found.seed;
            scenario.to_text()
        }
    };
    terminal::print(&text)?;
    Ok(exit::CLEAN)
}

fn generator_named<S: System>(name: &str) -> Result<&'static Generator<S::Config>, CliError> {
    generator::<S>(name).ok_or_else(|| {
        let names: Vec<&str> = S::GENERATORS.iter().map(|one| one.name).collect();
        let known = if names.is_empty() { "there is none".to_owned() } else { names.join(", ") };
        CliError::Usage(format!("{} has no generator '{name}'\n  generators: {known}", S::NAME))
    })
}
