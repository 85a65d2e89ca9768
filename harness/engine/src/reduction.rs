//! What a system tells the engine about making its cases smaller.
//!
//! The engine knows faults, days and seeds; everything else (projects, clients, events, nodes) is the system's. A
//! reduction never has to know whether the smaller case still fails: the engine runs it and sees.

use crate::plan::Plan;
use crate::{Scenario, System};
use std::collections::BTreeSet;
use std::fmt;

/// All that decides a run. The plan's faults are all there are: the scenario's are not armed besides.
pub struct Case<S: System> {
    /// The scenario: what the plan does not hold, such as topology and deploys.
    pub scenario: Scenario<S::Topic>,
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
    /// Things that can be left out, any of them without the others: the engine looks for the fewest that must stay.
    LeaveOut {
        /// What they are, in the plural: `projects`.
        what: &'static str,
        /// How many there are.
        count: fn(&Case<S>) -> usize,
        /// The case without those at these places, counted from 0; `None` where that makes no case.
        without: fn(&Case<S>, &BTreeSet<usize>) -> Option<Case<S>>,
    },
    /// Cases with something simpler in place of one thing, the simplest first. Whatever they offer must come to an end:
    /// a simpler case offers fewer.
    Simplify {
        /// What becomes simpler, in the plural: `times`.
        what: &'static str,
        /// The cases.
        cases: fn(&Case<S>) -> Vec<Case<S>>,
    },
}

impl<S: System> Reduction<S> {
    /// What it works on, in the plural.
    #[must_use]
    pub fn what(&self) -> &'static str {
        match self {
            Reduction::LeaveOut { what, .. } | Reduction::Simplify { what, .. } => what,
        }
    }
}
