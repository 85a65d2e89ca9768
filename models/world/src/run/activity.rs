//! What a run's main task must know of what goes on: which days were compacted, whether a backup is under way.
//!
//! Marks are heard by an observer, which only writes down.

use latent_engine::sim::{Event, Observer, Record, World};
use latent_oracle::{ProjectDay, day};
use latent_ports::{NodeId, UnixMs};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::lock;

/// What the observer wrote down.
#[derive(Default)]
pub(super) struct RunActivity {
    /// Compacted since the last look.
    pub compacted: BTreeSet<ProjectDay>,
    /// When runs of a day were committed, ms since 1970.
    pub commits: BTreeMap<ProjectDay, BTreeSet<i64>>,
    pub runs: u64,
    /// When a detector found something wrong with a day, ms since 1970: its alarm may reach the operator much later.
    pub detected: BTreeMap<ProjectDay, BTreeSet<i64>>,
    pub backup_since_look: bool,
    /// Under way now: a backup, and compaction runs.
    pub backup_under_way: bool,
    /// With the number of looks since they began.
    pub runs_under_way: BTreeMap<(NodeId, ProjectDay), u32>,
}

impl RunActivity {
    /// Days to look at: those compacted since the last look, and those whose run was under way when its disk crashed:
    /// it may be committed and nobody have said so. They are looked at until the disk has been up for a whole look.
    pub fn due(&mut self, is_up: impl Fn(NodeId) -> bool) -> BTreeSet<ProjectDay> {
        let mut due = std::mem::take(&mut self.compacted);
        due.extend(self.runs_under_way.keys().map(|(_, project_day)| *project_day));
        self.runs_under_way.retain(|(node, _), looks| {
            *looks += u32::from(is_up(*node));
            *looks < 2
        });
        due
    }
}

pub(super) struct ActivityObserver {
    pub start: UnixMs,
    pub activity: Arc<Mutex<RunActivity>>,
}

impl Observer for ActivityObserver {
    fn on_record(&mut self, record: &Record<'_>, _: &World) {
        let Event::Mark { name, subject } = record.event else { return };
        match name {
            "compaction.committed" => {
                let Some(project_day) = project_day(subject) else { return };
                let at = self.start + Duration::from_nanos(record.time_ns);
                let mut activity = lock(&self.activity);
                activity.runs += 1;
                activity.compacted.insert(project_day);
                activity.commits.entry(project_day).or_default().insert(at.0);
                activity.runs_under_way.remove(&(record.node, project_day));
            }
            "compaction.merging" => {
                let Some(project_day) = project_day(subject) else { return };
                lock(&self.activity).runs_under_way.insert((record.node, project_day), 0);
            }
            "audit.mismatch" | "repair.copies-differ" => {
                let Some(project_day) = project_day(subject) else { return };
                let at = self.start + Duration::from_nanos(record.time_ns);
                lock(&self.activity).detected.entry(project_day).or_default().insert(at.0);
            }
            "backup.started" => lock(&self.activity).backup_under_way = true,
            "backup.failed" => lock(&self.activity).backup_under_way = false,
            "backup.catalog-durable" => {
                let mut activity = lock(&self.activity);
                activity.backup_since_look = true;
                activity.backup_under_way = false;
            }
            _ => {}
        }
    }
}

/// Parses `p17/2016-02-22`.
fn project_day(subject: &str) -> Option<ProjectDay> {
    let (project, date) = subject.strip_prefix('p')?.split_once('/')?;
    Some(ProjectDay { project: project.parse().ok()?, day: day::parse_day(date)? })
}
