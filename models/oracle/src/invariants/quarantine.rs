//! Days that start over on a disk because their directory was quarantined.
//!
//! Detected by the quarantined directories, whose numbers only rise: a checker that keeps state for such a day drops
//! it when a greater number appears.

use crate::identity::ProjectDay;
use std::collections::{BTreeMap, BTreeSet};

/// Greatest number of a quarantined directory, by disk and day.
#[derive(Clone, Debug, Default)]
pub(crate) struct QuarantineTracker {
    last: BTreeMap<String, BTreeMap<ProjectDay, u64>>,
}

impl QuarantineTracker {
    /// Whether the day was quarantined since the last call, given the numbers of the existing directories.
    pub(crate) fn has_new(&mut self, disk: &str, project_day: ProjectDay, there: &BTreeSet<u64>) -> bool {
        let Some(greatest) = there.last() else { return false };
        if !self.last.contains_key(disk) {
            self.last.insert(disk.to_owned(), BTreeMap::new());
        }
        let known = self.last.get_mut(disk).and_then(|days| days.insert(project_day, *greatest));
        known.is_none_or(|known| known < *greatest)
    }

    /// Drops the state of a disk that was replaced or emptied.
    pub(crate) fn forget(&mut self, disk: &str) {
        self.last.remove(disk);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_starts_over_once_per_greater_number() {
        let project_day = ProjectDay { project: 17, day: 1 };
        let mut quarantines = QuarantineTracker::default();
        let mut check =
            |numbers: &[u64]| quarantines.has_new("disk-0", project_day, &numbers.iter().copied().collect());
        assert_eq!([check(&[]), check(&[4]), check(&[4])], [false, true, false]);
        assert_eq!([check(&[4, 9]), check(&[9]), check(&[]), check(&[9])], [true, false, false, false]);
    }
}
