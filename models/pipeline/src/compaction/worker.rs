//! The nightly job: after a project's midnight a worker takes the lease on each disk, plans the ended days that
//! have something new, and orders the disk to merge.
//!
//! Each worker is first on the disks of one replica set and looks after the others half an hour later, so a
//! worker that is down costs half an hour, and a release can be tried on one set of replicas. What a job could
//! not do is tried again a few times, and once more by the next night's.

use super::plan::plan_day;
use crate::alarms::Alarms;
use crate::arb::api::{ArbAnswer, ArbCall, ArbError, DayFiles, call};
use crate::arb::manifest::Tier;
use crate::codec::{self, tag};
use crate::config::{Boot, CompactionConfig, Project};
use crate::release::Bug;
use crate::zone::Day;
use bytes::Bytes;
use futures_util::future::join_all;
use latent_ports::{Clock, Env, Mark, Message, Net, NodeId, UnixMs};
use std::collections::BTreeMap;
use std::time::Duration;

/// How long a disk may take for one run or listing.
const CALL_TIMEOUT: Duration = Duration::from_secs(120);
/// Between two tries of a job on one disk, and how many there are.
const RETRY_AFTER: Duration = Duration::from_secs(10 * 60);
const TRIES: u32 = 6;

/// Boots a worker: serves its status, runs the nightly jobs and anti-entropy until the node dies.
pub async fn run<E: Env>(env: E, boot: Boot) {
    let alarms = Alarms::new(&env, &boot.cluster);
    env.spawn(nightly(env.clone(), boot.clone()));
    env.spawn(crate::repair::nightly(env.clone(), boot.clone(), alarms));
    crate::hostile::spawn_if_it_is(&env, &boot);
    let release = boot.release.name.clone();
    env.net().serve(64, move |_| std::future::ready(status(&release))).await;
}

fn status(release: &str) -> Message {
    codec::message(tag::STATUS, &release)
}

/// Asks a worker which release it runs.
pub async fn release_of<E: Env>(env: &E, worker: NodeId) -> Option<String> {
    let answer =
        env.net().call(worker, codec::message(tag::STATUS, &()), Duration::from_secs(5)).await.ok()?;
    codec::decode(tag::STATUS, &answer).ok()
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

async fn nightly<E: Env>(env: E, boot: Boot) {
    let mine = boot.cluster.workers.iter().position(|worker| *worker == env.node()).unwrap_or(0);
    let (first, standby) = share(&boot.cluster.disks, boot.cluster.workers.len(), mine);
    let mut due: BTreeMap<(UnixMs, u32, bool), ()> = BTreeMap::new();
    let now = env.clock().wall();
    for project in boot.cluster.projects.keys() {
        // A job may have been cut off by the restart: look once, soon.
        let delay = start_delay(&env, &boot, *project, Day(0));
        due.insert((now + delay, *project, true), ());
        due.insert((now + delay, *project, false), ());
        let project = &boot.cluster.projects[project];
        schedule(&env, &boot, project, now, &mut due);
    }
    while let Some(((at, id, is_first), ())) = due.pop_first() {
        sleep_until(&env, at).await;
        let project = &boot.cluster.projects[&id];
        let disks = if is_first { first.clone() } else { standby.clone() };
        if is_first && !due.keys().any(|(_, other, first)| *other == id && *first) {
            schedule(&env, &boot, project, env.clock().wall().max(at), &mut due);
        }
        let (env_of_job, boot) = (env.clone(), boot.clone());
        env.spawn(async move {
            let jobs = disks.into_iter().map(|disk| job_with_retries(&env_of_job, &boot, id, disk));
            join_all(jobs).await;
        });
    }
}

/// Puts down the next night's job: this worker's own disks, and later the others'.
fn schedule<E: Env>(
    env: &E,
    boot: &Boot,
    project: &Project,
    now: UnixMs,
    due: &mut BTreeMap<(UnixMs, u32, bool), ()>,
) {
    let midnight = project.zones.next_midnight(now);
    let ended = project.zones.day(midnight - Duration::from_millis(1), now);
    let start = midnight + start_delay(env, boot, project.id, ended);
    due.insert((start, project.id, true), ());
    due.insert((start + boot.cluster.compaction.standby_after, project.id, false), ());
}

/// Splits the disks into the part of worker `mine` and the others.
fn share(disks: &[NodeId], workers: usize, mine: usize) -> (Vec<NodeId>, Vec<NodeId>) {
    let is_mine = |index: usize| index * workers / disks.len().max(1) == mine;
    let (mine, others): (Vec<_>, Vec<_>) = disks.iter().enumerate().partition(|(index, _)| is_mine(*index));
    (mine.into_iter().map(|(_, d)| *d).collect(), others.into_iter().map(|(_, d)| *d).collect())
}

/// Sleeps until the wall clock shows `at`; a clock that is stepped is noticed within a day's sleep.
pub async fn sleep_until<E: Env>(env: &E, at: UnixMs) {
    loop {
        let wait = at.since(env.clock().wall());
        if wait.is_zero() {
            return;
        }
        env.clock().sleep(wait.min(Duration::from_secs(6 * 3600))).await;
    }
}

async fn job_with_retries<E: Env>(env: &E, boot: &Boot, project: u32, disk: NodeId) {
    for _ in 0..TRIES {
        match job(env, boot, project, disk).await {
            Ok(()) => return,
            Err(error) => {
                env.mark(Mark { name: "compaction.job-failed", subject: &format!("p{project}: {error}") });
                env.clock().sleep(RETRY_AFTER).await;
            }
        }
    }
}

/// One project's job on one disk.
async fn job<E: Env>(env: &E, boot: &Boot, project: u32, disk: NodeId) -> Result<(), ArbError> {
    if ended_days(env, boot, project, disk).await?.is_empty() {
        return Ok(());
    }
    let for_ms = boot.cluster.compaction.lease.as_millis() as u64;
    let lease = call(env, disk, &ArbCall::Lease { project, for_ms }, Bytes::new(), CALL_TIMEOUT).await?;
    let ArbAnswer::Leased { token } = lease.0 else { return Ok(()) };
    // Asked again under the lease: nobody else changes compacted files from here on. A day that cannot be compacted does
    // not hold up the others.
    let mut failed = Ok(());
    for day in ended_days(env, boot, project, disk).await? {
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
    project: u32,
    disk: NodeId,
) -> Result<Vec<DayFiles>, ArbError> {
    let asked =
        call(env, disk, &ArbCall::Days { project, dirty_only: true }, Bytes::new(), CALL_TIMEOUT).await?;
    let ArbAnswer::Days(mut days) = asked.0 else { return Err(ArbError::Unexpected(disk.0)) };
    let now = env.clock().wall();
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
