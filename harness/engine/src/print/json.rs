//! The report as one JSON object, on one line. Its fields are a stable interface for programs.

use crate::report::{Detection, FaultReport, NodeStats, Report};
use crate::system::System;
use latent_verdict::{Expectation, Outcome, PendingWork, Violation};
use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde::Serialize;
use serde::ser::{SerializeMap, Serializer};
use serde_json::Value;
use std::collections::BTreeMap;

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
    "detections",
    "violations",
    "marks",
    "marks_not_reached",
    "nodes",
    "choices",
    "reproduce",
    "start_ms",
    "faults",
];

/// The engine's own fields of a violation. A system's labels may not use them.
pub(crate) const RESERVED_IN_VIOLATIONS: [&str; 8] =
    ["invariant", "fingerprint", "loses_items", "stage", "kind", "at_ms", "keys", "detail"];

/// The report of a run. Further fields are the findings of the system under test.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Report", bound = "")]
struct PublicReport<'a, F> {
    /// Name of the scenario, or the path that it was loaded from.
    scenario: &'a str,
    /// The seed.
    seed: u64,
    /// Outcome of the run.
    outcome: Outcome,
    /// The outcome that counts as success.
    expected: Expectation,
    /// Whether the run ended as its scenario and the command line expect.
    as_expected: bool,
    /// The release given on the command line, if any.
    release: Option<&'a str>,
    /// The scenario's own expectation, if a release overrides it.
    expected_as_written: Option<Expectation>,
    /// A short caveat of the system, such as a clean run that shows little.
    caveat: Option<String>,
    /// Start of the world, in milliseconds since 1970.
    start_ms: i64,
    /// Virtual time that passed, in seconds.
    sim_seconds: f64,
    /// Real time that passed, in seconds.
    wall_seconds: f64,
    /// Trace hash, which identifies the run.
    #[schemars(regex(pattern = "^[0-9a-f]{32}$"))]
    trace_hash: &'a str,
    /// Number of records in the trace.
    trace_records: u64,
    #[serde(flatten)]
    #[schemars(skip)]
    findings: &'a F,
    /// Reasons why a restorable loss does not count as recovered, one a line.
    shortfall: Option<&'a str>,
    /// Work that did not finish, one reason a line, the worst first.
    hung: Option<String>,
    /// Faults that exceeded the system's fault budget.
    beyond_budget: Option<&'a str>,
    /// What detectors inside the world reported, in order of time.
    detections: &'a [Detection],
    /// Every violated invariant.
    violations: Vec<PublicViolation<'a>>,
    /// Number of times that each mark was reached.
    marks: &'a BTreeMap<String, u64>,
    /// Required marks that were not reached.
    marks_not_reached: &'a [String],
    /// Result of each fault, in the plan's order.
    faults: &'a [FaultReport],
    /// Statistics of each node, with `-v`.
    #[serde(skip_serializing_if = "Option::is_none")]
    nodes: Option<&'a [NodeStats]>,
    /// The choices of the seed in plain text, with `-v`.
    #[serde(skip_serializing_if = "Option::is_none")]
    choices: Option<&'a [String]>,
    /// The command that reproduces the run.
    reproduce: &'a str,
}

/// A violated invariant. Further fields have names of the system under test: its noun for the owner of items, its noun
/// for items, with their number, and its labels.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Violation", extend("additionalProperties" = { "type": ["string", "integer"] }))]
struct PublicViolation<'a> {
    /// Name of the invariant.
    invariant: &'a str,
    /// Invariant, kind, stage and class of loss. Equal fingerprints mean the same finding.
    fingerprint: String,
    #[serde(flatten)]
    #[schemars(skip)]
    named: NamedBySystem<'a>,
    /// Whether the items are lost.
    loses_items: bool,
    /// Stage at which it was detected.
    stage: &'a str,
    /// Kind of violation.
    kind: &'a str,
    /// Virtual time of the detection, in milliseconds since 1970.
    at_ms: i64,
    /// Names of the first few items.
    keys: &'a [String],
    /// Difference between the found and the expected state, for people.
    detail: &'a str,
}

/// The fields of a violation that the system names.
struct NamedBySystem<'a> {
    violation: &'a Violation,
    subject: &'static str,
    items: &'static str,
}

impl Serialize for NamedBySystem<'_> {
    fn serialize<Z: Serializer>(&self, serializer: Z) -> Result<Z::Ok, Z::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry(self.subject, &self.violation.subject)?;
        for label in &self.violation.labels {
            map.serialize_entry(&label.name, &label.value)?;
        }
        map.serialize_entry(self.items, &self.violation.items)?;
        map.end()
    }
}

impl PublicViolation<'_> {
    fn of<S: System>(violation: &Violation) -> PublicViolation<'_> {
        PublicViolation {
            invariant: &violation.invariant,
            fingerprint: violation.fingerprint(),
            named: NamedBySystem { violation, subject: S::SUBJECT, items: S::ITEMS },
            loses_items: violation.loses_items,
            stage: &violation.stage,
            kind: &violation.kind,
            at_ms: violation.at_ms,
            keys: &violation.keys,
            detail: &violation.detail,
        }
    }
}

/// Returns the JSON Schema of reports, the same for every system.
pub(crate) fn schema() -> Value {
    let generator = SchemaSettings::draft2020_12().for_serialize().into_generator();
    generator.into_root_schema_for::<PublicReport<'static, ()>>().to_value()
}

/// Returns the report as one line of JSON. With `verbose`, nodes and choices too.
///
/// # Errors
/// The system's findings cannot be written as fields of an object.
pub(crate) fn render<S: System>(report: &Report<S::Findings>, verbose: bool) -> serde_json::Result<String> {
    let public = PublicReport {
        scenario: &report.scenario,
        seed: report.seed,
        outcome: report.outcome,
        expected: report.expected,
        as_expected: report.as_expected(),
        release: report.release.as_ref().map(|release| release.name.as_str()),
        expected_as_written: report.release.as_ref().map(|release| release.expected_as_written),
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
        detections: &report.detections,
        violations: report.violations.iter().map(|one| PublicViolation::of::<S>(one)).collect(),
        marks: &report.marks,
        marks_not_reached: &report.marks_not_reached,
        faults: &report.faults,
        nodes: verbose.then_some(report.nodes.as_slice()),
        choices: verbose.then_some(report.choices.as_slice()),
        reproduce: &report.repeat,
    };
    Ok(serde_json::to_string(&public)? + "\n")
}
