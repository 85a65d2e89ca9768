//! Days to check because their manifests changed: found by reading the manifests that were written, whatever the
//! system reports about its jobs.

use crate::cluster::node_ids::NodeIds;
use crate::judge::disk_views::{day_dir, view_of};
use crate::observe::disk_activity::ManifestId;
use latent_engine::sim::World;
use latent_oracle::compaction_commits::CompactionCommits;
use latent_oracle::reader::arb_path::manifest_path;
use latent_oracle::{DecodeCache, ProjectDay};
use std::collections::{BTreeMap, BTreeSet};

/// Compactions of the run so far.
#[derive(Debug, Default)]
pub(crate) struct CompactedDays {
    commits: CompactionCommits,
    /// Commit times of compactions by day, in milliseconds since 1970.
    times_ms: BTreeMap<ProjectDay, BTreeSet<i64>>,
    /// Number of runs on all disks.
    pub runs: u64,
}

impl CompactedDays {
    /// Drops the manifests of a disk that was replaced or emptied.
    pub fn forget(&mut self, disk: &str) {
        self.commits.forget(disk);
    }

    /// Reads the written manifests of production, as a power cut would leave them. Returns the days whose live files
    /// were replaced by a compaction or removed, and those whose manifest is unreadable.
    pub fn update(
        &mut self,
        world: &World,
        nodes: &NodeIds,
        cache: &mut DecodeCache,
        written: &BTreeMap<ManifestId, Vec<i64>>,
    ) -> BTreeSet<ProjectDay> {
        let mut due = BTreeSet::new();
        for disk in &nodes.disks {
            let of_disk: BTreeMap<ProjectDay, &Vec<i64>> = written
                .range((*disk, ProjectDay { project: 0, day: i32::MIN })..)
                .take_while(|((node, _), _)| node == disk)
                .map(|((_, project_day), times_ms)| (*project_day, times_ms))
                .collect();
            if of_disk.is_empty() {
                continue;
            }
            let dirs: Vec<String> = of_disk.keys().copied().map(day_dir).collect();
            let paths: BTreeMap<String, ProjectDay> =
                of_disk.keys().map(|project_day| (manifest_path(*project_day), *project_day)).collect();
            let image = world.durable_image_under(*disk, dirs.iter().map(String::as_str));
            let view =
                view_of(&world.node_name(*disk), image.files().filter(|(path, _)| paths.contains_key(*path)));
            for file in &view.files {
                let Some(project_day) = paths.get(&file.path) else { continue };
                let Ok(change) = self.commits.read(cache, &view.name, *project_day, file) else {
                    due.insert(*project_day);
                    continue;
                };
                if change.has_removals || !change.runs.is_empty() {
                    due.insert(*project_day);
                }
                self.runs += change.runs.len() as u64;
                let times_ms = of_disk.get(project_day).map_or(&[][..], |times_ms| times_ms.as_slice());
                let at = |run: &usize| {
                    // The newest append made the newest edit.
                    let append = (times_ms.len() + run).checked_sub(change.edits);
                    append.and_then(|append| times_ms.get(append)).copied().unwrap_or(world.now().0)
                };
                self.times_ms.entry(*project_day).or_default().extend(change.runs.iter().map(at));
            }
        }
        due
    }

    /// Returns the last commit of a compaction of this day until then.
    pub fn last_commit_ms(&self, project_day: ProjectDay, until_ms: i64) -> Option<i64> {
        self.times_ms.get(&project_day)?.range(..=until_ms).next_back().copied()
    }
}
