//! Periods in which faults prevented a job from working, as liveness and age checks count them.
//!
//! The world knows which faults occurred and supplies the periods; this module defines what an excuse means. A
//! deadline's clock stops while the job is excused, so an excuse begins and ends with its fault. A job that runs once
//! a night is checked for a night only if no excuse overlaps that night.

/// Periods in which a job could not be done, in ms since 1970: disjoint, sorted, ends excluded.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ExcusedPeriods {
    spans: Vec<(i64, i64)>,
}

impl ExcusedPeriods {
    /// Returns the union of these spans, which may be unsorted and may overlap.
    #[must_use]
    pub fn of(spans: impl IntoIterator<Item = (i64, i64)>) -> ExcusedPeriods {
        let mut all: Vec<(i64, i64)> = spans.into_iter().filter(|(from, to)| from < to).collect();
        all.sort_unstable();
        let mut spans: Vec<(i64, i64)> = Vec::new();
        for (from_ms, to_ms) in all {
            match spans.last_mut() {
                Some((_, last_ms)) if *last_ms >= from_ms => *last_ms = to_ms.max(*last_ms),
                _ => spans.push((from_ms, to_ms)),
            }
        }
        ExcusedPeriods { spans }
    }

    /// Returns the union of both sets of periods.
    #[must_use]
    pub fn union(&self, other: &ExcusedPeriods) -> ExcusedPeriods {
        ExcusedPeriods::of(self.spans.iter().chain(&other.spans).copied())
    }

    /// Returns the unexcused time between `from_ms` and `to_ms`, in milliseconds.
    #[must_use]
    pub fn available_ms(&self, from_ms: i64, to_ms: i64) -> i64 {
        let overlap = |(from, to): &(i64, i64)| (to_ms.min(*to) - from_ms.max(*from)).max(0);
        (to_ms - from_ms).max(0) - self.spans.iter().map(overlap).sum::<i64>()
    }

    /// Returns the last excused time before `before_ms`.
    #[must_use]
    pub fn last_excused_ms(&self, before_ms: i64) -> Option<i64> {
        let began = self.spans.iter().rev().find(|(from, _)| *from < before_ms);
        began.map(|(_, to_ms)| before_ms.min(*to_ms))
    }

    /// Whether no excuse overlaps the time from `from_ms` to `to_ms`.
    #[must_use]
    pub fn covers_none_of(&self, from_ms: i64, to_ms: i64) -> bool {
        self.spans.iter().all(|(from, to)| *to <= from_ms || *from >= to_ms)
    }

    /// Returns the deadline of work that has `within_ms` from `since_ms` on; excused time does not count.
    #[must_use]
    pub fn due_ms(&self, since_ms: i64, within_ms: i64) -> i64 {
        let mut due_ms = since_ms.saturating_add(within_ms);
        for (from_ms, to_ms) in self.spans.iter().filter(|(_, to)| *to > since_ms) {
            if *from_ms >= due_ms {
                break;
            }
            due_ms = due_ms.saturating_add(*to_ms - (*from_ms).max(since_ms));
        }
        due_ms
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn overlapping_spans_count_once_and_stop_the_clock() {
        let excused = ExcusedPeriods::of([(30, 40), (10, 15), (12, 20), (20, 22), (50, 50)]);
        assert_eq!(excused, ExcusedPeriods { spans: vec![(10, 22), (30, 40)] });
        assert_eq!(excused.available_ms(0, 100), 78);
        assert_eq!(excused.available_ms(12, 35), 8);
        assert_eq!((excused.due_ms(0, 10), excused.due_ms(0, 11), excused.due_ms(0, 30)), (10, 23, 52));
        assert_eq!((excused.due_ms(15, 5), excused.due_ms(15, 8), excused.due_ms(45, 5)), (27, 30, 50));
        let covers_none_of = |from, to| excused.covers_none_of(from, to);
        assert_eq!(
            (covers_none_of(0, 10), covers_none_of(0, 11), covers_none_of(22, 30), covers_none_of(21, 30)),
            (true, false, true, false)
        );
        assert_eq!(ExcusedPeriods::default().available_ms(5, 2), 0, "nothing since");
        assert_eq!(
            (excused.last_excused_ms(10), excused.last_excused_ms(35), excused.last_excused_ms(90)),
            (None, Some(35), Some(40))
        );
    }

    #[test]
    fn the_union_covers_both_excuses() {
        let both = ExcusedPeriods::of([(3, 7), (20, 30)]).union(&ExcusedPeriods::of([(5, 9), (40, 41)]));
        assert_eq!(both, ExcusedPeriods::of([(3, 9), (20, 30), (40, 41)]));
    }

    #[test]
    fn a_deadline_passes_after_its_unexcused_time() {
        let excused = ExcusedPeriods::of([(3, 7), (9, 20), (21, 22)]);
        for since_ms in 0..25 {
            for within_ms in 1..25 {
                let due_ms = excused.due_ms(since_ms, within_ms);
                assert_eq!(excused.available_ms(since_ms, due_ms), within_ms, "from {since_ms}");
                assert!(excused.available_ms(since_ms, due_ms - 1) < within_ms);
            }
        }
    }
}
