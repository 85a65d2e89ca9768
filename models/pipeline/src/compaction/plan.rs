//! Assigns the files of a day to compaction runs. Pure.
//!
//! Policy: the smallest tier first, one run per sealed tier. A late tier below the sealing threshold, or a day with
//! little volume, is merged with the rest in one run. A day that was compacted before gets one run over the compacted
//! files and all later arrivals.

use crate::arb::manifest::{FileEntry, Tier};
use crate::config::CompactionConfig;

/// Inputs of one run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunPlan {
    /// Ids of the files to merge.
    pub inputs: Vec<u64>,
}

/// Plans a day's runs; none when nothing is new.
#[must_use]
pub fn plan_day(files: &[FileEntry], config: &CompactionConfig) -> Vec<RunPlan> {
    let of = |tier: Tier| files.iter().filter(move |file| file.tier == tier);
    let ids = |tier: Tier| of(tier).map(|file| file.id).collect::<Vec<_>>();
    let records = |tier: Tier| of(tier).map(|file| file.records).sum::<u64>();
    let (late, on_time) = (records(Tier::Late), records(Tier::OnTime));
    if of(Tier::Late).chain(of(Tier::OnTime)).next().is_none() {
        return Vec::new();
    }
    let first_time = of(Tier::Compacted).next().is_none();
    let late_is_sealed = late >= config.late_seal_events && on_time > 0;
    if first_time && late_is_sealed && late + on_time >= config.two_runs_from_events {
        return vec![RunPlan { inputs: ids(Tier::Late) }, RunPlan { inputs: ids(Tier::OnTime) }];
    }
    vec![RunPlan { inputs: files.iter().map(|file| file.id).collect() }]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(id: u64, tier: Tier, records: u64) -> FileEntry {
        FileEntry { id, tier, sealed: true, bytes: 1, records, hash: String::new() }
    }

    fn inputs(files: &[FileEntry]) -> Vec<Vec<u64>> {
        plan_day(files, &CompactionConfig::default()).into_iter().map(|run| run.inputs).collect()
    }

    #[test]
    fn volume_and_late_data_need_two_runs_the_late_tier_first() {
        assert_eq!(
            inputs(&[file(1, Tier::OnTime, 600), file(2, Tier::Late, 1), file(3, Tier::Late, 1)]),
            [vec![2, 3], vec![1]]
        );
    }

    #[test]
    fn one_late_event_or_little_volume_needs_one_run() {
        assert_eq!(inputs(&[file(1, Tier::OnTime, 600), file(2, Tier::Late, 1)]), [vec![1, 2]]);
        assert_eq!(inputs(&[file(1, Tier::OnTime, 40), file(2, Tier::Late, 9)]), [vec![1, 2]]);
    }

    #[test]
    fn a_later_night_merges_new_files_with_compacted_ones_in_one_run() {
        assert_eq!(inputs(&[file(4, Tier::Compacted, 600), file(5, Tier::Late, 300)]), [vec![4, 5]]);
        assert!(inputs(&[file(4, Tier::Compacted, 600)]).is_empty());
        assert!(inputs(&[]).is_empty());
    }
}
