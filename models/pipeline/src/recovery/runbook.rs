//! The runbook of a recovery, as data: what an operator does, step by step.
//!
//! By the book the steps come in the order of [`Step::ALL`], each once. A person may leave one out, do one twice, or
//! swap two. Nothing of that may lose or double an event, because every step only adds and knows arrivals by their
//! ids; but what was not done by the book is not reported as done: a recovery is complete only if every step ran after
//! those that it rests on. Not modelled: steps done by hand to something else than the cluster that is recovered.

use serde::{Deserialize, Serialize};

/// One step of a recovery.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Step {
    /// The edges put all that they still hold into the tee store.
    FlushEdges,
    /// All files of the tee store are read.
    ReadTee,
    /// The catalogs of all data centers are read.
    ReadBackups,
    /// Each day is put together from the newest readable backup, and the tee from that backup's position on.
    Rebuild,
    /// Each day that lacks keys which the tee holds is put together again, from older and older backups.
    Audit,
    /// Each day is written to all disks, skipping what is present.
    Write,
}

impl Step {
    /// By the book.
    pub const ALL: [Step; 6] =
        [Step::FlushEdges, Step::ReadTee, Step::ReadBackups, Step::Rebuild, Step::Audit, Step::Write];

    /// Whether it is done day by day.
    #[must_use]
    pub fn is_of_a_day(self) -> bool {
        matches!(self, Step::Rebuild | Step::Audit | Step::Write)
    }
}

/// Whether a runbook holds every step, and each for the last time after the last of those before it: what a later
/// step rests on is then what the last run of the earlier ones brought.
#[must_use]
pub fn is_by_the_book(steps: &[Step]) -> bool {
    let last = |step: &Step| steps.iter().rposition(|other| other == step);
    let places: Vec<Option<usize>> = Step::ALL.iter().map(last).collect();
    places.iter().all(Option::is_some) && places.is_sorted()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_left_out_or_swapped_is_not_by_the_book_and_a_repeated_one_is() {
        assert!(is_by_the_book(&Step::ALL));
        for left_out in 0..Step::ALL.len() {
            let mut steps = Step::ALL.to_vec();
            steps.remove(left_out);
            assert!(!is_by_the_book(&steps), "{steps:?}");
        }
        for first in 1..Step::ALL.len() {
            let mut steps = Step::ALL.to_vec();
            steps.swap(first - 1, first);
            assert!(!is_by_the_book(&steps), "{steps:?}");
        }
        for repeated in Step::ALL {
            let steps: Vec<Step> =
                Step::ALL.iter().flat_map(|step| vec![*step; 1 + usize::from(*step == repeated)]).collect();
            assert!(is_by_the_book(&steps), "{steps:?}");
        }
        let twice: Vec<Step> = Step::ALL.into_iter().chain(Step::ALL).collect();
        assert!(is_by_the_book(&twice));
        let read_again = Step::ALL.into_iter().chain([Step::ReadTee]).collect::<Vec<_>>();
        assert!(!is_by_the_book(&read_again), "nothing was done with what was read last");
    }
}
