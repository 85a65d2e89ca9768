//! Whether a candidate still fails in the same way: under its own scheduler seed, or under one of seven others.

use crate::case::finding::Finding;
use crate::case::parent::{self, Manner};
use crate::case::wire::{Judged, Work};
use crate::{Case, System};
use latent_verdict::{Outcome, by_fingerprint};
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use xxhash_rust::xxh3::xxh3_64_with_seed;

/// A smaller case takes other turns; what is to be seen may need an order of tasks that another seed has.
const SCHEDULER_SEEDS: u64 = 8;

/// How hard a candidate is tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pace {
    /// Under its own scheduler seed: of a large case each run takes long, and what this misses is tried again.
    Coarse,
    /// Under all of them.
    Thorough,
}

/// What a candidate must show.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Wanted {
    pub outcome: Outcome,
    pub fingerprint: String,
}

impl Wanted {
    /// What a run shows of it: the same outcome, and the finding among those of the run, not necessarily the worst.
    fn shown_by(&self, ended: Finding, judged: Option<&Judged>) -> Option<Finding> {
        if ended.outcome() != self.outcome {
            return None;
        }
        let violations: Vec<_> =
            judged.into_iter().flat_map(|judged| &judged.violations).map(|line| line.0.clone()).collect();
        let groups = by_fingerprint(&violations);
        match groups.iter().find(|group| group.fingerprint == self.fingerprint) {
            Some(group) => Some(ended.of_group(group)),
            None => (ended.fingerprint == self.fingerprint).then_some(ended),
        }
    }
}

/// A case as it stands in no file yet, as work.
pub(super) fn work<S: System>(case: &Case<S>) -> Option<Work> {
    let work = Work::of("candidate".to_owned(), case.scenario.to_text(), case.scenario.seed);
    Some(Work { plan: Some(serde_json::to_value(&case.plan).ok()?), ..work })
}

/// Runs candidates.
pub(crate) struct Trial {
    pub wanted: Wanted,
    pub manner: Manner,
    pub jobs: usize,
    /// Runs so far.
    pub runs: AtomicU64,
}

impl Trial {
    /// The first of these that still fails, with the scheduler seed under which it does, its place and what it came to.
    pub fn first_that_fails<S: System>(
        &self,
        cases: Vec<Case<S>>,
        pace: Pace,
    ) -> Option<(usize, Case<S>, Finding)> {
        let works: Vec<Option<Work>> = cases.iter().map(work).collect();
        let found: Vec<Option<(u64, Finding)>> = thread::scope(|scope| {
            let running: Vec<_> =
                works.iter().map(|work| scope.spawn(move || self.fails(work.as_ref()?, pace))).collect();
            running.into_iter().map(|one| one.join().ok().flatten()).collect()
        });
        let place = found.iter().position(Option::is_some)?;
        let (scheduler_seed, finding) = found.into_iter().nth(place).flatten()?;
        let mut case = cases.into_iter().nth(place)?;
        case.plan.scheduler_seed = scheduler_seed;
        Some((place, case, finding))
    }

    /// The scheduler seed under which the work fails as wanted, if there is one.
    fn fails(&self, work: &Work, pace: Pace) -> Option<(u64, Finding)> {
        let own = work.plan.as_ref()?.get("scheduler_seed")?.as_u64()?;
        let seeds = if pace == Pace::Coarse { 1 } else { SCHEDULER_SEEDS };
        for turn in 0..seeds {
            let scheduler_seed =
                if turn == 0 { own } else { xxh3_64_with_seed(b"another order of tasks", own ^ turn) };
            let mut work = work.clone();
            work.plan.as_mut()?["scheduler_seed"] = scheduler_seed.into();
            self.runs.fetch_add(1, Ordering::Relaxed);
            let (finding, judged) = match parent::run(&work, self.manner, |_| {}) {
                Ok(judged) => (Finding::of(&judged), Some(judged)),
                // What cannot run at all is no smaller case.
                Err(error) => (Finding::of_broken(error).ok()?, None),
            };
            if let Some(shown) = self.wanted.shown_by(finding, judged.as_ref()) {
                return Some((scheduler_seed, shown));
            }
        }
        None
    }
}
