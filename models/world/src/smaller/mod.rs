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

mod days;
mod events;
mod nodes;
mod parts;
mod simpler;
#[cfg(test)]
mod tests;

use crate::plan::WorldPlan;
use crate::scenario::{TenantClass, Topic};
use crate::{Latent, scenario};
use latent_engine::{Case, Reduction};
use std::collections::BTreeSet;

pub(crate) use events::materialize;

/// A case of this system.
type LatentCase = Case<Latent>;

/// Every way to make a case smaller, the most effective first.
pub(crate) fn reductions() -> Vec<Reduction<Latent>> {
    use Reduction::{Remove, Simplify};
    vec![
        Remove { what: "projects", count: parts::projects, without: parts::without_projects },
        Remove { what: "operations", count: parts::operations, without: parts::without_operations },
        Remove { what: "deploys", count: parts::deploys, without: parts::without_deploys },
        Remove { what: "drills", count: parts::drills, without: parts::without_drills },
        Remove { what: "exports", count: parts::exports, without: parts::without_exports },
        Remove { what: "loads", count: parts::loads, without: parts::without_loads },
        Simplify { what: "days", cases: days::fewer },
        Simplify { what: "healing", cases: simpler::healing },
        Simplify { what: "thresholds", cases: simpler::thresholds },
        Remove { what: "events", count: events::count, without: events::without },
        Remove { what: "spare nodes", count: nodes::count, without: nodes::without },
        Simplify { what: "shares", cases: simpler::shares },
        Simplify { what: "operations", cases: simpler::operations },
        Simplify { what: "times", cases: simpler::times },
    ]
}

/// Leaves out what stands at these places.
fn leave_out<T>(items: &mut Vec<T>, places: &BTreeSet<usize>) {
    let mut place = 0..;
    items.retain(|_| place.next().is_none_or(|place| !places.contains(&place)));
}

/// A case that is complete: without what nothing refers to any more. `None` if something refers to what is gone.
fn finished(mut case: LatentCase) -> Option<LatentCase> {
    // The case's own faults are all that are armed.
    case.plan.system.faults.clear();
    tidy(&mut case.scenario.config, &case.plan.system);
    is_sound(&case).then_some(case)
}

fn tidy(topic: &mut Topic, plan: &WorldPlan) {
    topic.load.clear();
    topic.operations.clear();
    (topic.drills, topic.exports_per_project) = (0, 0);
    let members = |class: &TenantClass| plan.tenants.iter().filter(|it| it.class == class.name).count();
    for class in &mut topic.tenants {
        class.count = u32::try_from(members(class)).unwrap_or(u32::MAX);
    }
    topic.tenants.retain(|class| class.count > 0);
    topic.zones.retain(|share| plan.tenants.iter().any(|tenant| tenant.zone == share.zone));
    let deployed: BTreeSet<String> = topic.deploys.iter().map(|deploy| deploy.release.clone()).collect();
    topic.releases.retain(|release| deployed.contains(&release.name));
}

/// Whether all that the case names is there, and its scenario can be read again.
fn is_sound(case: &LatentCase) -> bool {
    let plan = &case.plan.system;
    let mut with_faults = case.scenario.clone();
    with_faults.faults.extend(case.plan.faults.iter().cloned());
    let protection = &case.scenario.config.protection;
    let can_be_done = plan.operations.iter().all(|operation| operation.what.lacks(protection).is_none());
    let laws_hold = plan.tenants.iter().all(|tenant| tenant.law.check().is_ok());
    can_be_done && laws_hold && scenario::check(&with_faults).is_empty()
}
