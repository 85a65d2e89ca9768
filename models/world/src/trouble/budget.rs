//! The fault budget: what may be damaged and not yet repaired at once.
//!
//! An event is acknowledged when 4 of 8 disks hold it, so with more than 3 of them damaged at once it may be on
//! none: no code can be blamed for that. Damage is what takes durable bytes away or makes them unreadable: an
//! emptied disk, a block that rotted, cannot be read, or was never written, a directory that somebody removed. A
//! disk that is down, cut off, slow, full or that reports an error loses nothing and does not count. A damaged disk
//! counts until it is surely repaired: the scrub reads every day again within three nights (later in a run of
//! more than two weeks), and the night's comparison brings copies together. A write that was confirmed and lost
//! shows only once the disk boots, so its disk counts to the end.
//!
//! What exceeds the budget on purpose is allowed, and what it then loses is `unrecoverable-by-design`.

use crate::scenario::Topic;
use crate::topology::Names;
use latent_engine::sim::{Action, Anchor, Fault};
use latent_engine::{Scenario, humanize};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// Damage counts for so long: three nights until every day was read again, a fourth to bring copies together.
pub(crate) const REPAIRED_AFTER_MS: i64 = 4 * DAY_MS;
/// A disk reads so many days of a project a night: of more than three nights' worth each has its turn later.
const DAYS_READ_A_NIGHT: i64 = 6;
const DAY_MS: i64 = 86_400_000;

/// As [`REPAIRED_AFTER_MS`], in a run that may be longer than two weeks.
fn repaired_after_ms(run_ms: i64) -> i64 {
    let nights = (run_ms / DAY_MS + DAYS_READ_A_NIGHT) / DAYS_READ_A_NIGHT;
    REPAIRED_AFTER_MS.max((nights + 1) * DAY_MS)
}

/// How many may be damaged at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Budget {
    /// Disks of Arb: one less than hold an acknowledged event.
    #[schemars(range(max = 16))]
    pub disks: u16,
    /// Data centers: each alone is enough to restore.
    #[schemars(range(max = 16))]
    pub data_centers: u16,
    /// Edges and tee store together: a request is on two of them.
    #[schemars(range(max = 16))]
    pub tee: u16,
}

impl Default for Budget {
    fn default() -> Self {
        Budget { disks: 3, data_centers: 1, tee: 1 }
    }
}

/// The node whose durable bytes an action takes away or makes unreadable, if it does such a thing.
pub(crate) fn damages(action: &Action) -> Option<&str> {
    match action {
        Action::NewDisk(it) => Some(&it.node),
        Action::LatentSector(it) => Some(&it.node),
        Action::BitRot(it) => Some(&it.node),
        Action::MisdirectedWrite(it) => Some(&it.node),
        Action::LostWrite(it) => Some(&it.node),
        Action::RemoveDirectory(it) => Some(&it.node),
        _ => None,
    }
}

/// What goes beyond the budget, in words; `None` when nothing does.
pub(crate) fn exceeded<'f>(
    faults: impl Iterator<Item = &'f Fault>,
    scenario: &Scenario<Topic>,
    budget: &Budget,
) -> Option<String> {
    let names = Names::of(&scenario.config);
    let end_ms = scenario.end().0.0;
    let repaired_ms = repaired_after_ms(end_ms - scenario.start.0.0);
    let mut damage: Vec<(i64, i64, &str)> = Vec::new();
    for fault in faults {
        if let Some(node) = damages(&fault.action) {
            let (from_ms, to_ms) = may_strike(fault, scenario.start.0.0, end_ms);
            let is_hidden = matches!(fault.action, Action::LostWrite(_));
            let until_ms = if is_hidden { i64::MAX } else { to_ms.saturating_add(repaired_ms) };
            damage.push((from_ms, until_ms, node));
        }
    }
    let tee: Vec<String> = names.edges.iter().chain(&names.tee_store).cloned().collect();
    let groups = [
        // With so many damaged, one that holds an acknowledged event is left.
        ("disks", budget.disks.min(scenario.config.topology.ack_copies.saturating_sub(1)), &names.disks),
        ("data centers", budget.data_centers, &names.data_centers),
        ("edges and tee store", budget.tee, &tee),
    ];
    // The number damaged at once can only rise where damage begins.
    for (at_ms, _, _) in &damage {
        for (what, most, nodes) in &groups {
            let at_once: BTreeSet<&str> = damage
                .iter()
                .filter(|(from, to, node)| {
                    from <= at_ms && at_ms <= to && nodes.iter().any(|one| one == node)
                })
                .map(|(_, _, node)| *node)
                .collect();
            if at_once.len() > usize::from(*most) {
                let nodes = at_once.iter().copied().collect::<Vec<_>>().join(", ");
                return Some(format!(
                    "{} {what} damaged at once at {} ({nodes}); the budget is {most}",
                    at_once.len(),
                    humanize::moment_ms(*at_ms)
                ));
            }
        }
    }
    None
}

/// From when to when a fault may strike, milliseconds since 1970.
fn may_strike(fault: &Fault, start_ms: i64, end_ms: i64) -> (i64, i64) {
    match &fault.anchor {
        Anchor::AtMs(at_ms) => (*at_ms, *at_ms),
        Anchor::NthOp { after_ms, .. } | Anchor::Mark { after_ms, .. } => {
            (start_ms.saturating_add_unsigned(*after_ms), end_ms)
        }
        // Resolved when the scenario was read; at worst it may be at any time.
        Anchor::At(_) => (start_ms, end_ms),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn damage_counts_for_longer_where_the_scrub_comes_round_later() {
        let nights = |days: i64| repaired_after_ms(days * DAY_MS) / DAY_MS;
        assert_eq!([nights(1), nights(7), nights(17)], [4, 4, 4]);
        assert_eq!([nights(18), nights(365)], [5, 62]);
    }
}
