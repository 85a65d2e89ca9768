//! Holds: objects of the tee store and the data centers whose keys protect files from expiry.

use crate::day::parse_day;
use std::collections::BTreeSet;

const PREFIX: &str = "objects/holds/";
/// Maximal duration of a hold that is not released.
const MAX_DURATION_MS: i64 = 30 * 86_400_000;

/// A hold, as encoded in its key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct RetentionHold {
    /// Start of the hold, in milliseconds since 1970.
    pub since_ms: i64,
    /// Project of the damaged day.
    pub project: u32,
    /// The damaged day.
    pub day: i32,
    /// First protected hour of the tee.
    pub first_hour: u64,
    /// Last protected hour of the tee.
    pub last_hour: u64,
}

/// Returns the holds that are active at this time, from the paths of a store's files.
#[must_use]
pub fn active_holds<'p>(paths: impl Iterator<Item = &'p str>, at_ms: i64) -> BTreeSet<RetentionHold> {
    let (mut holds, mut released) = (BTreeSet::new(), BTreeSet::new());
    for name in paths.filter_map(|path| path.strip_prefix(PREFIX)) {
        match name.strip_suffix("-released") {
            Some(name) => released.extend(read(name)),
            None => holds.extend(read(name).filter(|hold| at_ms - hold.since_ms <= MAX_DURATION_MS)),
        }
    }
    &holds - &released
}

/// Parses `<since_ms>-<project>-<year>-<month>-<day>-<first hour>-<last hour>`.
fn read(name: &str) -> Option<RetentionHold> {
    let [since_ms, project, year, month, day, first_hour, last_hour] =
        name.split('-').collect::<Vec<_>>().try_into().ok()?;
    Some(RetentionHold {
        since_ms: since_ms.parse().ok()?,
        project: project.parse().ok()?,
        day: parse_day(&format!("{year}-{month}-{day}"))?,
        first_hour: first_hour.parse().ok()?,
        last_hour: last_hour.parse().ok()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hold_is_active_until_its_release_or_for_thirty_days() {
        let key = "objects/holds/1728000000-17-2016-02-22-456-461";
        let release = format!("{key}-released");
        let hold = RetentionHold {
            since_ms: 1_728_000_000,
            project: 17,
            day: 16_853,
            first_hour: 456,
            last_hour: 461,
        };
        let stands = |paths: &[&str], at_ms| active_holds(paths.iter().copied(), at_ms);
        let end_ms = hold.since_ms + MAX_DURATION_MS;
        assert_eq!(stands(&[key, "objects/tee/456-0-1.tee"], end_ms), [hold].into());
        assert_eq!(stands(&[key], end_ms + 1), BTreeSet::new());
        assert_eq!(stands(&[key, &release], hold.since_ms), BTreeSet::new());
        assert_eq!(stands(&["objects/holds/17-2016-02-22"], 0), BTreeSet::new());
    }
}
