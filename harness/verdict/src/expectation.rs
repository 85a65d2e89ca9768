//! The outcome that a scenario expects, or the worst of several.

use crate::{Outcome, UnknownOutcome};
use std::fmt;
use std::str::FromStr;

/// Suffix of an expectation that a better outcome also meets.
const OR_BETTER: &str = "-or-better";

/// The outcome that counts as success: `clean`, or `recovered-or-better`.
///
/// A scenario in which chance decides whether items are lost at all expects a kind of loss *or better*. Only kinds of
/// loss are ordered by how good they are, no other outcome has this form.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize), serde(into = "String"))]
pub struct Expectation {
    outcome: Outcome,
    or_better: bool,
}

impl Expectation {
    /// Every expectation that can be written, by name.
    pub const NAMES: &'static [&'static str] = &[
        "clean",
        "recovered",
        "recoverable-but-missing",
        "unrecoverable-by-design",
        "unrecoverable-loss",
        "violated",
        "hung",
        "nondeterministic",
        "recovered-or-better",
        "recoverable-but-missing-or-better",
        "unrecoverable-by-design-or-better",
        "unrecoverable-loss-or-better",
    ];

    /// Expects that no invariant is violated.
    pub const CLEAN: Expectation = Expectation { outcome: Outcome::Clean, or_better: false };
    /// Expects that everything that is lost is noticed in time and restored.
    pub const RECOVERED_OR_BETTER: Expectation = Expectation { outcome: Outcome::Recovered, or_better: true };

    /// Expects a loss of at most this kind. for an outcome that is not a loss, equal to the outcome alone.
    #[must_use]
    pub fn or_better(outcome: Outcome) -> Expectation {
        Expectation { outcome, or_better: outcome.is_loss() }
    }

    /// Whether a run with this outcome ended as expected.
    #[must_use]
    pub fn is_met_by(self, outcome: Outcome) -> bool {
        outcome == self.outcome || self.or_better && self.is_exceeded_by(outcome)
    }

    /// Whether an outcome is better than the one that is named. Kinds of loss are compared with each other and with
    /// clean; if a hang or another violation is expected, only a clean run is better.
    #[must_use]
    pub fn is_exceeded_by(self, outcome: Outcome) -> bool {
        let is_comparable = outcome == Outcome::Clean || outcome.is_loss() && self.outcome.is_loss();
        outcome < self.outcome && is_comparable
    }

    /// Whether a better outcome than the one that is named meets it too.
    #[must_use]
    pub fn accepts_better(self) -> bool {
        self.or_better
    }

    /// The worst outcome that meets it.
    #[must_use]
    pub fn worst(self) -> Outcome {
        self.outcome
    }
}

impl From<Outcome> for Expectation {
    fn from(outcome: Outcome) -> Expectation {
        Expectation { outcome, or_better: false }
    }
}

impl From<Expectation> for String {
    fn from(expectation: Expectation) -> String {
        expectation.to_string()
    }
}

impl fmt::Display for Expectation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Padding, as in tables, applies to the whole.
        f.pad(&format!("{}{}", self.outcome.name(), if self.or_better { OR_BETTER } else { "" }))
    }
}

impl FromStr for Expectation {
    type Err = UnknownOutcome;

    fn from_str(name: &str) -> Result<Expectation, UnknownOutcome> {
        let unknown = || UnknownOutcome(name.to_owned());
        if !Expectation::NAMES.contains(&name) {
            return Err(unknown());
        }
        match name.strip_suffix(OR_BETTER) {
            Some(worst) => worst.parse().map(Expectation::or_better).map_err(|_| unknown()),
            None => name.parse::<Outcome>().map(Expectation::from),
        }
    }
}

#[cfg(feature = "serde")]
impl<'de> serde::Deserialize<'de> for Expectation {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Expectation, D::Error> {
        from.deserialize_str(ExpectationVisitor)
    }
}

/// A visitor, so that the deserializer adds the place of an unknown name to the error.
#[cfg(feature = "serde")]
struct ExpectationVisitor;

#[cfg(feature = "serde")]
impl serde::de::Visitor<'_> for ExpectationVisitor {
    type Value = Expectation;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("string")
    }

    fn visit_str<E: serde::de::Error>(self, name: &str) -> Result<Expectation, E> {
        name.parse().map_err(|_| E::unknown_variant(name, Expectation::NAMES))
    }
}

#[cfg(feature = "schemars")]
impl schemars::JsonSchema for Expectation {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Expectation".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "description": "The outcome that counts as success. With `-or-better`, a smaller loss and a clean run \
                            count too: for scenarios in which chance decides whether anything is lost.",
            "type": "string",
            "enum": Expectation::NAMES,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Outcome::{Clean, Hung, Recovered, UnrecoverableLoss, Violated};

    #[test]
    fn a_plain_expectation_is_met_by_its_outcome_alone() {
        let recovered = Expectation::from(Recovered);
        assert!(recovered.is_met_by(Recovered));
        assert!(!recovered.is_met_by(Clean) && recovered.is_exceeded_by(Clean));
        assert!(!recovered.is_met_by(UnrecoverableLoss) && !recovered.is_exceeded_by(UnrecoverableLoss));
        assert!(!Expectation::from(Violated).is_exceeded_by(UnrecoverableLoss), "another kind of harm");
        assert!(Expectation::from(Hung).is_exceeded_by(Clean));
    }

    #[test]
    fn a_smaller_loss_meets_an_expectation_that_accepts_better_outcomes() {
        let at_most = Expectation::or_better(Recovered);
        assert!(at_most.is_met_by(Recovered) && at_most.is_met_by(Clean));
        for worse in [Outcome::RecoverableButMissing, UnrecoverableLoss, Violated, Hung] {
            assert!(!at_most.is_met_by(worse), "{worse}");
        }
        assert_eq!(Expectation::or_better(Clean), Expectation::from(Clean));
        assert_eq!(
            Expectation::or_better(Violated),
            Expectation::from(Violated),
            "a violation is not a loss"
        );
    }

    #[test]
    fn names_read_back() {
        let plain = Outcome::ALL.iter().copied().map(Expectation::from);
        let better = Outcome::ALL.iter().copied().filter(|one| one.is_loss()).map(Expectation::or_better);
        let all: Vec<Expectation> = plain.chain(better).collect();
        let names: Vec<String> = all.iter().map(Expectation::to_string).collect();
        assert_eq!(names, Expectation::NAMES);
        for (one, name) in all.iter().zip(&names) {
            assert_eq!(name.parse(), Ok(*one));
        }
        for wrong in ["", "clean-or-better", "recovered-or", "hung-or-better", "recoverd-or-better"] {
            assert_eq!(wrong.parse::<Expectation>(), Err(UnknownOutcome(wrong.to_owned())));
        }
    }
}
