//! What makes a case of this system smaller: fewer projects, operations, deploys, loads, days, events, nodes; then
//! simpler shares, operations and times.
//!
//! Whatever is left out, the rest keeps what it had: a project its number and its draws, an event its bytes, its time
//! and its request. A project's nightly job stays where it was. What does move is which edge a request comes to, for
//! clients take them in turn, and with it what the network makes of it. Whether a smaller case still fails is nobody's
//! guess: the engine runs it and sees.
//!
//! In a case the plan decides. What of a scenario a plan was expanded from (loads, operations, numbers of drills and
//! exports) is cleared, so that a case says nothing twice, and nothing that is no longer so.
//!
//! - `parts`: what stands in lists. `days`: how long it lasts. `events`: what clients send. `nodes`: who is there.
//! - `simpler`: something simpler in place of what stays.

mod duration;
mod events;
mod lists;
mod nodes;
mod simplify;
#[cfg(test)]
mod tests;

use crate::plan::WorldPlan;
use crate::scenario::{TenantClass, WorldConfig};
use crate::{Latent, scenario};
use latent_engine::{Case, Reduction};
use std::collections::BTreeSet;

pub(crate) use events::written_out;

/// A case of this system.
type WorldCase = Case<Latent>;

/// Every way to make a case smaller, the most effective first.
pub(crate) fn reductions() -> Vec<Reduction<Latent>> {
    use Reduction::{LeaveOut, Simplify};
    vec![
        LeaveOut { what: "projects", count: lists::projects, without: lists::without_projects },
        LeaveOut { what: "operations", count: lists::operations, without: lists::without_operations },
        LeaveOut { what: "deploys", count: lists::deploys, without: lists::without_deploys },
        LeaveOut { what: "drills", count: lists::drills, without: lists::without_drills },
        LeaveOut { what: "exports", count: lists::exports, without: lists::without_exports },
        LeaveOut { what: "loads", count: lists::loads, without: lists::without_loads },
        Simplify { what: "days", cases: duration::shorter },
        Simplify { what: "healing", cases: simplify::healing },
        Simplify { what: "thresholds", cases: simplify::thresholds },
        LeaveOut { what: "events", count: events::count, without: events::without },
        LeaveOut { what: "spare nodes", count: nodes::count, without: nodes::without },
        Simplify { what: "shares", cases: simplify::shares },
        Simplify { what: "operations", cases: simplify::operations },
        Simplify { what: "times", cases: simplify::times },
    ]
}

/// Leaves out what stands at these places.
fn leave_out<T>(items: &mut Vec<T>, indices: &BTreeSet<usize>) {
    let mut index = 0..;
    items.retain(|_| index.next().is_none_or(|index| !indices.contains(&index)));
}

/// A case that is complete: without what nothing refers to any more. `None` if something refers to what is gone.
fn normalized(mut case: WorldCase) -> Option<WorldCase> {
    // The case's own faults are all that are armed.
    case.plan.system.faults.clear();
    remove_unused(&mut case.scenario.topic, &case.plan.system);
    is_valid(&case).then_some(case)
}

fn remove_unused(config: &mut WorldConfig, plan: &WorldPlan) {
    config.load.clear();
    config.operations.clear();
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

/// Whether all that the case names is there, and its scenario can be read again.
fn is_valid(case: &WorldCase) -> bool {
    let plan = &case.plan.system;
    let mut with_faults = case.scenario.clone();
    with_faults.faults.extend(case.plan.faults.iter().cloned());
    let protection = &case.scenario.topic.protection;
    let can_be_done = plan.operations.iter().all(|operation| operation.action.lacks(protection).is_none());
    let specs_are_valid = plan.tenants.iter().all(|tenant| tenant.workload.check().is_ok());
    can_be_done && specs_are_valid && scenario::check(&with_faults).is_empty()
}
