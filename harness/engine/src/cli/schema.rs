//! `schema`: the JSON Schema of scenarios.

use super::Failure;
use crate::print::out;
use crate::{System, exit, scenario};

pub(super) fn run<S: System>() -> Result<u8, Failure> {
    let schema = scenario::merged_schema::<S>();
    out::print(&format!("{schema:#}\n"))?;
    Ok(exit::CLEAN)
}
