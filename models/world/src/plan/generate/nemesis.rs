//! Faults, loads, operations and deploys, all explicit.

use super::choices::{ByteRandomSource, Choices, FaultSizeRange};
use crate::plan::nemesis::{self, FaultSampler};
use crate::scenario::NodeNames;
use crate::scenario::{AbsentDisk, Deploy, DeployTarget, ReleaseConfig, Topology, WorldConfig};
use crate::scenario::{ClockError, LoadPattern};
use crate::scenario::{FaultBudget, FaultKind};
use crate::scenario::{
    MistakeDuration, Operation, OperatorAction, ProjectDate, RecoverAction, RetentionTarget, RetentionTypo,
};
use latent_engine::{Scenario, Span, Timestamp};
use latent_pipeline::zone::Day;
use latent_ports::UnixMs;
use std::collections::BTreeSet;
use std::time::Duration;

const MINUTE_MS: i64 = 60_000;
const HOUR_MS: i64 = 60 * MINUTE_MS;
const DAY_MS: i64 = 24 * HOUR_MS;

/// Durations of mistakes. They are within the slack of a backup: a longer one would violate the backup guarantee,
/// whatever caused it.
const MISTAKE_DURATIONS_MS: [i64; 3] = [HOUR_MS, 10 * MINUTE_MS, 2 * HOUR_MS];

fn span_ms(ms: i64) -> Span {
    Span(Duration::from_millis(ms.unsigned_abs()))
}

/// Draws a time, on a minute, at least an hour after the start and `spare_ms` before the end.
fn instant(choices: &Choices<'_>, scenario: &Scenario<WorldConfig>, spare_ms: i64) -> Timestamp {
    let (first, end) = (scenario.start.0.0 + HOUR_MS, scenario.end().0.0);
    let minutes = u32::try_from((end - spare_ms - first).max(0) / MINUTE_MS).unwrap_or(u32::MAX);
    Timestamp(UnixMs(first + i64::from(choices.within(0, minutes)) * MINUTE_MS))
}

/// Draws the faults: none in a fifth of the runs, otherwise a subset of the kinds, with sizes from a part of their
/// range.
pub(super) fn faults(choices: &Choices<'_>, scenario: &mut Scenario<WorldConfig>) {
    let weeks_of_days = u32::try_from(scenario.run_for.0.as_secs() / 86_400).unwrap_or(7);
    let per_week = choices.pick(&[(0, 0), (1, 4), (4, 12), (12, 30), (30, 60)]);
    let count = choices.within(per_week.0, per_week.1) * weeks_of_days.max(2) / 7;
    let names = NodeNames::new(&scenario.config);
    let can_come = |kind: &FaultKind| kind.has_targets(&names) && kind.has_time(scenario);
    let there: Vec<FaultKind> = FaultKind::ALL.iter().copied().filter(can_come).collect();
    let on = choices.some_of(&there);
    let (small, large, any) = (FaultSizeRange(0, 32), FaultSizeRange(32, 64), FaultSizeRange(0, 64));
    let sizes = choices.pick(&[any, any, small, large]);
    let budget = budget(&scenario.config.topology);
    let mut faults = Vec::new();
    for _ in 0..count {
        let kind = choices.pick(&on);
        let random = ByteRandomSource::new(choices, sizes);
        let drawn = FaultSampler { scenario, names: &names, kind, random: &random }.fault();
        nemesis::add_within_budget(&mut faults, drawn, scenario, &budget);
    }
    scenario.faults = faults;
}

/// Draws whether one disk stays unavailable during healing, if it and all damaged disks together are within the
/// budget: its contents cannot be read either.
pub(super) fn healing(choices: &Choices<'_>, scenario: &mut Scenario<WorldConfig>) {
    let disks = NodeNames::new(&scenario.config).disks;
    let damaged = scenario.faults.iter().filter_map(|fault| nemesis::damages(&fault.action));
    let damaged: BTreeSet<&str> = damaged.filter(|node| disks.iter().any(|disk| disk == node)).collect();
    if !choices.percent(15) || damaged.len() + 1 > usize::from(budget(&scenario.config.topology).disks) {
        return;
    }
    let disk = disks[choices.within(0, disks.len() as u32 - 1) as usize].clone();
    let without = if choices.percent(50) { AbsentDisk::CutOff(disk) } else { AbsentDisk::Down(disk) };
    scenario.config.heal_without = Some(without);
}

/// Returns the fault budget: few enough disks that readers are certain to see every acknowledged event.
pub(super) fn budget(topology: &Topology) -> FaultBudget {
    let usual = FaultBudget::default();
    FaultBudget { disks: usual.disks.min(topology.copies - topology.ack_copies), ..usual }
}

/// Draws the load patterns, each in about every sixth run.
pub(super) fn load(choices: &Choices<'_>, scenario: &mut Scenario<WorldConfig>) {
    let customers: u32 = scenario.config.tenants.iter().map(|class| class.count).sum();
    let pick_project = |choices: &Choices<'_>| choices.percent(50).then(|| choices.within(1, customers));
    let mut load = Vec::new();
    if choices.percent(17) {
        let duration_ms = choices.pick(&[HOUR_MS, 10 * MINUTE_MS, 4 * HOUR_MS]);
        let (from, duration) = (instant(choices, scenario, duration_ms), span_ms(duration_ms));
        load.push(LoadPattern::Burst {
            from,
            duration,
            times: choices.pick(&[10, 2, 40]),
            project: pick_project(choices),
        });
    }
    if choices.percent(17) {
        let duration_ms = choices.pick(&[6 * HOUR_MS, HOUR_MS, 30 * HOUR_MS, 80 * HOUR_MS]);
        let duration_ms = duration_ms.min(i64::try_from(scenario.run_for.0.as_millis()).unwrap_or(0) / 2);
        let (from, duration) = (instant(choices, scenario, duration_ms + HOUR_MS), span_ms(duration_ms));
        let share_ppm = choices.pick(&[200_000, 50_000, 1_000_000]);
        load.push(LoadPattern::Offline { from, duration, share_ppm, project: pick_project(choices) });
    }
    if choices.percent(17) {
        let duration_ms = choices.pick(&[HOUR_MS, 10 * MINUTE_MS, 12 * HOUR_MS]);
        let (from, duration) = (instant(choices, scenario, duration_ms), span_ms(duration_ms));
        let wait = span_ms(choices.pick(&[15, 10, 100]));
        load.push(LoadPattern::RetryStorm { from, duration, wait, project: pick_project(choices) });
    }
    if choices.percent(17) {
        let by = span_ms(choices.pick(&[40 * MINUTE_MS, 3 * HOUR_MS, 2 * DAY_MS, 400 * DAY_MS]));
        let by = if choices.percent(50) { ClockError::Behind(by) } else { ClockError::Ahead(by) };
        let share_ppm = choices.pick(&[20_000, 100_000, 500_000]);
        load.push(LoadPattern::DeviceClocks { share_ppm, by, project: pick_project(choices) });
    }
    if choices.percent(17) {
        load.push(LoadPattern::Backlog { project: pick_project(choices) });
    }
    scenario.config.load = load;
}

/// Draws operator actions, in half of the runs that have the protection for them.
pub(super) fn operations(choices: &Choices<'_>, scenario: &mut Scenario<WorldConfig>) {
    let protection = &scenario.config.protection;
    let mut operations = Vec::new();
    for _ in 0..choices.pick(&[0, 0, 1, 3]) {
        let duration = Some(span_ms(choices.pick(&MISTAKE_DURATIONS_MS)));
        let at = instant(choices, scenario, HOUR_MS);
        let action = match choices.within(0, 5) {
            0..=2 => OperatorAction::Recover(recover(choices, scenario, at)),
            3 => OperatorAction::RetentionTypo(RetentionTypo {
                target: choices.pick(&[RetentionTarget::Tee, RetentionTarget::Backups]),
                typed: span_ms(choices.pick(&[7 * HOUR_MS, HOUR_MS, 100 * DAY_MS])),
                duration,
            }),
            4 => OperatorAction::DisableBackup(MistakeDuration { duration }),
            _ => OperatorAction::WrongBucket(MistakeDuration { duration }),
        };
        if action.lacks(protection).is_none() {
            operations.push(Operation { at, action });
        }
    }
    scenario.config.operations = operations;
}

/// Draws a recovery of everything or of one project-day, once or twice.
fn recover(choices: &Choices<'_>, scenario: &Scenario<WorldConfig>, at: Timestamp) -> RecoverAction {
    let customers: u32 = scenario.config.tenants.iter().map(|class| class.count).sum();
    let mut recover = RecoverAction { times: choices.pick(&[1, 1, 2]), ..RecoverAction::default() };
    if choices.percent(50) {
        let back = choices.within(0, 2);
        let day = Day(i32::try_from(at.0.0 / DAY_MS).unwrap_or(0) - back.cast_signed());
        recover.days.push(ProjectDate { project: choices.within(1, customers), day: day.to_string() });
    }
    recover
}

/// Draws deploys of a release without planted bugs: the restarts of a deploy must lose nothing.
pub(super) fn deploys(choices: &Choices<'_>, scenario: &mut Scenario<WorldConfig>) {
    const NEXT: &str = "next";
    let mut deploys = Vec::new();
    for turn in 0..choices.pick(&[0, 0, 1, 2]) {
        let to = match choices.within(0, 3) {
            0 => DeployTarget::All,
            1 | 2 => {
                DeployTarget::Rolling { pause: span_ms(choices.pick(&[2 * MINUTE_MS, MINUTE_MS, HOUR_MS])) }
            }
            _ => DeployTarget::Canary { replica_set: choices.pick(&[0, 1]) },
        };
        // The second deploy rolls the first back.
        let release = if turn == 0 { NEXT } else { "good" };
        deploys.push((instant(choices, scenario, 0), release, to));
    }
    deploys.sort_by_key(|(at, _, _)| *at);
    if !deploys.is_empty() {
        scenario.config.releases.push(ReleaseConfig { name: NEXT.to_owned(), bugs: Vec::new() });
    }
    let deploy =
        |(at, release, to): (Timestamp, &str, DeployTarget)| Deploy { at, release: release.to_owned(), to };
    scenario.config.deploys = deploys.into_iter().map(deploy).collect();
}
