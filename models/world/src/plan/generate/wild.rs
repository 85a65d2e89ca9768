//! Generates a wild scenario: a generated one, and a time of trouble that is longer or larger than every window that
//! the generator stays within.
//!
//! Modelled: a node that is away for days, a disk that is replaced while another is away, an edge whose disk is replaced
//! several times, all holders of a write that lose power at once, clocks that are wrong by days, a store that for days
//! keeps other bytes than it confirms, and a project-day that is removed from every disk, or rots on every disk. Only the
//! last exceeds the fault budget. Its events are within what the tee or a backup holds, an audit and an operator are
//! there, and nothing else harms the tee, so the scenario expects that a recovery brings everything back.
//!
//! Not modelled: two of these in one run; the loss of all data centers or of the tee, after which nothing is promised.

#[cfg(test)]
mod tests;

use super::choices::Choices;
use super::nemesis::budget;
use super::quiet_scenario::{DAY_MS, HOUR_MS, MINUTE_MS, span_ms};
use super::world::hours;
use super::{GeneratedScenario, about};
use crate::plan::nemesis::{self, REPAIRED_AFTER_MS};
use crate::plan::time_limits::{SCRUB_CYCLE, min_healing};
use crate::scenario::store_conditions::PUTS_ALTERED;
use crate::scenario::{
    AuditSchedule, Deploy, DeployTarget, NodeNames, OperatorConfig, TeeFailurePolicy, TeeProtection,
    WorldConfig,
};
use arbitrary::{Arbitrary, Result, Unstructured};
use latent_engine::sim::{
    BitRot, ClockStep, Condition, CrashPolicy, Fault, FaultAction, Isolate, Kill, NewDisk, OpKind, PowerLoss,
    RemoveDirectory, Trigger,
};
use latent_engine::verdict::Expectation;
use latent_engine::{Scenario, Span, Timestamp};
use latent_pipeline::zone::Day;
use latent_ports::UnixMs;
use std::time::Duration;

/// Retention of the tee if a project-day is lost: longer than its age at the time of an audit that faults delay.
const TEE_RETENTION: Duration = Duration::from_secs(7 * 86_400);
/// Time after a loss, or after a deploy, at which a good release is deployed.
const ROLL_BACK_AFTER_MS: i64 = 2 * HOUR_MS;
/// Name of the default release.
const GOOD: &str = "good";
/// Retention of the tee if the lost day is older: only backups hold it.
const SHORT_TEE_RETENTION: Duration = Duration::from_secs(2 * 86_400);
/// Shortest run in which a day is lost that is older than a short tee.
const BEYOND_TEE_RUN: Duration = Duration::from_secs(7 * 86_400);
/// Time between two hosts of a script that runs on every host.
const BETWEEN_HOSTS_MS: i64 = 2_000;

/// A whole wild scenario that is drawn from bytes. Any bytes give a valid one; missing bytes count as zeros.
#[derive(Clone, Debug)]
pub struct WildScenario(pub Scenario<WorldConfig>);

/// A kind of trouble.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Trouble {
    LongOutage,
    ReplacedWhileAway,
    ReplacedEdge,
    PowerLoss,
    WrongClock,
    AlteringStore,
    LostDay,
}

impl<'a> Arbitrary<'a> for WildScenario {
    fn arbitrary(bytes: &mut Unstructured<'a>) -> Result<WildScenario> {
        let trouble = bytes.pick(&[
            Trouble::LongOutage,
            Trouble::LostDay,
            Trouble::LostDay,
            Trouble::ReplacedWhileAway,
            Trouble::ReplacedEdge,
            Trouble::PowerLoss,
            Trouble::WrongClock,
            Trouble::AlteringStore,
        ]);
        let mut draws = Draws::new(bytes);
        let exports = draws.pick(&[None, Some(6), Some(20)]);
        let GeneratedScenario(mut scenario) = bytes.arbitrary()?;
        scenario.name = "wild".to_owned();
        // Customers see what the copies disagree on.
        scenario.config.exports_per_project = exports.unwrap_or(scenario.config.exports_per_project);
        scenario.expect = Expectation::RECOVERED_OR_BETTER;
        match trouble {
            Trouble::LongOutage => long_outage(&mut scenario, &mut draws),
            Trouble::ReplacedWhileAway => replaced_while_away(&mut scenario, &mut draws),
            Trouble::ReplacedEdge => replaced_edge(&mut scenario, &mut draws),
            Trouble::PowerLoss => power_loss(&mut scenario, &mut draws),
            Trouble::WrongClock => wrong_clock(&mut scenario, &mut draws),
            Trouble::AlteringStore => altering_store(&mut scenario, &mut draws),
            Trouble::LostDay => lost_day(&mut scenario, &mut draws),
        }
        scenario.about = format!("{} {}", trouble.sentence(), about(&scenario));
        Ok(WildScenario(scenario))
    }
}

/// Generates the wild scenario for these bytes.
pub(crate) fn generate(bytes: &[u8]) -> Scenario<WorldConfig> {
    let WildScenario(scenario) =
        Unstructured::new(bytes).arbitrary().expect("a choice without bytes is the first option");
    scenario
}

/// The draws of the trouble. They come before those of the scenario, which depend on nothing of the trouble.
struct Draws {
    words: [u64; 40],
    used: usize,
}

impl Draws {
    fn new(bytes: &mut Unstructured<'_>) -> Draws {
        Draws { words: std::array::from_fn(|_| bytes.bits()), used: 0 }
    }
}

impl Choices for Draws {
    fn bits(&mut self) -> u64 {
        let word = self.words.get(self.used).copied().unwrap_or(0);
        self.used += 1;
        word
    }
}

impl Trouble {
    fn sentence(self) -> &'static str {
        match self {
            Trouble::LongOutage => "Nodes are away for days.",
            Trouble::ReplacedWhileAway => "Disks are replaced while another is away.",
            Trouble::ReplacedEdge => "An edge's disk is replaced again and again.",
            Trouble::PowerLoss => "All holders of a write lose power at once.",
            Trouble::WrongClock => "A clock is wrong by days.",
            Trouble::AlteringStore => "A store keeps other bytes than it confirms, for days.",
            Trouble::LostDay => "A project-day is lost on every disk.",
        }
    }
}

/// Draws a time, on a minute, at least six hours after the start and `spare_ms` before the end.
fn instant_ms(scenario: &Scenario<WorldConfig>, draws: &mut Draws, spare_ms: i64) -> i64 {
    let (first, end) = (scenario.start.0.0 + 6 * HOUR_MS, scenario.end().0.0);
    let minutes = u32::try_from((end - spare_ms - first).max(0) / MINUTE_MS).unwrap_or(u32::MAX);
    first + i64::from(draws.within(0, minutes)) * MINUTE_MS
}

/// Draws a role, and a node of it.
fn node(scenario: &Scenario<WorldConfig>, draws: &mut Draws) -> String {
    let roles = NodeNames::new(&scenario.config).roles();
    let of_role = &roles[draws.within(0, roles.len() as u32 - 1) as usize];
    of_role[draws.within(0, of_role.len() as u32 - 1) as usize].clone()
}

/// Draws a number of days, at most half of the run.
fn days_ms(scenario: &Scenario<WorldConfig>, draws: &mut Draws) -> i64 {
    let days = draws.pick(&[2, 1, 4, 6]);
    (days * DAY_MS).min(i64::try_from(scenario.run_for.0.as_millis()).unwrap_or(i64::MAX) / 2)
}

/// One or two nodes are down or isolated for days.
fn long_outage(scenario: &mut Scenario<WorldConfig>, draws: &mut Draws) {
    for _ in 0..draws.pick(&[1, 1, 2]) {
        let (node, for_ms) = (node(scenario, draws), days_ms(scenario, draws));
        let at_ms = instant_ms(scenario, draws, for_ms);
        let for_ms = Some(for_ms.unsigned_abs());
        let action = if draws.percent(50) {
            FaultAction::Isolate(Isolate { node, for_ms })
        } else {
            FaultAction::Kill(Kill { node, restart_after_ms: for_ms, ..Kill::default() })
        };
        scenario.faults.push(Fault { trigger: Trigger::AtMs(at_ms), action });
    }
}

/// A disk is away for days, and meanwhile one or two others are replaced by empty ones.
fn replaced_while_away(scenario: &mut Scenario<WorldConfig>, draws: &mut Draws) {
    let disks = NodeNames::new(&scenario.config).disks;
    // The trouble needs the fault budget for itself.
    scenario.faults.retain(|fault| {
        !nemesis::damages(&fault.action).is_some_and(|node| disks.iter().any(|disk| disk == node))
    });
    scenario.config.heal_without = None;
    let first = draws.within(0, disks.len() as u32 - 1) as usize;
    let disk = |offset: usize| disks[(first + offset) % disks.len()].clone();
    let for_ms = days_ms(scenario, draws);
    let at_ms = instant_ms(scenario, draws, for_ms);
    let away = Kill { node: disk(0), restart_after_ms: Some(for_ms.unsigned_abs()), ..Kill::default() };
    scenario.faults.push(Fault { trigger: Trigger::AtMs(at_ms), action: FaultAction::Kill(away) });
    // The disk that is away counts too: its contents cannot be read either.
    let max_replaced = usize::from(budget(&scenario.config.topology).disks).saturating_sub(1);
    for number in 1..=draws.pick(&[1, 2]).min(max_replaced) {
        let minutes = u32::try_from(for_ms / MINUTE_MS).unwrap_or(u32::MAX);
        let at_ms = at_ms + i64::from(draws.within(0, minutes)) * MINUTE_MS;
        let action = FaultAction::NewDisk(NewDisk { node: disk(number), restart_after_ms: 60_000 });
        scenario.faults.push(Fault { trigger: Trigger::AtMs(at_ms), action });
    }
    make_room_for_repair(scenario);
}

/// The disk of one edge is replaced two to four times, at an operation or at any time.
fn replaced_edge(scenario: &mut Scenario<WorldConfig>, draws: &mut Draws) {
    // A single edge has no peer that holds its requests too.
    let edges = &mut scenario.config.topology.edges;
    *edges = (*edges).max(2);
    let names = NodeNames::new(&scenario.config);
    // The trouble needs the fault budget of the tee for itself.
    let tee: Vec<&String> = names.edges.iter().chain(&names.tee_store).collect();
    scenario.faults.retain(|fault| {
        !nemesis::damages(&fault.action).is_some_and(|node| tee.iter().any(|one| *one == node))
    });
    let node = names.edges[draws.within(0, names.edges.len() as u32 - 1) as usize].clone();
    if let Some(tee) = &mut scenario.config.protection.tee {
        // Only this edge knows of its open gaps.
        tee.on_failure = TeeFailurePolicy::Reject;
    }
    for _ in 0..draws.pick(&[2, 3, 4]) {
        let at_ms = instant_ms(scenario, draws, HOUR_MS);
        let trigger = match draws.percent(50) {
            true => Trigger::AtMs(at_ms),
            false => Trigger::NthOp {
                node: node.clone(),
                op: OpKind::Append,
                path_prefix: String::new(),
                n: u64::from(draws.within(1, 20)),
                after_ms: (at_ms - scenario.start.0.0).unsigned_abs(),
            },
        };
        let action = FaultAction::NewDisk(NewDisk { node: node.clone(), restart_after_ms: 60_000 });
        scenario.faults.push(Fault { trigger, action });
    }
}

/// Every node of one or two roles, or of all, loses power at the same operation; mostly nothing un-synced is left.
fn power_loss(scenario: &mut Scenario<WorldConfig>, draws: &mut Draws) {
    let names = NodeNames::new(&scenario.config);
    let (first, rest) = draws.pick(&[
        (&names.edges, None),
        (&names.disks, None),
        (&names.edges, Some(&names.ingest)),
        (&names.disks, Some(&names.ingest)),
    ]);
    let mut nodes = first.clone();
    nodes.extend(rest.into_iter().flatten().cloned());
    if draws.percent(30) {
        nodes = names.system();
    }
    let node = first[draws.within(0, first.len() as u32 - 1) as usize].clone();
    let at_ms = instant_ms(scenario, draws, HOUR_MS);
    let trigger = Trigger::NthOp {
        node,
        op: draws.pick(&[OpKind::Sync, OpKind::Append, OpKind::SyncDir, OpKind::Change]),
        path_prefix: String::new(),
        n: u64::from(draws.within(1, 30)),
        after_ms: (at_ms - scenario.start.0.0).unsigned_abs(),
    };
    let restart_after_ms = draws.pick(&[60_000, 1_000, 3_600_000]);
    let keeps = draws.pick(&[Some(CrashPolicy::Nothing), None]);
    let action = FaultAction::PowerLoss(PowerLoss { nodes, restart_after_ms, keeps });
    scenario.faults.push(Fault { trigger, action });
}

/// One or two clocks, or those of as many disks as the median tolerates, are off by days, for an hour to four days.
fn wrong_clock(scenario: &mut Scenario<WorldConfig>, draws: &mut Draws) {
    let disks = NodeNames::new(&scenario.config).disks;
    let first = draws.within(0, disks.len() as u32 - 1) as usize;
    let most = (disks.len() - 1) / 2;
    let nodes: Vec<String> = match draws.percent(50) {
        true => (0..most).map(|offset| disks[(first + offset) % disks.len()].clone()).collect(),
        false => (0..draws.pick(&[1, 2])).map(|_| node(scenario, draws)).collect(),
    };
    for node in nodes {
        let by_ms = draws.pick(&[3, 10, 40]) * DAY_MS;
        let by_ms = if draws.percent(50) { by_ms } else { -by_ms };
        let for_ms = draws.pick(&[HOUR_MS, DAY_MS, 4 * DAY_MS]);
        let at_ms = instant_ms(scenario, draws, HOUR_MS);
        let action = FaultAction::ClockStep(ClockStep { node, by_ms, for_ms: Some(for_ms.unsigned_abs()) });
        scenario.faults.push(Fault { trigger: Trigger::AtMs(at_ms), action });
    }
}

/// A data center or the tee store confirms puts and keeps half, other bytes or nothing.
fn altering_store(scenario: &mut Scenario<WorldConfig>, draws: &mut Draws) {
    let stores = NodeNames::new(&scenario.config).stores();
    let for_ms = days_ms(scenario, draws);
    let at_ms = instant_ms(scenario, draws, for_ms);
    let level = draws.pick(&[200_000, 1_000_000]);
    let Some(last) = u32::try_from(stores.len()).ok().and_then(|count| count.checked_sub(1)) else { return };
    let node = stores[draws.within(0, last) as usize].clone();
    let for_ms = Some(for_ms.unsigned_abs());
    let action = FaultAction::Condition(Condition { node, name: PUTS_ALTERED.to_owned(), level, for_ms });
    scenario.faults.push(Fault { trigger: Trigger::AtMs(at_ms), action });
}

/// A project-day, of the last six days, is lost on every disk: an operator's script removes it or everything of the
/// project, or a bad batch of disks flips bits in each copy.
fn lost_day(scenario: &mut Scenario<WorldConfig>, draws: &mut Draws) {
    let config = &mut scenario.config;
    // What brings the day back: mostly the tee, and beyond a short one a backup.
    let has_backup = config.protection.backup.is_some();
    let is_beyond_tee = has_backup && scenario.run_for.0 >= BEYOND_TEE_RUN && draws.percent(35);
    let retention = if is_beyond_tee { SHORT_TEE_RETENTION } else { TEE_RETENTION };
    config.protection.tee =
        Some(TeeProtection { retention: Span(retention), on_failure: TeeFailurePolicy::Reject });
    if let Some(backup) = &mut config.protection.backup {
        backup.retention.0 = backup.retention.0.max(TEE_RETENTION + backup.interval.0);
    }
    config.protection.audit.get_or_insert(AuditSchedule { after_midnight: hours(3) });
    let reaction = hours(draws.pick(&[2, 1, 8, 72]));
    config.operator = Some(OperatorConfig { reaction });
    // The operator writes to every disk.
    config.heal_without = None;
    let spare = reaction.0 + Duration::from_secs(2 * 86_400);
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

/// Extends healing until everything that was damaged by the end of the run is certainly repaired.
fn make_room_for_repair(scenario: &mut Scenario<WorldConfig>) {
    let repaired = span_ms(REPAIRED_AFTER_MS);
    scenario.config.healing = Span(scenario.config.healing.0.max(repaired.0));
}
