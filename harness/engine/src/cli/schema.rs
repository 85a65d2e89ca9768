//! `schema`: the JSON Schema of scenarios.

use super::CliError;
use crate::print::terminal;
use crate::{System, exit, scenario};

pub(super) fn run<S: System>() -> Result<u8, CliError> {
    let schema = scenario::merged_schema::<S>();
    terminal::print(&format!("{schema:#}\n"))?;
    Ok(exit::CLEAN)
}
