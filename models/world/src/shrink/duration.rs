//! Reductions of the duration: a shorter run from the same start, and a shorter healing.

use super::{WorldCase, normalized};
use crate::plan::time_limits::REPAIRED_AFTER_MS;
use crate::plan::time_limits::min_healing;
use crate::plan::workload::WorkloadSpec;
use latent_engine::Span;
use latent_engine::sim::{Fault, Trigger};
use latent_nemesis::damages;
use std::time::Duration;

const HOUR: Duration = Duration::from_secs(3_600);
const DAY: Duration = Duration::from_secs(24 * 3_600);

/// Returns cases with half the duration, a day less, and some hours less; then one with the minimum healing.
pub(super) fn shorter(case: &WorldCase) -> Vec<WorldCase> {
    let now = case.scenario.run_for.0;
    // Halves of more than two days are rounded to whole days.
    let unit = if now > 2 * DAY { DAY } else { HOUR };
    let half = unit * u32::try_from((now / 2).as_secs().div_ceil(unit.as_secs())).unwrap_or(u32::MAX);
    let few = if now > DAY { 6 * HOUR } else { HOUR };
    let mut lengths = vec![half, now.saturating_sub(DAY), now.saturating_sub(few)];
    lengths.retain(|length| *length >= HOUR && *length < now);
    lengths.sort_unstable();
    lengths.dedup();
    let shorter = lengths.into_iter().filter_map(|length| with_run_for(case, length));
    let all = shorter.chain(with_min_healing(case));
    all.filter(|smaller| {
        leaves_repair_time(&smaller.plan.faults, final_check_ms(case), final_check_ms(smaller))
    })
    .collect()
}

/// Returns the time of the final check, in milliseconds since 1970.
fn final_check_ms(case: &WorldCase) -> i64 {
    (case.scenario.end().0 + case.scenario.config.healing.0).0
}

/// Returns true if damage still has the time in which it is certainly repaired. Otherwise the smaller case would fail
/// in the same way for another reason: nothing can be repaired at once.
fn leaves_repair_time(faults: &[Fault], before_ms: i64, now_ms: i64) -> bool {
    faults.iter().filter(|fault| damages(&fault.action).is_some()).all(|fault| match fault.trigger {
        Trigger::AtMs(at_ms) => now_ms - at_ms >= REPAIRED_AFTER_MS.min(before_ms - at_ms),
        _ => now_ms >= before_ms,
    })
}

/// Returns the case with this duration, without anything planned later.
fn with_run_for(case: &WorldCase, run_for: Duration) -> Option<WorldCase> {
    let mut case = case.clone();
    case.scenario.run_for = Span(run_for);
    let end = case.scenario.end();
    let end_ms = end.0.0;
    case.scenario.config.deploys.retain(|deploy| deploy.at <= end);
    case.plan.faults.retain(|fault| may_trigger(fault, end_ms, run_for));
    let plan = &mut case.plan.system;
    plan.operations.retain(|operation| operation.at <= end);
    plan.zone_edits.retain(|edit| edit.at <= end);
    plan.drills.retain(|drill| drill.earliest_ms() < end_ms);
    plan.exports.retain(|export| export.at_ms < end_ms);
    for tenant in &mut plan.tenants {
        drop_loads_after(&mut tenant.workload, end_ms);
        tenant.retry_policy.impatient_windows.retain(|window| window.from_ms < end_ms);
        tenant.requests.iter_mut().for_each(|requests| requests.retain(|request| request.at < end));
    }
    normalized(case)
}

/// Returns true if a fault may trigger before the end.
fn may_trigger(fault: &Fault, end_ms: i64, run_for: Duration) -> bool {
    match &fault.trigger {
        Trigger::AtMs(at_ms) => *at_ms <= end_ms,
        Trigger::NthOp { after_ms, .. } | Trigger::Mark { after_ms, .. } => {
            u128::from(*after_ms) <= run_for.as_millis()
        }
        Trigger::At(_) => true,
    }
}

fn drop_loads_after(spec: &mut WorkloadSpec, end_ms: i64) {
    spec.bursts.retain(|burst| burst.from_ms < end_ms);
    spec.offline_windows.retain(|absence| absence.from_ms < end_ms);
}

fn with_min_healing(case: &WorldCase) -> Option<WorldCase> {
    let min = min_healing(&case.scenario.config);
    (case.scenario.config.healing.0 > min).then(|| {
        let mut case = case.clone();
        case.scenario.config.healing = Span(min);
        normalized(case)
    })?
}
