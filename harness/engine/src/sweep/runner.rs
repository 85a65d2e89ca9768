//! Runs the cases of a sweep in parallel, and records each when it ends.

use super::determinism_check::{self, SecondRun};
use super::results::CaseRecord;
use super::sweep_spec::{CaseKey, SweepSpec};
use crate::case::end_cause::EndCause;
use crate::case::finding::Finding;
use crate::case::parent::{self, CaseError, WorkerLimits};
use crate::case::strikes::Strikes;
use crate::case::supervisor;
use crate::case_source::CaseSource;
use crate::scenario::ScenarioError;
use crate::{Scenario, System};
use latent_verdict::Outcome;
use std::collections::BTreeMap;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};
use thiserror::Error;

/// Interval at which the main thread checks for a signal.
const POLL_INTERVAL: Duration = Duration::from_millis(50);

/// Everything that running a sweep needs.
pub(crate) struct SweepContext<'a, S: System> {
    pub spec: &'a SweepSpec,
    /// One for each scenario of the sweep; its seed does not matter.
    pub targets: &'a [CaseSource<S>],
    pub jobs: usize,
    pub limits: WorkerLimits,
    /// Time after which no case starts.
    pub until: Option<Instant>,
    /// The signal that interrupted the program, 0 for none.
    pub signal: Arc<AtomicUsize>,
}

/// Reason why a sweep stopped early.
#[derive(Debug, Error)]
pub(crate) enum SweepError {
    /// A signal.
    #[error("signal {0}")]
    Signal(usize),
    /// A case could not be run at all.
    #[error("{0}: {1}")]
    Case(String, CaseError),
    /// The results cannot be written.
    #[error("the results cannot be written: {0}")]
    Write(#[from] io::Error),
}

type WorkerOutcome = Result<CaseRecord, (String, CaseError)>;

/// Runs the cases for which `is_done` is false. `on_result` receives each result on the calling thread, in order of
/// completion, and `None` at intervals.
///
/// # Errors
/// It stopped early; all results that `on_result` received are valid.
pub(crate) fn run_cases<S: System>(
    sweep: &SweepContext<'_, S>,
    is_done: impl Fn(CaseKey) -> bool + Send + Sync,
    mut on_result: impl FnMut(Option<CaseRecord>) -> io::Result<()>,
) -> Result<(), SweepError>
where
    S::Config: Sync,
{
    let cases = Mutex::new(sweep.spec.cases().filter(|place| !is_done(*place)));
    let is_over = AtomicBool::new(false);
    let (to_main, from_jobs) = mpsc::channel::<WorkerOutcome>();
    thread::scope(|scope| {
        for _ in 0..sweep.jobs.max(1) {
            let (cases, is_over, to_main) = (&cases, &is_over, to_main.clone());
            // A worker dies with the thread that started it, so each thread waits until its last worker has ended.
            scope.spawn(move || {
                loop {
                    let is_late = sweep.until.is_some_and(|until| now() >= until);
                    if is_late || is_over.load(Ordering::Relaxed) {
                        return;
                    }
                    let next = cases.lock().unwrap_or_else(PoisonError::into_inner).next();
                    let Some(place) = next else { return };
                    if to_main.send(run_case(sweep, place)).is_err() {
                        return;
                    }
                }
            });
        }
        drop(to_main);
        let stop = |stopped| {
            is_over.store(true, Ordering::Relaxed);
            supervisor::kill_all();
            Err(stopped)
        };
        loop {
            let received = from_jobs.recv_timeout(POLL_INTERVAL);
            match sweep.signal.load(Ordering::Relaxed) {
                0 => {}
                signal => {
                    let ended = received.into_iter().chain(from_jobs.try_iter());
                    return match ended
                        .flatten()
                        .filter(is_own_end)
                        .try_for_each(|record| on_result(Some(record)))
                    {
                        Ok(()) => stop(SweepError::Signal(signal)),
                        Err(error) => stop(SweepError::Write(error)),
                    };
                }
            }
            match received {
                Ok(Ok(record)) => {
                    if let Err(error) = on_result(Some(record)) {
                        return stop(SweepError::Write(error));
                    }
                }
                Ok(Err((name, error))) => return stop(SweepError::Case(name, error)),
                Err(RecvTimeoutError::Timeout) => {
                    if let Err(error) = on_result(None) {
                        return stop(SweepError::Write(error));
                    }
                }
                Err(RecvTimeoutError::Disconnected) => return Ok(()),
            }
        }
    })
}

#[expect(clippy::disallowed_methods, reason = "a sweep with a limit of time looks at the real clock")]
pub(crate) fn now() -> Instant {
    Instant::now()
}

fn run_case<S: System>(sweep: &SweepContext<'_, S>, place: CaseKey) -> WorkerOutcome {
    let target = sweep.targets[place.scenario].with_seed(place.seed).map_err(|bad| refused(place, &bad))?;
    let swept = &sweep.spec.scenarios[place.scenario];
    if target.scenario.expect != swept.expect {
        // The header has one expected outcome for all seeds of a scenario.
        let message =
            format!("seed {} of {} expects another outcome than its first seed", place.seed, swept.given);
        return Err((target.name(), CaseError::ScenarioError(message)));
    }
    let started = now();
    let name = target.name();
    let request = target.request();
    let broken = |error| (name.clone(), error);
    let first = parent::run(&request, sweep.limits, |_| {});
    let again = match &first {
        Ok(judged) => {
            is_unexpected(&target.scenario, judged.outcome) || sweep.spec.is_checked_for_determinism(place)
        }
        // A case that exceeded a limit took long enough, and a process killed from outside is not a result of the case.
        Err(error) => matches!(error, CaseError::Panicked { .. }),
    };
    let second =
        if again { determinism_check::rerun(&request, sweep.limits, &first) } else { SecondRun::Same };
    let (found, marks, strikes) = match first {
        Ok(judged) => (Finding::of(&judged), judged.marks, judged.strikes),
        Err(error) => (Finding::from_error(error).map_err(broken)?, BTreeMap::new(), Strikes::new()),
    };
    let finding = match second {
        SecondRun::Same => found,
        SecondRun::Differs(difference) => found.differing(difference),
        SecondRun::Ended(error) => Finding::from_error(error).map_err(broken)?,
    };
    let as_expected = sweep.spec.scenarios[place.scenario].expect.is_met_by(finding.outcome);
    let wall_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
    let scenario = sweep.spec.scenarios[place.scenario].given.clone();
    Ok(CaseRecord {
        scenario,
        seed: place.seed,
        as_expected,
        determinism_checked: again,
        finding,
        marks,
        strikes,
        wall_ms,
    })
}

/// Whether a case ended by itself: an interrupt may have killed its worker, which is not a result.
fn is_own_end(record: &CaseRecord) -> bool {
    EndCause::of_fingerprint(&record.finding.fingerprint) != Some(EndCause::Died)
}

fn is_unexpected<T>(scenario: &Scenario<T>, outcome: Outcome) -> bool {
    !scenario.expect.is_met_by(outcome)
}

fn refused(place: CaseKey, bad: &ScenarioError) -> (String, CaseError) {
    (format!("seed {}", place.seed), CaseError::ScenarioError(bad.to_string()))
}
