//! `scenarios`: lists built-in and generated scenarios.

use super::{CliError, Context};
use crate::print::humanize::hanging;
use crate::print::terminal;
use crate::{System, exit, scenario};

pub(super) fn run<S: System>(context: &Context<'_>) -> Result<u8, CliError> {
    let names = context.named.iter().map(|one| one.name.len());
    let generators = S::GENERATORS.iter().map(|one| one.name.len());
    let width = names.chain(generators).max().unwrap_or(0);
    let row = |name: &str, expect: &str, run_for: &str, about: &str| {
        let head = format!("{name:<width$}  {expect:<18}  {run_for:>6}  ");
        hanging(&head, about, terminal::columns())
    };
    let mut list = String::new();
    for one in context.named {
        let file = format!("{} (built in)", one.name);
        let scenario =
            scenario::parse::<S>(&file, one.text).map_err(|bad| CliError::Internal(bad.to_string()))?;
        if scenario.name != one.name {
            return Err(CliError::Internal(format!(
                "the scenario built in as {} names itself {}",
                one.name, scenario.name
            )));
        }
        let (expect, run_for) = (scenario.expect.to_string(), scenario.run_for.to_string());
        list.push_str(&row(one.name, &expect, &run_for, &scenario.about));
    }
    for (index, one) in S::GENERATORS.iter().enumerate() {
        let default = if index == 0 { " The default of `sweep`." } else { "" };
        let about = format!("Generated from the seed, as {}@7: {}.{default}", one.name, one.about);
        list.push_str(&row(one.name, &one.expect.to_string(), "varies", &about));
    }
    terminal::print(&list)?;
    Ok(exit::CLEAN)
}
