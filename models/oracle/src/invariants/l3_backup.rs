//! L3: once faults stop, the daily backup completes in every data center.
//!
//! The check reads the catalogs, which are written last. I10 alone checks backups with intervals longer than a day.
//!
//! Documented in docs/invariants.md#l3.

use super::liveness_violation::LivenessViolation;
use crate::backup::ObjectStoreView;
use crate::view::DiskView;

/// Time for taking a backup on top of the interval; a failed one is retried after half an hour.
pub const SLACK_MS: i64 = 3 * 3_600_000;
/// Longest interval of a daily backup.
pub const DAILY_MS: i64 = 24 * 3_600_000;
/// Maximal error of the clock that dates catalogs.
const SKEW_MS: i64 = 1_000;

/// Returns the time after the end of faults within which each data center must have a new backup; `None` if backups
/// are not daily.
#[must_use]
pub fn within_ms(interval_ms: i64) -> Option<i64> {
    (interval_ms <= DAILY_MS).then(|| interval_ms + SLACK_MS)
}

/// Reports the data centers without a backup taken since faults ended.
#[must_use]
pub fn check(
    stores: &[DiskView],
    interval_ms: i64,
    faults_ended_ms: i64,
    now_ms: i64,
) -> Vec<LivenessViolation> {
    let Some(within_ms) = within_ms(interval_ms) else { return Vec::new() };
    let late = |store: &DiskView| {
        let (catalogs, _) = ObjectStoreView::of(store).catalogs();
        let newest_ms = catalogs.iter().map(|catalog| catalog.taken_ms).max();
        if newest_ms.is_some_and(|newest_ms| newest_ms >= faults_ended_ms - SKEW_MS) {
            return None;
        }
        let late = LivenessViolation::if_overdue("L3", faults_ended_ms, within_ms, now_ms)?;
        Some(late.at(&store.name).what("has no backup that was taken since faults ended"))
    };
    stores.iter().filter_map(late).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::ProjectDay;
    use crate::test_support::{self, DAY, NOON_MS, TestRecord, TestStore};

    const HOUR_MS: i64 = 3_600_000;

    fn store(position_ms: i64) -> DiskView {
        let project_day = ProjectDay { project: 17, day: DAY };
        let file = test_support::compacted(project_day, 3, vec![TestRecord::new("a", "i1", NOON_MS)]);
        TestStore::default().with_backup(position_ms, &[(project_day, vec![(file, 1)])]).view("dc-1")
    }

    fn messages(stores: &[DiskView], interval_ms: i64, later_ms: i64) -> Vec<String> {
        check(stores, interval_ms, NOON_MS, NOON_MS + later_ms)
            .iter()
            .map(LivenessViolation::to_string)
            .collect()
    }

    #[test]
    fn a_data_center_without_a_new_backup_is_reported() {
        let old = store(NOON_MS - HOUR_MS);
        let due_ms = 27 * HOUR_MS;
        assert_eq!(messages(std::slice::from_ref(&old), DAILY_MS, due_ms), [""; 0]);
        let late = messages(&[old], DAILY_MS, due_ms + 1);
        assert_eq!(late, ["L3 dc-1 has no backup that was taken since faults ended"]);
        assert_eq!(messages(&[store(NOON_MS + 20 * HOUR_MS)], DAILY_MS, due_ms + 1), [""; 0]);
        assert_eq!(
            messages(&[DiskView { name: "dc-2".into(), files: vec![] }], DAILY_MS, due_ms + 1).len(),
            1
        );
    }

    #[test]
    fn a_weekly_backup_is_not_daily() {
        assert_eq!(messages(&[store(NOON_MS - HOUR_MS)], 7 * DAILY_MS, 48 * HOUR_MS), [""; 0]);
    }
}
