//! Runbook of a recovery as data: the operator's steps.
//!
//! The complete runbook has the steps of [`RecoveryStep::ALL`], each once, in that order. An operator may leave one
//! out, repeat one, or swap two. None of this may lose or duplicate an event, because every step only adds and
//! identifies arrivals by their ids. But a recovery is reported as complete only if every step ran after those that it
//! depends on. Not modelled: manual steps on anything but the recovered cluster.

use serde::{Deserialize, Serialize};

/// One step of a recovery.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum RecoveryStep {
    /// The edges upload all local tee data to the tee store.
    FlushEdges,
    /// Reads all files of the tee store.
    ReadTee,
    /// Reads the catalogs of all data centers.
    ReadBackups,
    /// Reconstructs each day from the newest readable backup, and from the tee since that backup's position.
    Rebuild,
    /// Adds older backups to each day, and fills missing keys from the tee.
    Audit,
    /// Writes each day to all disks, skipping present events.
    Write,
}

impl RecoveryStep {
    /// The complete runbook.
    pub const ALL: [RecoveryStep; 6] = [
        RecoveryStep::FlushEdges,
        RecoveryStep::ReadTee,
        RecoveryStep::ReadBackups,
        RecoveryStep::Rebuild,
        RecoveryStep::Audit,
        RecoveryStep::Write,
    ];

    /// Whether the step is executed per day.
    #[must_use]
    pub fn is_per_day(self) -> bool {
        matches!(self, RecoveryStep::Rebuild | RecoveryStep::Audit | RecoveryStep::Write)
    }
}

/// Whether the runbook holds every step, and the last occurrence of each comes after the last occurrences of those
/// before it. Each step then uses the final results of the earlier ones.
#[must_use]
pub fn is_complete_runbook(steps: &[RecoveryStep]) -> bool {
    let last = |step: &RecoveryStep| steps.iter().rposition(|other| other == step);
    let places: Vec<Option<usize>> = RecoveryStep::ALL.iter().map(last).collect();
    places.iter().all(Option::is_some) && places.is_sorted()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_runbook_may_repeat_steps_but_not_omit_or_swap_them() {
        assert!(is_complete_runbook(&RecoveryStep::ALL));
        for left_out in 0..RecoveryStep::ALL.len() {
            let mut steps = RecoveryStep::ALL.to_vec();
            steps.remove(left_out);
            assert!(!is_complete_runbook(&steps), "{steps:?}");
        }
        for first in 1..RecoveryStep::ALL.len() {
            let mut steps = RecoveryStep::ALL.to_vec();
            steps.swap(first - 1, first);
            assert!(!is_complete_runbook(&steps), "{steps:?}");
        }
        for repeated in RecoveryStep::ALL {
            let steps: Vec<RecoveryStep> = RecoveryStep::ALL
                .iter()
                .flat_map(|step| vec![*step; 1 + usize::from(*step == repeated)])
                .collect();
            assert!(is_complete_runbook(&steps), "{steps:?}");
        }
        let twice: Vec<RecoveryStep> = RecoveryStep::ALL.into_iter().chain(RecoveryStep::ALL).collect();
        assert!(is_complete_runbook(&twice));
        let read_again = RecoveryStep::ALL.into_iter().chain([RecoveryStep::ReadTee]).collect::<Vec<_>>();
        assert!(!is_complete_runbook(&read_again), "nothing was done with what was read last");
    }
}
