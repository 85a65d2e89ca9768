//! The report as one JSON object, on one line. Its fields are a stable interface for programs.

use crate::report::{Detection, FaultReport, NodeStats, Report};
use crate::system::System;
use latent_verdict::{PendingWork, Violation};
use serde::Serialize;
use serde::ser::{SerializeMap, Serializer};
use std::collections::BTreeMap;
use std::marker::PhantomData;

/// The engine's own top-level fields. A system's findings may not use them.
pub(crate) const RESERVED: [&str; 24] = [
    "scenario",
    "seed",
    "outcome",
    "expected",
    "as_expected",
    "release",
    "expected_as_written",
    "caveat",
    "sim_seconds",
    "wall_seconds",
    "trace_hash",
    "trace_records",
    "shortfall",
    "hung",
    "beyond_budget",
    "noticed",
    "violations",
    "marks",
    "missing_marks",
    "nodes",
    "choices",
    "repeat",
    "start_ms",
    "faults",
];

#[derive(Serialize)]
#[serde(bound = "")]
struct Public<'a, S: System> {
    scenario: &'a str,
    seed: u64,
    outcome: &'static str,
    expected: &'static str,
    as_expected: bool,
    release: Option<&'a str>,
    /// The scenario's own expectation, if a release overrides it.
    expected_as_written: Option<&'static str>,
    caveat: Option<String>,
    start_ms: i64,
    sim_seconds: f64,
    wall_seconds: f64,
    trace_hash: &'a str,
    trace_records: u64,
    #[serde(flatten)]
    findings: &'a S::Findings,
    shortfall: Option<&'a str>,
    hung: Option<String>,
    beyond_budget: Option<&'a str>,
    noticed: &'a [Detection],
    violations: Vec<PublicViolation<'a, S>>,
    marks: &'a BTreeMap<String, u64>,
    missing_marks: &'a [String],
    faults: &'a [FaultReport],
    #[serde(skip_serializing_if = "Option::is_none")]
    nodes: Option<&'a [NodeStats]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    choices: Option<&'a [String]>,
    repeat: &'a str,
}

/// A violation, with the system's nouns for its subject and its items.
struct PublicViolation<'a, S>(&'a Violation, PhantomData<S>);

impl<S: System> Serialize for PublicViolation<'_, S> {
    fn serialize<Z: Serializer>(&self, serializer: Z) -> Result<Z::Ok, Z::Error> {
        let violation = self.0;
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("invariant", &violation.invariant)?;
        map.serialize_entry("fingerprint", &violation.fingerprint())?;
        map.serialize_entry(S::SUBJECT, &violation.subject)?;
        for label in &violation.labels {
            map.serialize_entry(&label.name, &label.value)?;
        }
        map.serialize_entry(S::ITEMS, &violation.items)?;
        map.serialize_entry("loses_items", &violation.loses_items)?;
        map.serialize_entry("stage", &violation.stage)?;
        map.serialize_entry("kind", &violation.kind)?;
        map.serialize_entry("at_ms", &violation.at_ms)?;
        map.serialize_entry("keys", &violation.keys)?;
        map.serialize_entry("detail", &violation.detail)?;
        map.end()
    }
}

/// Returns the report as one line of JSON. With `verbose`, nodes and choices too.
///
/// # Errors
/// The system's findings cannot be written as fields of an object.
pub(crate) fn render<S: System>(report: &Report<S::Findings>, verbose: bool) -> serde_json::Result<String> {
    let public = Public::<S> {
        scenario: &report.scenario,
        seed: report.seed,
        outcome: report.outcome.name(),
        expected: report.expected.name(),
        as_expected: report.as_expected(),
        release: report.release.as_ref().map(|release| release.name.as_str()),
        expected_as_written: report.release.as_ref().map(|release| release.expected_as_written.name()),
        caveat: S::caveat(report),
        start_ms: report.start_ms,
        sim_seconds: report.sim_seconds,
        wall_seconds: report.wall_seconds,
        trace_hash: &report.trace_hash,
        trace_records: report.trace_records,
        findings: &report.findings,
        shortfall: report.shortfall.as_deref(),
        hung: PendingWork::lines(&report.hung),
        beyond_budget: report.beyond_budget.as_deref(),
        noticed: &report.noticed,
        violations: report.violations.iter().map(|one| PublicViolation(one, PhantomData)).collect(),
        marks: &report.marks,
        missing_marks: &report.missing_marks,
        faults: &report.faults,
        nodes: verbose.then_some(report.nodes.as_slice()),
        choices: verbose.then_some(report.choices.as_slice()),
        repeat: &report.repeat,
    };
    Ok(serde_json::to_string(&public)? + "\n")
}
