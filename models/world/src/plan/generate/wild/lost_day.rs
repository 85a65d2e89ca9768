//! A project-day that is lost on every disk: more than the fault budget, and within what tee or backups hold.

use super::{Draws, instant_ms, leave_undamaged, make_room_for_repair};
use crate::plan::generate::quiet_scenario::{DAY_MS, HOUR_MS, MINUTE_MS, span_ms};
use crate::plan::generate::world::hours;
use crate::plan::time_limits::{SCRUB_CYCLE, min_healing};
use crate::scenario::{
    AuditSchedule, Deploy, DeployTarget, NodeNames, OperatorConfig, TeeFailurePolicy, TeeProtection,
    WorldConfig,
};
use latent_engine::sim::{BitRot, Fault, FaultAction, Kill, RemoveDirectory, Trigger};
use latent_engine::{Scenario, Span, Timestamp};
use latent_nemesis::Choices;
use latent_pipeline::zone::Day;
use latent_ports::UnixMs;
use std::time::Duration;

/// Retention of the tee if a project-day is lost: longer than its age at the time of an audit that faults delay.
pub(super) const TEE_RETENTION: Duration = Duration::from_secs(7 * 86_400);
/// Time after a loss, or after a deploy, at which a good release is deployed.
const ROLL_BACK_AFTER_MS: i64 = 2 * HOUR_MS;
/// Name of the default release.
pub(super) const GOOD: &str = "good";
/// Longest time from a loss until the next audit has noticed it.
const NOTICED_WITHIN: Duration = Duration::from_secs(30 * 3600);
/// Shortest run in which a day is lost that is older than a short tee.
const BEYOND_TEE_RUN: Duration = Duration::from_secs(7 * 86_400);
/// Time between two hosts of a script that runs on every host.
const BETWEEN_HOSTS_MS: i64 = 2_000;

/// A project-day, of the last six days, is lost on every disk: an operator's script removes it or everything of the
/// project, or a bad batch of disks flips bits in each copy.
pub(super) fn lost_day(scenario: &mut Scenario<WorldConfig>, draws: &mut Draws) {
    // What brings the day back: mostly the tee, and beyond a short one a backup.
    let has_backup = scenario.config.protection.backup.is_some();
    let is_beyond_tee = has_backup && scenario.run_for.0 >= BEYOND_TEE_RUN && draws.percent(35);
    let retention = if is_beyond_tee { short_tee_retention(&scenario.config) } else { TEE_RETENTION };
    let reaction = protect(scenario, draws, retention);
    let config = &mut scenario.config;
    let spare = reaction + Duration::from_secs(2 * 86_400);
    config.healing = Span(config.healing.0.max(min_healing(config) + spare));
    let projects: u32 = config.tenants.iter().map(|class| class.count).sum();
    let project = draws.within(1, projects.max(1));
    let disks = NodeNames::new(config).disks;
    let mut at_ms = instant_ms(scenario, draws, HOUR_MS);
    if is_beyond_tee {
        at_ms = at_ms.max(scenario.start.0.0 + 6 * DAY_MS);
    }
    let back = if is_beyond_tee { 5 } else { draws.pick(&[0, 1, 3, 4]) };
    if draws.percent(40) {
        // What the audit remembers is gone when the day is.
        let node = "audit".to_owned();
        let ago_ms = i64::from(draws.within(0, 24 * 60)) * MINUTE_MS;
        let restart_after_ms = Some(draws.pick(&[1_000, 3_600_000]));
        let action = FaultAction::Kill(Kill { node, restart_after_ms, ..Kill::default() });
        let trigger = Trigger::AtMs((at_ms - ago_ms).max(scenario.start.0.0 + HOUR_MS));
        scenario.faults.push(Fault { trigger, action });
    }
    let day = Day(i32::try_from(at_ms.div_euclid(DAY_MS)).unwrap_or(0) - back);
    let day_dir = format!("arb/{project}/{day}");
    let is_rot = draws.percent(30);
    if is_rot {
        scenario.config.healing.0 += SCRUB_CYCLE;
    }
    // Older days of the project must be within the tee too, or in a backup.
    let is_project_held = at_ms - scenario.start.0.0 < 4 * DAY_MS || has_backup;
    let removed =
        if draws.percent(20) && is_project_held { format!("arb/{project}") } else { day_dir.clone() };
    for (number, node) in (0..).zip(disks) {
        let action = if is_rot {
            let path_prefix = format!("{day_dir}/");
            FaultAction::BitRot(BitRot { node, path_prefix, pick: draws.bits(), bits: 4 })
        } else {
            FaultAction::RemoveDirectory(RemoveDirectory { node, path: removed.clone() })
        };
        let trigger = Trigger::AtMs(at_ms + number * BETWEEN_HOSTS_MS);
        scenario.faults.push(Fault { trigger, action });
    }
    if draws.percent(40) {
        restart_disks(scenario, draws, at_ms);
    }
    roll_back(scenario, at_ms);
    make_room_for_repair(scenario);
}

/// Returns the retention of a tee that covers what no backup holds yet, and no more: a backup may be the first that a
/// loss keeps from being taken, and what it would have held must stay in the tee until an audit has noticed.
pub(super) fn short_tee_retention(config: &WorldConfig) -> Duration {
    let interval = config.protection.backup.as_ref().map_or(Duration::ZERO, |backup| backup.interval.0);
    interval + NOTICED_WITHIN
}

/// Gives the run what notices a loss of production and makes it good: a tee with this retention, an audit, and an
/// operator, whose reaction time is returned. Nothing that could bring events back is damaged.
pub(super) fn protect(
    scenario: &mut Scenario<WorldConfig>,
    draws: &mut Draws,
    tee_retention: Duration,
) -> Duration {
    let config = &mut scenario.config;
    config.protection.tee =
        Some(TeeProtection { retention: Span(tee_retention), on_failure: TeeFailurePolicy::Reject });
    if let Some(backup) = &mut config.protection.backup {
        backup.retention.0 = backup.retention.0.max(tee_retention.max(TEE_RETENTION) + backup.interval.0);
    }
    config.protection.audit.get_or_insert(AuditSchedule { after_midnight: hours(3) });
    // An open alarm holds what could answer it, however long the operator is away.
    let reaction = hours(draws.pick(&[2, 1, 8, 72, 168]));
    config.operator = Some(OperatorConfig { reaction });
    // The operator writes to every disk.
    config.heal_without = None;
    let NodeNames { edges, tee_store, data_centers, .. } = NodeNames::new(config);
    leave_undamaged(&mut scenario.faults, edges.iter().chain(&tee_store).chain(&data_centers));
    reaction.0
}

/// The operator suspects the release: a good one is deployed two hours after the loss, or after the last deploy, which
/// has then reached every node.
fn roll_back(scenario: &mut Scenario<WorldConfig>, lost_ms: i64) {
    let end_ms = scenario.end().0.0;
    let deploys = &mut scenario.config.deploys;
    deploys.retain(|deploy| deploy.at.0.0 + ROLL_BACK_AFTER_MS < end_ms);
    for deploy in deploys.iter_mut() {
        if let DeployTarget::Rolling { pause } = &mut deploy.to {
            *pause = span_ms(2 * MINUTE_MS);
        }
    }
    if deploys.iter().all(|deploy| deploy.release == GOOD) {
        return;
    }
    let last_ms = deploys.iter().map(|deploy| deploy.at.0.0).max().unwrap_or(lost_ms);
    let at = Timestamp(UnixMs((last_ms.max(lost_ms) + ROLL_BACK_AFTER_MS).min(end_ms)));
    deploys.push(Deploy { at, release: GOOD.to_owned(), to: DeployTarget::All });
}

/// Restarts every disk within an hour, one after the other: a process that boots knows of no day that is gone.
fn restart_disks(scenario: &mut Scenario<WorldConfig>, draws: &mut Draws, from_ms: i64) {
    let between_ms = draws.pick(&[2, 8]) * MINUTE_MS;
    for (number, node) in (1..).zip(NodeNames::new(&scenario.config).disks) {
        let action = FaultAction::Kill(Kill { node, restart_after_ms: Some(10_000), ..Kill::default() });
        let trigger = Trigger::AtMs((from_ms + number * between_ms).min(scenario.end().0.0));
        scenario.faults.push(Fault { trigger, action });
    }
}
