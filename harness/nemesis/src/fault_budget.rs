//! The fault budget: the maximum number of nodes that are damaged and not yet repaired at a time.
//!
//! Damage removes durable bytes or makes them unreadable: an emptied disk, a block that rotted, cannot be read or was
//! never written, a removed directory. A disk that is down, isolated, slow, full or that reports an error loses nothing
//! and does not count. A damaged disk counts until it is certainly repaired. A write that was confirmed and lost shows
//! only once the disk boots, so its disk counts until the end.
//!
//! Only the author of a scenario exceeds the budget, on purpose.

use crate::targets::RunWindow;
use latent_sim::{Fault, FaultAction, FaultOutcome, Trigger};
use std::collections::BTreeSet;

/// Maximum damage at a time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Budget {
    /// Nodes that hold copies of the same data.
    pub groups: Vec<BudgetGroup>,
    /// Time after which damage is certainly repaired, in milliseconds.
    pub repaired_after_ms: i64,
}

/// Nodes of which a maximum number may be damaged at once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BudgetGroup {
    /// Noun for the nodes, in the plural.
    pub what: &'static str,
    /// Names of the nodes.
    pub nodes: Vec<String>,
    /// Maximum number of them.
    pub max: u16,
}

/// Returns the node whose durable bytes the action removes or makes unreadable, if any.
#[must_use]
pub fn damages(action: &FaultAction) -> Option<&str> {
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
pub struct BudgetExcess {
    /// Begin of the damage that exceeds it, in milliseconds since 1970.
    pub at_ms: i64,
    /// Noun for the nodes, in the plural.
    pub what: &'static str,
    /// The nodes that are damaged then.
    pub nodes: Vec<String>,
    /// Maximum number of them.
    pub max: u16,
}

/// Returns the faults that struck, each at the time at which it did.
#[must_use]
pub fn struck(outcomes: &[FaultOutcome]) -> Vec<Fault> {
    let at_its_time = |outcome: &FaultOutcome| {
        let trigger = Trigger::AtMs(outcome.triggered_at?.0);
        Some(Fault { trigger, action: outcome.fault.action.clone() })
    };
    outcomes.iter().filter_map(at_its_time).collect()
}

/// Adds the drawn faults unless they exceed the budget.
pub fn add_within_budget(faults: &mut Vec<Fault>, drawn: Vec<Fault>, window: &RunWindow, budget: &Budget) {
    if excesses(faults.iter().chain(&drawn), window, budget).is_empty() {
        faults.extend(drawn);
    }
}

/// Returns the times at which damage begins that exceeds the budget, in the order of the faults.
pub fn excesses<'f>(
    faults: impl Iterator<Item = &'f Fault>,
    window: &RunWindow,
    budget: &Budget,
) -> Vec<BudgetExcess> {
    let mut damage: Vec<(i64, i64, &str)> = Vec::new();
    for fault in faults {
        if let Some(node) = damages(&fault.action) {
            let (from_ms, to_ms) = trigger_window_ms(fault, window);
            let is_hidden = matches!(fault.action, FaultAction::LostWrite(_));
            let until_ms = if is_hidden { i64::MAX } else { to_ms.saturating_add(budget.repaired_after_ms) };
            damage.push((from_ms, until_ms, node));
        }
    }
    let mut found = Vec::new();
    // The number of damaged nodes rises only where damage begins.
    for (at_ms, _, _) in &damage {
        for BudgetGroup { what, nodes, max } in &budget.groups {
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
fn trigger_window_ms(fault: &Fault, window: &RunWindow) -> (i64, i64) {
    let RunWindow { start_ms, last_ms, .. } = *window;
    match &fault.trigger {
        Trigger::AtMs(at_ms) => (*at_ms, *at_ms),
        Trigger::NthOp { after_ms, .. } | Trigger::Mark { after_ms, .. } => {
            (start_ms.saturating_add_unsigned(*after_ms), last_ms)
        }
        // Resolved when the scenario was read; the whole run is the conservative bound.
        Trigger::At(_) => (start_ms, last_ms),
    }
}
