//! Send times of a project's clients: the slots of its local days.
//!
//! Slots depend on the calendar alone, so removing an event moves no other event. Clients are busy by day and quiet
//! by night; weekends, holidays and seasons are not modelled.

use super::prng::Prng;
use super::request::RequestApi;
use super::workload_spec::{Burst, WorkloadSpec};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Relative load of each hour of a local day.
const HOURLY_LOAD: [u64; 24] = [3, 2, 1, 1, 1, 2, 3, 5, 6, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 6, 6, 5, 4];
/// Cumulative load up to each hour, and the total.
const CUMULATIVE_LOAD: [u64; 25] = {
    let (mut sums, mut hour) = ([0; 25], 0);
    while hour < 24 {
        sums[hour + 1] = sums[hour] + HOURLY_LOAD[hour];
        hour += 1;
    }
    sums
};

/// Maximum number of send times of a burst per day.
const MAX_SLOTS: u64 = 1 << 16;

/// A send time of a project's clients, with its request format.
#[derive(Clone, Copy, Debug)]
pub(super) struct SendSlot {
    pub(super) at_ms: i64,
    pub(super) api: RequestApi,
}

/// Identity of a slot: its local day, its number in the day, and its lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct SendSlotId {
    pub(super) day: i32,
    pub(super) nth: u32,
    /// Lane of the slot.
    pub(super) lane: SlotLane,
}

impl SendSlotId {
    /// Creates the id of a calendar slot.
    pub(super) fn usual(day: i32, nth: u32) -> SendSlotId {
        SendSlotId { day, nth, lane: SlotLane::Usual }
    }
}

/// Origin of a slot: the calendar, a burst, or the end of an offline window.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum SlotLane {
    Usual,
    /// The specification's burst with this index.
    Burst(u32),
    /// Devices that return after the specification's offline window with this index; one slot per person.
    Back(u32),
}

/// A local day, 23 to 25 hours long, depending on its zone.
#[derive(Debug)]
pub(super) struct LocalDay {
    pub(super) start_ms: i64,
    pub(super) end_ms: i64,
    pub(super) slots: Vec<SendSlot>,
}

impl LocalDay {
    /// Draws a time of this day, weighted by load.
    pub(super) fn weighted_time_ms(&self, prng: &mut Prng) -> i64 {
        time_at_load_ms(self.start_ms, self.end_ms, prng.next() >> 32)
    }
}

/// Returns the time at which `part` / 2^32 of a day's load has been sent.
fn time_at_load_ms(start_ms: i64, end_ms: i64, part: u64) -> i64 {
    // Fixed point: an hour's weight is scaled by 2^32, so nothing is lost before the single division.
    let done = part.min(u64::from(u32::MAX)) * CUMULATIVE_LOAD[24];
    let hour = CUMULATIVE_LOAD[1..24].iter().filter(|until| **until << 32 <= done).count();
    let within_hour = (done - (CUMULATIVE_LOAD[hour] << 32)) / HOURLY_LOAD[hour];
    let day_parts = ((hour as u64) << 32) + within_hour;
    let length_ms = u64::try_from(end_ms.saturating_sub(start_ms)).unwrap_or(0);
    let offset_ms = ((u128::from(day_parts) * u128::from(length_ms)) / (24_u128 << 32)) as i64;
    start_ms + offset_ms
}

/// Returns the load sent by `at_ms` and the load of the day: the inverse of [`time_at_load_ms`].
fn load_until(start_ms: i64, end_ms: i64, at_ms: i64) -> (u64, u64) {
    let length_ms = u64::try_from(end_ms.saturating_sub(start_ms)).unwrap_or(0).max(1);
    let offset_ms = at_ms.clamp(start_ms, end_ms).abs_diff(start_ms);
    let day_parts = ((u128::from(offset_ms) * (24_u128 << 32)) / u128::from(length_ms)) as u64;
    let hour = ((day_parts >> 32) as usize).min(24);
    let within_hour = if hour == 24 { 0 } else { (day_parts & u64::from(u32::MAX)) * HOURLY_LOAD[hour] };
    ((CUMULATIVE_LOAD[hour] << 32) + within_hour, CUMULATIVE_LOAD[24] << 32)
}

/// Additional events of a burst on one local day, and their slots.
#[derive(Debug)]
pub(super) struct BurstSlots {
    pub(super) events: u64,
    pub(super) slots: Vec<SendSlot>,
}

impl BurstSlots {
    /// Plans a burst on a day with `usual` events: it multiplies the events and send times that fall into it and
    /// spreads them evenly. A burst that overlaps the day adds at least one event.
    pub(super) fn lay_out(
        spec: &WorkloadSpec,
        burst: &Burst,
        day: i32,
        (start_ms, end_ms): (i64, i64),
        usual: u64,
        draw: &impl Fn(&'static str, u128) -> u64,
    ) -> BurstSlots {
        let (from_ms, to_ms) = (burst.from_ms.max(start_ms), burst.to_ms.min(end_ms));
        if from_ms >= to_ms || usual == 0 || burst.times < 2 {
            return BurstSlots { events: 0, slots: Vec::new() };
        }
        let (before, whole) = load_until(start_ms, end_ms, from_ms);
        let business = u128::from(load_until(start_ms, end_ms, to_ms).0 - before);
        let more = |of_day: u64| {
            let times = u128::from(of_day) * u128::from(burst.times - 1);
            ((times * business + u128::from(whole / 2)) / u128::from(whole)) as u64
        };
        let events = more(usual).max(1);
        let count = more(u64::from(spec.requests_per_day)).clamp(1, events.min(MAX_SLOTS));
        let key = u128::from(spec.project) << 96
            | u128::from(day.cast_unsigned()) << 64
            | u128::from(burst.from_ms.cast_unsigned());
        let seed = draw("workload.burst", key);
        let slots = (0..count).map(|nth| {
            let mut prng = Prng::new(seed, nth + 1);
            let quarters = u128::from(nth) * 4 + 1;
            let part = (quarters << 32) + u128::from(prng.next() >> 32) * 2;
            let offset_ms = (u128::from(from_ms.abs_diff(to_ms)) * part / (u128::from(count) << 34)) as i64;
            SendSlot { at_ms: from_ms + offset_ms, api: RequestApi::draw(&spec.api, &mut prng) }
        });
        BurstSlots { events, slots: slots.collect() }
    }
}

/// The slots of all days, computed on first use.
#[derive(Debug)]
pub(super) struct Calendar {
    days: BTreeMap<i32, Arc<LocalDay>>,
}

impl Calendar {
    pub(super) fn new() -> Calendar {
        Calendar { days: BTreeMap::new() }
    }

    pub(super) fn day(
        &mut self,
        spec: &WorkloadSpec,
        day: i32,
        zone: &impl Fn(i32) -> (i64, i64),
        draw: &impl Fn(&'static str, u128) -> u64,
    ) -> Arc<LocalDay> {
        Arc::clone(self.days.entry(day).or_insert_with(|| Arc::new(lay_out(spec, day, zone(day), draw))))
    }

    pub(super) fn forget_before(&mut self, day: i32) {
        self.days = self.days.split_off(&day);
    }
}

fn lay_out(
    spec: &WorkloadSpec,
    day: i32,
    (start_ms, end_ms): (i64, i64),
    draw: &impl Fn(&'static str, u128) -> u64,
) -> LocalDay {
    let count = u64::from(spec.requests_per_day);
    let slots = (0..spec.requests_per_day).map(|nth| {
        let key = u128::from(spec.project) << 64 | u128::from(day.cast_unsigned()) << 32 | u128::from(nth);
        let mut prng = Prng::new(draw("workload.slot", key), 1);
        // A slot uses the middle half of its share of the day, so neighbours never coincide and none is at midnight.
        let quarters = u64::from(nth) * 4 + 1;
        let part = ((quarters << 32) + (prng.next() >> 32) * 2) / (count * 4);
        SendSlot {
            at_ms: time_at_load_ms(start_ms, end_ms, part),
            api: RequestApi::draw(&spec.api, &mut prng),
        }
    });
    LocalDay { start_ms, end_ms, slots: slots.collect() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn load_starts_and_ends_with_the_day() {
        let day_ms = 25 * 3_600_000;
        assert_eq!(time_at_load_ms(5, 5 + day_ms, 0), 5);
        let last = time_at_load_ms(5, 5 + day_ms, u64::from(u32::MAX));
        assert!((day_ms - 5..day_ms + 5).contains(&last), "{last}");
        let noon = time_at_load_ms(0, day_ms, 1 << 31);
        assert!(noon > 12 * 3_600_000, "half of the business is done after noon: {noon}");
    }

    #[test]
    fn times_are_monotonic() {
        let moments: Vec<i64> =
            (0..10_000).map(|part| time_at_load_ms(0, 23 * 3_600_000, part * 429_496)).collect();
        assert!(moments.is_sorted());
    }

    #[test]
    fn load_until_is_the_inverse_of_time_at_load() {
        let (start_ms, end_ms) = (5, 5 + 23 * 3_600_000);
        for part in (0..1_000).map(|nth| nth * 4_294_967) {
            let (done, whole) = load_until(start_ms, end_ms, time_at_load_ms(start_ms, end_ms, part));
            let inverse = (u128::from(done) << 32) / u128::from(whole);
            // A millisecond is 2^32 / 82,800,000 of a day, and more during busy hours.
            assert!(u64::try_from(inverse).unwrap().abs_diff(part) < 150, "{part}: {inverse}");
        }
        let whole = CUMULATIVE_LOAD[24] << 32;
        assert_eq!(load_until(start_ms, end_ms, i64::MAX), (whole, whole));
        assert_eq!(load_until(start_ms, end_ms, i64::MIN), (0, whole));
    }
}
