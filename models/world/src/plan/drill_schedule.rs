//! Times of the drills: in turn at any time, during a backup, and during a compaction.
//!
//! Narrow times are computed: a backup's start follows from the scenario, and a project's job start from its
//! midnight, the worker's keyed draw and the disks' clocks. Drawn latencies of a few milliseconds decide whether a
//! drill really falls within; the report shows which work it interrupted.

use super::draws::{CLOCK_OFFSET_MS, between, clock_offset_ms};
use super::world_plan::Tenant;
use crate::scenario::{NodeNames, WorldConfig};
use latent_engine::sim::keyed_draw;
use latent_engine::{Scenario, draw_seed};
use latent_pipeline::compaction::worker::{START_STREAM, start_delay_of, start_key};
use latent_pipeline::config::CompactionConfig;
use latent_pipeline::zone::{Day, ZoneHistory};
use latent_ports::UnixMs;

/// Approximate durations: a backup of a small cluster, and a project's job on all disks.
const BACKUP_DURATION_MS: i64 = 1_500;
const JOB_DURATION_MS: i64 = 12;

/// Returns the times of a scenario's drills, in order, in milliseconds since 1970.
pub(crate) fn drill_times_ms(scenario: &Scenario<WorldConfig>, seed: u64, tenants: &[Tenant]) -> Vec<i64> {
    let (start, end) = (scenario.start.0.0, scenario.end().0.0);
    // In the first tenth of the run there is nothing to recover.
    let from = start + (end - start) / 10;
    let mut instants: Vec<i64> = (0..scenario.config.drills)
        .map(|number| {
            let draw =
                |part: u32| keyed_draw(seed, "plan.drills", (u128::from(number) << 32) | u128::from(part));
            let any = between(draw(0), from, end);
            match number % 3 {
                1 => during_backup(scenario, any).map(|at| at + between(draw(1), 0, BACKUP_DURATION_MS)),
                2 => during_job(scenario, tenants, seed, any, draw(2))
                    .map(|at| at + between(draw(1), 1, JOB_DURATION_MS)),
                _ => None,
            }
            .filter(|at| *at < end)
            .unwrap_or(any)
        })
        .collect();
    instants.sort_unstable();
    instants
}

/// Returns the start of the first backup after `any`.
fn during_backup(scenario: &Scenario<WorldConfig>, any: i64) -> Option<i64> {
    let backup = scenario.config.protection.backup.as_ref()?;
    let first = scenario.start.0.0 + backup.first_after.0.as_millis() as i64;
    let interval = (backup.interval.0.as_millis() as i64).max(1);
    Some(first + (any - first).max(0) / interval * interval + if any > first { interval } else { 0 })
}

/// Returns the start of a project's first job after `any`.
fn during_job(
    scenario: &Scenario<WorldConfig>,
    tenants: &[Tenant],
    seed: u64,
    any: i64,
    pick: u64,
) -> Option<i64> {
    let tenant = tenants.get((pick % tenants.len().max(1) as u64) as usize)?;
    let zones = ZoneHistory::constant(&tenant.zone).ok()?;
    let midnight = zones.next_midnight(UnixMs(any));
    let ended = Day(zones.day(midnight, midnight).0 - 1);
    // The worker's draw in the world is predicted with the world's draw seed.
    let draw = keyed_draw(draw_seed(seed), START_STREAM, start_key(tenant.workload.project, ended));
    let by_the_median_clock = midnight + start_delay_of(draw, &CompactionConfig::default());
    Some(by_the_median_clock.0 - median_offset_ms(scenario, seed))
}

/// Returns the offset of the median disk clock, which starts the jobs, from true time, in milliseconds.
fn median_offset_ms(scenario: &Scenario<WorldConfig>, seed: u64) -> i64 {
    let disks = NodeNames::new(&scenario.config).disks;
    let mut offsets: Vec<i64> =
        disks.iter().map(|disk| clock_offset_ms(seed, disk, CLOCK_OFFSET_MS)).collect();
    offsets.sort_unstable();
    offsets.get(offsets.len().saturating_sub(1) / 2).copied().unwrap_or_default()
}
