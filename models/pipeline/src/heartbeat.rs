//! Whether the jobs that run by the clock still run: asked of their nodes by a node that does not run them.
//!
//! A job that fails reports that; one that is stuck, switched off, or dead with its node cannot. So each node that runs
//! jobs notes when each was last complete and says so when asked, as an age by its monotonic clock, which no wall clock
//! can falsify. The audit's node watches the workers' jobs; every worker watches the audit. A project whose job was not
//! complete anywhere for [`OVERDUE_AFTER`] is an alarm: one for a job, until all of its projects are well again. A node
//! that cannot be asked counts with what it said last. Not checked here: whether a job did what it should; that is for
//! audits, comparisons and drills.

use crate::alarms::{Alarm, Alarms};
use crate::codec::{self, tag};
use crate::config::Boot;
use latent_ports::{Clock, Env, Mark, Message, Net, NodeId};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// Between two looks.
pub const LOOK_EVERY: Duration = Duration::from_secs(3 * 3600);
/// A nightly job is overdue when it was not complete for so long: a night was missed, with its tries and its catching up.
pub const OVERDUE_AFTER: Duration = Duration::from_secs(36 * 3600);
const CALL_TIMEOUT: Duration = Duration::from_secs(30);

/// A job that runs each night for each project.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Job {
    /// The nightly compaction, by a worker.
    Compaction,
    /// The comparison of copies, by a worker.
    AntiEntropy,
    /// The audit.
    Audit,
}

impl Job {
    /// The mark of a project's job that was complete.
    fn mark(self) -> &'static str {
        match self {
            Job::Compaction => "compaction.job-complete",
            Job::AntiEntropy => "repair.complete",
            Job::Audit => "audit.complete",
        }
    }
}

/// A node's answer to [`tag::STATUS`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// The release that it runs.
    pub release: String,
    /// The jobs that were complete since its boot.
    pub jobs: Vec<JobAge>,
}

/// How long ago a job was complete for a project.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobAge {
    /// The job.
    pub job: Job,
    /// The project.
    pub project: u32,
    /// Milliseconds since then.
    pub age_ms: u64,
}

/// When the jobs of one node were last complete. Clones share it.
#[derive(Clone)]
pub struct JobLog<E> {
    env: E,
    /// By the monotonic clock.
    complete: Arc<Mutex<BTreeMap<(Job, u32), Duration>>>,
}

impl<E: Env> JobLog<E> {
    /// A log of the node of `env`, in which no job was complete yet.
    #[must_use]
    pub fn new(env: &E) -> Self {
        JobLog { env: env.clone(), complete: Arc::default() }
    }

    /// The job of a project is complete.
    pub fn complete(&self, job: Job, project: u32) {
        self.env.mark(Mark { name: job.mark(), subject: &format!("p{project}") });
        let now = self.env.clock().monotonic();
        self.complete.lock().unwrap_or_else(PoisonError::into_inner).insert((job, project), now);
    }

    /// The answer to [`tag::STATUS`].
    #[must_use]
    pub fn status(&self, release: &str) -> Message {
        let now = self.env.clock().monotonic();
        let complete = self.complete.lock().unwrap_or_else(PoisonError::into_inner);
        let age = |((job, project), at): (&(Job, u32), &Duration)| JobAge {
            job: *job,
            project: *project,
            age_ms: u64::try_from(now.saturating_sub(*at).as_millis()).unwrap_or(u64::MAX),
        };
        let status = Status { release: release.to_owned(), jobs: complete.iter().map(age).collect() };
        codec::message(tag::STATUS, &status)
    }
}

/// Asks a node for its status; `None` when it does not answer.
pub async fn status_of<E: Env>(env: &E, node: NodeId) -> Option<Status> {
    let answer = env.net().call(node, codec::message(tag::STATUS, &()), CALL_TIMEOUT).await.ok()?;
    codec::decode(tag::STATUS, &answer).ok()
}

/// Watches `jobs`, which run on `nodes`, until this node dies.
pub async fn watch<E: Env>(env: E, boot: Boot, alarms: Alarms<E>, jobs: Vec<Job>, nodes: Vec<NodeId>) {
    let projects = boot.cluster.projects.keys().copied();
    let mut watched = Watched::new(&jobs, projects, env.clock().monotonic());
    loop {
        env.clock().sleep(LOOK_EVERY).await;
        for node in &nodes {
            if let Some(status) = status_of(&env, *node).await {
                watched.hear(&status, env.clock().monotonic());
            }
        }
        for alarm in watched.overdue(env.clock().monotonic()) {
            env.mark(Mark { name: "jobs.stopped", subject: "" });
            alarms.raise(alarm);
        }
    }
}

/// What a watcher knows, by its own monotonic clock. Pure.
struct Watched {
    /// When each job was last complete for a project; at first when the watching began, since no node knows better.
    complete: BTreeMap<Job, BTreeMap<u32, Duration>>,
    reported: BTreeSet<Job>,
}

impl Watched {
    fn new(jobs: &[Job], projects: impl Iterator<Item = u32> + Clone, now: Duration) -> Self {
        let of_job = |job: &Job| (*job, projects.clone().map(|project| (project, now)).collect());
        Watched { complete: jobs.iter().map(of_job).collect(), reported: BTreeSet::new() }
    }

    fn hear(&mut self, status: &Status, now: Duration) {
        for JobAge { job, project, age_ms } in &status.jobs {
            let of_job = self.complete.get_mut(job);
            if let Some(complete) = of_job.and_then(|projects| projects.get_mut(project)) {
                *complete = now.saturating_sub(Duration::from_millis(*age_ms)).max(*complete);
            }
        }
    }

    /// An alarm for each job that is overdue and was not reported since it was well.
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
                alarms.push(Alarm::JobStopped { job: *job, projects: overdue, age_ms });
            }
        }
        alarms
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    fn said(project: u32, age: Duration) -> Status {
        let age_ms = u64::try_from(age.as_millis()).unwrap();
        Status { release: "good".into(), jobs: vec![JobAge { job: Job::Audit, project, age_ms }] }
    }

    #[test]
    fn a_job_that_is_overdue_is_reported_once_until_it_is_well_again() {
        let mut watched = Watched::new(&[Job::Audit], [1, 2].into_iter(), Duration::ZERO);
        watched.hear(&said(1, HOUR), 20 * HOUR);
        watched.hear(&said(2, HOUR), 5 * HOUR);
        assert_eq!(watched.overdue(40 * HOUR), []);
        let age_ms = u64::try_from((37 * HOUR).as_millis()).unwrap();
        let alarm = Alarm::JobStopped { job: Job::Audit, projects: vec![2], age_ms };
        assert_eq!(watched.overdue(41 * HOUR), [alarm]);
        assert_eq!(watched.overdue(60 * HOUR), [], "reported");
        for project in [1, 2] {
            watched.hear(&said(project, HOUR), 61 * HOUR);
        }
        assert_eq!(watched.overdue(61 * HOUR), []);
        assert_eq!(watched.overdue(100 * HOUR).len(), 1);
    }

    #[test]
    fn of_two_nodes_that_run_a_job_the_later_one_counts() {
        let mut watched = Watched::new(&[Job::Audit], [1].into_iter(), Duration::ZERO);
        watched.hear(&said(1, HOUR), 50 * HOUR);
        watched.hear(&said(1, 40 * HOUR), 50 * HOUR);
        assert_eq!(watched.overdue(50 * HOUR), []);
    }
}
