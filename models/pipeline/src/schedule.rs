//! Due times of the jobs that run by the clock: the nightly job, anti-entropy, the audit, backups.
//!
//! No job trusts one node's clock. A [`MedianClock`] asks the disks, and goes on by monotonic time from there, so that
//! steps of the node's own wall clock change nothing. If the median itself was ahead for a while, what was done by it
//! counts no longer once it is right again: a [`Timetable`] then finds the last regular time not done. Waits are
//! bounded, so that a change of time is noticed within [`MOST_SLEEP`].
//!
//! A timetable is memory. After a boot it knows of no job that was done, so each runs once, soon: what a crash cut off is
//! caught up, and what was done already finds nothing to do.

use crate::common_time::common_time;
use crate::config::Cluster;
use crate::zone::ZoneHistory;
use latent_ports::{Clock, Env, UnixMs};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// Longest sleep between two looks at the clock.
pub const MOST_SLEEP: Duration = Duration::from_secs(3600);
/// The disks are asked again after so long: clocks drift.
const ASK_EVERY: Duration = Duration::from_secs(6 * 3600);
/// A job that was done further ahead of now than this was done by a wrong clock.
const AHEAD: Duration = Duration::from_secs(3600);
/// No job starts later after its midnight than this.
const MOST_AFTER_MIDNIGHT: Duration = Duration::from_secs(48 * 3600);

/// Time by the median of the disks' clocks, carried on by this node's monotonic clock. Clones share what they learned.
#[derive(Clone)]
pub struct MedianClock<E> {
    env: E,
    cluster: Arc<Cluster>,
    asked: Arc<Mutex<Option<Asked>>>,
}

/// What the disks said, and when that was by the monotonic clock.
#[derive(Clone, Copy)]
struct Asked {
    median: UnixMs,
    at: Duration,
}

impl<E: Env> MedianClock<E> {
    /// A clock of the node of `env`, which asks the disks of `cluster`.
    #[must_use]
    pub fn new(env: &E, cluster: &Arc<Cluster>) -> Self {
        MedianClock { env: env.clone(), cluster: cluster.clone(), asked: Arc::default() }
    }

    /// The median time; `None` while too few disks have ever answered. What decides that something may go uses this.
    pub async fn common(&self) -> Option<UnixMs> {
        let now = self.env.clock().monotonic();
        let known = *self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        let is_fresh = known.is_some_and(|asked| now.saturating_sub(asked.at) < ASK_EVERY);
        if !is_fresh && let Ok(median) = common_time(&self.env, &self.cluster).await {
            let asked = Asked { median, at: self.env.clock().monotonic() };
            *self.asked.lock().unwrap_or_else(PoisonError::into_inner) = Some(asked);
            return Some(median);
        }
        known.map(|asked| asked.median + self.env.clock().monotonic().saturating_sub(asked.at))
    }

    /// The median time, or what this node's own clock says while too few disks have ever answered.
    pub async fn now(&self) -> UnixMs {
        match self.common().await {
            Some(common) => common,
            None => self.env.clock().wall(),
        }
    }
}

/// The regular times of a job around some moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Turns {
    /// The newest at or before the moment.
    pub last: UnixMs,
    /// The first after it.
    pub next: UnixMs,
}

impl Turns {
    /// The turns of a job that runs so long `after` each midnight of a project (which may depend on the midnight).
    #[must_use]
    pub fn nightly(zones: &ZoneHistory, now: UnixMs, after: impl Fn(UnixMs) -> Duration) -> Turns {
        let mut last = UnixMs(i64::MIN);
        let mut midnight = zones.next_midnight(now - MOST_AFTER_MIDNIGHT - Duration::from_secs(49 * 3600));
        loop {
            let at = midnight + after(midnight).min(MOST_AFTER_MIDNIGHT);
            if at > now {
                return Turns { last, next: at };
            }
            (last, midnight) = (at, zones.next_midnight(midnight));
        }
    }
}

/// What a [`Timetable`] says is next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next<K> {
    /// This job is due. Ask again once [`Timetable::done`] or [`Timetable::put_off`] was called for it.
    Due(K),
    /// None is due. Ask again after this long.
    Sleep(Duration),
}

/// Which regular times of which jobs were done. Pure.
pub struct Timetable<K> {
    jobs: BTreeMap<K, State>,
}

struct State {
    turns: Option<Turns>,
    /// The regular time that was done last by this process.
    done: Option<UnixMs>,
    /// Not before this monotonic time, unless a new regular time comes first.
    not_before: Duration,
}

impl<K: Ord + Copy> Timetable<K> {
    /// A timetable of jobs, each of which runs for the first time at the monotonic time given with it.
    #[must_use]
    pub fn new(jobs: impl IntoIterator<Item = (K, Duration)>) -> Self {
        let state = |not_before| State { turns: None, done: None, not_before };
        Timetable { jobs: jobs.into_iter().map(|(job, first)| (job, state(first))).collect() }
    }

    /// What is next at `now`, with the regular times of a job as `turns` gives them.
    pub fn next(&mut self, now: UnixMs, monotonic: Duration, turns: impl Fn(K, UnixMs) -> Turns) -> Next<K> {
        let mut soonest = MOST_SLEEP;
        for (job, state) in &mut self.jobs {
            let wait = state.wait(now, monotonic, |now| turns(*job, now));
            if wait.is_zero() {
                return Next::Due(*job);
            }
            soonest = soonest.min(wait);
        }
        Next::Sleep(soonest)
    }

    /// The last regular time of `job` is done.
    pub fn done(&mut self, job: K) {
        if let Some(state) = self.jobs.get_mut(&job) {
            state.done = state.turns.map(|turns| turns.last);
        }
    }

    /// The last regular time of `job` is not done yet: not before `until`, a monotonic time, or its next regular time.
    pub fn put_off(&mut self, job: K, until: Duration) {
        if let Some(state) = self.jobs.get_mut(&job) {
            (state.done, state.not_before) = (None, until);
        }
    }
}

impl State {
    /// How long until the job is due; zero when it is.
    fn wait(&mut self, now: UnixMs, monotonic: Duration, turns_at: impl Fn(UnixMs) -> Turns) -> Duration {
        let turns = match self.turns {
            Some(turns) if turns.last <= now && now < turns.next => turns,
            before => {
                let turns = turns_at(now);
                // A new regular time came: what was put off is due with it.
                if before.is_some_and(|before| before.last < turns.last) {
                    self.not_before = Duration::ZERO;
                }
                turns
            }
        };
        self.turns = Some(turns);
        let until_next = turns.next.since(now);
        let is_done = self.done.is_some_and(|done| done >= turns.last && done <= now + AHEAD);
        if is_done { until_next } else { until_next.min(self.not_before.saturating_sub(monotonic)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);
    const DAY: Duration = Duration::from_secs(24 * 3600);
    /// A midnight in UTC.
    const MIDNIGHT: UnixMs = UnixMs(16_851 * 86_400_000);

    fn turns(_: u32, now: UnixMs) -> Turns {
        Turns::nightly(&ZoneHistory::constant("UTC").unwrap(), now, |_| 4 * HOUR)
    }

    /// A timetable of one job that caught up after its boot, an hour after a midnight.
    fn caught_up() -> Timetable<u32> {
        let mut table = Timetable::new([(1, HOUR)]);
        assert_eq!(table.next(MIDNIGHT, Duration::ZERO, turns), Next::Sleep(HOUR));
        assert_eq!(table.next(MIDNIGHT + HOUR, HOUR, turns), Next::Due(1));
        table.done(1);
        table
    }

    #[test]
    fn a_job_runs_once_soon_after_a_boot_and_then_at_each_regular_time() {
        let mut table = caught_up();
        let (mut runs, mut at) = (Vec::new(), HOUR);
        while at < 3 * DAY {
            match table.next(MIDNIGHT + at, at, turns) {
                Next::Sleep(wait) => at += wait,
                Next::Due(1) => {
                    runs.push(at);
                    table.done(1);
                }
                Next::Due(other) => panic!("there is only job 1, not {other}"),
            }
        }
        assert_eq!(runs, [4 * HOUR, DAY + 4 * HOUR, 2 * DAY + 4 * HOUR]);
    }

    #[test]
    fn time_that_was_five_days_ahead_costs_no_night() {
        let mut table = caught_up();
        let at = 3 * HOUR;
        assert_eq!(
            table.next(MIDNIGHT + 5 * DAY + at, at, turns),
            Next::Due(1),
            "five nights seem to have passed"
        );
        table.done(1);
        // Right again, after the regular time.
        assert_eq!(table.next(MIDNIGHT + 5 * HOUR, 5 * HOUR, turns), Next::Due(1));
        table.done(1);
        assert_eq!(table.next(MIDNIGHT + 28 * HOUR - HOUR / 2, 27 * HOUR, turns), Next::Sleep(HOUR / 2));
    }

    #[test]
    fn a_small_step_back_over_a_regular_time_repeats_nothing() {
        let mut table = caught_up();
        assert_eq!(table.next(MIDNIGHT + 4 * HOUR, 4 * HOUR, turns), Next::Due(1));
        table.done(1);
        let step = Duration::from_secs(10);
        assert_eq!(table.next(MIDNIGHT + 4 * HOUR - step, 4 * HOUR, turns), Next::Sleep(step));
        assert!(matches!(table.next(MIDNIGHT + 4 * HOUR, 4 * HOUR + step, turns), Next::Sleep(_)));
    }

    #[test]
    fn what_is_put_off_is_due_with_the_next_regular_time_at_the_latest() {
        let mut table = caught_up();
        assert_eq!(table.next(MIDNIGHT + 4 * HOUR, 4 * HOUR, turns), Next::Due(1));
        table.put_off(1, 4 * HOUR + HOUR / 2);
        assert_eq!(table.next(MIDNIGHT + 4 * HOUR, 4 * HOUR, turns), Next::Sleep(HOUR / 2));
        assert_eq!(table.next(MIDNIGHT + 9 * HOUR / 2, 9 * HOUR / 2, turns), Next::Due(1));
        table.put_off(1, 10 * DAY);
        assert_eq!(table.next(MIDNIGHT + 28 * HOUR, 28 * HOUR, turns), Next::Due(1));
    }

    #[test]
    fn turns_follow_midnights_that_are_23_and_25_hours_apart() {
        let zones = ZoneHistory::constant("America/New_York").unwrap();
        for day in 16_860..16_880 {
            let now = UnixMs(day * 86_400_000);
            let turns = Turns::nightly(&zones, now, |_| 6 * HOUR);
            assert!(turns.last <= now && now < turns.next);
            assert_eq!(zones.next_midnight(turns.last - 6 * HOUR), turns.next - 6 * HOUR);
        }
    }
}
