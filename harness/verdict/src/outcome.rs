//! The outcome of a run, and its derivation from violations and facts.

use crate::Violation;
use std::fmt;
use std::str::FromStr;

/// Outcome of a run. Ordered by precedence: when several apply, the greatest is the outcome.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Outcome {
    /// No invariant was violated.
    #[default]
    Clean,
    /// Items were lost; the loss was detected in time, and all of them were restored unchanged.
    Recovered,
    /// Items were lost, and all of them could be restored, but the loss was not detected in time, or not all of them
    /// were restored unchanged ([`OutcomeFacts::shortfall`]).
    RecoverableButMissing,
    /// Items were lost and not all restored, but the faults exceeded the system's fault budget.
    UnrecoverableByDesign,
    /// Items were lost, and not all of them could be restored, or no drill showed that they could.
    UnrecoverableLoss,
    /// An invariant was violated, without any loss of items.
    Violated,
    /// The system did not finish its work within its limit of virtual time.
    Hung,
    /// The same case ran differently in another process: its other results are unreliable.
    Nondeterministic,
}

impl Outcome {
    /// Every outcome, least to greatest.
    pub const ALL: [Outcome; 8] = [
        Outcome::Clean,
        Outcome::Recovered,
        Outcome::RecoverableButMissing,
        Outcome::UnrecoverableByDesign,
        Outcome::UnrecoverableLoss,
        Outcome::Violated,
        Outcome::Hung,
        Outcome::Nondeterministic,
    ];

    /// Its name in scenarios and reports, in kebab case.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Outcome::Clean => "clean",
            Outcome::Recovered => "recovered",
            Outcome::RecoverableButMissing => "recoverable-but-missing",
            Outcome::UnrecoverableByDesign => "unrecoverable-by-design",
            Outcome::UnrecoverableLoss => "unrecoverable-loss",
            Outcome::Violated => "violated",
            Outcome::Hung => "hung",
            Outcome::Nondeterministic => "nondeterministic",
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
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

impl FromStr for Outcome {
    type Err = UnknownOutcome;
    fn from_str(name: &str) -> Result<Outcome, UnknownOutcome> {
        Outcome::ALL.into_iter().find(|one| one.name() == name).ok_or_else(|| UnknownOutcome(name.to_owned()))
    }
}

/// Result of the recovery drill.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Recovery {
    /// No drill ran, or the drill itself failed. A check that could not run has failed.
    #[default]
    NotShown,
    /// Some items stayed lost.
    Partial,
    /// Every lost item was restored, or could be.
    Complete,
}

/// The inputs of an outcome besides the violations.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OutcomeFacts {
    /// Result of the drill. Used only when items were lost.
    pub recovery: Recovery,
    /// Reasons why a recoverable loss does not count as recovered, one a line: `58 events are missing at the end`, `no
    /// detector reported the loss of p17 2016-02-22`. `None` if it was detected in time, and all items were restored
    /// unchanged. Used only when items were lost and [`OutcomeFacts::recovery`] is complete.
    pub shortfall: Option<String>,
    /// Work that did not finish in time, one reason a line, the worst first; `None` if everything finished.
    pub hung: Option<String>,
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
/// [`OutcomeFacts::recovery`] and [`OutcomeFacts::shortfall`], and on whether the faults exceeded the system's fault
/// budget ([`OutcomeFacts::beyond_budget`]): a promise that was never made is not broken. A violation without loss
/// outranks loss: the loss count of a system that breaks its other promises is unreliable.
#[must_use]
pub fn outcome(violations: &[Violation], facts: &OutcomeFacts) -> Outcome {
    let lost = match (facts.recovery, &facts.beyond_budget) {
        (Recovery::Complete, _) if facts.shortfall.is_some() => Outcome::RecoverableButMissing,
        (Recovery::Complete, _) => Outcome::Recovered,
        (Recovery::Partial | Recovery::NotShown, Some(_)) => Outcome::UnrecoverableByDesign,
        (Recovery::Partial | Recovery::NotShown, None) => Outcome::UnrecoverableLoss,
    };
    let of_one = |violation: &Violation| if violation.loses_items { lost } else { Outcome::Violated };
    let worst = violations.iter().map(of_one).max().unwrap_or_default();
    let hung = if facts.hung.is_some() { Outcome::Hung } else { Outcome::Clean };
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
        let with = |recovery| outcome(&[loss()], &OutcomeFacts { recovery, ..OutcomeFacts::default() });
        assert_eq!(with(Recovery::Complete), Outcome::Recovered);
        assert_eq!(with(Recovery::Partial), Outcome::UnrecoverableLoss);
        assert_eq!(with(Recovery::NotShown), Outcome::UnrecoverableLoss);
    }

    #[test]
    fn recoverable_loss_is_recovered_only_without_a_shortfall() {
        let with = |violations: &[Violation], recovery| {
            let shortfall = Some("58 events are missing at the end".to_owned());
            outcome(violations, &OutcomeFacts { recovery, shortfall, ..OutcomeFacts::default() })
        };
        assert_eq!(with(&[loss()], Recovery::Complete), Outcome::RecoverableButMissing);
        assert_eq!(with(&[loss()], Recovery::Partial), Outcome::UnrecoverableLoss, "the worse of the two");
        assert_eq!(with(&[], Recovery::Complete), Outcome::Clean, "nothing was lost");
        assert!(Outcome::Recovered < Outcome::RecoverableButMissing);
        assert!(Outcome::RecoverableButMissing < Outcome::UnrecoverableLoss);
    }

    #[test]
    fn loss_beyond_the_fault_budget_is_by_design_unless_everything_was_restored() {
        let beyond_budget = Some("4 disks damaged at once, the budget is 3".to_owned());
        let with = |violations: &[Violation], recovery| {
            outcome(
                violations,
                &OutcomeFacts { recovery, beyond_budget: beyond_budget.clone(), ..OutcomeFacts::default() },
            )
        };
        assert_eq!(with(&[loss()], Recovery::NotShown), Outcome::UnrecoverableByDesign);
        assert_eq!(with(&[loss()], Recovery::Partial), Outcome::UnrecoverableByDesign);
        assert_eq!(with(&[loss()], Recovery::Complete), Outcome::Recovered);
        assert_eq!(with(&[], Recovery::NotShown), Outcome::Clean);
        assert_eq!(with(&[loss(), breach()], Recovery::Partial), Outcome::Violated, "excuses loss only");
    }

    #[test]
    fn a_run_without_violations_is_clean_for_any_drill_result() {
        for recovery in [Recovery::NotShown, Recovery::Partial, Recovery::Complete] {
            assert_eq!(outcome(&[], &OutcomeFacts { recovery, ..OutcomeFacts::default() }), Outcome::Clean);
        }
    }

    #[test]
    fn precedence_is_the_order_of_the_variants() {
        let complete = OutcomeFacts { recovery: Recovery::Complete, ..OutcomeFacts::default() };
        assert_eq!(outcome(&[loss(), breach()], &complete), Outcome::Violated);
        let hung = OutcomeFacts { hung: Some("backlog of node a".into()), ..complete };
        assert_eq!(outcome(&[loss(), breach()], &hung), Outcome::Hung);
        assert_eq!(outcome(&[], &hung), Outcome::Hung);
        let twice = OutcomeFacts { nondeterministic: true, ..hung };
        assert_eq!(outcome(&[loss(), breach()], &twice), Outcome::Nondeterministic);
        assert!(Outcome::ALL.is_sorted());
    }

    #[test]
    fn names_read_back() {
        for one in Outcome::ALL {
            assert_eq!(one.name().parse(), Ok(one));
        }
        let wrong = "clan".parse::<Outcome>().unwrap_err();
        assert_eq!(
            wrong.to_string(),
            "unknown outcome 'clan'; one of: clean recovered recoverable-but-missing unrecoverable-by-design unrecoverable-loss violated hung nondeterministic"
        );
    }
}
