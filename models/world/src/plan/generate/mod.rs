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
//! - `choices`: choices from bytes. `customers`: customers and their traffic. `world`: nodes, compaction, protection.
//! - `nemesis`: faults, loads, operations, deploys.

mod choices;
mod customers;
mod nemesis;
#[cfg(test)]
mod tests;
mod world;

use crate::scenario::WorldConfig;
use choices::Choices;
use latent_engine::verdict::Outcome;
use latent_engine::{Scenario, Span, Timestamp};
use latent_ports::UnixMs;
use std::time::Duration;

pub use customers::ZONES;

const HOUR_MS: i64 = 3_600_000;
const DAY_MS: i64 = 24 * HOUR_MS;

/// First possible start of a scenario: 2015-01-20. The last is 1,000 days later: the zone histories of both
/// implementations were compared over these years.
const FIRST_START_MS: i64 = 1_421_712_000_000;

/// Generates the scenario for these bytes.
pub(crate) fn generate(bytes: &[u8]) -> Scenario<WorldConfig> {
    let choices = Choices::new(bytes);
    let (start, run_for) = calendar(&choices);
    let tenants = customers::tenants(&choices, run_for);
    let (topology, protection) = (world::topology(&choices), world::protection(&choices));
    let config = WorldConfig {
        topology,
        zones: customers::zones(&choices),
        tenants,
        compaction: world::compaction(&choices),
        protection,
        releases: Vec::new(),
        deploys: Vec::new(),
        nemesis: None,
        load: Vec::new(),
        operator: None,
        operations: Vec::new(),
        drills: 0,
        exports_per_project: choices.pick(&[0, 1, 1, 2, 3]),
        healing: Span(Duration::ZERO),
        heal_without: None,
    };
    let mut scenario = Scenario {
        name: "generated".to_owned(),
        about: String::new(),
        seed: 1,
        start,
        run_for,
        faults: Vec::new(),
        required_marks: Vec::new(),
        expect: Outcome::Clean,
        config,
    };
    world::recovery_setup(&choices, &mut scenario.config);
    nemesis::operations(&choices, &mut scenario);
    nemesis::deploys(&choices, &mut scenario);
    nemesis::load(&choices, &mut scenario);
    nemesis::faults(&choices, &mut scenario);
    nemesis::healing(&choices, &mut scenario);
    scenario.about = about(&scenario);
    scenario
}

/// Draws start and duration: mostly a week, sometimes some days or two weeks.
fn calendar(choices: &Choices<'_>) -> (Timestamp, Span) {
    let day = i64::from(choices.within(0, 999));
    let hour = i64::from(choices.pick(&[0, 0, 0, 3, 7, 12, 18, 23]));
    let days = choices.pick(&[7, 7, 7, 7, 7, 7, 3, 2, 4, 10, 14]);
    let start = Timestamp(UnixMs(FIRST_START_MS + day * DAY_MS + hour * HOUR_MS));
    (start, Span(Duration::from_secs(days * 86_400)))
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
    ];
    let mut message = vec![format!("{} of {}", scenario.run_for, counted(customers as usize, "customer"))];
    message.extend(parts.iter().filter(|(count, _)| *count > 0).map(|(count, what)| counted(*count, what)));
    format!("Drawn whole: {}.", message.join(", "))
}
