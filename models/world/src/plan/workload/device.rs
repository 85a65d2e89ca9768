//! Offline devices and devices with wrong clocks.
//!
//! Each person has one device. An offline device keeps what it would have sent and sends all of it when it is back,
//! with the original event times. A device with a wrong clock reports every time by that clock; events without a time
//! are not affected. Devices are drawn by person, separately for each offline window and each clock error, so
//! removing one leaves the others unchanged.
//!
//! Not modelled: devices that lose what they keep, clocks that are corrected during the run, two devices of one
//! person.

use super::calendar::SendSlot;
use super::prng::Prng;
use super::request::RequestApi;
use super::time_format::TimeFormat;
use super::workload_spec::{BACK_WITHIN_MS, WorkloadSpec};

/// Returns true if the specification has offline devices or wrong clocks.
pub(super) fn has_device_faults(spec: &WorkloadSpec) -> bool {
    !(spec.offline_windows.is_empty() && spec.clock_skews.is_empty())
}

/// Returns how far the clock of a person's device is ahead, in milliseconds; `None` if it is right.
pub(super) fn clock_offset_ms(
    spec: &WorkloadSpec,
    person: u64,
    draw: &impl Fn(&'static str, u128) -> u64,
) -> Option<i64> {
    let is_wrong = |by_ms: i64, share_ppm: u32| {
        Prng::new(draw("workload.wrong-clock", key(spec, person, by_ms)), 1).chance_ppm(share_ppm)
    };
    spec.clock_skews.iter().find(|clock| is_wrong(clock.by_ms, clock.share_ppm)).map(|clock| clock.by_ms)
}

/// Returns the time that a clock shows that is ahead by `by_ms`. No clock shows a time before 1970.
pub(super) fn reported_ms(time_ms: i64, by_ms: i64, form: TimeFormat) -> i64 {
    let shown_ms = time_ms.saturating_add(by_ms).max(0);
    form.for_time(shown_ms).truncate_ms(shown_ms)
}

/// Returns the slot in which a person's device sends what it would have sent at `at_ms`, and the index of the offline
/// window that delayed it; `None` if the device is online.
pub(super) fn back(
    spec: &WorkloadSpec,
    person: u64,
    mut at_ms: i64,
    draw: &impl Fn(&'static str, u128) -> u64,
) -> Option<(u32, SendSlot)> {
    let mut back = None;
    // A device may return into the next offline window; each ends before the return, so none applies twice.
    for _ in 0..spec.offline_windows.len() {
        let met = spec.offline_windows.iter().zip(0..).find_map(|(absence, nth)| {
            let mut prng = Prng::new(draw("workload.absent", key(spec, person, absence.from_ms)), 1);
            let is_absent = prng.chance_ppm(absence.share_ppm);
            let back_ms = absence.to_ms + prng.within((0, BACK_WITHIN_MS));
            let slot = SendSlot { at_ms: back_ms, api: RequestApi::draw(&spec.api, &mut prng) };
            (is_absent && (absence.from_ms..absence.to_ms).contains(&at_ms)).then_some((nth, slot))
        });
        let Some((_, slot)) = met else { break };
        at_ms = slot.at_ms;
        back = met;
    }
    back
}

fn key(spec: &WorkloadSpec, person: u64, of: i64) -> u128 {
    u128::from(spec.project) << 96 | u128::from(person) << 64 | u128::from(of.cast_unsigned())
}
