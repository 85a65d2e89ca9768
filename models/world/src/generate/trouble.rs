//! What happens to the world: faults, loads, operations, deploys, each written out.

use super::choices::{Choices, OneFault, Sizes};
use crate::load::{ClockError, Load};
use crate::operations::{Lasting, Operation, ProjectDate, Recover, Retained, TypeRetention, What};
use crate::scenario::{Deploy, DeployTo, HealWithout, ReleaseTopic, Topic, Topology};
use crate::topology::Names;
use crate::trouble::{self, Budget, Kind, Site};
use latent_engine::{Scenario, Span, Timestamp};
use latent_pipeline::zone::Day;
use latent_ports::UnixMs;
use std::collections::BTreeSet;
use std::time::Duration;

const MINUTE_MS: i64 = 60_000;
const HOUR_MS: i64 = 60 * MINUTE_MS;
const DAY_MS: i64 = 24 * HOUR_MS;

/// A mistake is mended within the slack that a backup has: left longer, no daily backup is there, and that is a breach
/// whoever made it.
const MENDED_AFTER_MS: [i64; 3] = [HOUR_MS, 10 * MINUTE_MS, 2 * HOUR_MS];

fn span_ms(ms: i64) -> Span {
    Span(Duration::from_millis(ms.unsigned_abs()))
}

/// An instant of the run, on a minute, `spare_ms` before its end at the latest and an hour after its begin at the earliest.
fn instant(choices: &Choices<'_>, scenario: &Scenario<Topic>, spare_ms: i64) -> Timestamp {
    let (first, end) = (scenario.start.0.0 + HOUR_MS, scenario.end().0.0);
    let minutes = u32::try_from((end - spare_ms - first).max(0) / MINUTE_MS).unwrap_or(u32::MAX);
    Timestamp(UnixMs(first + i64::from(choices.within(0, minutes)) * MINUTE_MS))
}

/// None in a fifth of the runs; else of a subset of the kinds, in sizes from a part of their range.
pub(super) fn faults(choices: &Choices<'_>, scenario: &mut Scenario<Topic>) {
    let weeks_of_days = u32::try_from(scenario.run_for.0.as_secs() / 86_400).unwrap_or(7);
    let a_week = choices.pick(&[(0, 0), (1, 4), (4, 12), (12, 30), (30, 60)]);
    let count = choices.within(a_week.0, a_week.1) * weeks_of_days.max(2) / 7;
    let names = Names::of(&scenario.config);
    let can_come = |kind: &Kind| kind.has_victims(&names) && kind.has_time(scenario);
    let there: Vec<Kind> = Kind::ALL.into_iter().filter(can_come).collect();
    let on = choices.some_of(&there);
    let (small, large, any) = (Sizes(0, 32), Sizes(32, 64), Sizes(0, 64));
    let sizes = choices.pick(&[any, any, small, large]);
    let budget = budget(&scenario.config.topology);
    let mut faults = Vec::new();
    for _ in 0..count {
        let kind = choices.pick(&on);
        let chance = OneFault::new(choices, sizes);
        let drawn = Site { scenario, names: &names, kind, chance: &chance }.fault();
        trouble::add_within(&mut faults, drawn, scenario, &budget);
    }
    scenario.faults = faults;
}

/// Now and then one disk does not come back, as long as it and all damaged ones together are within the budget: what it
/// holds cannot be read either.
pub(super) fn healing(choices: &Choices<'_>, scenario: &mut Scenario<Topic>) {
    let disks = Names::of(&scenario.config).disks;
    let damaged = scenario.faults.iter().filter_map(|fault| trouble::damages(&fault.action));
    let damaged: BTreeSet<&str> = damaged.filter(|node| disks.iter().any(|disk| disk == node)).collect();
    if !choices.percent(15) || damaged.len() + 1 > usize::from(budget(&scenario.config.topology).disks) {
        return;
    }
    let disk = disks[choices.within(0, disks.len() as u32 - 1) as usize].clone();
    let without = if choices.percent(50) { HealWithout::CutOff(disk) } else { HealWithout::Down(disk) };
    scenario.config.heal_without = Some(without);
}

/// What may be damaged at once: no more disks than leave every event on as many as must hold it, for readers to be sure
/// to see it.
pub(super) fn budget(topology: &Topology) -> Budget {
    let usual = Budget::default();
    Budget { disks: usual.disks.min(topology.copies - topology.ack_copies), ..usual }
}

/// Each kind of load in every sixth run or so.
pub(super) fn load(choices: &Choices<'_>, scenario: &mut Scenario<Topic>) {
    let customers: u32 = scenario.config.tenants.iter().map(|class| class.count).sum();
    let whom = |choices: &Choices<'_>| choices.percent(50).then(|| choices.within(1, customers));
    let mut load = Vec::new();
    if choices.percent(17) {
        let lasts_ms = choices.pick(&[HOUR_MS, 10 * MINUTE_MS, 4 * HOUR_MS]);
        let (from, lasts) = (instant(choices, scenario, lasts_ms), span_ms(lasts_ms));
        load.push(Load::Burst { from, lasts, times: choices.pick(&[10, 2, 40]), project: whom(choices) });
    }
    if choices.percent(17) {
        let lasts_ms = choices.pick(&[6 * HOUR_MS, HOUR_MS, 30 * HOUR_MS, 80 * HOUR_MS]);
        let lasts_ms = lasts_ms.min(i64::try_from(scenario.run_for.0.as_millis()).unwrap_or(0) / 2);
        let (from, lasts) = (instant(choices, scenario, lasts_ms + HOUR_MS), span_ms(lasts_ms));
        let share_ppm = choices.pick(&[200_000, 50_000, 1_000_000]);
        load.push(Load::Offline { from, lasts, share_ppm, project: whom(choices) });
    }
    if choices.percent(17) {
        let lasts_ms = choices.pick(&[HOUR_MS, 10 * MINUTE_MS, 12 * HOUR_MS]);
        let (from, lasts) = (instant(choices, scenario, lasts_ms), span_ms(lasts_ms));
        let wait = span_ms(choices.pick(&[15, 10, 100]));
        load.push(Load::RetryStorm { from, lasts, wait, project: whom(choices) });
    }
    if choices.percent(17) {
        let by = span_ms(choices.pick(&[40 * MINUTE_MS, 3 * HOUR_MS, 2 * DAY_MS, 400 * DAY_MS]));
        let by = if choices.percent(50) { ClockError::Behind(by) } else { ClockError::Ahead(by) };
        let share_ppm = choices.pick(&[20_000, 100_000, 500_000]);
        load.push(Load::DeviceClocks { share_ppm, by, project: whom(choices) });
    }
    if choices.percent(17) {
        load.push(Load::Backlog { project: whom(choices) });
    }
    scenario.config.load = load;
}

/// What operators do, in half of the runs that have something to operate on.
pub(super) fn operations(choices: &Choices<'_>, scenario: &mut Scenario<Topic>) {
    let protection = &scenario.config.protection;
    let mut operations = Vec::new();
    for _ in 0..choices.pick(&[0, 0, 1, 3]) {
        let lasts = Some(span_ms(choices.pick(&MENDED_AFTER_MS)));
        let at = instant(choices, scenario, HOUR_MS);
        let what = match choices.within(0, 5) {
            0..=2 => What::Recover(recover(choices, scenario, at)),
            3 => What::TypeRetention(TypeRetention {
                of: choices.pick(&[Retained::Tee, Retained::Backups]),
                typed: span_ms(choices.pick(&[7 * HOUR_MS, HOUR_MS, 100 * DAY_MS])),
                lasts,
            }),
            4 => What::DisableBackup(Lasting { lasts }),
            _ => What::WrongBucket(Lasting { lasts }),
        };
        if what.lacks(protection).is_none() {
            operations.push(Operation { at, what });
        }
    }
    scenario.config.operations = operations;
}

/// Of everything, or of one day of one customer; once or twice.
fn recover(choices: &Choices<'_>, scenario: &Scenario<Topic>, at: Timestamp) -> Recover {
    let customers: u32 = scenario.config.tenants.iter().map(|class| class.count).sum();
    let mut recover = Recover { times: choices.pick(&[1, 1, 2]), ..Recover::default() };
    if choices.percent(50) {
        let back = choices.within(0, 2);
        let day = Day(i32::try_from(at.0.0 / DAY_MS).unwrap_or(0) - back.cast_signed());
        recover.days.push(ProjectDate { project: choices.within(1, customers), day: day.to_string() });
    }
    recover
}

/// A release without a planted bug: what a deploy itself does, restarts above all, must lose nothing.
pub(super) fn deploys(choices: &Choices<'_>, scenario: &mut Scenario<Topic>) {
    const NEXT: &str = "next";
    let mut deploys = Vec::new();
    for turn in 0..choices.pick(&[0, 0, 1, 2]) {
        let to = match choices.within(0, 3) {
            0 => DeployTo::All,
            1 | 2 => DeployTo::Rolling { pause: span_ms(choices.pick(&[2 * MINUTE_MS, MINUTE_MS, HOUR_MS])) },
            _ => DeployTo::Canary { replica_set: choices.pick(&[0, 1]) },
        };
        // The second rolls the first back.
        let release = if turn == 0 { NEXT } else { "good" };
        deploys.push((instant(choices, scenario, 0), release, to));
    }
    deploys.sort_by_key(|(at, _, _)| *at);
    if !deploys.is_empty() {
        scenario.config.releases.push(ReleaseTopic { name: NEXT.to_owned(), bugs: Vec::new() });
    }
    let deploy =
        |(at, release, to): (Timestamp, &str, DeployTo)| Deploy { at, release: release.to_owned(), to };
    scenario.config.deploys = deploys.into_iter().map(deploy).collect();
}
