//! `scenarios`: lists built-in and generated scenarios.

use super::{CliError, Context};
use crate::case_source::{GENERATED, has_generator};
use crate::print::humanize::hanging;
use crate::print::terminal;
use crate::{System, exit, scenario};

pub(super) fn run<S: System>(context: &Context<'_>) -> Result<u8, CliError> {
    let names = context.named.iter().map(|one| one.name.len());
    let width = names.chain([GENERATED.len()]).max().unwrap_or(0);
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
        let (expect, run_for) = (scenario.expect.name(), scenario.run_for.to_string());
        list.push_str(&row(one.name, expect, &run_for, &scenario.about));
    }
    if has_generator::<S>() {
        let about = format!("A scenario generated from the seed: {GENERATED}@7. The default of `sweep`.");
        list.push_str(&row(GENERATED, "clean", "varies", &about));
    }
    terminal::print(&list)?;
    Ok(exit::CLEAN)
}
