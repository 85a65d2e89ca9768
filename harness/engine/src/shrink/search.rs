//! The search (delta debugging): remove halves, then quarters, down to single items; then simplify the rest; repeat
//! until nothing changes or the time limit is reached.

use super::candidate::{CandidateRunner, Effort};
use super::faults;
use crate::case::finding::Finding;
use crate::{CaseOf, Reduction, ReductionOf, System};
use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

/// Limit of a chain of simplifications: an endless chain is a bug in the system.
const MAX_STEPS: usize = 400;
/// Limit of the passes over all reductions.
const MAX_PASSES: usize = 12;

/// The smallest case so far, with its finding.
pub(crate) struct SmallestCase<S: System> {
    pub case: CaseOf<S>,
    pub finding: Finding,
}

/// A running search.
pub(crate) struct Shrinker<'a, S: System> {
    pub runner: &'a CandidateRunner,
    pub until: Option<Instant>,
    /// Set by a signal; the search then returns its smallest case so far.
    pub is_over: &'a AtomicUsize,
    reductions: Vec<ReductionOf<S>>,
    best: SmallestCase<S>,
    on_step: &'a mut dyn FnMut(&str, &SmallestCase<S>),
}

impl<'a, S: System> Shrinker<'a, S> {
    /// Starts with a failing case. `on_step` receives each reduction and each smaller case.
    pub fn new(
        runner: &'a CandidateRunner,
        (until, is_over): (Option<Instant>, &'a AtomicUsize),
        best: SmallestCase<S>,
        on_step: &'a mut dyn FnMut(&str, &SmallestCase<S>),
    ) -> Shrinker<'a, S> {
        let mut reductions = vec![faults::fewer::<S>()];
        reductions.extend(S::reductions());
        reductions.push(faults::simpler::<S>());
        Shrinker { runner, until, is_over, reductions, best, on_step }
    }

    /// Runs the search to its end.
    pub fn run(mut self) -> SmallestCase<S> {
        let reductions = std::mem::take(&mut self.reductions);
        // Coarse removal first: it shortens all later runs.
        for reduction in &reductions {
            if let Reduction::Remove { what, count, without } = reduction {
                self.leave_out(what, *count, *without, Effort::Coarse);
            }
        }
        for _ in 0..MAX_PASSES {
            let mut is_smaller = false;
            for reduction in &reductions {
                is_smaller |= match reduction {
                    Reduction::Remove { what, count, without } => {
                        self.leave_out(what, *count, *without, Effort::Thorough)
                    }
                    Reduction::Simplify { what, cases } => self.simplify(what, *cases),
                };
            }
            if !is_smaller || self.is_late() {
                break;
            }
        }
        self.write_out();
        self.best
    }

    fn is_late(&self) -> bool {
        self.is_over.load(Ordering::Relaxed) != 0
            || self.until.is_some_and(|until| crate::sweep::runner::now() >= until)
    }

    /// Lists the items explicitly if they are few enough, to be read and edited.
    fn write_out(&mut self) {
        if let Some(case) = S::materialize(&self.best.case)
            && let Some((_, case, finding)) = self.runner.first_failing::<S>(vec![case], Effort::Thorough)
        {
            self.best = SmallestCase { case, finding };
        }
    }

    fn leave_out(
        &mut self,
        what: &str,
        count: fn(&CaseOf<S>) -> usize,
        without: fn(&CaseOf<S>, &BTreeSet<usize>) -> Option<CaseOf<S>>,
        pace: Effort,
    ) -> bool {
        let (mut is_smaller, mut size) = (false, count(&self.best.case));
        let finest = if pace == Effort::Coarse { size.div_ceil(4) } else { 1 };
        while size > 0 && !self.is_late() {
            let mut at = 0;
            while at < count(&self.best.case) && !self.is_late() {
                let all = count(&self.best.case);
                let places: Vec<Range<usize>> = (at..all)
                    .step_by(size)
                    .take(self.runner.jobs)
                    .map(|from| from..(from + size).min(all))
                    .collect();
                let next = places.last().map_or(all, |last| last.end);
                let made = places.into_iter().filter_map(|range| {
                    let from = range.start;
                    without(&self.best.case, &range.collect()).map(|case| (from, case))
                });
                let (starts, cases): (Vec<usize>, Vec<CaseOf<S>>) = made.unzip();
                at = match self.take_first(what, cases, pace) {
                    // The following items moved to the removed position.
                    Some(place) if count(&self.best.case) < all => {
                        is_smaller = true;
                        starts[place]
                    }
                    _ => next,
                };
            }
            size = if size <= finest { 0 } else { size.div_ceil(2).max(finest) };
        }
        is_smaller
    }

    fn simplify(&mut self, what: &str, cases: fn(&CaseOf<S>) -> Vec<CaseOf<S>>) -> bool {
        let mut is_simpler = false;
        // Rejected variants keep their index until one is accepted.
        let mut refused = 0;
        for _ in 0..MAX_STEPS {
            let offers: Vec<CaseOf<S>> =
                cases(&self.best.case).into_iter().skip(refused).take(self.runner.jobs).collect();
            if offers.is_empty() || self.is_late() {
                break;
            }
            let tried = offers.len();
            match self.take_first(what, offers, Effort::Thorough) {
                // Earlier variants are likely to be rejected again: the next pass retries them.
                Some(place) => {
                    refused += place;
                    is_simpler = true;
                }
                None => refused += tried,
            }
        }
        is_simpler
    }

    fn take_first(&mut self, what: &str, cases: Vec<CaseOf<S>>, pace: Effort) -> Option<usize> {
        if cases.is_empty() {
            return None;
        }
        (self.on_step)(what, &self.best);
        let (place, case, finding) = self.runner.first_failing::<S>(cases, pace)?;
        self.best = SmallestCase { case, finding };
        (self.on_step)(what, &self.best);
        Some(place)
    }
}
