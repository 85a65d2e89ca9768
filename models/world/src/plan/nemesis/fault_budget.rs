//! The fault budget: the maximum number of nodes that are damaged and not yet repaired at a time.
//!
//! An event is acknowledged when 4 of 8 disks hold it, so with more than 3 of them damaged at once no disk may hold
//! it, whatever the code does. Damage removes durable bytes or makes them unreadable: an emptied disk, a block that
//! rotted, cannot be read or was never written, a removed directory. A disk that is down, isolated, slow, full or
//! that reports an error loses nothing and does not count. A damaged disk counts until it is certainly repaired: the
//! scrub reads every day within three nights (later in a run of more than two weeks), and the nightly comparison
//! makes copies equal. A write that was confirmed and lost shows only once the disk boots, so its disk counts until
//! the end.
//!
//! A scenario may exceed the budget on purpose; the resulting loss is `unrecoverable-by-design`.

use crate::scenario::{FaultBudget, NodeNames, WorldConfig};
use latent_engine::sim::{Fault, FaultAction, FaultOutcome, Trigger};
use latent_engine::{Scenario, humanize};
use std::collections::BTreeSet;

/// Time for which damage counts: three nights until every day was read, and a fourth to make copies equal.
pub(crate) const REPAIRED_AFTER_MS: i64 = 4 * DAY_MS;
/// Number of days of a project that a disk scrubs per night; of more than three nights' worth, each has its turn
/// later.
const DAYS_SCRUBBED_PER_NIGHT: i64 = 6;
const DAY_MS: i64 = 86_400_000;

/// Returns [`REPAIRED_AFTER_MS`], or more in a run of more than two weeks.
fn repaired_after_ms(run_ms: i64) -> i64 {
    let nights = (run_ms / DAY_MS + DAYS_SCRUBBED_PER_NIGHT) / DAYS_SCRUBBED_PER_NIGHT;
    REPAIRED_AFTER_MS.max((nights + 1) * DAY_MS)
}

/// Returns the node whose durable bytes the action removes or makes unreadable, if any.
pub(crate) fn damages(action: &FaultAction) -> Option<&str> {
    match action {
        FaultAction::NewDisk(it) => Some(&it.node),
        FaultAction::LatentSector(it) => Some(&it.node),
        FaultAction::BitRot(it) => Some(&it.node),
        FaultAction::MisdirectedWrite(it) => Some(&it.node),
        FaultAction::LostWrite(it) => Some(&it.node),
        FaultAction::RemoveDirectory(it) => Some(&it.node),
        _ => None,
    }
}

/// A time at which more nodes are damaged than the budget allows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct BudgetExcess {
    pub at_ms: i64,
    what: &'static str,
    nodes: Vec<String>,
    max: u16,
}

impl std::fmt::Display for BudgetExcess {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let BudgetExcess { at_ms, what, nodes, max } = self;
        let (at, names) = (humanize::moment_ms(*at_ms), nodes.join(", "));
        write!(f, "{} {what} damaged at once at {at} ({names}); the budget is {max}", nodes.len())
    }
}

/// Returns the faults that struck, each at the time at which it did.
pub(crate) fn struck(outcomes: &[FaultOutcome]) -> Vec<Fault> {
    let at_its_time = |outcome: &FaultOutcome| {
        let trigger = Trigger::AtMs(outcome.triggered_at?.0);
        Some(Fault { trigger, action: outcome.fault.action.clone() })
    };
    outcomes.iter().filter_map(at_its_time).collect()
}

/// Describes how the faults exceed the budget; `None` if they do not.
pub(crate) fn exceeded<'f>(
    faults: impl Iterator<Item = &'f Fault>,
    scenario: &Scenario<WorldConfig>,
    budget: &FaultBudget,
) -> Option<String> {
    excesses(faults, scenario, budget).first().map(ToString::to_string)
}

/// Returns the times at which damage begins that exceeds the budget, in the order of the faults.
pub(crate) fn excesses<'f>(
    faults: impl Iterator<Item = &'f Fault>,
    scenario: &Scenario<WorldConfig>,
    budget: &FaultBudget,
) -> Vec<BudgetExcess> {
    let names = NodeNames::new(&scenario.config);
    let end_ms = scenario.end().0.0;
    let repaired_ms = repaired_after_ms(end_ms - scenario.start.0.0);
    let mut damage: Vec<(i64, i64, &str)> = Vec::new();
    for fault in faults {
        if let Some(node) = damages(&fault.action) {
            let (from_ms, to_ms) = trigger_window_ms(fault, scenario.start.0.0, end_ms);
            let is_hidden = matches!(fault.action, FaultAction::LostWrite(_));
            let until_ms = if is_hidden { i64::MAX } else { to_ms.saturating_add(repaired_ms) };
            damage.push((from_ms, until_ms, node));
        }
    }
    let tee: Vec<String> = names.edges.iter().chain(&names.tee_store).cloned().collect();
    let groups = [
        // With this many disks damaged, one disk that holds an acknowledged event is left.
        ("disks", budget.disks.min(scenario.config.topology.ack_copies.saturating_sub(1)), &names.disks),
        ("data centers", budget.data_centers, &names.data_centers),
        ("edges and tee store", budget.tee, &tee),
    ];
    let mut found = Vec::new();
    // The number of damaged nodes rises only where damage begins.
    for (at_ms, _, _) in &damage {
        for (what, max, nodes) in &groups {
            let is_member = |node: &str| nodes.iter().any(|one| one == node);
            let at_once: BTreeSet<&str> = damage
                .iter()
                .filter(|(from, to, node)| from <= at_ms && at_ms <= to && is_member(node))
                .map(|(_, _, node)| *node)
                .collect();
            if at_once.len() > usize::from(*max) {
                let nodes = at_once.into_iter().map(str::to_owned).collect();
                found.push(BudgetExcess { at_ms: *at_ms, what, nodes, max: *max });
            }
        }
    }
    found
}

/// Returns the first and last time at which a fault may trigger, in milliseconds since 1970.
fn trigger_window_ms(fault: &Fault, start_ms: i64, end_ms: i64) -> (i64, i64) {
    match &fault.trigger {
        Trigger::AtMs(at_ms) => (*at_ms, *at_ms),
        Trigger::NthOp { after_ms, .. } | Trigger::Mark { after_ms, .. } => {
            (start_ms.saturating_add_unsigned(*after_ms), end_ms)
        }
        // Resolved when the scenario was read; the whole run is the conservative bound.
        Trigger::At(_) => (start_ms, end_ms),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn damage_counts_for_longer_in_runs_with_a_longer_scrub_cycle() {
        let nights = |days: i64| repaired_after_ms(days * DAY_MS) / DAY_MS;
        assert_eq!([nights(1), nights(7), nights(17)], [4, 4, 4]);
        assert_eq!([nights(18), nights(365)], [5, 62]);
    }
}
