//! The record of one run of an enumeration, as written to its results file.

use latent_sim::OpKind;
use serde::{Deserialize, Serialize};

/// One completed run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct EnumerationRun {
    /// The injection point, in the syntax of `--strike`.
    pub strike: String,
    pub sim_ms: u64,
    /// `None`: it ended as expected.
    pub failure: Option<EnumerationFailure>,
}

/// A run that did not end as the scenario expects.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct EnumerationFailure {
    /// Description that groups failures: outcome and worst violation, or why there is no verdict.
    pub what: String,
    /// The injection point, in the syntax of `--strike`.
    pub strike: String,
    /// Kind of the operation.
    pub op: OpKind,
    /// Its path, for a disk operation.
    pub path: String,
    /// Virtual time, milliseconds since 1970.
    pub at_ms: i64,
    /// Detail of the hang or the violation.
    pub detail: String,
}
