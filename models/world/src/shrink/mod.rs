//! Reductions of a failing case: fewer projects, operations, deploys, loads, days, events and nodes; then simpler
//! shares, operations and times.
//!
//! When items are removed, the others do not change: a project keeps its number and draws, an event its bytes, time
//! and request, and a project's nightly job its start. What changes is the edge that receives a request, because
//! clients use the edges in turn, and therefore the behavior of the network. The engine runs the smaller case to find
//! out whether it still fails.
//!
//! In a case the plan is authoritative. Scenario fields from which it was expanded (loads, operations, numbers of
//! drills and exports) are cleared, which removes redundant and stale fields.
//!
//! - `lists`: items of lists. `duration`: run and healing duration. `events`: events. `nodes`: nodes and protection.
//! - `simplify`: simpler values for what remains.

mod duration;
mod events;
mod lists;
mod nodes;
mod simplify;
#[cfg(test)]
mod tests;

use crate::plan::WorldPlan;
use crate::scenario::{TenantClass, WorldConfig};
use crate::{Latent, check};
use latent_engine::{CaseOf, Reduction, ReductionOf};
use std::collections::BTreeSet;

pub(crate) use events::materialize;

/// A case of this system.
type WorldCase = CaseOf<Latent>;

/// Returns all reductions, the most effective first.
pub(crate) fn reductions() -> Vec<ReductionOf<Latent>> {
    use Reduction::{Remove, Simplify};
    vec![
        Remove { what: "projects", count: lists::projects, without: lists::without_projects },
        Remove { what: "operations", count: lists::operations, without: lists::without_operations },
        Remove { what: "zone edits", count: lists::zone_edits, without: lists::without_zone_edits },
        Remove { what: "deploys", count: lists::deploys, without: lists::without_deploys },
        Remove { what: "drills", count: lists::drills, without: lists::without_drills },
        Remove { what: "exports", count: lists::exports, without: lists::without_exports },
        Remove { what: "loads", count: lists::loads, without: lists::without_loads },
        Simplify { what: "days", cases: duration::shorter },
        Simplify { what: "healing", cases: simplify::healing },
        Simplify { what: "thresholds", cases: simplify::thresholds },
        Remove { what: "events", count: events::count, without: events::without },
        Remove { what: "spare nodes", count: nodes::count, without: nodes::without },
        Simplify { what: "shares", cases: simplify::shares },
        Simplify { what: "operations", cases: simplify::operations },
        Simplify { what: "times", cases: simplify::times },
    ]
}

/// Removes the items at these indices.
fn leave_out<T>(items: &mut Vec<T>, indices: &BTreeSet<usize>) {
    let mut index = 0..;
    items.retain(|_| index.next().is_none_or(|index| !indices.contains(&index)));
}

/// Removes unreferenced fields; returns `None` if the case is invalid.
fn normalized(mut case: WorldCase) -> Option<WorldCase> {
    // Only the case's own faults are armed.
    case.plan.system.faults.clear();
    remove_unused(&mut case.scenario.config, &case.plan.system);
    is_valid(&case).then_some(case)
}

fn remove_unused(config: &mut WorldConfig, plan: &WorldPlan) {
    config.load.clear();
    config.operations.clear();
    config.zone_edits.clear();
    (config.drills, config.exports_per_project) = (0, 0);
    let members = |class: &TenantClass| plan.tenants.iter().filter(|it| it.class == class.name).count();
    for class in &mut config.tenants {
        class.count = u32::try_from(members(class)).unwrap_or(u32::MAX);
    }
    config.tenants.retain(|class| class.count > 0);
    config.zones.retain(|share| plan.tenants.iter().any(|tenant| tenant.zone == share.zone));
    let deployed: BTreeSet<String> = config.deploys.iter().map(|deploy| deploy.release.clone()).collect();
    config.releases.retain(|release| deployed.contains(&release.name));
}

/// Returns true if everything that the case refers to exists and its scenario can be parsed again.
fn is_valid(case: &WorldCase) -> bool {
    let plan = &case.plan.system;
    let mut with_faults = case.scenario.clone();
    with_faults.faults.extend(case.plan.faults.iter().cloned());
    let protection = &case.scenario.config.protection;
    let can_be_done = plan.operations.iter().all(|operation| operation.action.lacks(protection).is_none());
    let specs_are_valid = plan.tenants.iter().all(|tenant| tenant.workload.check().is_ok());
    can_be_done && specs_are_valid && check::check(&with_faults).is_empty()
}
