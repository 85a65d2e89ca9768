//! The plan: every choice that a seed makes, such as customers, drill times and exports.
//!
//! A customer's events follow from a workload specification and the seed (see `workload`), so the plan stays small at
//! any volume.

use crate::load::{self, ClientRetryPolicy};
use crate::operations::Operation;
use crate::scenario::{TenantClass, WorldConfig, ZoneShare};
use crate::workload::{ExplicitRequest, HOUR_MS, LatenessSpec, WorkloadSpec};
use latent_engine::sim::{Fault, keyed_draw};
use latent_engine::{Scenario, humanize};
use latent_pipeline::zone::Day;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Maximum clock offset of a node in either direction, in milliseconds: the accuracy of a good time service.
pub(crate) const CLOCK_OFFSET_MS: i64 = 20;

/// All choices of a seed.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WorldPlan {
    /// Seed of workload, latencies and clocks.
    pub seed: u64,
    /// The customers, in the order of their project numbers. These start at 1 and may have gaps in a shrunk case.
    pub tenants: Vec<Tenant>,
    /// Maximum drawn clock offset of a node in either direction, in milliseconds.
    pub clock_offset_ms: i64,
    /// Times of the drills, in milliseconds since 1970.
    pub drills_ms: Vec<i64>,
    /// Exports that customers read.
    pub exports: Vec<PlannedExport>,
    /// Faults drawn from the seed.
    #[serde(default)]
    pub faults: Vec<Fault>,
    /// Planned operator actions.
    #[serde(default)]
    pub operations: Vec<Operation>,
}

/// A customer with one project.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tenant {
    /// Name of its class.
    pub class: String,
    /// Time zone, by IANA name.
    pub zone: String,
    /// Specification of the requests that its clients send.
    #[serde(rename = "law")]
    pub workload: WorkloadSpec,
    /// Retry policy of its clients.
    #[serde(rename = "manners", default, skip_serializing_if = "ClientRetryPolicy::is_default")]
    pub(crate) retry_policy: ClientRetryPolicy,
    /// Explicit requests that replace the stream of the specification.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requests: Option<Vec<ExplicitRequest>>,
}

/// An export that a customer reads.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlannedExport {
    /// Number of the project.
    pub project: u32,
    /// Time, in milliseconds since 1970.
    pub at_ms: i64,
    /// First local day.
    pub from: Day,
    /// Last local day.
    pub to: Day,
}

impl WorldPlan {
    /// Returns the customer with this project number.
    pub(crate) fn tenant(&self, project: u32) -> Option<&Tenant> {
        self.tenants.iter().find(|tenant| tenant.workload.project == project)
    }

    /// Describes the choices, one per line.
    pub(crate) fn describe(&self) -> Vec<String> {
        let mut zones: BTreeMap<(&str, &str), u32> = BTreeMap::new();
        for tenant in &self.tenants {
            *zones.entry((&tenant.class, &tenant.zone)).or_default() += 1;
        }
        let mut lines: Vec<String> =
            zones.into_iter().map(|((class, zone), count)| format!("{count} {class} in {zone}")).collect();
        let mut loads: BTreeMap<String, u32> = BTreeMap::new();
        for sentence in
            self.tenants.iter().flat_map(|tenant| load::describe(&tenant.workload, &tenant.retry_policy))
        {
            *loads.entry(sentence).or_default() += 1;
        }
        lines.extend(loads.into_iter().map(|(sentence, count)| match count {
            1 => format!("in 1 project {sentence}"),
            _ => format!("in {count} projects {sentence}"),
        }));
        let moments = self.drills_ms.iter().map(|at_ms| humanize::moment_ms(*at_ms));
        lines.extend(moments.map(|moment| format!("drill at {moment}")));
        lines.extend(
            self.operations.iter().map(|it| {
                format!("{}: an operator {}", humanize::moment_ms(it.at.0.0), it.action.describe())
            }),
        );
        let mut kinds: BTreeMap<&str, u32> = BTreeMap::new();
        for fault in &self.faults {
            *kinds.entry(fault.action.name()).or_default() += 1;
        }
        lines.extend(kinds.into_iter().map(|(kind, count)| format!("{count} times {kind}")));
        lines.push(format!(
            "{} exports, clocks off by up to {} ms",
            self.exports.len(),
            self.clock_offset_ms
        ));
        lines
    }
}

/// A pure draw: maps stream name and key to 64 bits.
type Draw<'a> = &'a dyn Fn(&'static str, u128) -> u64;

/// Expands a scenario and a seed into a plan.
pub(crate) fn expand(scenario: &Scenario<WorldConfig>, seed: u64) -> WorldPlan {
    let draw = |stream: &'static str, key: u128| keyed_draw(seed, stream, key);
    let config = &scenario.config;
    let mut tenants = Vec::new();
    for (class_index, class) in config.tenants.iter().enumerate() {
        let turn = draw("plan.zones", class_index as u128);
        for index in 0..class.count {
            let zone = deal_zone(&config.zones, index, class.count, turn);
            let project = tenants.len() as u32 + 1;
            let (mut spec, mut retry_policy) = (spec(class, project, &draw), ClientRetryPolicy::default());
            load::apply(&config.load, &mut spec, &mut retry_policy);
            tenants.push(Tenant {
                class: class.name.clone(),
                zone,
                workload: spec,
                retry_policy,
                requests: None,
            });
        }
    }
    let (start, end) = (scenario.start.0.0, scenario.end().0.0);
    // In the first tenth of the run there is nothing to recover.
    let instant =
        |stream, key| start + (end - start) / 10 + between(draw(stream, key), 0, (end - start) * 9 / 10);
    let drills_ms = crate::drill_schedule::drill_times_ms(scenario, seed, &tenants);
    let first = Day((start / (24 * HOUR_MS)) as i32 - 1);
    let mut exports: Vec<PlannedExport> = (1..=tenants.len() as u32)
        .flat_map(|project| (0..config.exports_per_project).map(move |n| (project, n)))
        .map(|(project, n)| {
            let at_ms = instant("plan.exports", (u128::from(project) << 32) | u128::from(n));
            PlannedExport { project, at_ms, from: first, to: Day((at_ms / (24 * HOUR_MS)) as i32 + 1) }
        })
        .collect();
    exports.sort_by_key(|export| (export.at_ms, export.project));
    let faults = crate::nemesis::draw(scenario, seed);
    let operations = config.operations.clone();
    WorldPlan { seed, tenants, clock_offset_ms: CLOCK_OFFSET_MS, drills_ms, exports, faults, operations }
}

/// Distributes a class over the zones evenly by weight, from a start position that the seed selects. Because zones
/// are ordered by offset, every part of the globe gets its share, within one customer.
fn deal_zone(zones: &[ZoneShare], index: u32, count: u32, turn: u64) -> String {
    let total: u64 = zones.iter().map(|zone| u64::from(zone.weight)).sum();
    // Units of weight / count space a class of any size evenly.
    let (count, units) = (u64::from(count), total * u64::from(count));
    let mut place = (u64::from(index) * total + turn % units.max(1)) % units.max(1);
    for share in zones {
        let width = u64::from(share.weight) * count;
        if place < width {
            return share.zone.clone();
        }
        place -= width;
    }
    zones.last().map(|share| share.zone.clone()).unwrap_or_default()
}

/// Returns the specification of a class's projects with the largest shares and the load of all projects.
pub(crate) fn largest_spec(config: &WorldConfig, class: &TenantClass) -> WorkloadSpec {
    let mut spec = spec(class, 0, &|_, _| u64::MAX);
    load::apply(&config.load, &mut spec, &mut ClientRetryPolicy::default());
    spec
}

fn spec(class: &TenantClass, project: u32, draw: Draw<'_>) -> WorkloadSpec {
    let number = u128::from(project);
    let (min, max) = class.late_ppm;
    let share_ppm = between(draw("plan.late", number), i64::from(min), i64::from(max)) as u32;
    // Most offline devices are back in the evening of the same day; the others follow within days.
    WorkloadSpec {
        project,
        token: format!("{:016x}", draw("plan.token", number)),
        secret: format!("{:016x}", draw("plan.secret", number)),
        events_per_day: class.events_per_day,
        requests_per_day: class.requests_per_day,
        users: 40,
        late: LatenessSpec {
            share_ppm,
            same_day_ppm: class.late_same_day_ppm,
            by_ms: (2 * HOUR_MS, 30 * HOUR_MS),
            long_ppm: class.very_late_ppm,
            long_by_ms: (30 * HOUR_MS, 96 * HOUR_MS),
        },
        ahead_ppm: 0,
        resend_ppm: class.repeated_ppm,
        resend_after_ms: (HOUR_MS / 4, 20 * HOUR_MS),
        no_insert_id_ppm: class.no_insert_id_ppm,
        shared_insert_id_ppm: class.repeated_ppm / 4,
        no_time_ppm: class.no_time_ppm,
        invalid_ppm: class.invalid_ppm,
        huge_ppm: 0,
        event_bytes: (180, 300),
        api: (&class.api).into(),
        bursts: Vec::new(),
        offline_windows: Vec::new(),
        clock_skews: Vec::new(),
        kept_indices: Vec::new(),
    }
}

/// Maps a draw to a number from `min` to `max`, both included.
pub(crate) fn between(draw: u64, min: i64, max: i64) -> i64 {
    let width = (max.max(min) - min) as u128 + 1;
    min + ((u128::from(draw) * width) >> 64) as i64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_class_is_distributed_over_zones_by_weight_for_every_seed() {
        let share = |zone: &str, weight| ZoneShare { zone: zone.to_owned(), weight };
        let zones = [share("west", 3), share("spared", 4), share("east", 3)];
        for turn in 0..500u64 {
            for count in [4, 30, 204] {
                let dealt = (0..count).map(|index| deal_zone(&zones, index, count, turn * 7));
                let spared = dealt.filter(|zone| zone == "spared").count() as i64;
                assert!((spared - i64::from(count) * 4 / 10).abs() <= 1, "{spared} of {count}, turn {turn}");
            }
        }
    }

    #[test]
    fn between_reaches_both_ends() {
        assert_eq!(between(0, -3, 5), -3);
        assert_eq!(between(u64::MAX, -3, 5), 5);
    }
}
