//! The fault budget of the pipeline.
//!
//! An event is acknowledged when 4 of 8 disks hold it, so with more than 3 of them damaged at once no disk may hold it,
//! whatever the code does. A damaged disk is certainly repaired once the scrub has read every day, within three nights
//! (later in a run of more than two weeks), and the nightly comparison has made copies equal.
//!
//! A scenario may exceed the budget on purpose; the resulting loss is `unrecoverable-by-design`.

use super::pipeline_targets::run_window;
use crate::plan::time_limits::REPAIRED_AFTER_MS;
use crate::scenario::{FaultBudget, NodeNames, WorldConfig};
use latent_engine::sim::Fault;
use latent_engine::{Scenario, humanize};
use latent_nemesis::{Budget, BudgetExcess, BudgetGroup};
use latent_oracle::invariants::i13_scrub::DAYS_PER_NIGHT;

const DAY_MS: i64 = 86_400_000;

/// Returns [`REPAIRED_AFTER_MS`], or more in a run of more than two weeks: of more days than three nights scrub, each
/// has its turn later.
fn repaired_after_ms(run_ms: i64) -> i64 {
    let days_per_night = DAYS_PER_NIGHT as i64;
    let nights = (run_ms / DAY_MS + days_per_night) / days_per_night;
    REPAIRED_AFTER_MS.max((nights + 1) * DAY_MS)
}

/// Returns the budget of a scenario's nodes.
pub(crate) fn budget(scenario: &Scenario<WorldConfig>, of: &FaultBudget) -> Budget {
    let names = NodeNames::new(&scenario.config);
    let tee = names.edges.iter().chain(&names.tee_store).cloned().collect();
    // With this many disks damaged, one disk that holds an acknowledged event is left.
    let disks = of.disks.min(scenario.config.topology.ack_copies.saturating_sub(1));
    let groups = vec![
        BudgetGroup { what: "disks", nodes: names.disks, max: disks },
        BudgetGroup { what: "data centers", nodes: names.data_centers, max: of.data_centers },
        BudgetGroup { what: "edges and tee store", nodes: tee, max: of.tee },
    ];
    Budget { groups, repaired_after_ms: repaired_after_ms(scenario.end().0.0 - scenario.start.0.0) }
}

/// Returns the times at which damage begins that exceeds the budget, in the order of the faults.
pub(crate) fn excesses<'f>(
    faults: impl Iterator<Item = &'f Fault>,
    scenario: &Scenario<WorldConfig>,
    of: &FaultBudget,
) -> Vec<BudgetExcess> {
    latent_nemesis::excesses(faults, &run_window(scenario), &budget(scenario, of))
}

/// Describes how the faults exceed the budget; `None` if they do not.
pub(crate) fn exceeded<'f>(
    faults: impl Iterator<Item = &'f Fault>,
    scenario: &Scenario<WorldConfig>,
    of: &FaultBudget,
) -> Option<String> {
    excesses(faults, scenario, of).first().map(describe)
}

/// Describes an excess: which nodes, when, and what the budget is.
pub(crate) fn describe(excess: &BudgetExcess) -> String {
    let BudgetExcess { at_ms, what, nodes, max } = excess;
    let (at, names) = (humanize::moment_ms(*at_ms), nodes.join(", "));
    format!("{} {what} damaged at once at {at} ({names}); the budget is {max}", nodes.len())
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
