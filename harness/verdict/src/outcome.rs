//! The outcome of a run, and its derivation from violations and facts.

use crate::Violation;
use std::fmt;
use strum::{Display, EnumString, IntoStaticStr, VariantArray};

/// Outcome of a run. Ordered by precedence: when several apply, the greatest is the outcome.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(rename_all = "kebab-case"))]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[derive(Display, EnumString, IntoStaticStr, VariantArray)]
#[strum(serialize_all = "kebab-case", parse_err_ty = UnknownOutcome, parse_err_fn = unknown)]
pub enum Outcome {
    /// No invariant is violated.
    #[default]
    Clean,
    /// Items are lost; the loss is detected in time, and all of them are restored unchanged.
    Recovered,
    /// Items are lost, and all of them can be restored, but the loss is not detected in time, or not all of them are
    /// restored unchanged.
    RecoverableButMissing,
    /// Items are lost and not all restored, but the faults exceed the system's fault budget.
    UnrecoverableByDesign,
    /// Items are lost, and not all of them can be restored, or the run does not show that they can.
    UnrecoverableLoss,
    /// An invariant is violated, without any loss of items.
    Violated,
    /// The system does not finish its work within its limit of virtual time.
    Hung,
    /// The same case runs differently in another process: its other results are unreliable.
    Nondeterministic,
}

impl Outcome {
    /// Every outcome, least to greatest.
    pub const ALL: &'static [Outcome] = Outcome::VARIANTS;

    /// Its name in scenarios and reports, in kebab case.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.into()
    }

    /// Whether it is a kind of loss.
    #[must_use]
    pub fn is_loss(self) -> bool {
        self > Outcome::Clean && self <= Outcome::UnrecoverableLoss
    }
}

/// Error for an unknown outcome name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownOutcome(pub String);

impl fmt::Display for UnknownOutcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "unknown outcome '{}'; one of:", self.0)?;
        Outcome::ALL.iter().try_for_each(|one| write!(f, " {one}"))
    }
}

impl std::error::Error for UnknownOutcome {}

fn unknown(name: &str) -> UnknownOutcome {
    UnknownOutcome(name.to_owned())
}

/// How far a run shows that lost items can be restored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(rename_all = "kebab-case"))]
pub enum Restoration {
    /// The run did not try, or the attempt itself failed. A check that could not run has failed.
    #[default]
    NotShown,
    /// Some items stayed lost.
    Partial,
    /// Every lost item was restored, or could be.
    Complete,
}

/// Work that did not finish in time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct PendingWork {
    /// Name of the liveness property that does not hold, a fixed word: `L1`. Part of the fingerprint.
    pub property: String,
    /// Description for people, one line.
    pub what: String,
}

impl PendingWork {
    /// Creates a piece of work that violates `property`.
    #[must_use]
    pub fn new(property: impl Into<String>, what: impl Into<String>) -> PendingWork {
        PendingWork { property: property.into(), what: what.into() }
    }

    /// Returns the fingerprint of a run whose worst pending work this is: `hung:L1`.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        format!("hung:{}", crate::violation::word(&self.property))
    }

    /// Returns the descriptions, one a line; `None` if there is no work.
    #[must_use]
    pub fn lines(pending: &[PendingWork]) -> Option<String> {
        let lines: Vec<&str> = pending.iter().map(|work| work.what.as_str()).collect();
        (!lines.is_empty()).then(|| lines.join("\n"))
    }
}

/// The inputs of an outcome besides the violations.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OutcomeFacts {
    /// Whether the lost items could be restored. Used only when items were lost.
    pub restoration: Restoration,
    /// Reasons why a restorable loss does not count as recovered, one a line: `58 items are missing at the end`, `no
    /// detector reported the loss of log 7`. `None` if it was detected in time, and all items were restored unchanged.
    /// Used only when items were lost and [`OutcomeFacts::restoration`] is complete.
    pub shortfall: Option<String>,
    /// Work that did not finish in time, the worst first; empty if everything finished.
    pub hung: Vec<PendingWork>,
    /// Faults that exceeded the system's fault budget: `4 disks damaged at once at 2016-02-22 10:00:00Z, the budget is
    /// 3`. `None` while the faults stay within the budget. Used only when items were lost and not shown to be restored:
    /// it excuses nothing else.
    pub beyond_budget: Option<String>,
    /// Whether the same case had another trace in another process.
    pub nondeterministic: bool,
}

/// Returns the outcome of a run.
///
/// Each violation states whether it loses items ([`Violation::loses_items`]); the kind of loss depends on
/// [`OutcomeFacts::restoration`] and [`OutcomeFacts::shortfall`], and on whether the faults exceeded the system's fault
/// budget ([`OutcomeFacts::beyond_budget`]): a promise that was never made is not broken. A violation without loss
/// outranks loss: the loss count of a system that breaks its other promises is unreliable.
#[must_use]
pub fn outcome(violations: &[Violation], facts: &OutcomeFacts) -> Outcome {
    let lost = match (facts.restoration, &facts.beyond_budget) {
        (Restoration::Complete, _) if facts.shortfall.is_some() => Outcome::RecoverableButMissing,
        (Restoration::Complete, _) => Outcome::Recovered,
        (Restoration::Partial | Restoration::NotShown, Some(_)) => Outcome::UnrecoverableByDesign,
        (Restoration::Partial | Restoration::NotShown, None) => Outcome::UnrecoverableLoss,
    };
    let of_one = |violation: &Violation| if violation.loses_items { lost } else { Outcome::Violated };
    let worst = violations.iter().map(of_one).max().unwrap_or_default();
    let hung = if !facts.hung.is_empty() { Outcome::Hung } else { Outcome::Clean };
    let twice = if facts.nondeterministic { Outcome::Nondeterministic } else { Outcome::Clean };
    worst.max(hung).max(twice)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn loss() -> Violation {
        Violation::new("I1", "missing", "export").of("p1", 3).losing()
    }

    fn breach() -> Violation {
        Violation::new("I9", "dangling-reference", "manifest")
    }

    #[test]
    fn loss_is_recovered_only_when_everything_was_restored() {
        let with = |restoration| outcome(&[loss()], &OutcomeFacts { restoration, ..OutcomeFacts::default() });
        assert_eq!(with(Restoration::Complete), Outcome::Recovered);
        assert_eq!(with(Restoration::Partial), Outcome::UnrecoverableLoss);
        assert_eq!(with(Restoration::NotShown), Outcome::UnrecoverableLoss);
    }

    #[test]
    fn recoverable_loss_is_recovered_only_without_a_shortfall() {
        let with = |violations: &[Violation], restoration| {
            let shortfall = Some("58 items are missing at the end".to_owned());
            outcome(violations, &OutcomeFacts { restoration, shortfall, ..OutcomeFacts::default() })
        };
        assert_eq!(with(&[loss()], Restoration::Complete), Outcome::RecoverableButMissing);
        assert_eq!(with(&[loss()], Restoration::Partial), Outcome::UnrecoverableLoss, "the worse of the two");
        assert_eq!(with(&[], Restoration::Complete), Outcome::Clean, "nothing was lost");
        assert!(Outcome::Recovered < Outcome::RecoverableButMissing);
        assert!(Outcome::RecoverableButMissing < Outcome::UnrecoverableLoss);
    }

    #[test]
    fn loss_beyond_the_fault_budget_is_by_design_unless_everything_was_restored() {
        let beyond_budget = Some("4 disks damaged at once, the budget is 3".to_owned());
        let with = |violations: &[Violation], restoration| {
            outcome(
                violations,
                &OutcomeFacts {
                    restoration,
                    beyond_budget: beyond_budget.clone(),
                    ..OutcomeFacts::default()
                },
            )
        };
        assert_eq!(with(&[loss()], Restoration::NotShown), Outcome::UnrecoverableByDesign);
        assert_eq!(with(&[loss()], Restoration::Partial), Outcome::UnrecoverableByDesign);
        assert_eq!(with(&[loss()], Restoration::Complete), Outcome::Recovered);
        assert_eq!(with(&[], Restoration::NotShown), Outcome::Clean);
        assert_eq!(with(&[loss(), breach()], Restoration::Partial), Outcome::Violated, "excuses loss only");
    }

    #[test]
    fn a_run_without_violations_is_clean_whatever_could_be_restored() {
        for restoration in [Restoration::NotShown, Restoration::Partial, Restoration::Complete] {
            assert_eq!(
                outcome(&[], &OutcomeFacts { restoration, ..OutcomeFacts::default() }),
                Outcome::Clean
            );
        }
    }

    #[test]
    fn precedence_is_the_order_of_the_variants() {
        let complete = OutcomeFacts { restoration: Restoration::Complete, ..OutcomeFacts::default() };
        assert_eq!(outcome(&[loss(), breach()], &complete), Outcome::Violated);
        let hung = OutcomeFacts { hung: vec![PendingWork::new("L1", "backlog of node a")], ..complete };
        assert_eq!(outcome(&[loss(), breach()], &hung), Outcome::Hung);
        assert_eq!(outcome(&[], &hung), Outcome::Hung);
        let twice = OutcomeFacts { nondeterministic: true, ..hung };
        assert_eq!(outcome(&[loss(), breach()], &twice), Outcome::Nondeterministic);
        assert!(Outcome::ALL.is_sorted());
    }

    #[test]
    fn names_read_back() {
        for one in Outcome::ALL {
            assert_eq!(one.name().parse(), Ok(*one));
        }
        let wrong = "clan".parse::<Outcome>().unwrap_err();
        assert_eq!(
            wrong.to_string(),
            "unknown outcome 'clan'; one of: clean recovered recoverable-but-missing unrecoverable-by-design unrecoverable-loss violated hung nondeterministic"
        );
    }

    #[test]
    fn a_hang_is_identified_by_its_worst_property() {
        let pending =
            [PendingWork::new("L2", "L2 disk-1 dirty, since 2016"), PendingWork::new("L1", "L1 backlog")];
        assert_eq!(pending[0].fingerprint(), "hung:L2");
        assert_eq!(PendingWork::lines(&pending).as_deref(), Some("L2 disk-1 dirty, since 2016\nL1 backlog"));
        assert_eq!(PendingWork::lines(&[]), None);
    }
}
