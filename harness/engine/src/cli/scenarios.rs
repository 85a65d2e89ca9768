//! `scenarios`: what is built in, and what a seed draws whole.

use super::{Context, Failure};
use crate::print::out;
use crate::print::words::hanging;
use crate::target::{GENERATED, has_generator};
use crate::{System, exit, scenario};

pub(super) fn run<S: System>(context: &Context<'_>) -> Result<u8, Failure> {
    let names = context.named.iter().map(|one| one.name.len());
    let width = names.chain([GENERATED.len()]).max().unwrap_or(0);
    let row = |name: &str, expect: &str, run_for: &str, about: &str| {
        let head = format!("{name:<width$}  {expect:<18}  {run_for:>6}  ");
        hanging(&head, about, out::columns())
    };
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
        let (expect, run_for) = (scenario.expect.name(), scenario.run_for.to_string());
        list.push_str(&row(one.name, expect, &run_for, &scenario.about));
    }
    if has_generator::<S>() {
        let about =
            format!("A whole scenario drawn from the seed: {GENERATED}@7. What `sweep` runs by default.");
        list.push_str(&row(GENERATED, "clean", "varies", &about));
    }
    out::print(&list)?;
    Ok(exit::CLEAN)
}
