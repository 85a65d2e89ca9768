//! From what a run found to a report: what only the side that asked for it knows is added, and the system's
//! findings become its own type again.

use super::wire::Judged;
use crate::print::json::RESERVED;
use crate::report::{OnRelease, Report};
use crate::{Scenario, System};
use std::collections::BTreeMap;

/// What a run does not know about itself.
pub(crate) struct Asked<'a, T> {
    pub scenario: &'a Scenario<T>,
    pub seed: u64,
    pub release: Option<OnRelease>,
    pub choices: Vec<String>,
    pub repeat: String,
    pub wall_seconds: f64,
}

/// The report.
///
/// # Errors
/// The findings use one of the report's own field names, or cannot be read back: a mistake in the system.
pub(crate) fn assemble<S: System>(
    asked: Asked<'_, S::Topic>,
    judged: Judged,
) -> Result<Report<S::Findings>, String> {
    let mut keys = judged.findings.as_object().into_iter().flat_map(|fields| fields.keys());
    if let Some(taken) = keys.find(|key| RESERVED.contains(&key.as_str())) {
        return Err(format!("the findings of {} have a field '{taken}' of the report's own", S::NAME));
    }
    let outcome = judged.outcome();
    let findings = serde_json::from_value(judged.findings)
        .map_err(|error| format!("the findings of {} cannot be read back: {error}", S::NAME))?;
    let Asked { scenario, seed, release, choices, repeat, wall_seconds } = asked;
    let missing_marks = missing_marks(scenario, &judged.marks);
    Ok(Report {
        scenario: scenario.name.clone(),
        seed,
        outcome,
        expected: scenario.expect,
        release,
        start_ms: scenario.start.0.0,
        sim_seconds: judged.sim_ms as f64 / 1000.0,
        wall_seconds,
        trace_hash: judged.trace_hash,
        trace_records: judged.trace_records,
        items: judged.items,
        unmet: Vec::new(),
        recovery: judged.recovery.0,
        shortfall: judged.shortfall,
        hung: judged.hung,
        beyond_budget: judged.beyond_budget,
        noticed: judged.noticed,
        violations: judged.violations.into_iter().map(|line| line.0).collect(),
        missing_marks,
        marks: judged.marks,
        faults: judged.faults,
        nodes: judged.nodes,
        choices,
        addresses_fixed: judged.addresses_fixed,
        repeat,
        findings,
    })
}

/// The marks that the scenario requires and the run never reached.
pub(crate) fn missing_marks<T>(scenario: &Scenario<T>, marks: &BTreeMap<String, u64>) -> Vec<String> {
    scenario.required_marks.iter().filter(|mark| !marks.contains_key(*mark)).cloned().collect()
}
