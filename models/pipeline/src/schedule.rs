//! Due times of scheduled jobs: nightly compaction, anti-entropy, audit, backups.
//!
//! No job trusts the clock of one node. A [`MedianClock`] asks the disks and continues by monotonic time, so steps of
//! the node's own wall clock have no effect. If the median itself was ahead for a while, jobs done during that time no
//! longer count once it is right again: a [`JobSchedule`] then finds the last due time that was not done. Waits are
//! bounded, so a change of time is noticed within [`MAX_SLEEP`].
//!
//! A schedule is not persisted. After a boot each job runs once, soon: interrupted jobs are caught up, and completed
//! ones find nothing to do.

use crate::config::Cluster;
use crate::median_clock::median_time;
use crate::zone::ZoneHistory;
use latent_ports::{Clock, Env, UnixMs};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// Maximum sleep between two readings of the clock.
pub const MAX_SLEEP: Duration = Duration::from_secs(3600);
/// Interval at which the disks are asked again, because clocks drift.
const RESYNC_INTERVAL: Duration = Duration::from_secs(6 * 3600);
/// Lead over the current time from which a completed job was done by a wrong clock.
const MAX_CLOCK_LEAD: Duration = Duration::from_secs(3600);
/// Maximum delay from midnight to a job.
const MAX_AFTER_MIDNIGHT: Duration = Duration::from_secs(48 * 3600);

/// Clock that follows the median of the disks' clocks, extrapolated with this node's monotonic clock. Clones share the
/// last sample.
#[derive(Clone)]
pub struct MedianClock<E> {
    env: E,
    cluster: Arc<Cluster>,
    sample: Arc<Mutex<Option<ClockSample>>>,
}

/// Median of the disks' clocks, and the monotonic time of the sample.
#[derive(Clone, Copy)]
struct ClockSample {
    median: UnixMs,
    at: Duration,
}

impl<E: Env> MedianClock<E> {
    /// Creates a clock of the node of `env`, which asks the disks of `cluster`.
    #[must_use]
    pub fn new(env: &E, cluster: &Arc<Cluster>) -> Self {
        MedianClock { env: env.clone(), cluster: cluster.clone(), sample: Arc::default() }
    }

    /// Returns the median time; `None` until enough disks have responded once. Required for decisions to remove data.
    pub async fn median(&self) -> Option<UnixMs> {
        let now = self.env.clock().monotonic();
        let known = *self.sample.lock().unwrap_or_else(PoisonError::into_inner);
        let is_fresh = known.is_some_and(|sample| now.saturating_sub(sample.at) < RESYNC_INTERVAL);
        if !is_fresh && let Ok(median) = median_time(&self.env, &self.cluster).await {
            let sample = ClockSample { median, at: self.env.clock().monotonic() };
            *self.sample.lock().unwrap_or_else(PoisonError::into_inner) = Some(sample);
            return Some(median);
        }
        known.map(|sample| sample.median + self.env.clock().monotonic().saturating_sub(sample.at))
    }

    /// Returns the median time, or this node's wall clock until enough disks have responded once.
    pub async fn now(&self) -> UnixMs {
        match self.median().await {
            Some(common) => common,
            None => self.env.clock().wall(),
        }
    }
}

/// Due times of a job around a point in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DueTimes {
    /// Latest due time at or before that point.
    pub last: UnixMs,
    /// First due time after it.
    pub next: UnixMs,
}

impl DueTimes {
    /// Returns the due times of a job that runs `after` each midnight of a project. The delay may depend on the
    /// midnight.
    #[must_use]
    pub fn nightly(zones: &ZoneHistory, now: UnixMs, after: impl Fn(UnixMs) -> Duration) -> DueTimes {
        let mut last = UnixMs(i64::MIN);
        let mut midnight = zones.next_midnight(now - MAX_AFTER_MIDNIGHT - Duration::from_secs(49 * 3600));
        loop {
            let at = midnight + after(midnight).min(MAX_AFTER_MIDNIGHT);
            if at > now {
                return DueTimes { last, next: at };
            }
            (last, midnight) = (at, zones.next_midnight(midnight));
        }
    }
}

/// Next action of a [`JobSchedule`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NextJob<K> {
    /// This job is due. Ask again after [`JobSchedule::mark_done`] or [`JobSchedule::postpone`] was called for it.
    Due(K),
    /// No job is due. Ask again after this time.
    Sleep(Duration),
}

/// Completed due times of the jobs. Pure.
pub struct JobSchedule<K> {
    jobs: BTreeMap<K, JobState>,
}

struct JobState {
    due_times: Option<DueTimes>,
    /// Latest due time that this process has completed.
    done: Option<UnixMs>,
    /// Monotonic time before which the job does not run, unless a new due time comes first.
    not_before: Duration,
}

impl<K: Ord + Copy> JobSchedule<K> {
    /// Creates a schedule of jobs, each with the monotonic time of its first run.
    #[must_use]
    pub fn new(jobs: impl IntoIterator<Item = (K, Duration)>) -> Self {
        let state = |not_before| JobState { due_times: None, done: None, not_before };
        JobSchedule { jobs: jobs.into_iter().map(|(job, first)| (job, state(first))).collect() }
    }

    /// Returns the next action at `now`. `due_times` returns the due times of a job.
    pub fn next(
        &mut self,
        now: UnixMs,
        monotonic: Duration,
        due_times: impl Fn(K, UnixMs) -> DueTimes,
    ) -> NextJob<K> {
        let mut earliest = MAX_SLEEP;
        for (job, state) in &mut self.jobs {
            let wait = state.wait(now, monotonic, |now| due_times(*job, now));
            if wait.is_zero() {
                return NextJob::Due(*job);
            }
            earliest = earliest.min(wait);
        }
        NextJob::Sleep(earliest)
    }

    /// Marks the latest due time of `job` as done.
    pub fn mark_done(&mut self, job: K) {
        if let Some(state) = self.jobs.get_mut(&job) {
            state.done = state.due_times.map(|due_times| due_times.last);
        }
    }

    /// Postpones `job` until the monotonic time `until`, or its next due time if that comes first.
    pub fn postpone(&mut self, job: K, until: Duration) {
        if let Some(state) = self.jobs.get_mut(&job) {
            (state.done, state.not_before) = (None, until);
        }
    }
}

impl JobState {
    /// Returns the time until the job is due; zero when it is.
    fn wait(
        &mut self,
        now: UnixMs,
        monotonic: Duration,
        due_times_at: impl Fn(UnixMs) -> DueTimes,
    ) -> Duration {
        let due_times = match self.due_times {
            Some(due_times) if due_times.last <= now && now < due_times.next => due_times,
            before => {
                let due_times = due_times_at(now);
                // With a new due time, a postponed job is due too.
                if before.is_some_and(|before| before.last < due_times.last) {
                    self.not_before = Duration::ZERO;
                }
                due_times
            }
        };
        self.due_times = Some(due_times);
        let until_next = due_times.next.since(now);
        let is_done = self.done.is_some_and(|done| done >= due_times.last && done <= now + MAX_CLOCK_LEAD);
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

    fn due_times(_: u32, now: UnixMs) -> DueTimes {
        DueTimes::nightly(&ZoneHistory::constant("UTC").unwrap(), now, |_| 4 * HOUR)
    }

    /// A schedule of one job that caught up after its boot, an hour after a midnight.
    fn caught_up() -> JobSchedule<u32> {
        let mut table = JobSchedule::new([(1, HOUR)]);
        assert_eq!(table.next(MIDNIGHT, Duration::ZERO, due_times), NextJob::Sleep(HOUR));
        assert_eq!(table.next(MIDNIGHT + HOUR, HOUR, due_times), NextJob::Due(1));
        table.mark_done(1);
        table
    }

    #[test]
    fn a_job_runs_once_after_a_boot_and_then_at_each_due_time() {
        let mut table = caught_up();
        let (mut runs, mut at) = (Vec::new(), HOUR);
        while at < 3 * DAY {
            match table.next(MIDNIGHT + at, at, due_times) {
                NextJob::Sleep(wait) => at += wait,
                NextJob::Due(1) => {
                    runs.push(at);
                    table.mark_done(1);
                }
                NextJob::Due(other) => panic!("there is only job 1, not {other}"),
            }
        }
        assert_eq!(runs, [4 * HOUR, DAY + 4 * HOUR, 2 * DAY + 4 * HOUR]);
    }

    #[test]
    fn a_clock_five_days_ahead_skips_no_night() {
        let mut table = caught_up();
        let at = 3 * HOUR;
        assert_eq!(
            table.next(MIDNIGHT + 5 * DAY + at, at, due_times),
            NextJob::Due(1),
            "five nights seem to have passed"
        );
        table.mark_done(1);
        // The clock is right again, after the due time.
        assert_eq!(table.next(MIDNIGHT + 5 * HOUR, 5 * HOUR, due_times), NextJob::Due(1));
        table.mark_done(1);
        assert_eq!(
            table.next(MIDNIGHT + 28 * HOUR - HOUR / 2, 27 * HOUR, due_times),
            NextJob::Sleep(HOUR / 2)
        );
    }

    #[test]
    fn a_small_step_back_over_a_due_time_repeats_nothing() {
        let mut table = caught_up();
        assert_eq!(table.next(MIDNIGHT + 4 * HOUR, 4 * HOUR, due_times), NextJob::Due(1));
        table.mark_done(1);
        let step = Duration::from_secs(10);
        assert_eq!(table.next(MIDNIGHT + 4 * HOUR - step, 4 * HOUR, due_times), NextJob::Sleep(step));
        assert!(matches!(table.next(MIDNIGHT + 4 * HOUR, 4 * HOUR + step, due_times), NextJob::Sleep(_)));
    }

    #[test]
    fn a_postponed_job_is_due_at_its_next_due_time_at_the_latest() {
        let mut table = caught_up();
        assert_eq!(table.next(MIDNIGHT + 4 * HOUR, 4 * HOUR, due_times), NextJob::Due(1));
        table.postpone(1, 4 * HOUR + HOUR / 2);
        assert_eq!(table.next(MIDNIGHT + 4 * HOUR, 4 * HOUR, due_times), NextJob::Sleep(HOUR / 2));
        assert_eq!(table.next(MIDNIGHT + 9 * HOUR / 2, 9 * HOUR / 2, due_times), NextJob::Due(1));
        table.postpone(1, 10 * DAY);
        assert_eq!(table.next(MIDNIGHT + 28 * HOUR, 28 * HOUR, due_times), NextJob::Due(1));
    }

    #[test]
    fn due_times_follow_midnights_that_are_23_and_25_hours_apart() {
        let zones = ZoneHistory::constant("America/New_York").unwrap();
        for day in 16_860..16_880 {
            let now = UnixMs(day * 86_400_000);
            let due_times = DueTimes::nightly(&zones, now, |_| 6 * HOUR);
            assert!(due_times.last <= now && now < due_times.next);
            assert_eq!(zones.next_midnight(due_times.last - 6 * HOUR), due_times.next - 6 * HOUR);
        }
    }
}
