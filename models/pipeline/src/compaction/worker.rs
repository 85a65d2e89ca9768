//! The nightly job: after a project's midnight a worker takes the lease on each disk, plans the ended days that
//! have something new, and orders the disk to merge.
//!
//! Each worker is first on the disks of one replica set and looks after the others half an hour later, so a
//! worker that is down costs half an hour, and a release can be tried on one set of replicas. What a job could
//! not do is tried again a few times, and once more by the next night's.

use super::plan::plan_day;
use crate::alarms::{Alarm, Alarms};
use crate::arb::api::{ArbAnswer, ArbCall, ArbError, DayFiles, call};
use crate::arb::manifest::Tier;
use crate::config::{Boot, CompactionConfig};
use crate::heartbeat::{self, Job, JobLog};
use crate::release::Bug;
use crate::schedule::{MedianClock, Next, Timetable, Turns};
use crate::zone::Day;
use bytes::Bytes;
use futures_util::future::join_all;
use latent_ports::{Clock, Env, Mark, Net, NodeId, UnixMs};
use std::time::Duration;

/// How long a disk may take for one run or listing.
const CALL_TIMEOUT: Duration = Duration::from_secs(120);
/// Between two tries of a job on one disk, and how many there are.
const RETRY_AFTER: Duration = Duration::from_secs(10 * 60);
const TRIES: u32 = 6;

/// Boots a worker: serves its status, runs the nightly jobs and anti-entropy, and watches the audit, until the node dies.
pub async fn run<E: Env>(env: E, boot: Boot) {
    let alarms = Alarms::new(&env, &boot.cluster);
    let clock = MedianClock::new(&env, &boot.cluster);
    let log = JobLog::new(&env);
    let worker = Worker {
        env: env.clone(),
        boot: boot.clone(),
        clock: clock.clone(),
        alarms: alarms.clone(),
        log: log.clone(),
    };
    env.spawn(worker.nightly());
    env.spawn(crate::repair::nightly(env.clone(), boot.clone(), clock, alarms.clone(), log.clone()));
    if let Some(audit) = boot.cluster.audit.as_ref().and_then(|audit| audit.node) {
        env.spawn(heartbeat::watch(env.clone(), boot.clone(), alarms, vec![Job::Audit], vec![audit]));
    }
    crate::hostile::spawn_if_it_is(&env, &boot);
    let release = boot.release.name.clone();
    env.net().serve(64, move |_| std::future::ready(log.status(&release))).await;
}

/// Asks a worker which release it runs.
pub async fn release_of<E: Env>(env: &E, worker: NodeId) -> Option<String> {
    heartbeat::status_of(env, worker).await.map(|status| status.release)
}

/// When the job of a project starts after the midnight that ends `day`: drawn, so that all projects of a zone do
/// not start at once.
fn start_delay<E: Env>(env: &E, boot: &Boot, project: u32, day: Day) -> Duration {
    start_delay_of(env.draw(START_STREAM, start_key(project, day)), &boot.cluster.compaction)
}

/// The stream and the key of the draw that decides when a job starts.
pub const START_STREAM: &str = "compaction.start";

/// See [`START_STREAM`].
#[must_use]
pub fn start_key(project: u32, day: Day) -> u128 {
    (u128::from(project) << 32) | u128::from(day.0 as u32)
}

/// What a draw of [`START_STREAM`] means: from midnight to the job's start.
#[must_use]
pub fn start_delay_of(draw: u64, config: &CompactionConfig) -> Duration {
    let within_ms = config.start_within.as_millis() as u64;
    Duration::from_millis(draw % within_ms.max(1))
}

/// What the jobs of one worker share.
#[derive(Clone)]
struct Worker<E> {
    env: E,
    boot: Boot,
    clock: MedianClock<E>,
    alarms: Alarms<E>,
    log: JobLog<E>,
}

/// Of a project on which disks: a worker's own, and later the others'.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Shift {
    project: u32,
    is_standby: bool,
}

impl<E: Env> Worker<E> {
    /// Begins each job at its time, and once soon after a boot: one may have been cut off by the restart. Jobs run beside
    /// each other.
    async fn nightly(self) {
        let cluster = &self.boot.cluster;
        let mine = cluster.workers.iter().position(|worker| *worker == self.env.node()).unwrap_or(0);
        let (own, others) = share(&cluster.disks, cluster.workers.len(), mine);
        let now = self.env.clock().monotonic();
        let shifts = cluster.projects.keys().flat_map(|project| {
            let first = now + start_delay(&self.env, &self.boot, *project, Day(0));
            [false, true].map(|is_standby| (Shift { project: *project, is_standby }, first))
        });
        let mut table = Timetable::new(shifts);
        loop {
            let now = self.clock.now().await;
            match table.next(now, self.env.clock().monotonic(), |shift, now| self.turns(shift, now)) {
                Next::Sleep(wait) => self.env.clock().sleep(wait).await,
                Next::Due(shift) => {
                    table.done(shift);
                    let disks = if shift.is_standby { others.clone() } else { own.clone() };
                    let worker = self.clone();
                    self.env.spawn(async move { worker.jobs(shift.project, disks).await });
                }
            }
        }
    }

    /// A project's regular times: a drawn delay after its midnights, and later for the others' disks.
    fn turns(&self, shift: Shift, now: UnixMs) -> Turns {
        let zones = &self.boot.cluster.projects[&shift.project].zones;
        let later =
            if shift.is_standby { self.boot.cluster.compaction.standby_after } else { Duration::ZERO };
        Turns::nightly(zones, now, |midnight| {
            let ended = zones.day(midnight - Duration::from_millis(1), midnight);
            start_delay(&self.env, &self.boot, shift.project, ended) + later
        })
    }

    /// A project's jobs on some disks, side by side. They are complete when one of them is: a disk that is out of reach is
    /// reported by itself.
    async fn jobs(&self, project: u32, disks: Vec<NodeId>) {
        let jobs = disks.into_iter().map(|disk| self.job_with_retries(project, disk));
        if join_all(jobs).await.contains(&true) {
            self.log.complete(Job::Compaction, project);
        }
    }

    /// Returns whether the job is done. One that failed each time is an alarm.
    async fn job_with_retries(&self, project: u32, disk: NodeId) -> bool {
        let mut why = String::new();
        for tried in 1..=TRIES {
            match job(&self.env, &self.boot, &self.clock, project, disk).await {
                Ok(()) => return true,
                Err(error) => why = error.to_string(),
            }
            self.env.mark(Mark { name: "compaction.job-failed", subject: &format!("p{project}: {why}") });
            if tried < TRIES {
                self.env.clock().sleep(RETRY_AFTER).await;
            }
        }
        self.env.mark(Mark { name: "compaction.job-given-up", subject: &format!("p{project}: {why}") });
        self.alarms.raise(Alarm::CompactionFailed { project, disk: disk.0, why });
        false
    }
}

/// Splits the disks into the part of worker `mine` and the others.
fn share(disks: &[NodeId], workers: usize, mine: usize) -> (Vec<NodeId>, Vec<NodeId>) {
    let is_mine = |index: usize| index * workers / disks.len().max(1) == mine;
    let (mine, others): (Vec<_>, Vec<_>) = disks.iter().enumerate().partition(|(index, _)| is_mine(*index));
    (mine.into_iter().map(|(_, d)| *d).collect(), others.into_iter().map(|(_, d)| *d).collect())
}

/// One project's job on one disk.
async fn job<E: Env>(
    env: &E,
    boot: &Boot,
    clock: &MedianClock<E>,
    project: u32,
    disk: NodeId,
) -> Result<(), ArbError> {
    if ended_days(env, boot, clock, project, disk).await?.is_empty() {
        return Ok(());
    }
    let for_ms = boot.cluster.compaction.lease.as_millis() as u64;
    let lease = call(env, disk, &ArbCall::Lease { project, for_ms }, Bytes::new(), CALL_TIMEOUT).await?;
    let token = match lease.0 {
        ArbAnswer::Leased { token } => token,
        // Its holder may be unable to do the job: whether it did is seen at the next try.
        ArbAnswer::Held => return Err(ArbError::Held(disk.0)),
        _ => return Err(ArbError::Unexpected(disk.0)),
    };
    // Asked again under the lease: nobody else changes compacted files from here on. A day that cannot be compacted does
    // not hold up the others.
    let mut failed = Ok(());
    for day in ended_days(env, boot, clock, project, disk).await? {
        if let Err(error) = compact_day(env, boot, project, disk, token, &day).await {
            failed = Err(error);
        }
    }
    failed
}

/// The days of a project that are over and have something new.
async fn ended_days<E: Env>(
    env: &E,
    boot: &Boot,
    clock: &MedianClock<E>,
    project: u32,
    disk: NodeId,
) -> Result<Vec<DayFiles>, ArbError> {
    let asked =
        call(env, disk, &ArbCall::Days { project, dirty_only: true }, Bytes::new(), CALL_TIMEOUT).await?;
    let ArbAnswer::Days(mut days) = asked.0 else { return Err(ArbError::Unexpected(disk.0)) };
    let now = clock.now().await;
    let today = boot.cluster.projects[&project].zones.day(now, now);
    days.retain(|day| day.day < today);
    Ok(days)
}

async fn compact_day<E: Env>(
    env: &E,
    boot: &Boot,
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
        env.mark(Mark { name: "compaction.two-runs", subject: &subject });
    }
    if start.files.iter().any(|f| f.tier == Tier::Late) && !compacted(start).is_empty() {
        env.mark(Mark { name: "compaction.rerun-with-late-data", subject: &subject });
    }
    let mut live = compacted(start);
    for run in plan {
        let keep = live.iter().copied().filter(|id| !run.inputs.contains(id)).collect();
        let order = ArbCall::Run { project, day: start.day, token, inputs: run.inputs, keep };
        let (answer, _) = call(env, disk, &order, Bytes::new(), CALL_TIMEOUT).await?;
        let ArbAnswer::Ran { compacted: now_live } = answer else { return Err(ArbError::Unexpected(disk.0)) };
        if !boot.release.has(Bug::RecompactionOverwrites) {
            live = now_live;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_worker_is_first_on_one_replica_set() {
        let disks: Vec<NodeId> = (0..8).map(NodeId).collect();
        assert_eq!(share(&disks, 2, 0), (disks[..4].to_vec(), disks[4..].to_vec()));
        assert_eq!(share(&disks, 2, 1), (disks[4..].to_vec(), disks[..4].to_vec()));
    }
}
