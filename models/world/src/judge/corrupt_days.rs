//! Days and leases that planned faults corrupted, by disk: the only work of that disk that they excuse.

use crate::judge::disk_views::day_of;
use crate::plan::time_limits::REPAIRED_AFTER_MS;
use latent_engine::sim::World;
use latent_oracle::{ExcusedPeriods, ProjectDay};
use latent_ports::NodeId;
use std::collections::{BTreeMap, BTreeSet};

/// Interval of the scans: corruption may be older than its first scan by this.
const SCAN_MS: i64 = 3_600_000;

/// What a corrupted file belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum CorruptPart {
    Day(ProjectDay),
    /// The leases of a project: none of its days can be compacted.
    Leases(u32),
}

/// Corrupted parts of disks, and when they were seen.
#[derive(Clone, Debug, Default)]
pub(super) struct CorruptDays {
    seen: BTreeMap<(String, CorruptPart), (i64, i64)>,
}

impl CorruptDays {
    /// Scans the disks that faults have damaged.
    pub fn scan(&mut self, world: &World, disks: &[NodeId], damaged: &BTreeSet<String>) {
        let now_ms = world.now().0;
        for node in disks {
            let name = world.node_name(*node);
            if !damaged.contains(&*name) {
                continue;
            }
            let image = world.disk_image_under(*node, std::iter::once("arb"));
            let corrupted = image.files().filter(|(_, file)| file.is_corrupted());
            let parts: BTreeSet<CorruptPart> = corrupted.filter_map(|(path, _)| part_of(path)).collect();
            for part in parts {
                let (_, last_ms) =
                    self.seen.entry((name.to_string(), part)).or_insert((now_ms - SCAN_MS, now_ms));
                *last_ms = now_ms;
            }
        }
    }

    /// Returns the days of which some disk's copy was corrupted.
    pub fn days(&self) -> BTreeSet<ProjectDay> {
        let day = |part: &CorruptPart| match part {
            CorruptPart::Day(project_day) => Some(*project_day),
            CorruptPart::Leases(_) => None,
        };
        self.seen.keys().filter_map(|(_, part)| day(part)).collect()
    }

    /// Returns the times at which corruption may have kept a day of a disk from being compacted.
    pub fn excused(&self, disk: &str, project_day: ProjectDay) -> ExcusedPeriods {
        let parts = [CorruptPart::Day(project_day), CorruptPart::Leases(project_day.project)];
        let spans = parts.into_iter().filter_map(|part| self.seen.get(&(disk.to_owned(), part)));
        ExcusedPeriods::of(spans.map(|(from_ms, last_ms)| (*from_ms, last_ms + REPAIRED_AFTER_MS)))
    }
}

/// Returns the part of a file under `arb`: a day, in quarantine or not, or the leases of a project.
fn part_of(path: &str) -> Option<CorruptPart> {
    let whole = path.split(".corrupt-").next()?;
    let project = || whole.strip_prefix("arb/")?.split('/').next()?.parse().ok();
    day_of(whole).map(CorruptPart::Day).or_else(|| project().map(CorruptPart::Leases))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_of_a_day_in_quarantine_or_not_and_of_leases() {
        let day = CorruptPart::Day(ProjectDay { project: 17, day: 16_853 });
        for path in ["arb/17/2016-02-22/manifest", "arb/17/2016-02-22.corrupt-5/3.seg"] {
            assert_eq!(part_of(path), Some(day));
        }
        for path in ["arb/17/lease", "arb/17/lease.corrupt-2"] {
            assert_eq!(part_of(path), Some(CorruptPart::Leases(17)));
        }
        assert_eq!(part_of("hints/3-7"), None);
    }
}
