//! Excuses: the times during which faults of the plan kept a job from working.
//!
//! One model covers all jobs. A fault has nodes, a start and an end. A job depends on some nodes entirely, and on a
//! minimum number of nodes of some groups, such as enough disks. A job is excused while a fault affects one of the
//! former or leaves too few of the latter, and for a stated time afterwards in which it catches up: the time until
//! its next attempt.
//!
//! - A link fault affects a job if both ends are nodes of the job and one of them is required: traffic between disks
//!   does not delay a backup.
//! - A condition (a throttling store, expired credentials) affects its node as isolation would.
//! - If damage exceeds the fault budget, an operator repairs it, where there is one: it lasts until the operator must have
//!   noticed it and recovered, and one night more.
//! - Damage (a new disk, rot, an unreadable block, a removed directory) lasts until it is certainly repaired: some
//!   nights, and one more for each other fault that may have cost one. A write that was confirmed and lost counts as
//!   damage from the next boot of its node on.
//! - A fault with a limited number of operations ends with the last of them.
//! - A wrong clock affects its node for as long as timers may sleep by its reading, also after it is right again.
//! - A deploy, or an operator's restart of a node, affects the node for an instant. Operator configuration is not an
//!   excuse: disabled backups are not excused.
//! - No excuse: short reads, short listing pages, garbage after a crash, clock drift of some seconds. The system must
//!   tolerate these.

mod fault_interval;

use crate::plan::nemesis::fault_budget::excesses;
use crate::plan::time_limits;
use crate::plan::time_limits::REPAIRED_AFTER_MS;
use crate::scenario::WorldConfig;
use fault_interval::{FaultInterval, FaultScope, corrupts, fault_interval};
use latent_engine::Scenario;
use latent_engine::sim::{FaultOutcome, World};
use latent_nemesis::struck;
use latent_oracle::ExcusedPeriods;
use std::collections::{BTreeMap, BTreeSet};

/// Maximum time from one nightly comparison to the next.
const NIGHT_MS: i64 = 25 * 3_600_000;

/// A group of nodes of which a job needs a minimum number.
#[derive(Clone, Debug)]
pub(crate) struct QuorumGroup {
    nodes: BTreeSet<String>,
    min: usize,
}

/// Nodes that a job depends on.
#[derive(Clone, Debug, Default)]
pub(crate) struct JobDependencies {
    /// Nodes that are all required.
    pub all: BTreeSet<String>,
    /// Groups of nodes with a required minimum each.
    pub some_of: Vec<QuorumGroup>,
    /// Nodes of which only the links to the required nodes are required.
    pub linked: BTreeSet<String>,
    /// Maximum time from the end of a fault to the job's next attempt.
    pub catch_up_ms: i64,
    /// Maximum time until a damaged required node is repaired.
    pub repaired_after_ms: i64,
    /// Whether corrupted bytes of a required node affect the job. If not, the caller knows which files they are in.
    pub ignores_corruption: bool,
}

impl JobDependencies {
    /// Creates dependencies that require all of these nodes.
    pub fn new(nodes: impl IntoIterator<Item = String>, catch_up_ms: i64) -> JobDependencies {
        let all = nodes.into_iter().collect();
        JobDependencies {
            all,
            catch_up_ms,
            repaired_after_ms: REPAIRED_AFTER_MS,
            ..JobDependencies::default()
        }
    }

    /// Adds a group of nodes with a required minimum.
    pub fn and_some_of(mut self, min: usize, nodes: impl IntoIterator<Item = String>) -> JobDependencies {
        self.some_of.push(QuorumGroup { nodes: nodes.into_iter().collect(), min });
        self
    }

    fn member(&self, name: &str) -> Option<&str> {
        self.some_of.iter().find_map(|group| group.nodes.get(name)).map(String::as_str)
    }
}

/// All faults so far that may have kept a job from working.
#[derive(Clone, Debug, Default)]
pub(crate) struct Excuses {
    /// Node that repairs damaged disks at night.
    repairer: Option<String>,
    /// The scenario, if its operator repairs damage beyond the budget.
    scenario: Option<Scenario<WorldConfig>>,
    /// Time by which an operator must have repaired the damage that exceeds the budget, if there is any.
    repaired_by_operator_ms: Option<i64>,
    faults: Vec<FaultInterval>,
    /// Restarts by operators, and nodes that stay away.
    restarts: Vec<FaultInterval>,
    /// Time at which a fault with a limited number of operations was found exhausted, by fault number.
    exhausted_at_ms: BTreeMap<usize, i64>,
}

impl Excuses {
    /// Creates excuses without faults; `repairer` is the node that repairs damaged disks at night.
    pub fn new(scenario: &Scenario<WorldConfig>, repairer: Option<String>) -> Excuses {
        let reacts = scenario.config.operator.is_some();
        Excuses { repairer, scenario: reacts.then(|| scenario.clone()), ..Excuses::default() }
    }

    /// Returns the time by which an operator must have repaired the damage that exceeds the budget, if there is any.
    pub fn repaired_by_operator_ms(&self) -> Option<i64> {
        self.repaired_by_operator_ms
    }

    /// Updates the time of that repair from the faults that struck.
    fn update_operator_repair(&mut self, outcomes: &[FaultOutcome]) {
        let Some(scenario) = &self.scenario else { return };
        let budget = scenario.config.nemesis.as_ref().map(|nemesis| nemesis.budget).unwrap_or_default();
        let struck = struck(outcomes);
        let last_ms = excesses(struck.iter(), scenario, &budget).iter().map(|excess| excess.at_ms).max();
        let has_corruption = struck.iter().any(|fault| corrupts(&fault.action));
        let within = time_limits::operator_repair(&scenario.config, has_corruption);
        self.repaired_by_operator_ms = last_ms
            .zip(within)
            .map(|(at_ms, within)| at_ms.saturating_add_unsigned(within.as_millis() as u64));
    }

    /// Updates the faults from their outcomes. `booted` returns the first boot of a node after a time.
    pub fn update(&mut self, world: &World, booted: impl Fn(&str, i64) -> Option<i64>) {
        self.set_outcomes(world.fault_outcomes(), world.now().0, booted);
    }

    fn set_outcomes(
        &mut self,
        outcomes: Vec<FaultOutcome>,
        now_ms: i64,
        booted: impl Fn(&str, i64) -> Option<i64>,
    ) {
        self.update_operator_repair(&outcomes);
        self.faults.clear();
        for (index, outcome) in outcomes.into_iter().enumerate() {
            let Some(from_ms) = outcome.triggered_at.map(|at| at.0) else { continue };
            if outcome.is_exhausted {
                self.exhausted_at_ms.entry(index).or_insert(now_ms);
            }
            let exhausted_at_ms = self.exhausted_at_ms.get(&index).copied();
            let ended_ms = outcome.ended_at.map(|at| at.0);
            let to_ms = exhausted_at_ms.into_iter().chain(ended_ms).min();
            self.faults.extend(fault_interval(&outcome.fault.action, from_ms, to_ms, &booted));
        }
        for index in 0..self.faults.len() {
            if self.faults[index].is_damage {
                self.faults[index].nights_lost = self.nights_lost(index);
                self.faults[index].repaired_by_operator_ms = self.repaired_by_operator_ms();
            }
        }
    }

    /// Returns the number of nights that other faults may have cost this repair.
    fn nights_lost(&self, damage: usize) -> i64 {
        let FaultInterval { scope, from_ms, to_ms, .. } = &self.faults[damage];
        let FaultScope::Nodes(damaged) = scope else { return 0 };
        let concerned = JobDependencies::new(damaged.iter().chain(&self.repairer).cloned(), 0);
        let others = self.faults.iter().enumerate().filter(|(index, _)| *index != damage);
        let mut others: Vec<&FaultInterval> =
            others.map(|(_, other)| other).filter(|other| other.scope.affects(&concerned)).collect();
        others.sort_by_key(|other| other.from_ms);
        let Some(to_ms) = to_ms else { return 0 };
        let mut until_ms = to_ms + REPAIRED_AFTER_MS;
        let mut nights = 0;
        for other in others {
            let other_ends_ms = other.to_ms.unwrap_or(i64::MAX);
            if other.from_ms <= until_ms && other_ends_ms >= *from_ms {
                let lasted_ms = other_ends_ms.min(until_ms) - other.from_ms.max(*from_ms);
                let lost = 1 + lasted_ms.max(0) / NIGHT_MS;
                (nights, until_ms) = (nights + lost, until_ms + lost * NIGHT_MS);
            }
        }
        nights
    }

    /// Records a restart of a node by an operator.
    pub fn record_restart(&mut self, node: &str, at_ms: i64) {
        let scope = FaultScope::Nodes(vec![node.to_owned()]);
        let to_ms = Some(at_ms + 1);
        self.restarts.push(FaultInterval {
            scope,
            from_ms: at_ms,
            to_ms,
            is_damage: false,
            is_corruption: false,
            is_seen_at_once: false,
            is_clock: false,
            nights_lost: 0,
            repaired_by_operator_ms: None,
        });
    }

    /// Records that a node stays away.
    pub fn record_permanent_loss(&mut self, node: &str, at_ms: i64) {
        let scope = FaultScope::Nodes(vec![node.to_owned()]);
        self.restarts.push(FaultInterval {
            scope,
            from_ms: at_ms,
            to_ms: None,
            is_damage: false,
            is_corruption: false,
            is_seen_at_once: false,
            is_clock: false,
            nights_lost: 0,
            repaired_by_operator_ms: None,
        });
    }

    /// Returns the times at which a job with these dependencies was kept from working.
    pub fn for_job(&self, dependencies: &JobDependencies) -> ExcusedPeriods {
        let mut spans: Vec<(i64, i64)> = Vec::new();
        let mut each: BTreeMap<&str, Vec<(i64, i64)>> = BTreeMap::new();
        for one in self.faults.iter().chain(&self.restarts) {
            let overlap = one.scope.overlap(dependencies);
            if overlap.affects_required && !(one.is_corruption && dependencies.ignores_corruption) {
                spans.push(one.span(dependencies.catch_up_ms, dependencies.repaired_after_ms));
            }
            for name in overlap.members {
                each.entry(name).or_default().push(one.span(dependencies.catch_up_ms, REPAIRED_AFTER_MS));
            }
        }
        spans.extend(dependencies.some_of.iter().flat_map(|group| below_quorum(&each, group)));
        ExcusedPeriods::of(spans)
    }
}

/// Returns the times at which fewer nodes of the group than required were unaffected.
fn below_quorum(each: &BTreeMap<&str, Vec<(i64, i64)>>, group: &QuorumGroup) -> Vec<(i64, i64)> {
    let each: Vec<&Vec<(i64, i64)>> = group.nodes.iter().filter_map(|name| each.get(name.as_str())).collect();
    if group.nodes.len() - each.len() >= group.min {
        return Vec::new();
    }
    let edges: BTreeSet<i64> = each.iter().copied().flatten().flat_map(|(from, to)| [*from, *to]).collect();
    let edges: Vec<i64> = edges.into_iter().collect();
    let is_in =
        |at_ms: i64, spans: &[(i64, i64)]| spans.iter().any(|(from, to)| *from <= at_ms && at_ms < *to);
    let is_short = |at_ms: i64| {
        let scope = each.iter().filter(|spans| is_in(at_ms, spans)).count();
        group.nodes.len() - scope < group.min
    };
    edges.windows(2).filter(|pair| is_short(pair[0])).map(|pair| (pair[0], pair[1])).collect()
}

#[cfg(test)]
mod tests;
