//! Days that begin anew on a disk because what it had of them was set aside.
//!
//! Seen by the directories themselves, whose numbers only rise: whoever remembers such a day from look to look
//! forgets it when a greater number appears.

use crate::identity::ProjectDay;
use std::collections::{BTreeMap, BTreeSet};

/// The greatest number of a directory that was set aside, by disk and day.
#[derive(Clone, Debug, Default)]
pub(crate) struct QuarantineTracker {
    last: BTreeMap<String, BTreeMap<ProjectDay, u64>>,
}

impl QuarantineTracker {
    /// Whether the day was set aside since it was asked for last, given the numbers of what is there now.
    pub(crate) fn has_new(&mut self, disk: &str, project_day: ProjectDay, there: &BTreeSet<u64>) -> bool {
        let Some(greatest) = there.last() else { return false };
        if !self.last.contains_key(disk) {
            self.last.insert(disk.to_owned(), BTreeMap::new());
        }
        let known = self.last.get_mut(disk).and_then(|days| days.insert(project_day, *greatest));
        known.is_none_or(|known| known < *greatest)
    }

    /// The disk was replaced or emptied.
    pub(crate) fn forget(&mut self, disk: &str) {
        self.last.remove(disk);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_begins_anew_once_with_each_greater_number() {
        let project_day = ProjectDay { project: 17, day: 1 };
        let mut quarantines = QuarantineTracker::default();
        let mut check =
            |numbers: &[u64]| quarantines.has_new("disk-0", project_day, &numbers.iter().copied().collect());
        assert_eq!([check(&[]), check(&[4]), check(&[4])], [false, true, false]);
        assert_eq!([check(&[4, 9]), check(&[9]), check(&[]), check(&[9])], [true, false, false, false]);
    }
}
