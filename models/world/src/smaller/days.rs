//! How long a case lasts: a shorter run, from the same start, and a shorter healing.

use super::{LatentCase, finished};
use crate::settled::least_healing;
use crate::trouble::{REPAIRED_AFTER_MS, damages};
use crate::workload::StreamLaw;
use latent_engine::Span;
use latent_engine::sim::{Anchor, Fault};
use std::time::Duration;

const HOUR: Duration = Duration::from_secs(3_600);
const DAY: Duration = Duration::from_secs(24 * 3_600);

/// Half of it, a day less, some hours less; then as little healing as can be judged.
pub(super) fn fewer(case: &LatentCase) -> Vec<LatentCase> {
    let now = case.scenario.run_for.0;
    // Halves of more than two days are whole days.
    let unit = if now > 2 * DAY { DAY } else { HOUR };
    let half = unit * u32::try_from((now / 2).as_secs().div_ceil(unit.as_secs())).unwrap_or(u32::MAX);
    let few = if now > DAY { 6 * HOUR } else { HOUR };
    let mut lengths = vec![half, now.saturating_sub(DAY), now.saturating_sub(few)];
    lengths.retain(|length| *length >= HOUR && *length < now);
    lengths.sort_unstable();
    lengths.dedup();
    let shorter = lengths.into_iter().filter_map(|length| lasting(case, length));
    let all = shorter.chain(sooner_judged(case));
    all.filter(|smaller| leaves_time(&smaller.plan.faults, judged_ms(case), judged_ms(smaller))).collect()
}

/// When a case is judged for the last time, in milliseconds since 1970.
fn judged_ms(case: &LatentCase) -> i64 {
    (case.scenario.end().0 + case.scenario.config.healing.0).0
}

/// Whether what is damaged still has the time in which it is surely repaired. Without it the smaller case would fail in
/// the same words and for another reason: that nothing can be repaired at once.
fn leaves_time(faults: &[Fault], before_ms: i64, now_ms: i64) -> bool {
    faults.iter().filter(|fault| damages(&fault.action).is_some()).all(|fault| match fault.anchor {
        Anchor::AtMs(at_ms) => now_ms - at_ms >= REPAIRED_AFTER_MS.min(before_ms - at_ms),
        _ => now_ms >= before_ms,
    })
}

/// The case that ends so early. What would happen later never does.
fn lasting(case: &LatentCase, run_for: Duration) -> Option<LatentCase> {
    let mut case = case.clone();
    case.scenario.run_for = Span(run_for);
    let end = case.scenario.end();
    let end_ms = end.0.0;
    case.scenario.config.deploys.retain(|deploy| deploy.at <= end);
    case.plan.faults.retain(|fault| may_strike(fault, end_ms, run_for));
    let plan = &mut case.plan.system;
    plan.operations.retain(|operation| operation.at <= end);
    plan.drills_ms.retain(|at_ms| *at_ms < end_ms);
    plan.exports.retain(|export| export.at_ms < end_ms);
    for tenant in &mut plan.tenants {
        end_loads(&mut tenant.law, end_ms);
        tenant.manners.hurries.retain(|hurry| hurry.from_ms < end_ms);
        tenant.requests.iter_mut().for_each(|requests| requests.retain(|request| request.at < end));
    }
    finished(case)
}

/// Whether a fault may strike before the end: faults are over then.
fn may_strike(fault: &Fault, end_ms: i64, run_for: Duration) -> bool {
    match &fault.anchor {
        Anchor::AtMs(at_ms) => *at_ms <= end_ms,
        Anchor::NthOp { after_ms, .. } | Anchor::Mark { after_ms, .. } => {
            u128::from(*after_ms) <= run_for.as_millis()
        }
        Anchor::At(_) => true,
    }
}

fn end_loads(law: &mut StreamLaw, end_ms: i64) {
    law.bursts.retain(|burst| burst.from_ms < end_ms);
    law.absences.retain(|absence| absence.from_ms < end_ms);
}

fn sooner_judged(case: &LatentCase) -> Option<LatentCase> {
    let least = least_healing(&case.scenario.config);
    (case.scenario.config.healing.0 > least).then(|| {
        let mut case = case.clone();
        case.scenario.config.healing = Span(least);
        finished(case)
    })?
}
