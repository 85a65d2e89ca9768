//! Reductions of faults. The simulator defines the kinds of faults, so this works on their JSON.

use crate::{CaseOf, Reduction, ReductionOf, System};
use latent_sim::{Fault, Trigger};
use serde_json::Value;
use std::collections::BTreeSet;

const SECOND_MS: u64 = 1_000;
const MINUTE_MS: u64 = 60_000;
const HOUR_MS: u64 = 3_600_000;
const DAY_MS: u64 = 86_400_000;

/// Removes faults.
pub(super) fn fewer<S: System>() -> ReductionOf<S> {
    fn count<S: System>(case: &CaseOf<S>) -> usize {
        case.plan.faults.len()
    }
    fn without<S: System>(case: &CaseOf<S>, places: &BTreeSet<usize>) -> Option<CaseOf<S>> {
        let mut smaller = case.clone();
        let mut place = 0;
        smaller.plan.faults.retain(|_| {
            place += 1;
            !places.contains(&(place - 1))
        });
        Some(smaller)
    }
    Reduction::Remove { what: "faults", count: count::<S>, without: without::<S> }
}

/// Simplifies faults: rounder times and durations, no optional fields.
pub(super) fn simpler<S: System>() -> ReductionOf<S> {
    fn cases<S: System>(case: &CaseOf<S>) -> Vec<CaseOf<S>> {
        let start_ms = case.scenario.start.0.0;
        let mut cases = Vec::new();
        for (place, fault) in case.plan.faults.iter().enumerate() {
            for simpler in simpler_faults(fault, start_ms) {
                let mut smaller = case.clone();
                smaller.plan.faults[place] = simpler;
                cases.push(smaller);
            }
        }
        cases
    }
    Reduction::Simplify { what: "fault sizes", cases: cases::<S> }
}

fn simpler_faults(fault: &Fault, start_ms: i64) -> Vec<Fault> {
    let triggers = rounder_triggers(&fault.trigger, start_ms);
    let mut simpler: Vec<Fault> =
        triggers.into_iter().map(|trigger| Fault { trigger, action: fault.action.clone() }).collect();
    let Ok(written) = serde_json::to_value(&fault.action) else { return simpler };
    let Some((name, fields)) = written.as_object().and_then(|action| action.iter().next()) else {
        return simpler;
    };
    for (field, value) in fields.as_object().into_iter().flatten() {
        for other in simpler_values(field, value) {
            let mut fields = fields.clone();
            fields[field] = other;
            let action = serde_json::json!({ name.as_str(): fields });
            // Not every field may be empty: a fault that cannot be parsed is not a candidate.
            if let Ok(action) = serde_json::from_value(action) {
                simpler.push(Fault { trigger: fault.trigger.clone(), action });
            }
        }
    }
    simpler
}

/// For a duration, whole units; for a count, 1; for an optional field, null.
fn simpler_values(field: &str, value: &Value) -> Vec<Value> {
    let number = value.as_u64();
    match number {
        Some(ms) if field.ends_with("_ms") => {
            let units = [MINUTE_MS, HOUR_MS, SECOND_MS, DAY_MS];
            if units.contains(&ms) {
                return Vec::new();
            }
            units.into_iter().map(Value::from).collect()
        }
        Some(times) if times > 1 && matches!(field, "times" | "bits") => vec![1.into()],
        _ if matches!(field, "keeps" | "tear_bytes" | "bandwidth_bytes_per_s") && !value.is_null() => {
            vec![Value::Null]
        }
        _ => Vec::new(),
    }
}

/// Rounds the time to a coarser unit, the coarsest first: days, quarters of a day, hours, minutes. Never before the
/// start of the world.
fn rounder_triggers(trigger: &Trigger, start_ms: i64) -> Vec<Trigger> {
    let Trigger::AtMs(at_ms) = trigger else { return Vec::new() };
    let mut rounder = Vec::new();
    for unit in [DAY_MS, 6 * HOUR_MS, HOUR_MS, 10 * MINUTE_MS, MINUTE_MS, SECOND_MS] {
        let unit = unit.cast_signed();
        if at_ms % unit == 0 {
            break;
        }
        let down = at_ms - at_ms.rem_euclid(unit);
        rounder.extend([down, down + unit].into_iter().filter(|at| *at > start_ms).map(Trigger::AtMs));
    }
    rounder
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(text: &str) -> Fault {
        serde_json::from_str(text).expect("it is a fault")
    }

    #[test]
    fn a_simplified_fault_is_valid_and_simplification_terminates() {
        let mut fault = fault(
            r#"{"trigger":{"at_ms":1456012812345},
                "action":{"kill":{"node":"a","restart_after_ms":4321,"keeps":"nothing","tear_bytes":512}}}"#,
        );
        for _ in 0..100 {
            match simpler_faults(&fault, 1_456_000_000_000).into_iter().next() {
                Some(simpler) => fault = simpler,
                None => {
                    let text = serde_json::to_string(&fault).unwrap();
                    insta::assert_snapshot!(text, @r#"{"trigger":{"at_ms":1456012800000},"action":{"kill":{"node":"a","restart_after_ms":60000,"keeps":null,"tear_bytes":null}}}"#);
                    return;
                }
            }
        }
        panic!("simplification does not terminate: {fault:?}");
    }

    #[test]
    fn a_fault_triggered_by_an_operation_keeps_its_trigger() {
        let fault = fault(
            r#"{"trigger":{"nth_op":{"node":"a","op":"sync","n":3}},"action":{"pause":{"node":"a","for_ms":60000}}}"#,
        );
        assert_eq!(simpler_faults(&fault, 0), []);
    }
}
