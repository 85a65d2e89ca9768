//! Generates a whole scenario from bytes, which come from a seed or a fuzzer.
//!
//! Every field is drawn in a fixed order, four bytes per choice, and the first option is the simplest, so missing or
//! zero bytes give a small week without faults. Every scenario is valid: its parts are drawn to fit together, and the
//! tests check it. It expects the outcome `clean`, because the system promises to survive everything that is drawn.
//!
//! Each run has a random subset of the features (faults, loads, traits of events, protection), with sizes from a part
//! of their range: with everything enabled, one fault hides another (swarm testing: Groce and others, ISSTA 2012).
//!
//! Half of the runs have up to 600 events in 100 requests over a week, a tenth have some thousands of events, and one
//! in fifty some ten thousands.
//!
//! Every part implements `arbitrary::Arbitrary`, so a fuzzer can draw it from bytes alone: a part without ranges that
//! depend on others directly, any other one with its context (`InContext`). The whole is the composition of these.
//!
//! - `in_context`: parts that depend on others.
//! - `quiet_scenario`: a scenario in which nothing happens, of `calendar`, `customers` (and their traffic) and `world`
//!   (nodes, compaction, protection).
//! - `nemesis`, `load`, `operations`, `zone_edits`: what happens in it: faults, loads, operations and deploys, changes
//!   of time zones.
//! - `wild`: a generated scenario with trouble that is longer or larger than any of these.

mod calendar;
mod customers;
mod in_context;
mod load;
mod nemesis;
mod operations;
mod quiet_scenario;
#[cfg(test)]
mod tests;
mod wild;
mod world;
mod zone_edits;

use crate::scenario::WorldConfig;
use arbitrary::{Arbitrary, Result, Unstructured};
use in_context::{ArbitraryIn, InContext};
use latent_engine::Scenario;
use load::LoadPatterns;
use nemesis::{Faults, HealWithout};
use operations::{Deploys, Operations};
use quiet_scenario::QuietScenario;
use zone_edits::ZoneEdits;

pub use customers::ZONES;
pub use wild::WildScenario;
pub(crate) use wild::generate as generate_wild;

/// A whole scenario that is drawn from bytes. Any bytes give a valid one; missing bytes count as zeros.
#[derive(Clone, Debug)]
pub struct GeneratedScenario(pub Scenario<WorldConfig>);

impl<'a> Arbitrary<'a> for GeneratedScenario {
    fn arbitrary(bytes: &mut Unstructured<'a>) -> Result<GeneratedScenario> {
        let quiet = bytes.arbitrary()?;
        let operations = Operations::arbitrary_in(&quiet, bytes)?;
        let deploys = Deploys::arbitrary_in(&quiet, bytes)?;
        let load = LoadPatterns::arbitrary_in(&quiet, bytes)?;
        let faults = Faults::arbitrary_in(&quiet, bytes)?;
        let faulty = InContext { context: quiet, part: faults };
        let heal_without = HealWithout::arbitrary_in(&faulty, bytes)?;
        let ZoneEdits(zone_edits) = ZoneEdits::arbitrary_in(&faulty.context, bytes)?;
        let InContext { context: QuietScenario(mut scenario), part: Faults(faults) } = faulty;
        scenario.faults = faults;
        let config = &mut scenario.config;
        config.operations = operations.0;
        config.releases = deploys.releases();
        config.deploys = deploys.0;
        config.load = load.0;
        config.heal_without = heal_without.0;
        config.zone_edits = zone_edits;
        scenario.about = about(&scenario);
        Ok(GeneratedScenario(scenario))
    }
}

/// Generates the scenario for these bytes.
pub(crate) fn generate(bytes: &[u8]) -> Scenario<WorldConfig> {
    let GeneratedScenario(scenario) =
        Unstructured::new(bytes).arbitrary().expect("a choice without bytes is the first option");
    scenario
}

/// Describes the scenario in a sentence.
fn about(scenario: &Scenario<WorldConfig>) -> String {
    let config = &scenario.config;
    let customers: u32 = config.tenants.iter().map(|class| class.count).sum();
    let counted = |count: usize, one: &str| match count {
        1 => format!("1 {one}"),
        _ => format!("{count} {one}s"),
    };
    let parts = [
        (scenario.faults.len(), "fault"),
        (config.load.len(), "load"),
        (config.operations.len(), "operation"),
        (config.deploys.len(), "deploy"),
        (config.zone_edits.len(), "zone edit"),
    ];
    let mut message = vec![format!("{} of {}", scenario.run_for, counted(customers as usize, "customer"))];
    message.extend(parts.iter().filter(|(count, _)| *count > 0).map(|(count, what)| counted(*count, what)));
    format!("Drawn whole: {}.", message.join(", "))
}
