//! The search for the first seed that catches a bug.
//!
//! Cases run in parallel; results count in the order of their seeds, so the number of jobs changes nothing but time.

use super::PlantedBug;
use super::record::{BugSearch, Catch};
use crate::System;
use crate::case::finding::Finding;
use crate::case::ipc::{CaseRequest, CaseResult};
use crate::case::parent::{self, CaseError, WorkerLimits};
use crate::case::pool;
use crate::case_source::CaseSource;
use crate::scenario::ScenarioError;
use crate::sweep::runner::now;
use latent_verdict::Outcome;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;
use thiserror::Error;

/// Reason why a search has no result.
#[derive(Debug, Error)]
pub(crate) enum SearchError {
    /// A signal, or the end of the time.
    #[error("stopped")]
    Stopped,
    /// A case could not be run at all.
    #[error("{0}: {1}")]
    Case(String, CaseError),
    /// The scenario cannot run with a seed.
    #[error(transparent)]
    Scenario(#[from] ScenarioError),
}

/// Everything that the searches for one bug share.
pub(crate) struct SearchContext<'a, S: System> {
    pub bug: PlantedBug,
    /// The scenario on the release with the bug.
    pub target: &'a CaseSource<S>,
    /// The scenario without it.
    pub good: &'a CaseSource<S>,
    pub jobs: usize,
    pub limits: WorkerLimits,
    /// The signal that interrupted the program, 0 for none.
    pub signal: &'a AtomicUsize,
    /// Time after which the search stops.
    pub until: Option<Instant>,
}

/// A case that ended, before it counts.
struct EndedCase {
    finding: Finding,
    invariants: Vec<String>,
    is_reached: bool,
    case_ms: u64,
}

impl<S: System> SearchContext<'_, S> {
    /// Runs up to `limit` seeds from `first_seed` on, until one catches the bug.
    ///
    /// # Errors
    /// It was interrupted, or a case could not be run.
    pub fn run(&self, first_seed: u64, limit: u64) -> Result<BugSearch, SearchError> {
        let seeds: Vec<u64> = (first_seed..first_seed.saturating_add(limit)).collect();
        let requests = seeds
            .iter()
            .map(|seed| Ok(self.target.with_seed(*seed)?.request()))
            .collect::<Result<Vec<CaseRequest>, ScenarioError>>()?;
        let started = Mutex::new(BTreeMap::new());
        let begin = |index: &usize| {
            started.lock().unwrap_or_else(PoisonError::into_inner).insert(*index, now());
            requests[*index].clone()
        };
        let items: Vec<usize> = (0..requests.len()).collect();
        let (mut ended, mut search) = (BTreeMap::new(), BugSearch { first_seed, ..BugSearch::default() });
        let mut result = None;
        pool::run_until(self.signal, &items, self.jobs, self.limits, begin, |index, judged| {
            let began = started.lock().unwrap_or_else(PoisonError::into_inner).remove(&index);
            let case_ms = began.map_or(0, |began| began.elapsed().as_millis());
            match self.ended(judged, u64::try_from(case_ms).unwrap_or(u64::MAX)) {
                Ok(case) => ended.insert(index, case),
                Err(error) => {
                    result = Some(Err(SearchError::Case(format!("seed {}", seeds[index]), error)));
                    return false;
                }
            };
            while let Some(case) = usize::try_from(search.seeds).ok().and_then(|next| ended.remove(&next)) {
                match self.count(&mut search, case) {
                    Ok(false) => {}
                    Ok(true) => {
                        result = Some(Ok(()));
                        return false;
                    }
                    Err(error) => {
                        result = Some(Err(error));
                        return false;
                    }
                }
            }
            self.until.is_none_or(|until| now() < until)
        });
        match result {
            Some(Err(error)) => Err(error),
            Some(Ok(())) => Ok(search),
            None if search.seeds == limit && self.signal.load(Ordering::Relaxed) == 0 => Ok(search),
            None => Err(SearchError::Stopped),
        }
    }

    /// Counts the next case in the order of seeds. Returns whether it catches the bug.
    fn count(&self, search: &mut BugSearch, case: EndedCase) -> Result<bool, SearchError> {
        let seed = search.first_seed + search.seeds;
        search.seeds += 1;
        search.reached += u64::from(case.is_reached);
        search.case_ms += case.case_ms;
        if self.target.scenario.expect.is_met_by(case.finding.outcome) {
            return Ok(false);
        }
        let good = self.good.with_seed(seed)?;
        let without_bug = parent::run(&good.request(), self.limits, |_| {});
        if !without_bug.is_ok_and(|judged| good.scenario.expect.is_met_by(judged.outcome)) {
            search.fail_without_bug.push(seed);
            return Ok(false);
        }
        let Finding { outcome, fingerprint, .. } = case.finding;
        search.caught = Some(Catch { seed, outcome, fingerprint, invariants: case.invariants });
        Ok(true)
    }

    fn ended(&self, judged: Result<CaseResult, CaseError>, case_ms: u64) -> Result<EndedCase, CaseError> {
        match judged {
            Ok(judged) => {
                // A mark of a fork has the fork's name as a prefix.
                let bare = |mark: &str| mark.rsplit(':').next() == Some(self.bug.trigger.name());
                let is_reached = judged.marks.keys().any(|mark| bare(mark));
                let violated = judged.violations.iter().map(|violation| violation.invariant.clone());
                let late = judged.hung.iter().filter(|_| judged.outcome == Outcome::Hung);
                let all: BTreeSet<String> =
                    violated.chain(late.map(|pending| pending.property.clone())).collect();
                let finding = Finding::of(&judged);
                Ok(EndedCase { finding, invariants: all.into_iter().collect(), is_reached, case_ms })
            }
            // A process that was killed from outside gives no result of the case.
            Err(error @ CaseError::Died(_)) => Err(error),
            Err(error) => {
                let finding = Finding::from_error(error)?;
                Ok(EndedCase { finding, invariants: Vec::new(), is_reached: false, case_ms })
            }
        }
    }
}
