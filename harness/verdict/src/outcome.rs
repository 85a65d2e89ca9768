//! The one word that a run ends with, and how it follows from violations and facts.

use crate::Violation;
use std::fmt;
use std::str::FromStr;

/// How a run ended. Ordered by precedence: when several apply, the greatest is the outcome.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Outcome {
    /// Nothing was violated.
    #[default]
    Clean,
    /// Items were lost; something noticed it in time, all of them were brought back, and they are whole.
    Recovered,
    /// Items were lost, and all of them could be brought back, but the system did not notice in time, did not bring
    /// all of them back, or not as they were ([`Facts::shortfall`]).
    RecoverableButMissing,
    /// Items were lost, and not all of them came back, but more went wrong than the system promises to survive.
    UnrecoverableByDesign,
    /// Items were lost, and not all of them could be brought back, or nobody showed that they could.
    UnrecoverableLoss,
    /// Something that must hold did not, without any loss of items.
    Violated,
    /// The system did not come to rest within its limit of virtual time.
    Hung,
    /// The same case ran differently in another process: nothing else that it says can be trusted.
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

/// A name that is no outcome.
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

/// What was shown about getting lost items back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Recovery {
    /// Nobody tried, or the attempt itself broke. A check that could not run has failed.
    #[default]
    NotShown,
    /// Some items stayed lost.
    Partial,
    /// Every lost item is back, or could be brought back.
    Complete,
}

/// What a run's outcome depends on besides its violations.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// What the drill showed. Asked only when items were lost.
    pub recovery: Recovery,
    /// What keeps a loss that can be had back from counting as recovered, one reason a line: `58 events are missing at
    /// the end`, `no detector reported the loss of p17 2016-02-22`. `None` when it was noticed in time, brought back,
    /// and is whole. Asked only when items were lost and [`Facts::recovery`] is complete.
    pub shortfall: Option<String>,
    /// What did not come to rest in time, one reason a line, the worst first; `None` when everything did.
    pub hung: Option<String>,
    /// What exceeded the faults that the system promises to survive, and by how much: `4 disks damaged at once at
    /// 2016-02-22 10:00:00Z, the budget is 3`. `None` while the faults stay within the budget. Asked only when items
    /// were lost and not shown to have come back: it excuses nothing else.
    pub beyond_budget: Option<String>,
    /// The same case had another trace in another process.
    pub nondeterministic: bool,
}

/// The outcome of a run.
///
/// Loss is told apart from other violations by each violation itself ([`Violation::loses_items`]); which kind of
/// loss it is depends on [`Facts::recovery`] and [`Facts::shortfall`], and on whether more went wrong than the system
/// promises to survive ([`Facts::beyond_budget`]): what was never promised is no bug. A violation without loss outranks loss: a system
/// that breaks its other promises cannot be trusted to count what it lost.
#[must_use]
pub fn outcome(violations: &[Violation], facts: &Facts) -> Outcome {
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
    fn loss_is_recovered_only_when_everything_came_back() {
        let with = |recovery| outcome(&[loss()], &Facts { recovery, ..Facts::default() });
        assert_eq!(with(Recovery::Complete), Outcome::Recovered);
        assert_eq!(with(Recovery::Partial), Outcome::UnrecoverableLoss);
        assert_eq!(with(Recovery::NotShown), Outcome::UnrecoverableLoss);
    }

    #[test]
    fn loss_that_can_be_had_back_is_recovered_only_without_a_shortfall() {
        let with = |violations: &[Violation], recovery| {
            let shortfall = Some("58 events are missing at the end".to_owned());
            outcome(violations, &Facts { recovery, shortfall, ..Facts::default() })
        };
        assert_eq!(with(&[loss()], Recovery::Complete), Outcome::RecoverableButMissing);
        assert_eq!(with(&[loss()], Recovery::Partial), Outcome::UnrecoverableLoss, "the worse of the two");
        assert_eq!(with(&[], Recovery::Complete), Outcome::Clean, "nothing was lost");
        assert!(Outcome::Recovered < Outcome::RecoverableButMissing);
        assert!(Outcome::RecoverableButMissing < Outcome::UnrecoverableLoss);
    }

    #[test]
    fn loss_beyond_the_fault_budget_is_by_design_unless_everything_came_back() {
        let beyond_budget = Some("4 disks damaged at once, the budget is 3".to_owned());
        let with = |violations: &[Violation], recovery| {
            outcome(violations, &Facts { recovery, beyond_budget: beyond_budget.clone(), ..Facts::default() })
        };
        assert_eq!(with(&[loss()], Recovery::NotShown), Outcome::UnrecoverableByDesign);
        assert_eq!(with(&[loss()], Recovery::Partial), Outcome::UnrecoverableByDesign);
        assert_eq!(with(&[loss()], Recovery::Complete), Outcome::Recovered);
        assert_eq!(with(&[], Recovery::NotShown), Outcome::Clean);
        assert_eq!(with(&[loss(), breach()], Recovery::Partial), Outcome::Violated, "excuses loss only");
    }

    #[test]
    fn nothing_violated_is_clean_whatever_the_drill_said() {
        for recovery in [Recovery::NotShown, Recovery::Partial, Recovery::Complete] {
            assert_eq!(outcome(&[], &Facts { recovery, ..Facts::default() }), Outcome::Clean);
        }
    }

    #[test]
    fn precedence_is_the_order_of_the_variants() {
        let complete = Facts { recovery: Recovery::Complete, ..Facts::default() };
        assert_eq!(outcome(&[loss(), breach()], &complete), Outcome::Violated);
        let hung = Facts { hung: Some("backlog of node a".into()), ..complete };
        assert_eq!(outcome(&[loss(), breach()], &hung), Outcome::Hung);
        assert_eq!(outcome(&[], &hung), Outcome::Hung);
        let twice = Facts { nondeterministic: true, ..hung };
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
