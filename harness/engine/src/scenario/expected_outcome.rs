//! [`Outcome`] as written in a scenario.

use latent_verdict::Outcome;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// [`Outcome`] as written in a scenario.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(rename = "Expect")]
pub(crate) enum ExpectedOutcome {
    /// No invariant is violated.
    #[default]
    Clean,
    /// Items are lost; the loss is detected in time, and all items are restored unchanged.
    Recovered,
    /// Items are lost and can be restored, but the loss is not detected in time, or they are not restored.
    RecoverableButMissing,
    /// Items are lost permanently, by more faults than the system promises to survive.
    UnrecoverableByDesign,
    /// Items are lost permanently.
    UnrecoverableLoss,
    /// An invariant is violated without loss.
    Violated,
    /// The system does not finish its work.
    Hung,
    /// Two runs of the same case differ.
    Nondeterministic,
}

impl From<ExpectedOutcome> for Outcome {
    fn from(expect: ExpectedOutcome) -> Outcome {
        match expect {
            ExpectedOutcome::Clean => Outcome::Clean,
            ExpectedOutcome::Recovered => Outcome::Recovered,
            ExpectedOutcome::RecoverableButMissing => Outcome::RecoverableButMissing,
            ExpectedOutcome::UnrecoverableByDesign => Outcome::UnrecoverableByDesign,
            ExpectedOutcome::UnrecoverableLoss => Outcome::UnrecoverableLoss,
            ExpectedOutcome::Violated => Outcome::Violated,
            ExpectedOutcome::Hung => Outcome::Hung,
            ExpectedOutcome::Nondeterministic => Outcome::Nondeterministic,
        }
    }
}

impl From<Outcome> for ExpectedOutcome {
    fn from(outcome: Outcome) -> ExpectedOutcome {
        match outcome {
            Outcome::Clean => ExpectedOutcome::Clean,
            Outcome::Recovered => ExpectedOutcome::Recovered,
            Outcome::RecoverableButMissing => ExpectedOutcome::RecoverableButMissing,
            Outcome::UnrecoverableByDesign => ExpectedOutcome::UnrecoverableByDesign,
            Outcome::UnrecoverableLoss => ExpectedOutcome::UnrecoverableLoss,
            Outcome::Violated => ExpectedOutcome::Violated,
            Outcome::Hung => ExpectedOutcome::Hung,
            Outcome::Nondeterministic => ExpectedOutcome::Nondeterministic,
        }
    }
}

/// An outcome, serialised as in a scenario.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SerializedOutcome(pub Outcome);

impl Serialize for SerializedOutcome {
    fn serialize<Z: serde::Serializer>(&self, serializer: Z) -> Result<Z::Ok, Z::Error> {
        ExpectedOutcome::from(self.0).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for SerializedOutcome {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<SerializedOutcome, D::Error> {
        ExpectedOutcome::deserialize(deserializer).map(|expect| SerializedOutcome(expect.into()))
    }
}
