//! Runs shrink candidates: whether one still fails in the same way, under its own scheduler seed or one of seven
//! others.

use crate::case::finding::Finding;
use crate::case::ipc::{CaseRequest, CaseResult};
use crate::case::parent::{self, WorkerLimits};
use crate::{CaseOf, System};
use latent_verdict::{Outcome, group_by_fingerprint};
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use xxhash_rust::xxh3::xxh3_64_with_seed;

/// Number of scheduler seeds: a smaller case schedules differently, and the failure may need a task order of another
/// seed.
const SCHEDULER_SEEDS: u64 = 8;

/// Effort for each candidate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Effort {
    /// Its own scheduler seed only: each run of a large case takes long, and a missed candidate is tried again later.
    Coarse,
    /// All scheduler seeds.
    Thorough,
}

/// The failure that a candidate must reproduce.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TargetFailure {
    pub outcome: Outcome,
    pub fingerprint: String,
}

impl TargetFailure {
    /// Returns the finding if a run has the same outcome, and the fingerprint among its violations, not necessarily as
    /// the worst.
    fn match_run(&self, ended: Finding, judged: Option<&CaseResult>) -> Option<Finding> {
        if ended.outcome != self.outcome {
            return None;
        }
        let violations = judged.map_or(&[][..], |judged| &judged.violations);
        let groups = group_by_fingerprint(violations);
        match groups.iter().find(|group| group.fingerprint == self.fingerprint) {
            Some(group) => Some(ended.for_group(group)),
            None => (ended.fingerprint == self.fingerprint).then_some(ended),
        }
    }
}

/// Builds the request for a case that has no file yet.
pub(super) fn request<S: System>(case: &CaseOf<S>) -> Option<CaseRequest> {
    let request = CaseRequest::of("candidate".to_owned(), case.scenario.to_text(), case.scenario.seed);
    Some(CaseRequest { plan: Some(serde_json::to_value(&case.plan).ok()?), ..request })
}

/// Runs candidates.
pub(crate) struct CandidateRunner {
    pub target: TargetFailure,
    pub limits: WorkerLimits,
    pub jobs: usize,
    /// Number of runs so far.
    pub runs: AtomicU64,
}

impl CandidateRunner {
    /// Returns the first candidate that still fails, with the scheduler seed under which it does, its index and its
    /// finding.
    pub fn first_failing<S: System>(
        &self,
        cases: Vec<CaseOf<S>>,
        pace: Effort,
    ) -> Option<(usize, CaseOf<S>, Finding)> {
        let requests: Vec<Option<CaseRequest>> = cases.iter().map(request::<S>).collect();
        let found: Vec<Option<(u64, Finding)>> = thread::scope(|scope| {
            let running: Vec<_> = requests
                .iter()
                .map(|request| scope.spawn(move || self.fails(request.as_ref()?, pace)))
                .collect();
            running.into_iter().map(|one| one.join().ok().flatten()).collect()
        });
        let place = found.iter().position(Option::is_some)?;
        let (scheduler_seed, finding) = found.into_iter().nth(place).flatten()?;
        let mut case = cases.into_iter().nth(place)?;
        case.plan.scheduler_seed = scheduler_seed;
        Some((place, case, finding))
    }

    /// Returns the scheduler seed under which the request fails as required, if there is one.
    fn fails(&self, request: &CaseRequest, pace: Effort) -> Option<(u64, Finding)> {
        let own = request.plan.as_ref()?.get("scheduler_seed")?.as_u64()?;
        let seeds = if pace == Effort::Coarse { 1 } else { SCHEDULER_SEEDS };
        for turn in 0..seeds {
            let scheduler_seed =
                if turn == 0 { own } else { xxh3_64_with_seed(b"another order of tasks", own ^ turn) };
            let mut request = request.clone();
            request.plan.as_mut()?["scheduler_seed"] = scheduler_seed.into();
            self.runs.fetch_add(1, Ordering::Relaxed);
            let (finding, judged) = match parent::run(&request, self.limits, |_| {}) {
                Ok(judged) => (Finding::of(&judged), Some(judged)),
                // A case that cannot run at all is not a valid candidate.
                Err(error) => (Finding::from_error(error).ok()?, None),
            };
            if let Some(shown) = self.target.match_run(finding, judged.as_ref()) {
                return Some((scheduler_seed, shown));
            }
        }
        None
    }
}
