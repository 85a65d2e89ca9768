//! What stands in lists: projects, operations, deploys, drills, exports, loads.

use super::{LatentCase, finished, leave_out};
use crate::operations::{Operation, What};
use crate::plan::{Tenant, WorldPlan};
use std::collections::BTreeSet;

pub(super) fn projects(case: &LatentCase) -> usize {
    case.plan.system.tenants.len()
}

/// With a project go its exports and, of operations, its days; one that was for such days alone goes altogether.
pub(super) fn without_projects(case: &LatentCase, places: &BTreeSet<usize>) -> Option<LatentCase> {
    let mut case = case.clone();
    let plan = &mut case.plan.system;
    leave_out(&mut plan.tenants, places);
    let left: BTreeSet<u32> = plan.tenants.iter().map(|tenant| tenant.law.project).collect();
    plan.exports.retain(|export| left.contains(&export.project));
    plan.operations.retain_mut(|operation| keeps_days(operation, &left));
    finished(case)
}

/// Leaves of an operation only what concerns these projects; false when nothing is left.
fn keeps_days(operation: &mut Operation, left: &BTreeSet<u32>) -> bool {
    match &mut operation.what {
        // Without days it is for everything.
        What::Recover(recover) if !recover.days.is_empty() => {
            recover.days.retain(|of| left.contains(&of.project));
            !recover.days.is_empty()
        }
        _ => true,
    }
}

fn without_of<T>(
    case: &LatentCase,
    places: &BTreeSet<usize>,
    list: impl FnOnce(&mut WorldPlan) -> &mut Vec<T>,
) -> Option<LatentCase> {
    let mut case = case.clone();
    leave_out(list(&mut case.plan.system), places);
    finished(case)
}

pub(super) fn operations(case: &LatentCase) -> usize {
    case.plan.system.operations.len()
}

pub(super) fn without_operations(case: &LatentCase, places: &BTreeSet<usize>) -> Option<LatentCase> {
    without_of(case, places, |plan| &mut plan.operations)
}

pub(super) fn drills(case: &LatentCase) -> usize {
    case.plan.system.drills_ms.len()
}

pub(super) fn without_drills(case: &LatentCase, places: &BTreeSet<usize>) -> Option<LatentCase> {
    without_of(case, places, |plan| &mut plan.drills_ms)
}

pub(super) fn exports(case: &LatentCase) -> usize {
    case.plan.system.exports.len()
}

pub(super) fn without_exports(case: &LatentCase, places: &BTreeSet<usize>) -> Option<LatentCase> {
    without_of(case, places, |plan| &mut plan.exports)
}

pub(super) fn deploys(case: &LatentCase) -> usize {
    case.scenario.config.deploys.len()
}

pub(super) fn without_deploys(case: &LatentCase, places: &BTreeSet<usize>) -> Option<LatentCase> {
    let mut case = case.clone();
    leave_out(&mut case.scenario.config.deploys, places);
    finished(case)
}

/// How many loads one project has: those of its law, then those of its clients' manners.
fn loads_of(tenant: &Tenant) -> usize {
    let (law, manners) = (&tenant.law, &tenant.manners);
    let of_law = law.bursts.len() + law.absences.len() + law.wrong_clocks.len();
    of_law + manners.hurries.len() + usize::from(manners.keeps)
}

pub(super) fn loads(case: &LatentCase) -> usize {
    case.plan.system.tenants.iter().map(loads_of).sum()
}

pub(super) fn without_loads(case: &LatentCase, places: &BTreeSet<usize>) -> Option<LatentCase> {
    let mut case = case.clone();
    let mut place = 0..;
    let mut stays = || place.next().is_none_or(|place| !places.contains(&place));
    for tenant in &mut case.plan.system.tenants {
        let (law, manners) = (&mut tenant.law, &mut tenant.manners);
        law.bursts.retain(|_| stays());
        law.absences.retain(|_| stays());
        law.wrong_clocks.retain(|_| stays());
        manners.hurries.retain(|_| stays());
        manners.keeps = manners.keeps && stays();
    }
    finished(case)
}
