//! Nightly compaction job: after a project's midnight a worker takes the lease on each disk, plans the completed days
//! with new data, and orders the disk to merge.
//!
//! Each worker first handles the disks of one replica set, and the others half an hour later. So a worker that is down
//! costs half an hour, and a release can be tried on one replica set. A failed job is retried a few times, and again by
//! the next night's job.

use super::plan::plan_day;
use crate::alarms::{Alarm, AlarmSender, NightlyJob};
use crate::arb::api::{ArbError, ArbRequest, ArbResponse, DayFiles, call};
use crate::arb::manifest::Tier;
use crate::config::BootConfig;
use crate::heartbeat::{self, JobTracker};
use crate::marks;
use crate::release::Bug;
use crate::schedule::{DueTimes, JobSchedule, MedianClock, NextJob};
use crate::zone::Day;
use bytes::Bytes;
use futures_util::future::join_all;
use latent_ports::{Clock, Env, Mark, NodeId, UnixMs};
use std::time::Duration;

/// Timeout of a disk for one run or listing.
const CALL_TIMEOUT: Duration = Duration::from_secs(120);
/// Delay between attempts of a job on one disk, and number of attempts.
const RETRY_AFTER: Duration = Duration::from_secs(10 * 60);
const MAX_ATTEMPTS: u32 = 6;

/// Runs the nightly jobs of every project until the node dies.
pub async fn nightly<E: Env>(
    env: E,
    boot: BootConfig,
    clock: MedianClock<E>,
    alarms: AlarmSender<E>,
    log: JobTracker<E>,
) {
    CompactionWorker { env, boot, clock, alarms, log }.nightly().await;
}

/// Asks a worker for its release.
pub async fn release_of<E: Env>(env: &E, worker: NodeId) -> Option<String> {
    heartbeat::status_of(env, worker).await.map(|status| status.release)
}

/// Returns the delay from the midnight that ends `day` to the project's job. It is drawn, so that the projects of a
/// zone do not all start at once.
fn start_delay<E: Env>(env: &E, boot: &BootConfig, project: u32, day: Day) -> Duration {
    let key = (u128::from(project) << 32) | u128::from(day.0 as u32);
    let within_ms = boot.cluster.compaction.start_within.as_millis() as u64;
    Duration::from_millis(env.draw("compaction.start", key) % within_ms.max(1))
}

/// State shared by the jobs of one worker.
#[derive(Clone)]
struct CompactionWorker<E> {
    env: E,
    boot: BootConfig,
    clock: MedianClock<E>,
    alarms: AlarmSender<E>,
    log: JobTracker<E>,
}

/// Compaction of a project on the worker's own disks, or on the standby disks.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct CompactionJob {
    project: u32,
    is_standby: bool,
}

impl<E: Env> CompactionWorker<E> {
    /// Starts each job at its time, and once soon after a boot, since a restart may have interrupted it. Jobs run
    /// concurrently.
    async fn nightly(self) {
        let cluster = &self.boot.cluster;
        let mine = cluster.workers.iter().position(|worker| *worker == self.env.node()).unwrap_or(0);
        let (own, others) = split_disks(&cluster.disks, cluster.workers.len(), mine);
        let now = self.env.clock().monotonic();
        let jobs = cluster.projects.keys().flat_map(|project| {
            let first = now + start_delay(&self.env, &self.boot, *project, Day(0));
            [false, true].map(|is_standby| (CompactionJob { project: *project, is_standby }, first))
        });
        let mut table = JobSchedule::new(jobs);
        loop {
            let now = self.clock.now().await;
            match table.next(now, self.env.clock().monotonic(), |job, now| self.due_times(job, now)) {
                NextJob::Sleep(wait) => self.env.clock().sleep(wait).await,
                NextJob::Due(job) => {
                    table.mark_done(job);
                    let disks = if job.is_standby { others.clone() } else { own.clone() };
                    let worker = self.clone();
                    self.env.spawn(async move { worker.jobs(job.project, disks).await });
                }
            }
        }
    }

    /// Returns the due times of a job: a drawn delay after the project's midnights, plus the standby delay for other
    /// disks.
    fn due_times(&self, job: CompactionJob, now: UnixMs) -> DueTimes {
        let zones = &self.boot.cluster.projects[&job.project].zones;
        let later = if job.is_standby { self.boot.cluster.compaction.standby_after } else { Duration::ZERO };
        DueTimes::nightly(zones, now, |midnight| {
            let ended = zones.day(midnight - Duration::from_millis(1), midnight);
            start_delay(&self.env, &self.boot, job.project, ended) + later
        })
    }

    /// Runs a project's jobs on some disks concurrently. The job counts as complete when one disk is done: an
    /// unreachable disk is reported separately.
    async fn jobs(&self, project: u32, disks: Vec<NodeId>) {
        let jobs = disks.into_iter().map(|disk| self.job_with_retries(project, disk));
        if join_all(jobs).await.contains(&true) {
            self.log.complete(NightlyJob::Compaction, project);
        }
    }

    /// Returns whether the job is done. Raises an alarm if all attempts failed.
    async fn job_with_retries(&self, project: u32, disk: NodeId) -> bool {
        let mut why = String::new();
        for tried in 1..=MAX_ATTEMPTS {
            match job(&self.env, &self.boot, &self.clock, project, disk).await {
                Ok(()) => return true,
                Err(error) => why = error.to_string(),
            }
            self.env
                .mark(Mark { name: marks::COMPACTION_JOB_FAILED, subject: &format!("p{project}: {why}") });
            if tried < MAX_ATTEMPTS {
                self.env.clock().sleep(RETRY_AFTER).await;
            }
        }
        self.env.mark(Mark { name: marks::COMPACTION_JOB_ABANDONED, subject: &format!("p{project}: {why}") });
        self.alarms.raise(Alarm::CompactionFailed { project, disk: disk.0, why });
        false
    }
}

/// Splits the disks into those of worker `mine` and the others.
fn split_disks(disks: &[NodeId], workers: usize, mine: usize) -> (Vec<NodeId>, Vec<NodeId>) {
    let is_mine = |index: usize| index * workers / disks.len().max(1) == mine;
    let (mine, others): (Vec<_>, Vec<_>) = disks.iter().enumerate().partition(|(index, _)| is_mine(*index));
    (mine.into_iter().map(|(_, d)| *d).collect(), others.into_iter().map(|(_, d)| *d).collect())
}

/// Runs one project's job on one disk.
async fn job<E: Env>(
    env: &E,
    boot: &BootConfig,
    clock: &MedianClock<E>,
    project: u32,
    disk: NodeId,
) -> Result<(), ArbError> {
    if ended_days(env, boot, clock, project, disk).await?.is_empty() {
        return Ok(());
    }
    let for_ms = boot.cluster.compaction.lease.as_millis() as u64;
    let lease = call(env, disk, &ArbRequest::Lease { project, for_ms }, Bytes::new(), CALL_TIMEOUT).await?;
    let token = match lease.0 {
        ArbResponse::Leased { token } => token,
        // The lease holder may be unable to do the job; the next attempt checks.
        ArbResponse::LeaseHeld => return Err(ArbError::LeaseHeld(disk.0)),
        _ => return Err(ArbError::Unexpected(disk.0)),
    };
    // Listed again under the lease: no other worker changes compacted files from here on. A day that cannot be
    // compacted does not block the others.
    let mut failed = Ok(());
    let mut days = ended_days(env, boot, clock, project, disk).await?.into_iter();
    while let Some(day) = days.next() {
        if let Err(error) = compact_day(env, boot, project, disk, token, &day).await {
            failed = Err(error);
            if boot.release.has(Bug::PoisonSegmentStopsCompaction) && days.len() > 0 {
                boot.release.reached(env, Bug::PoisonSegmentStopsCompaction);
                break;
            }
        }
    }
    failed
}

/// Returns the completed days of a project that have new data.
async fn ended_days<E: Env>(
    env: &E,
    boot: &BootConfig,
    clock: &MedianClock<E>,
    project: u32,
    disk: NodeId,
) -> Result<Vec<DayFiles>, ArbError> {
    let asked =
        call(env, disk, &ArbRequest::Days { project, dirty_only: true }, Bytes::new(), CALL_TIMEOUT).await?;
    let ArbResponse::Days(mut days) = asked.0 else { return Err(ArbError::Unexpected(disk.0)) };
    let now = clock.now().await;
    let today = boot.cluster.projects[&project].zones.day(now, now);
    days.retain(|day| day.day < today);
    Ok(days)
}

async fn compact_day<E: Env>(
    env: &E,
    boot: &BootConfig,
    project: u32,
    disk: NodeId,
    token: u64,
    start: &DayFiles,
) -> Result<(), ArbError> {
    let compacted = |files: &DayFiles| -> Vec<u64> {
        files.files.iter().filter(|file| file.tier == Tier::Compacted).map(|file| file.id).collect()
    };
    let plan = plan_day(&start.files, &boot.cluster.compaction);
    let subject = format!("p{project}/{}", start.day);
    if plan.len() > 1 {
        env.mark(Mark { name: marks::COMPACTION_TWO_RUNS, subject: &subject });
    }
    if start.files.iter().any(|f| f.tier == Tier::Late) && !compacted(start).is_empty() {
        env.mark(Mark { name: marks::COMPACTION_RERUN_WITH_LATE_DATA, subject: &subject });
    }
    let mut live = compacted(start);
    let mut runs = plan.into_iter().peekable();
    while let Some(run) = runs.next() {
        let keep = live.iter().copied().filter(|id| !run.inputs.contains(id)).collect();
        let order = ArbRequest::Run { project, day: start.day, token, inputs: run.inputs, keep };
        let (response, _) = call(env, disk, &order, Bytes::new(), CALL_TIMEOUT).await?;
        let ArbResponse::RunCommitted { compacted: now_live } = response else {
            return Err(ArbError::Unexpected(disk.0));
        };
        if !boot.release.has(Bug::RecompactionOverwrites) {
            live = now_live;
        } else if runs.peek().is_some() {
            boot.release.reached(env, Bug::RecompactionOverwrites);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_worker_is_primary_for_one_replica_set() {
        let disks: Vec<NodeId> = (0..8).map(NodeId).collect();
        assert_eq!(split_disks(&disks, 2, 0), (disks[..4].to_vec(), disks[4..].to_vec()));
        assert_eq!(split_disks(&disks, 2, 1), (disks[4..].to_vec(), disks[..4].to_vec()));
    }
}
