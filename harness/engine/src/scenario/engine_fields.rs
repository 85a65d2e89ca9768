//! The engine's fields of a scenario file, as serde reads them.

use super::{Span, Timestamp};
use latent_sim::Fault;
use latent_verdict::Expectation;
use schemars::JsonSchema;
use serde::Deserialize;

/// The engine's fields of a scenario.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct EngineFields {
    /// Name of the scenario: lower-case words joined by hyphens.
    pub(super) name: String,
    /// Description of the scenario, in a sentence.
    #[serde(default)]
    pub(super) about: String,
    /// Default seed: in a case that once failed, the failing seed.
    #[serde(default = "default_seed")]
    #[schemars(range(max = u64::MAX))]
    pub(super) seed: u64,
    /// Start of the simulated world.
    pub(super) start: Timestamp,
    /// Length of the run.
    pub(super) run_for: Span,
    /// Faults: where and when each is injected, and what it does.
    #[serde(default)]
    pub(super) faults: Vec<Fault>,
    /// Marks that the run must reach at least once.
    #[serde(default)]
    pub(super) required_marks: Vec<String>,
    /// The outcome that counts as success.
    #[serde(default)]
    pub(super) expect: Expectation,
}

fn default_seed() -> u64 {
    1
}
