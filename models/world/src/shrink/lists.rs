//! Reductions of lists: projects, operations, zone edits, deploys, drills, exports, loads.

use super::{WorldCase, leave_out, normalized};
use crate::plan::{Tenant, WorldPlan};
use crate::scenario::{Operation, OperatorAction};
use std::collections::BTreeSet;

pub(super) fn projects(case: &WorldCase) -> usize {
    case.plan.system.tenants.len()
}

/// Removes projects with their exports and their days in operations; an operation without remaining days is removed
/// too.
pub(super) fn without_projects(case: &WorldCase, indices: &BTreeSet<usize>) -> Option<WorldCase> {
    let mut case = case.clone();
    let plan = &mut case.plan.system;
    leave_out(&mut plan.tenants, indices);
    let left: BTreeSet<u32> = plan.tenants.iter().map(|tenant| tenant.workload.project).collect();
    plan.exports.retain(|export| left.contains(&export.project));
    plan.operations.retain_mut(|operation| retain_projects(operation, &left));
    plan.zone_edits.retain(|edit| left.contains(&edit.project));
    normalized(case)
}

/// Restricts an operation to these projects; returns false if nothing is left.
fn retain_projects(operation: &mut Operation, left: &BTreeSet<u32>) -> bool {
    match &mut operation.action {
        // A recovery without days covers everything.
        OperatorAction::Recover(recover) if !recover.days.is_empty() => {
            recover.days.retain(|of| left.contains(&of.project));
            !recover.days.is_empty()
        }
        _ => true,
    }
}

fn without_of<T>(
    case: &WorldCase,
    indices: &BTreeSet<usize>,
    list: impl FnOnce(&mut WorldPlan) -> &mut Vec<T>,
) -> Option<WorldCase> {
    let mut case = case.clone();
    leave_out(list(&mut case.plan.system), indices);
    normalized(case)
}

pub(super) fn operations(case: &WorldCase) -> usize {
    case.plan.system.operations.len()
}

pub(super) fn without_operations(case: &WorldCase, indices: &BTreeSet<usize>) -> Option<WorldCase> {
    without_of(case, indices, |plan| &mut plan.operations)
}

pub(super) fn zone_edits(case: &WorldCase) -> usize {
    case.plan.system.zone_edits.len()
}

pub(super) fn without_zone_edits(case: &WorldCase, indices: &BTreeSet<usize>) -> Option<WorldCase> {
    without_of(case, indices, |plan| &mut plan.zone_edits)
}

pub(super) fn drills(case: &WorldCase) -> usize {
    case.plan.system.drills.len()
}

pub(super) fn without_drills(case: &WorldCase, indices: &BTreeSet<usize>) -> Option<WorldCase> {
    without_of(case, indices, |plan| &mut plan.drills)
}

pub(super) fn exports(case: &WorldCase) -> usize {
    case.plan.system.exports.len()
}

pub(super) fn without_exports(case: &WorldCase, indices: &BTreeSet<usize>) -> Option<WorldCase> {
    without_of(case, indices, |plan| &mut plan.exports)
}

pub(super) fn deploys(case: &WorldCase) -> usize {
    case.scenario.config.deploys.len()
}

pub(super) fn without_deploys(case: &WorldCase, indices: &BTreeSet<usize>) -> Option<WorldCase> {
    let mut case = case.clone();
    leave_out(&mut case.scenario.config.deploys, indices);
    normalized(case)
}

/// Returns the number of load patterns of a project: those of its workload, then those of its retry policy.
fn loads_of(tenant: &Tenant) -> usize {
    let (spec, retry_policy) = (&tenant.workload, &tenant.retry_policy);
    let of_law = spec.bursts.len() + spec.offline_windows.len() + spec.clock_skews.len();
    let of_law = of_law + usize::from(spec.silent_from_ms.is_some());
    of_law + retry_policy.impatient_windows.len() + usize::from(retry_policy.keeps_backlog)
}

pub(super) fn loads(case: &WorldCase) -> usize {
    case.plan.system.tenants.iter().map(loads_of).sum()
}

pub(super) fn without_loads(case: &WorldCase, indices: &BTreeSet<usize>) -> Option<WorldCase> {
    let mut case = case.clone();
    let mut index = 0..;
    let mut is_kept = || index.next().is_none_or(|index| !indices.contains(&index));
    for tenant in &mut case.plan.system.tenants {
        let (spec, retry_policy) = (&mut tenant.workload, &mut tenant.retry_policy);
        spec.bursts.retain(|_| is_kept());
        spec.offline_windows.retain(|_| is_kept());
        spec.clock_skews.retain(|_| is_kept());
        spec.silent_from_ms = spec.silent_from_ms.filter(|_| is_kept());
        retry_policy.impatient_windows.retain(|_| is_kept());
        retry_policy.keeps_backlog = retry_policy.keeps_backlog && is_kept();
    }
    normalized(case)
}
