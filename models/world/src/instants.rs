//! When drills happen: in turn at any instant, in the middle of a backup, and in the middle of a compaction.
//!
//! The narrow ones are computed, not waited for: when a backup starts follows from the scenario, and when a
//! project's job starts follows from its midnight, the worker's keyed draw and the disks' clocks. A few milliseconds of drawn
//! latencies decide whether a drill really falls within; the report says what it fell into.

use crate::plan::{CLOCK_OFFSET_MS, Tenant, between};
use crate::scenario::Topic;
use crate::topology::{Names, clock_offset_ms};
use latent_engine::sim::keyed_draw;
use latent_engine::{Scenario, draw_seed};
use latent_pipeline::compaction::worker::{START_STREAM, start_delay_of, start_key};
use latent_pipeline::config::CompactionConfig;
use latent_pipeline::zone::{Day, ZoneHistory};
use latent_ports::UnixMs;

/// A backup of a small cluster takes about this long, a project's job on all disks about that long.
const WITHIN_BACKUP_MS: i64 = 1_500;
const WITHIN_JOB_MS: i64 = 12;

/// The instants of a scenario's drills, in order, ms since 1970.
pub(crate) fn drills(scenario: &Scenario<Topic>, seed: u64, tenants: &[Tenant]) -> Vec<i64> {
    let (start, end) = (scenario.start.0.0, scenario.end().0.0);
    // A drill in the first tenth would find nothing to recover.
    let from = start + (end - start) / 10;
    let mut instants: Vec<i64> = (0..scenario.config.drills)
        .map(|number| {
            let draw =
                |part: u32| keyed_draw(seed, "plan.drills", (u128::from(number) << 32) | u128::from(part));
            let any = between(draw(0), from, end);
            match number % 3 {
                1 => within_backup(scenario, any).map(|at| at + between(draw(1), 0, WITHIN_BACKUP_MS)),
                2 => within_job(scenario, tenants, seed, any, draw(2))
                    .map(|at| at + between(draw(1), 1, WITHIN_JOB_MS)),
                _ => None,
            }
            .filter(|at| *at < end)
            .unwrap_or(any)
        })
        .collect();
    instants.sort_unstable();
    instants
}

/// The start of the first backup after `any`.
fn within_backup(scenario: &Scenario<Topic>, any: i64) -> Option<i64> {
    let backup = scenario.config.protection.backup.as_ref()?;
    let first = scenario.start.0.0 + backup.first_after.0.as_millis() as i64;
    let interval = (backup.interval.0.as_millis() as i64).max(1);
    Some(first + (any - first).max(0) / interval * interval + if any > first { interval } else { 0 })
}

/// The start of one project's first job after `any`.
fn within_job(scenario: &Scenario<Topic>, tenants: &[Tenant], seed: u64, any: i64, pick: u64) -> Option<i64> {
    let tenant = tenants.get((pick % tenants.len().max(1) as u64) as usize)?;
    let zones = ZoneHistory::constant(&tenant.zone).ok()?;
    let midnight = zones.next_midnight(UnixMs(any));
    let ended = Day(zones.day(midnight, midnight).0 - 1);
    // The worker draws in the world, so the foreseen draw is one of the world's.
    let draw = keyed_draw(draw_seed(seed), START_STREAM, start_key(tenant.law.project, ended));
    let by_the_median_clock = midnight + start_delay_of(draw, &CompactionConfig::default());
    Some(by_the_median_clock.0 - median_offset_ms(scenario, seed))
}

/// How far the median of the disks' clocks, by which jobs begin, is ahead of true time, ms.
fn median_offset_ms(scenario: &Scenario<Topic>, seed: u64) -> i64 {
    let disks = Names::of(&scenario.config).disks;
    let mut offsets: Vec<i64> =
        disks.iter().map(|disk| clock_offset_ms(seed, disk, CLOCK_OFFSET_MS)).collect();
    offsets.sort_unstable();
    offsets.get(offsets.len().saturating_sub(1) / 2).copied().unwrap_or_default()
}
