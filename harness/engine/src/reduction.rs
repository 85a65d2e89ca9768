//! The system's side of shrinking.
//!
//! The engine shrinks faults, days and seeds; everything else (projects, clients, events, nodes) is the system's. A
//! reduction need not know whether the smaller case still fails: the engine runs it.

use crate::plan::Plan;
use crate::{Scenario, System};
use std::collections::BTreeSet;
use std::fmt;

/// Everything that decides a run. The plan's faults are complete: the scenario's are not armed in addition.
pub struct Case<S: System> {
    /// The scenario: what the plan does not hold, such as topology and deploys.
    pub scenario: Scenario<S::Config>,
    /// The plan.
    pub plan: Plan<S::Plan>,
}

impl<S: System> Clone for Case<S> {
    fn clone(&self) -> Self {
        Case { scenario: self.scenario.clone(), plan: self.plan.clone() }
    }
}

impl<S: System> fmt::Debug for Case<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Case").field("scenario", &self.scenario).field("plan", &self.plan).finish()
    }
}

/// One way to make a case smaller.
pub enum Reduction<S: System> {
    /// Independently removable items: the engine searches for the smallest set that must stay.
    Remove {
        /// Noun for the items, in the plural: `projects`.
        what: &'static str,
        /// Number of items.
        count: fn(&Case<S>) -> usize,
        /// Returns the case without the items at these indices, counted from 0; `None` if that is not a valid case.
        without: fn(&Case<S>, &BTreeSet<usize>) -> Option<Case<S>>,
    },
    /// Simpler variants of the case, the simplest first. The chain must terminate: a simpler case offers fewer
    /// variants.
    Simplify {
        /// Noun for the property that becomes simpler, in the plural: `times`.
        what: &'static str,
        /// The variants.
        cases: fn(&Case<S>) -> Vec<Case<S>>,
    },
}

impl<S: System> Reduction<S> {
    /// Noun for what it reduces, in the plural.
    #[must_use]
    pub fn what(&self) -> &'static str {
        match self {
            Reduction::Remove { what, .. } | Reduction::Simplify { what, .. } => what,
        }
    }
}
