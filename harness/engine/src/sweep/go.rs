//! Runs the cases of a sweep, as many at a time as asked, and writes each down as it ends.

use super::order::{Order, Place};
use super::results::Ran;
use super::twice::{self, Second};
use crate::case::finding::{DIED, Finding};
use crate::case::parent::{self, CaseError, Manner};
use crate::case::watch;
use crate::scenario::BadScenario;
use crate::target::Target;
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

/// How often the main thread looks whether it was interrupted.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// What a sweep of cases needs besides its order.
pub(crate) struct Means<'a, S: System> {
    pub order: &'a Order,
    /// One for each scenario of the order; its seed does not matter.
    pub targets: &'a [Target<S>],
    pub jobs: usize,
    pub manner: Manner,
    /// No case is begun after this.
    pub until: Option<Instant>,
    /// The signal that interrupted the program, 0 for none.
    pub signal: Arc<AtomicUsize>,
}

/// Why a sweep stopped early.
#[derive(Debug, Error)]
pub(crate) enum Stopped {
    /// By this signal.
    #[error("signal {0}")]
    Signal(usize),
    /// A case could not be run at all.
    #[error("{0}: {1}")]
    Case(String, CaseError),
    /// What ran cannot be written down.
    #[error("the results cannot be written: {0}")]
    Write(#[from] io::Error),
}

type Told = Result<Ran, (String, CaseError)>;

/// Runs the cases that `is_done` does not know. `on_ran` hears of each on the calling thread, in order of time.
///
/// # Errors
/// It stopped early; all that `on_ran` heard of is whole.
pub(crate) fn go<S: System>(
    means: &Means<'_, S>,
    is_done: impl Fn(Place) -> bool + Send + Sync,
    mut on_ran: impl FnMut(Option<Ran>) -> io::Result<()>,
) -> Result<(), Stopped>
where
    S::Topic: Sync,
{
    let cases = Mutex::new(means.order.cases().filter(|place| !is_done(*place)));
    let is_over = AtomicBool::new(false);
    let (to_main, from_jobs) = mpsc::channel::<Told>();
    thread::scope(|scope| {
        for _ in 0..means.jobs.max(1) {
            let (cases, is_over, to_main) = (&cases, &is_over, to_main.clone());
            // A worker dies with the thread that started it, so each thread stays until its last worker has ended.
            scope.spawn(move || {
                loop {
                    let is_late = means.until.is_some_and(|until| now() >= until);
                    if is_late || is_over.load(Ordering::Relaxed) {
                        return;
                    }
                    let next = cases.lock().unwrap_or_else(PoisonError::into_inner).next();
                    let Some(place) = next else { return };
                    if to_main.send(run_case(means, place)).is_err() {
                        return;
                    }
                }
            });
        }
        drop(to_main);
        let stop = |stopped| {
            is_over.store(true, Ordering::Relaxed);
            watch::end_all();
            Err(stopped)
        };
        loop {
            let told = from_jobs.recv_timeout(LOOK_EVERY);
            match means.signal.load(Ordering::Relaxed) {
                0 => {}
                signal => {
                    let ended = told.into_iter().chain(from_jobs.try_iter());
                    return match ended.flatten().filter(is_own_end).try_for_each(|ran| on_ran(Some(ran))) {
                        Ok(()) => stop(Stopped::Signal(signal)),
                        Err(error) => stop(Stopped::Write(error)),
                    };
                }
            }
            match told {
                Ok(Ok(ran)) => {
                    if let Err(error) = on_ran(Some(ran)) {
                        return stop(Stopped::Write(error));
                    }
                }
                Ok(Err((name, error))) => return stop(Stopped::Case(name, error)),
                Err(RecvTimeoutError::Timeout) => {
                    if let Err(error) = on_ran(None) {
                        return stop(Stopped::Write(error));
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

fn run_case<S: System>(means: &Means<'_, S>, place: Place) -> Told {
    let target = means.targets[place.scenario].with_seed(place.seed).map_err(|bad| refused(place, &bad))?;
    let swept = &means.order.scenarios[place.scenario];
    if target.scenario.expect != swept.expect.0 {
        // The header says once how all of them are to end.
        let said =
            format!("seed {} of {} expects another outcome than its first seed", place.seed, swept.given);
        return Err((target.name(), CaseError::BadScenario(said)));
    }
    let started = now();
    let name = target.name();
    let work = target.work();
    let broken = |error| (name.clone(), error);
    let first = parent::run(&work, means.manner, |_| {});
    let again = match &first {
        Ok(judged) => is_unexpected(&target.scenario, judged.outcome()) || means.order.runs_twice(place),
        // What passed a limit took long enough, and what was killed from outside says nothing of the case.
        Err(error) => matches!(error, CaseError::Panicked { .. }),
    };
    let second = if again { twice::again(&work, means.manner, &first) } else { Second::Same };
    let (found, marks) = match first {
        Ok(judged) => (Finding::of(&judged), judged.marks),
        Err(error) => (Finding::of_broken(error).map_err(broken)?, BTreeMap::new()),
    };
    let finding = match second {
        Second::Same => found,
        Second::Differs(difference) => found.differing(difference),
        Second::Ended(error) => Finding::of_broken(error).map_err(broken)?,
    };
    let as_expected = finding.outcome() == means.order.scenarios[place.scenario].expect.0;
    let wall_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
    let scenario = means.order.scenarios[place.scenario].given.clone();
    Ok(Ran { scenario, seed: place.seed, as_expected, twice: again, finding, marks, wall_ms })
}

/// What ended as the sweep was interrupted may have been ended by whoever interrupted it: that is no result.
fn is_own_end(ran: &Ran) -> bool {
    ran.finding.fingerprint != DIED
}

fn is_unexpected<T>(scenario: &Scenario<T>, outcome: Outcome) -> bool {
    outcome != scenario.expect
}

fn refused(place: Place, bad: &BadScenario) -> (String, CaseError) {
    (format!("seed {}", place.seed), CaseError::BadScenario(bad.to_string()))
}
