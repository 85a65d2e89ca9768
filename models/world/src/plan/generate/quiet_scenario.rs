//! A scenario in which nothing happens yet: calendar, customers, nodes and protection.

use super::calendar::Calendar;
use super::customers::{Tenants, Zones};
use super::in_context::ArbitraryIn;
use super::world::{ExportsPerProject, RecoverySetup};
use crate::scenario::{CheckSet, WorldConfig};
use arbitrary::{Arbitrary, Result, Unstructured};
use latent_engine::verdict::Outcome;
use latent_engine::{Scenario, Span, Timestamp};
use latent_nemesis::Choices;
use latent_ports::UnixMs;
use std::time::Duration;

pub(super) const MINUTE_MS: i64 = 60_000;
pub(super) const HOUR_MS: i64 = 60 * MINUTE_MS;
pub(super) const DAY_MS: i64 = 24 * HOUR_MS;

/// Size of an event, about.
const EVENT_BYTES: u64 = 300;
const MAX_OUTPUTS: u64 = 8;

pub(super) fn span_ms(ms: i64) -> Span {
    Span(Duration::from_millis(ms.unsigned_abs()))
}

/// A valid scenario without faults, loads, operations and deploys: the context of these.
pub(super) struct QuietScenario(pub Scenario<WorldConfig>);

impl<'a> Arbitrary<'a> for QuietScenario {
    fn arbitrary(bytes: &mut Unstructured<'a>) -> Result<QuietScenario> {
        let calendar: Calendar = bytes.arbitrary()?;
        let Tenants(tenants) = Tenants::arbitrary_in(&calendar, bytes)?;
        let (topology, protection) = (bytes.arbitrary()?, bytes.arbitrary()?);
        let Zones(zones) = bytes.arbitrary()?;
        let compaction = bytes.arbitrary()?;
        let ExportsPerProject(exports_per_project) = bytes.arbitrary()?;
        let recovery_setup = RecoverySetup::arbitrary_in(&protection, bytes)?;
        let mut config = WorldConfig {
            topology,
            zones,
            tenants,
            compaction,
            protection,
            releases: Vec::new(),
            deploys: Vec::new(),
            nemesis: None,
            load: Vec::new(),
            operator: None,
            operations: Vec::new(),
            zone_edits: Vec::new(),
            checks: CheckSet::Full,
            drills: 0,
            exports_per_project,
            healing: Span(Duration::ZERO),
            heal_without: None,
        };
        recovery_setup.add_to(&mut config);
        limit_outputs(&mut config);
        Ok(QuietScenario(Scenario {
            name: "generated".to_owned(),
            about: String::new(),
            seed: 1,
            start: calendar.start,
            run_for: calendar.run_for,
            faults: Vec::new(),
            required_marks: Vec::new(),
            expect: Outcome::Clean.into(),
            config,
        }))
    }
}

/// Raises the size of output files so that a day has about [`MAX_OUTPUTS`] of them at most: the cost of a run grows with
/// their number.
fn limit_outputs(config: &mut WorldConfig) {
    let busiest = config.tenants.iter().map(|class| class.events_per_day.1).max().unwrap_or(0);
    let min_bytes = u64::from(busiest) * EVENT_BYTES / MAX_OUTPUTS;
    config.compaction.output_max_bytes = config.compaction.output_max_bytes.max(min_bytes);
}

impl QuietScenario {
    /// Draws a time, on a minute, at least an hour after the start and `spare_ms` before the end.
    pub fn instant(&self, bytes: &mut Unstructured<'_>, spare_ms: i64) -> Timestamp {
        let QuietScenario(scenario) = self;
        let (first, end) = (scenario.start.0.0 + HOUR_MS, scenario.end().0.0);
        let minutes = u32::try_from((end - spare_ms - first).max(0) / MINUTE_MS).unwrap_or(u32::MAX);
        Timestamp(UnixMs(first + i64::from(bytes.within(0, minutes)) * MINUTE_MS))
    }

    /// Draws the number of a project.
    pub fn project(&self, bytes: &mut Unstructured<'_>) -> u32 {
        bytes.within(1, self.0.config.tenants.iter().map(|class| class.count).sum())
    }
}
