//! I13: the tee store reads each of its objects again within the time of a scrub.
//!
//! A rotten object whose second copy still stands is repaired only if somebody reads it. So a scrub that never gets to
//! some objects is a mistake before anything rots.
//!
//! A read of the first bytes counts as one of the whole object, by the scrub or by any other reader.
//!
//! Documented in docs/invariants.md#i13.

use super::CheckContext;
use crate::excused_periods::ExcusedPeriods;
use crate::view::DiskView;
use latent_verdict::Violation;
use std::collections::BTreeSet;

const HOUR_MS: i64 = 3_600_000;
const TEE_OBJECTS: &str = "objects/tee/";
/// Time within which an object is read again: it is due after 20 h, at the next of the checks that come every 6 h, and
/// all objects take three of these.
const WITHIN_MS: i64 = (20 + 4 * 6) * HOUR_MS;

/// Follows which objects were reported.
#[derive(Clone, Debug, Default)]
pub struct TeeScrubChecker {
    reported: BTreeSet<String>,
}

impl TeeScrubChecker {
    /// Checks the tee store. `read_ms` returns when an object was read or written last, or its process booted; `None` if
    /// that is not known. `excused` are the times at which faults kept the store from its checks.
    pub fn check(
        &mut self,
        store: &DiskView,
        read_ms: impl Fn(&str) -> Option<i64>,
        excused: &ExcusedPeriods,
        context: &CheckContext,
    ) -> Option<Violation> {
        let objects = store.files.iter().filter(|file| file.path.starts_with(TEE_OBJECTS));
        let mut late = Vec::new();
        for path in objects.map(|file| &file.path) {
            let waits_ms = read_ms(path).map_or(0, |read_ms| excused.available_ms(read_ms, context.at_ms));
            if waits_ms > WITHIN_MS && self.reported.insert(path.clone()) {
                late.push((waits_ms, path.clone()));
            }
        }
        let (waits_ms, path) = late.iter().max()?;
        let detail = format!("{}: {path} was read last {} h ago", store.name, waits_ms / HOUR_MS);
        let found = Violation::new("I13", "tee-scrub-overdue", context.stage.as_str());
        let found = found.of(store.name.as_str(), late.len() as u64).at(context.at_ms).because(detail);
        Some(found.keys(late.into_iter().map(|(_, path)| path)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::invariants::noon_context;
    use crate::view::FileView;
    use bytes::Bytes;

    fn store() -> DiskView {
        let file = |path: &str| FileView::whole(path, Bytes::new());
        let files = vec![file("objects/holds/1"), file("objects/tee/405151-0-7.by-0.tee")];
        DiskView { name: "tee-store".into(), files }
    }

    fn late(checker: &mut TeeScrubChecker, hours: i64, excused: &ExcusedPeriods) -> u64 {
        let context = noon_context();
        let read_ms = |_: &str| Some(context.at_ms - hours * HOUR_MS);
        checker.check(&store(), read_ms, excused, &context).map_or(0, |late| late.items)
    }

    #[test]
    fn an_object_is_read_again_within_the_time_of_a_scrub_and_reported_once() {
        let none = ExcusedPeriods::default();
        let mut checker = TeeScrubChecker::default();
        assert_eq!(late(&mut checker, 44, &none), 0);
        assert_eq!((late(&mut checker, 45, &none), late(&mut checker, 45, &none)), (1, 0));
    }

    #[test]
    fn time_in_which_the_store_cannot_check_does_not_count() {
        let now_ms = noon_context().at_ms;
        let excused = ExcusedPeriods::of([(now_ms - 30 * HOUR_MS, now_ms - 20 * HOUR_MS)]);
        let mut checker = TeeScrubChecker::default();
        assert_eq!((late(&mut checker, 54, &excused), late(&mut checker, 55, &excused)), (0, 1));
    }
}
