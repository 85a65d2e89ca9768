//! The search: leave out half, then quarters, down to single things; then simplify what is left; again, until nothing
//! more goes or time is over.

use super::faults;
use super::trial::{Pace, Trial};
use crate::case::finding::Finding;
use crate::{Case, Reduction, System};
use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

/// A chain of simplifications ends after so many: one that does not is a mistake of the system's.
const MOST_STEPS: usize = 400;
/// Passes over all reductions.
const MOST_PASSES: usize = 12;

/// The smallest case so far, and what it came to.
pub(crate) struct Found<S: System> {
    pub case: Case<S>,
    pub finding: Finding,
}

/// A search under way.
pub(crate) struct Search<'a, S: System> {
    pub trial: &'a Trial,
    pub until: Option<Instant>,
    /// Set by whoever interrupts the search: what is found by then is what it came to.
    pub is_over: &'a AtomicUsize,
    reductions: Vec<Reduction<S>>,
    best: Found<S>,
    on_step: &'a mut dyn FnMut(&str, &Found<S>),
}

impl<'a, S: System> Search<'a, S> {
    /// Begins with a case that fails as wanted. `on_step` hears of what is tried, and of each smaller case.
    pub fn new(
        trial: &'a Trial,
        (until, is_over): (Option<Instant>, &'a AtomicUsize),
        best: Found<S>,
        on_step: &'a mut dyn FnMut(&str, &Found<S>),
    ) -> Search<'a, S> {
        let mut reductions = vec![faults::fewer()];
        reductions.extend(S::reductions());
        reductions.push(faults::simpler());
        Search { trial, until, is_over, reductions, best, on_step }
    }

    /// Searches to the end.
    pub fn run(mut self) -> Found<S> {
        let reductions = std::mem::take(&mut self.reductions);
        // What the case can do without in bulk goes first: every run after that is a shorter one.
        for reduction in &reductions {
            if let Reduction::LeaveOut { what, count, without } = reduction {
                self.leave_out(what, *count, *without, Pace::Coarse);
            }
        }
        for _ in 0..MOST_PASSES {
            let mut is_smaller = false;
            for reduction in &reductions {
                is_smaller |= match reduction {
                    Reduction::LeaveOut { what, count, without } => {
                        self.leave_out(what, *count, *without, Pace::Thorough)
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
            || self.until.is_some_and(|until| crate::sweep::go::now() >= until)
    }

    /// Events in full, if they are few enough: they are read and edited, and no law has to stay what it is.
    fn write_out(&mut self) {
        if let Some(case) = S::written_out(&self.best.case)
            && let Some((_, case, finding)) = self.trial.first_that_fails(vec![case], Pace::Thorough)
        {
            self.best = Found { case, finding };
        }
    }

    fn leave_out(
        &mut self,
        what: &str,
        count: fn(&Case<S>) -> usize,
        without: fn(&Case<S>, &BTreeSet<usize>) -> Option<Case<S>>,
        pace: Pace,
    ) -> bool {
        let (mut is_smaller, mut size) = (false, count(&self.best.case));
        let finest = if pace == Pace::Coarse { size.div_ceil(4) } else { 1 };
        while size > 0 && !self.is_late() {
            let mut at = 0;
            while at < count(&self.best.case) && !self.is_late() {
                let all = count(&self.best.case);
                let places: Vec<Range<usize>> = (at..all)
                    .step_by(size)
                    .take(self.trial.jobs)
                    .map(|from| from..(from + size).min(all))
                    .collect();
                let next = places.last().map_or(all, |last| last.end);
                let made = places.into_iter().filter_map(|range| {
                    let from = range.start;
                    without(&self.best.case, &range.collect()).map(|case| (from, case))
                });
                let (starts, cases): (Vec<usize>, Vec<Case<S>>) = made.unzip();
                at = match self.take_first(what, cases, pace) {
                    // What follows moved to where the left out stood.
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

    fn simplify(&mut self, what: &str, cases: fn(&Case<S>) -> Vec<Case<S>>) -> bool {
        let mut is_simpler = false;
        // Offers that were refused stand at the same places until something is taken.
        let mut refused = 0;
        for _ in 0..MOST_STEPS {
            let offers: Vec<Case<S>> =
                cases(&self.best.case).into_iter().skip(refused).take(self.trial.jobs).collect();
            if offers.is_empty() || self.is_late() {
                break;
            }
            let tried = offers.len();
            match self.take_first(what, offers, Pace::Thorough) {
                // Those before it stay refused, most likely: the next pass asks for them again.
                Some(place) => {
                    refused += place;
                    is_simpler = true;
                }
                None => refused += tried,
            }
        }
        is_simpler
    }

    fn take_first(&mut self, what: &str, cases: Vec<Case<S>>, pace: Pace) -> Option<usize> {
        if cases.is_empty() {
            return None;
        }
        (self.on_step)(what, &self.best);
        let (place, case, finding) = self.trial.first_that_fails(cases, pace)?;
        self.best = Found { case, finding };
        (self.on_step)(what, &self.best);
        Some(place)
    }
}
