//! `scenarios`: what is built in.

use super::{Context, Failure};
use crate::print::out;
use crate::{System, exit, scenario};
use std::fmt::Write as _;

pub(super) fn run<S: System>(context: &Context<'_>) -> Result<u8, Failure> {
    let width = context.named.iter().map(|one| one.name.len()).max().unwrap_or(0);
    let mut list = String::new();
    for one in context.named {
        let file = format!("{} (built in)", one.name);
        let scenario =
            scenario::parse::<S>(&file, one.text).map_err(|bad| Failure::Internal(bad.to_string()))?;
        if scenario.name != one.name {
            return Err(Failure::Internal(format!(
                "the scenario built in as {} names itself {}",
                one.name, scenario.name
            )));
        }
        writeln!(
            list,
            "{:<width$}  {:<18}  {:>4}  {}",
            one.name,
            scenario.expect.name(),
            scenario.run_for.to_string(),
            scenario.about
        )
        .expect("a String takes whatever is written to it");
    }
    out::print(&list)?;
    Ok(exit::CLEAN)
}
