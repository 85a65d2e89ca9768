//! What a system measures of a case, to be compared over seeds.

use latent_verdict::Outcome;
use serde::{Deserialize, Serialize};

/// Something that a system measures of each case.
#[derive(Clone, Debug, PartialEq)]
pub struct Measure {
    /// What is measured, in a few words: `lost`, `recovery time`.
    pub name: &'static str,
    /// Its value in this case.
    pub value: MeasureValue,
}

/// A measured value. `None` is a case in which there was nothing to measure.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MeasureValue {
    /// Whether something happened.
    Happened(Option<bool>),
    /// A number of things.
    Count(Option<u64>),
    /// A duration in seconds.
    Seconds(Option<u64>),
}

/// A measure of a case in the results file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RecordedMeasure {
    pub name: String,
    pub value: MeasureValue,
}

/// The result of one case of a comparison.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ComparedCase {
    pub scenario: String,
    pub variant: String,
    pub seed: u64,
    pub outcome: Outcome,
    pub trace_hash: String,
    pub measures: Vec<RecordedMeasure>,
}
