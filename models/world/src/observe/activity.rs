//! Observed activity of a run: compacted days and a backup in progress.
//!
//! An observer records marks and does nothing else.

use crate::mutex::lock;
use latent_engine::sim::{Event, Observer, Record, World};
use latent_oracle::{ProjectDay, day};
use latent_ports::{NodeId, UnixMs};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// The recorded activity.
#[derive(Default)]
pub(crate) struct RunActivity {
    /// Days compacted since the last check.
    pub compacted: BTreeSet<ProjectDay>,
    /// Commit times of compactions by day, in milliseconds since 1970.
    pub commits: BTreeMap<ProjectDay, BTreeSet<i64>>,
    pub runs: u64,
    /// Times at which a detector fired, by day, in milliseconds since 1970. The alarm may reach the operator much
    /// later.
    pub detected: BTreeMap<ProjectDay, BTreeSet<i64>>,
    pub backup_since_check: bool,
    /// True while a backup is in progress.
    pub backup_in_progress: bool,
    /// Compactions in progress, with the number of checks since they started.
    pub active_compactions: BTreeMap<(NodeId, ProjectDay), u32>,
}

impl RunActivity {
    /// Returns the days to check: those compacted since the last check, and those whose compaction was in progress
    /// when its disk crashed. Such a run may be committed without a mark, so its day is checked until the disk has
    /// been up for a complete check.
    pub fn due(&mut self, is_up: impl Fn(NodeId) -> bool) -> BTreeSet<ProjectDay> {
        let mut due = std::mem::take(&mut self.compacted);
        due.extend(self.active_compactions.keys().map(|(_, project_day)| *project_day));
        self.active_compactions.retain(|(node, _), checks| {
            *checks += u32::from(is_up(*node));
            *checks < 2
        });
        due
    }
}

pub(crate) struct ActivityObserver {
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
                activity.active_compactions.remove(&(record.node, project_day));
            }
            "compaction.merging" => {
                let Some(project_day) = project_day(subject) else { return };
                lock(&self.activity).active_compactions.insert((record.node, project_day), 0);
            }
            "audit.mismatch" | "repair.copies-differ" => {
                let Some(project_day) = project_day(subject) else { return };
                let at = self.start + Duration::from_nanos(record.time_ns);
                lock(&self.activity).detected.entry(project_day).or_default().insert(at.0);
            }
            "backup.started" => lock(&self.activity).backup_in_progress = true,
            "backup.failed" => lock(&self.activity).backup_in_progress = false,
            "backup.catalog-durable" => {
                let mut activity = lock(&self.activity);
                activity.backup_since_check = true;
                activity.backup_in_progress = false;
            }
            _ => {}
        }
    }
}

/// Parses a subject such as `p17/2016-02-22`.
fn project_day(subject: &str) -> Option<ProjectDay> {
    let (project, date) = subject.strip_prefix('p')?.split_once('/')?;
    Some(ProjectDay { project: project.parse().ok()?, day: day::parse_day(date)? })
}
