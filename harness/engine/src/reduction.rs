//! The system's side of shrinking.
//!
//! The engine shrinks faults and seeds; everything else (the length of the run, clients, items, nodes) is the system's.
//! A reduction need not know whether the smaller case still fails: the engine runs it.

use crate::Scenario;
use crate::plan::Plan;
use std::collections::BTreeSet;

/// Everything that decides a run. The plan's faults are complete: the scenario's are not armed in addition.
///
/// `C` is the system's part of the scenario, `P` its part of the plan.
#[derive(Clone, Debug)]
pub struct Case<C, P> {
    /// The scenario: what the plan does not hold, such as topology and deploys.
    pub scenario: Scenario<C>,
    /// The plan.
    pub plan: Plan<P>,
}

type WithoutItems<C, P> = fn(&Case<C, P>, &BTreeSet<usize>) -> Option<Case<C, P>>;
type Variants<C, P> = fn(&Case<C, P>) -> Vec<Case<C, P>>;

/// One way to make a case smaller.
pub enum Reduction<C, P> {
    /// Independently removable items: the engine searches for the smallest set that must stay.
    Remove {
        /// Noun for the items, in the plural: `projects`.
        what: &'static str,
        /// Number of items.
        count: fn(&Case<C, P>) -> usize,
        /// Returns the case without the items at these indices, counted from 0; `None` if that is not a valid case.
        without: WithoutItems<C, P>,
    },
    /// Simpler variants of the case, the simplest first. The chain must terminate: a simpler case offers fewer
    /// variants.
    Simplify {
        /// Noun for the property that becomes simpler, in the plural: `times`.
        what: &'static str,
        /// The variants.
        cases: Variants<C, P>,
    },
}

impl<C, P> Reduction<C, P> {
    /// Noun for what it reduces, in the plural.
    #[must_use]
    pub fn what(&self) -> &'static str {
        match self {
            Reduction::Remove { what, .. } | Reduction::Simplify { what, .. } => what,
        }
    }
}
