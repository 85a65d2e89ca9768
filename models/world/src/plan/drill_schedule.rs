//! Drills of a plan: in turn at any time, during a backup, and during a compaction. The latter two are triggered by
//! marks, because the system draws the times of its jobs itself.

use super::draws::between;
use crate::scenario::WorldConfig;
use latent_engine::sim::keyed_draw;
use latent_engine::{Scenario, humanize};
use latent_pipeline::marks;
use latent_ports::MarkName;
use serde::{Deserialize, Serialize};

/// A recovery drill on copies of the disks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlannedDrill {
    /// Trigger of the drill.
    pub trigger: DrillTrigger,
}

/// Time of a drill.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum DrillTrigger {
    /// A time, in milliseconds since 1970.
    AtMs(i64),
    /// The first time that a mark is reached from a time on, and a delay.
    Mark {
        /// Name of the mark.
        name: String,
        /// Earlier marks do not count, in milliseconds since 1970.
        not_before_ms: i64,
        /// Delay from the mark to the drill, in milliseconds.
        delay_ms: i64,
    },
}

impl PlannedDrill {
    /// Returns the earliest time of the drill, in milliseconds since 1970.
    pub(crate) fn earliest_ms(&self) -> i64 {
        match &self.trigger {
            DrillTrigger::AtMs(at_ms) => *at_ms,
            DrillTrigger::Mark { not_before_ms, .. } => *not_before_ms,
        }
    }

    /// Returns the earliest time of the drill, to change it.
    pub(crate) fn earliest_ms_mut(&mut self) -> &mut i64 {
        match &mut self.trigger {
            DrillTrigger::AtMs(at_ms) => at_ms,
            DrillTrigger::Mark { not_before_ms, .. } => not_before_ms,
        }
    }

    /// Describes the time of the drill.
    pub(crate) fn describe(&self) -> String {
        match &self.trigger {
            DrillTrigger::AtMs(at_ms) => format!("at {}", humanize::moment_ms(*at_ms)),
            DrillTrigger::Mark { name, not_before_ms, delay_ms } => {
                format!(
                    "{delay_ms} ms after the first {name} from {} on",
                    humanize::moment_ms(*not_before_ms)
                )
            }
        }
    }
}

/// Mark at the start of a backup, and the approximate duration of the backup of a small cluster.
const BACKUP: (MarkName, i64) = (marks::BACKUP_STARTED, 1_500);
/// Mark at the start of a compaction on a disk, and the approximate duration of a project's job on all disks.
const COMPACTION: (MarkName, i64) = (marks::COMPACTION_MERGING, 12);

/// Returns the drills of a scenario, in order of their earliest times.
pub(crate) fn drills(scenario: &Scenario<WorldConfig>, seed: u64) -> Vec<PlannedDrill> {
    let (start, end) = (scenario.start.0.0, scenario.end().0.0);
    // In the first tenth of the run there is nothing to recover.
    let from = start + (end - start) / 10;
    let day_ms = 26 * 3_600_000;
    let interval_ms =
        scenario.config.protection.backup.as_ref().map(|backup| backup.interval.0.as_millis() as i64);
    let mut drills: Vec<PlannedDrill> = (0..scenario.config.drills)
        .map(|number| {
            let draw =
                |part: u32| keyed_draw(seed, "plan.drills", (u128::from(number) << 32) | u128::from(part));
            // Early enough that the job starts once more before the end.
            let during = |(mark, duration_ms): (MarkName, i64), every_ms: i64| DrillTrigger::Mark {
                name: mark.into(),
                not_before_ms: between(draw(0), from, (end - every_ms).max(from)),
                delay_ms: between(draw(1), 0, duration_ms),
            };
            let trigger = match (number % 3, interval_ms) {
                (1, Some(interval_ms)) => during(BACKUP, interval_ms),
                (2, _) => during(COMPACTION, day_ms),
                _ => DrillTrigger::AtMs(between(draw(0), from, end)),
            };
            PlannedDrill { trigger }
        })
        .collect();
    drills.sort_by_key(PlannedDrill::earliest_ms);
    drills
}
