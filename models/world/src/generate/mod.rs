//! A whole scenario from bytes: a seed's, or a fuzzer's.
//!
//! Every field is drawn in a fixed order, four bytes a choice, and the first of what may be chosen is the simplest, so
//! bytes that are used up, or zero, make a small calm week. Whatever the bytes, the scenario can run: what is drawn is
//! built to fit together, and the tests hold it to that. It expects to end clean, for all that it draws is what the
//! system promises to survive.
//!
//! Each run has a random subset of what there is (faults, loads, traits of events, protection), and sizes from a part of
//! their range only: with everything on, one fault hides another (swarm testing: Groce and others, ISSTA 2012).
//!
//! Sizes, half of the runs: up to 600 events in 100 requests over a week. A tenth of them have some thousands of events,
//! one in fifty some ten thousands.
//!
//! - `choices`: bytes into choices. `customers`: who sends what. `world`: nodes, compaction, protection.
//! - `trouble`: faults, loads, operations, deploys.

mod choices;
mod customers;
#[cfg(test)]
mod tests;
mod trouble;
mod world;

use crate::scenario::Topic;
use choices::Choices;
use latent_engine::verdict::Outcome;
use latent_engine::{Scenario, Span, Timestamp};
use latent_ports::UnixMs;
use std::time::Duration;

pub use customers::ZONES;

const HOUR_MS: i64 = 3_600_000;
const DAY_MS: i64 = 24 * HOUR_MS;

/// The first day that a scenario may begin on: 2015-01-20. The last is 1,000 days later: the zones' histories were held
/// against each other over these years.
const FIRST_START_MS: i64 = 1_421_712_000_000;

/// The scenario that these bytes make.
pub(crate) fn generate(bytes: &[u8]) -> Scenario<Topic> {
    let choices = Choices::of(bytes);
    let (start, run_for) = calendar(&choices);
    let tenants = customers::tenants(&choices, run_for);
    let (topology, protection) = (world::topology(&choices), world::protection(&choices));
    let topic = Topic {
        topology,
        zones: customers::zones(&choices),
        tenants,
        compaction: world::compaction(&choices),
        protection,
        releases: Vec::new(),
        deploys: Vec::new(),
        trouble: None,
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
        config: topic,
    };
    world::people(&choices, &mut scenario.config);
    trouble::operations(&choices, &mut scenario);
    trouble::deploys(&choices, &mut scenario);
    trouble::load(&choices, &mut scenario);
    trouble::faults(&choices, &mut scenario);
    trouble::healing(&choices, &mut scenario);
    scenario.about = about(&scenario);
    scenario
}

/// A week; now and then some days or two weeks.
fn calendar(choices: &Choices<'_>) -> (Timestamp, Span) {
    let day = i64::from(choices.within(0, 999));
    let hour = i64::from(choices.pick(&[0, 0, 0, 3, 7, 12, 18, 23]));
    let days = choices.pick(&[7, 7, 7, 7, 7, 7, 3, 2, 4, 10, 14]);
    let start = Timestamp(UnixMs(FIRST_START_MS + day * DAY_MS + hour * HOUR_MS));
    (start, Span(Duration::from_secs(days * 86_400)))
}

/// What it is, in a sentence.
fn about(scenario: &Scenario<Topic>) -> String {
    let topic = &scenario.config;
    let customers: u32 = topic.tenants.iter().map(|class| class.count).sum();
    let counted = |count: usize, one: &str| match count {
        1 => format!("1 {one}"),
        _ => format!("{count} {one}s"),
    };
    let parts = [
        (scenario.faults.len(), "fault"),
        (topic.load.len(), "load"),
        (topic.operations.len(), "operation"),
        (topic.deploys.len(), "deploy"),
    ];
    let mut said = vec![format!("{} of {}", scenario.run_for, counted(customers as usize, "customer"))];
    said.extend(parts.iter().filter(|(count, _)| *count > 0).map(|(count, what)| counted(*count, what)));
    format!("Drawn whole: {}.", said.join(", "))
}
