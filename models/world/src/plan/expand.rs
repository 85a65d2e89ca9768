//! Expansion of a scenario and a seed into a plan.

use super::draws::{CLOCK_OFFSET_MS, between};
use super::drill_schedule::drills;
use super::load::{self, ClientRetryPolicy};
use super::nemesis;
use super::workload::{HOUR_MS, LatenessSpec, RequestMix, WorkloadSpec};
use super::world_plan::{PlannedExport, Tenant, WorldPlan};
use crate::scenario::{ApiWeights, TenantClass, WorldConfig, ZoneShare};
use latent_engine::Scenario;
use latent_engine::sim::keyed_draw;
use latent_pipeline::zone::Day;

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
    let drills = drills(scenario, seed);
    let first = Day((start / (24 * HOUR_MS)) as i32 - 1);
    let mut exports: Vec<PlannedExport> = (1..=tenants.len() as u32)
        .flat_map(|project| (0..config.exports_per_project).map(move |n| (project, n)))
        .map(|(project, n)| {
            let at_ms = instant("plan.exports", (u128::from(project) << 32) | u128::from(n));
            PlannedExport { project, at_ms, from: first, to: Day((at_ms / (24 * HOUR_MS)) as i32 + 1) }
        })
        .collect();
    exports.sort_by_key(|export| (export.at_ms, export.project));
    let faults = nemesis::draw(scenario, seed);
    let operations = config.operations.clone();
    let zone_edits = config.zone_edits.clone();
    WorldPlan {
        seed,
        tenants,
        clock_offset_ms: CLOCK_OFFSET_MS,
        drills,
        exports,
        faults,
        operations,
        zone_edits,
    }
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
        ahead_ppm: class.ahead_ppm,
        border_ppm: class.border_ppm,
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
        silent_from_ms: None,
        kept_indices: Vec::new(),
    }
}

impl From<&ApiWeights> for RequestMix {
    fn from(api: &ApiWeights) -> RequestMix {
        RequestMix {
            track_raw: api.track_raw,
            track_form: api.track_form,
            track_get: api.track_get,
            import_json: api.import_json,
            import_ndjson: api.import_ndjson,
            gzip_ppm: api.gzip_ppm,
        }
    }
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
}
