//! Builds a report from the worker's result: adds what only the parent knows, and restores the type of the system's
//! findings.

use super::ipc::CaseResult;
use crate::print::json::{RESERVED, RESERVED_IN_VIOLATIONS};
use crate::report::{ReleaseOverride, Report};
use crate::{Scenario, System};
use std::collections::BTreeMap;

/// The parent's part of a report.
pub(crate) struct RunContext<'a, T> {
    pub scenario: &'a Scenario<T>,
    pub seed: u64,
    pub release: Option<ReleaseOverride>,
    pub choices: Vec<String>,
    pub repeat: String,
    pub wall_seconds: f64,
}

/// Builds the report.
///
/// # Errors
/// The findings or a violation's labels use a reserved field name, or the findings cannot be read back: a bug in the
/// system.
pub(crate) fn build_report<S: System>(
    asked: RunContext<'_, S::Config>,
    judged: CaseResult,
) -> Result<Report<S::Findings>, String> {
    let mut keys = judged.findings.as_object().into_iter().flat_map(|fields| fields.keys());
    if let Some(taken) = keys.find(|key| RESERVED.contains(&key.as_str())) {
        return Err(format!("the findings of {} have a field '{taken}' of the report's own", S::NAME));
    }
    let is_taken =
        |name: &str| [S::SUBJECT, S::ITEMS].contains(&name) || RESERVED_IN_VIOLATIONS.contains(&name);
    let mut labels = judged.violations.iter().flat_map(|violation| &violation.labels);
    if let Some(label) = labels.find(|label| is_taken(&label.name)) {
        return Err(format!("a violation of {} has a label '{}' of the report's own", S::NAME, label.name));
    }
    let outcome = judged.outcome;
    let findings = serde_json::from_value(judged.findings)
        .map_err(|error| format!("the findings of {} cannot be read back: {error}", S::NAME))?;
    let RunContext { scenario, seed, release, choices, repeat, wall_seconds } = asked;
    let marks_not_reached = marks_not_reached(scenario, &judged.marks);
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
        unfulfilled: Vec::new(),
        restoration: judged.restoration,
        shortfall: judged.shortfall,
        hung: judged.hung,
        beyond_budget: judged.beyond_budget,
        detections: judged.detections,
        violations: judged.violations,
        marks_not_reached,
        marks: judged.marks,
        faults: judged.faults,
        nodes: judged.nodes,
        choices,
        addresses_fixed: judged.addresses_fixed,
        repeat,
        findings,
    })
}

/// Returns the scenario's required marks that the run did not reach.
pub(crate) fn marks_not_reached<T>(scenario: &Scenario<T>, marks: &BTreeMap<String, u64>) -> Vec<String> {
    scenario.required_marks.iter().filter(|mark| !marks.contains_key(*mark)).cloned().collect()
}
