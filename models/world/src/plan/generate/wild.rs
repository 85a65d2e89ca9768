//! Generates a wild scenario: a generated one, and a time of trouble that is longer or larger than every window that
//! the generator stays within.
//!
//! Modelled: a node that is away for days, a disk that is replaced while another is away, an edge whose disk is replaced
//! several times, all holders of a write that lose power at once, clocks that are wrong by days, a store that for days
//! keeps other bytes than it confirms, backups that take hours, a project-day that is removed from every disk, or rots on
//! every disk, and a release that loses or alters events and is rolled back. The last two are more than the disks
//! withstand. The events are within what the tee or a backup holds, an audit and an operator are there, and nothing else
//! harms the tee, so the scenario expects that a recovery brings everything back.
//!
//! Not modelled: two of these in one run; the loss of all data centers or of the tee, after which nothing is promised.

mod bad_release;
mod lost_day;
#[cfg(test)]
mod tests;

use super::nemesis::budget;
use super::quiet_scenario::{DAY_MS, HOUR_MS, MINUTE_MS, span_ms};
use super::{GeneratedScenario, about};
use crate::plan::time_limits::REPAIRED_AFTER_MS;
use crate::scenario::store_conditions::PUTS_ALTERED;
use crate::scenario::{NodeNames, TeeFailurePolicy, WorldConfig};
use arbitrary::{Arbitrary, Result, Unstructured};
use bad_release::bad_release;
use latent_engine::sim::{
    ClockStep, Condition, CrashPolicy, DegradeLink, Fault, FaultAction, Isolate, Kill, NewDisk, OpKind,
    PowerLoss, Trigger,
};
use latent_engine::verdict::Expectation;
use latent_engine::{Scenario, Span};
use latent_nemesis::{Choices, damages};
use lost_day::lost_day;
use std::collections::BTreeSet;

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
    SlowBackup,
    LostDay,
    BadRelease,
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
            Trouble::SlowBackup,
            Trouble::BadRelease,
            Trouble::BadRelease,
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
            Trouble::SlowBackup => slow_backup(&mut scenario, &mut draws),
            Trouble::LostDay => lost_day(&mut scenario, &mut draws),
            Trouble::BadRelease => bad_release(&mut scenario, &mut draws),
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
            Trouble::SlowBackup => "Backups take hours.",
            Trouble::LostDay => "A project-day is lost on every disk.",
            Trouble::BadRelease => "A release loses or alters events and is rolled back.",
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

/// Removes the faults that damage one of these nodes.
fn leave_undamaged<'n>(faults: &mut Vec<Fault>, nodes: impl Iterator<Item = &'n String>) {
    let nodes: BTreeSet<&str> = nodes.map(String::as_str).collect();
    faults.retain(|fault| !damages(&fault.action).is_some_and(|node| nodes.contains(node)));
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
    leave_undamaged(&mut scenario.faults, disks.iter());
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
    leave_undamaged(&mut scenario.faults, names.edges.iter().chain(&names.tee_store));
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

/// For days, the links of the backup node, or of a data center, are so slow that a backup takes up to hours.
fn slow_backup(scenario: &mut Scenario<WorldConfig>, draws: &mut Draws) {
    let names = NodeNames::new(&scenario.config);
    let Some(backup) = names.backup else { return };
    let nodes: Vec<&String> = std::iter::once(&backup).chain(&names.data_centers).collect();
    let from = nodes[draws.within(0, nodes.len() as u32 - 1) as usize].clone();
    let (for_ms, latency_times) = (days_ms(scenario, draws), draws.pick(&[2_000, 500, 8_000]));
    let at_ms = instant_ms(scenario, draws, for_ms);
    let degrade = DegradeLink {
        from,
        to: "*".to_owned(),
        both: true,
        latency_times: Some(latency_times),
        for_ms: Some(for_ms.unsigned_abs()),
        ..DegradeLink::default()
    };
    let (trigger, action) = (Trigger::AtMs(at_ms), FaultAction::DegradeLink(degrade));
    scenario.faults.push(Fault { trigger, action });
}

/// Extends healing until everything that was damaged by the end of the run is certainly repaired.
fn make_room_for_repair(scenario: &mut Scenario<WorldConfig>) {
    let repaired = span_ms(REPAIRED_AFTER_MS);
    scenario.config.healing = Span(scenario.config.healing.0.max(repaired.0));
}
