//! Monitors from another node that the nightly jobs run.
//!
//! A job that fails reports it; one that is stuck, disabled, or dead with its node cannot. So each node that runs jobs
//! records when each was last complete, and reports the age by its monotonic clock, which is independent of the wall
//! clock. The audit's node monitors the workers' jobs; every worker monitors the audit. A project whose job was not
//! complete anywhere for [`OVERDUE_AFTER`] raises an alarm: one per job, until all of its projects are healthy again.
//! For a node that cannot be queried, its last report counts. A project that changes its time zone may have nights that
//! are further apart; that is reported too. Not checked here: the results of a job; audits, comparisons and drills cover
//! those.

use crate::alarms::{Alarm, AlarmSender, NightlyJob};
use crate::codec::{self, tag};
use crate::config::BootConfig;
use crate::marks;
use latent_ports::{Clock, Env, Mark, Message, Net, NodeId};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// Interval between checks.
pub const CHECK_INTERVAL: Duration = Duration::from_secs(3 * 3600);
/// Age from which a nightly job is overdue: one night was missed, including retries and catching up.
pub const OVERDUE_AFTER: Duration = Duration::from_secs(36 * 3600);
const CALL_TIMEOUT: Duration = Duration::from_secs(30);

/// Response to [`tag::STATUS`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeStatus {
    /// Release of the node.
    pub release: String,
    /// Jobs that completed since the node's boot.
    pub jobs: Vec<JobCompletion>,
}

/// Time since a job was complete for a project.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobCompletion {
    /// Name of the job.
    pub job: NightlyJob,
    /// The project.
    pub project: u32,
    /// Age, in ms.
    pub age_ms: u64,
}

/// Completion times of the jobs of one node. Clones share the state.
#[derive(Clone)]
pub struct JobTracker<E> {
    env: E,
    /// Monotonic time of the last completion.
    complete: Arc<Mutex<BTreeMap<(NightlyJob, u32), Duration>>>,
}

impl<E: Env> JobTracker<E> {
    /// Creates an empty tracker for the node of `env`.
    #[must_use]
    pub fn new(env: &E) -> Self {
        JobTracker { env: env.clone(), complete: Arc::default() }
    }

    /// Records that the job of a project is complete.
    pub fn complete(&self, job: NightlyJob, project: u32) {
        self.env.mark(Mark { name: job.mark(), subject: &format!("p{project}") });
        let now = self.env.clock().monotonic();
        self.complete.lock().unwrap_or_else(PoisonError::into_inner).insert((job, project), now);
    }

    /// Returns the response to [`tag::STATUS`].
    #[must_use]
    pub fn status(&self, release: &str) -> Message {
        let now = self.env.clock().monotonic();
        let complete = self.complete.lock().unwrap_or_else(PoisonError::into_inner);
        let age = |((job, project), at): (&(NightlyJob, u32), &Duration)| JobCompletion {
            job: *job,
            project: *project,
            age_ms: u64::try_from(now.saturating_sub(*at).as_millis()).unwrap_or(u64::MAX),
        };
        let status = NodeStatus { release: release.to_owned(), jobs: complete.iter().map(age).collect() };
        codec::message(tag::STATUS, &status)
    }
}

/// Asks a node for its status; `None` when it does not respond.
pub async fn status_of<E: Env>(env: &E, node: NodeId) -> Option<NodeStatus> {
    let response = env.net().call(node, codec::message(tag::STATUS, &()), CALL_TIMEOUT).await.ok()?;
    codec::decode(tag::STATUS, &response).ok()
}

/// Monitors `jobs`, which run on `nodes`, until this node dies.
pub async fn monitor<E: Env>(
    env: E,
    boot: BootConfig,
    alarms: AlarmSender<E>,
    jobs: Vec<NightlyJob>,
    nodes: Vec<NodeId>,
) {
    let projects = boot.cluster.projects.keys().copied();
    let mut monitor = JobMonitor::new(&jobs, projects, env.clock().monotonic());
    loop {
        env.clock().sleep(CHECK_INTERVAL).await;
        for node in &nodes {
            if let Some(status) = status_of(&env, *node).await {
                monitor.record(&status, env.clock().monotonic());
            }
        }
        for alarm in monitor.overdue(env.clock().monotonic()) {
            env.mark(Mark { name: marks::JOBS_OVERDUE, subject: "" });
            alarms.raise(alarm);
        }
    }
}

/// State of a monitor, by its own monotonic clock. Pure.
struct JobMonitor {
    /// Last completion of each job for a project; initially the start of monitoring, since no node knows better.
    complete: BTreeMap<NightlyJob, BTreeMap<u32, Duration>>,
    reported: BTreeSet<NightlyJob>,
}

impl JobMonitor {
    fn new(jobs: &[NightlyJob], projects: impl Iterator<Item = u32> + Clone, now: Duration) -> Self {
        let of_job = |job: &NightlyJob| (*job, projects.clone().map(|project| (project, now)).collect());
        JobMonitor { complete: jobs.iter().map(of_job).collect(), reported: BTreeSet::new() }
    }

    fn record(&mut self, status: &NodeStatus, now: Duration) {
        for JobCompletion { job, project, age_ms } in &status.jobs {
            let of_job = self.complete.get_mut(job);
            if let Some(complete) = of_job.and_then(|projects| projects.get_mut(project)) {
                *complete = now.saturating_sub(Duration::from_millis(*age_ms)).max(*complete);
            }
        }
    }

    /// Returns an alarm for each job that is overdue and was not reported since it was last healthy.
    fn overdue(&mut self, now: Duration) -> Vec<Alarm> {
        let mut alarms = Vec::new();
        for (job, projects) in &self.complete {
            let overdue =
                projects.iter().filter(|(_, complete)| now.saturating_sub(**complete) > OVERDUE_AFTER);
            let (overdue, since): (Vec<u32>, Vec<Duration>) =
                overdue.map(|(project, at)| (*project, *at)).unzip();
            let Some(oldest) = since.into_iter().min() else {
                self.reported.remove(job);
                continue;
            };
            if self.reported.insert(*job) {
                let age_ms = u64::try_from(now.saturating_sub(oldest).as_millis()).unwrap_or(u64::MAX);
                alarms.push(Alarm::JobOverdue { job: *job, projects: overdue, age_ms });
            }
        }
        alarms
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    fn status_of_job(project: u32, age: Duration) -> NodeStatus {
        let age_ms = u64::try_from(age.as_millis()).unwrap();
        NodeStatus {
            release: "good".into(),
            jobs: vec![JobCompletion { job: NightlyJob::Audit, project, age_ms }],
        }
    }

    #[test]
    fn an_overdue_job_is_reported_once_until_it_is_healthy_again() {
        let mut monitor = JobMonitor::new(&[NightlyJob::Audit], [1, 2].into_iter(), Duration::ZERO);
        monitor.record(&status_of_job(1, HOUR), 20 * HOUR);
        monitor.record(&status_of_job(2, HOUR), 5 * HOUR);
        assert_eq!(monitor.overdue(40 * HOUR), []);
        let age_ms = u64::try_from((37 * HOUR).as_millis()).unwrap();
        let alarm = Alarm::JobOverdue { job: NightlyJob::Audit, projects: vec![2], age_ms };
        assert_eq!(monitor.overdue(41 * HOUR), [alarm]);
        assert_eq!(monitor.overdue(60 * HOUR), [], "reported");
        for project in [1, 2] {
            monitor.record(&status_of_job(project, HOUR), 61 * HOUR);
        }
        assert_eq!(monitor.overdue(61 * HOUR), []);
        assert_eq!(monitor.overdue(100 * HOUR).len(), 1);
    }

    #[test]
    fn the_latest_completion_on_any_node_counts() {
        let mut monitor = JobMonitor::new(&[NightlyJob::Audit], [1].into_iter(), Duration::ZERO);
        monitor.record(&status_of_job(1, HOUR), 50 * HOUR);
        monitor.record(&status_of_job(1, 40 * HOUR), 50 * HOUR);
        assert_eq!(monitor.overdue(50 * HOUR), []);
    }
}
