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
pub(super) struct Heard {
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

impl Heard {
    /// Days to look at: those compacted since the last look, and those whose run was under way when its disk crashed:
    /// it may be committed and nobody have said so. They are looked at until the disk has been up for a whole look.
    pub fn due(&mut self, is_up: impl Fn(NodeId) -> bool) -> BTreeSet<ProjectDay> {
        let mut due = std::mem::take(&mut self.compacted);
        due.extend(self.runs_under_way.keys().map(|(_, of)| *of));
        self.runs_under_way.retain(|(node, _), looks| {
            *looks += u32::from(is_up(*node));
            *looks < 2
        });
        due
    }
}

pub(super) struct Ear {
    pub start: UnixMs,
    pub heard: Arc<Mutex<Heard>>,
}

impl Observer for Ear {
    fn on_record(&mut self, record: &Record<'_>, _: &World) {
        let Event::Mark { name, subject } = record.event else { return };
        match name {
            "compaction.committed" => {
                let Some(of) = project_day(subject) else { return };
                let at = self.start + Duration::from_nanos(record.time_ns);
                let mut heard = lock(&self.heard);
                heard.runs += 1;
                heard.compacted.insert(of);
                heard.commits.entry(of).or_default().insert(at.0);
                heard.runs_under_way.remove(&(record.node, of));
            }
            "compaction.merging" => {
                let Some(of) = project_day(subject) else { return };
                lock(&self.heard).runs_under_way.insert((record.node, of), 0);
            }
            "audit.mismatch" | "repair.copies-differ" => {
                let Some(of) = project_day(subject) else { return };
                let at = self.start + Duration::from_nanos(record.time_ns);
                lock(&self.heard).detected.entry(of).or_default().insert(at.0);
            }
            "backup.started" => lock(&self.heard).backup_under_way = true,
            "backup.failed" => lock(&self.heard).backup_under_way = false,
            "backup.catalog-durable" => {
                let mut heard = lock(&self.heard);
                heard.backup_since_look = true;
                heard.backup_under_way = false;
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
