//! Devices that are out of reach for a time, and devices whose clocks are wrong.
//!
//! One device to a person. A device that is out of reach keeps what it would have sent in that time and sends all of
//! it when it is back, with the times at which it happened. A device whose clock is wrong tells every time by that
//! clock; events without a time are not touched by it. Which devices these are is drawn by person, apart for each
//! absence and each wrong clock, so that one taken out leaves the others alone.
//!
//! Not modelled: devices that lose what they keep, clocks that are set right meanwhile, two devices of one person.

use super::calendar::SendSlot;
use super::event::TimeFormat;
use super::prng::Prng;
use super::request::RequestApi;
use super::workload_spec::{BACK_WITHIN_MS, WorkloadSpec};

/// Whether anything is the matter with this stream's devices.
pub(super) fn has_device_faults(spec: &WorkloadSpec) -> bool {
    !(spec.offline_windows.is_empty() && spec.clock_skews.is_empty())
}

/// How far the clock of a person's device is ahead, in milliseconds; `None` if it is right.
pub(super) fn clock_offset_ms(
    spec: &WorkloadSpec,
    person: u64,
    draw: &impl Fn(&'static str, u128) -> u64,
) -> Option<i64> {
    let is_wrong = |by_ms: i64, share_ppm: u32| {
        Prng::new(draw("workload.wrong-clock", key(spec, person, by_ms)), 1).hit(share_ppm)
    };
    spec.clock_skews.iter().find(|clock| is_wrong(clock.by_ms, clock.share_ppm)).map(|clock| clock.by_ms)
}

/// What a clock that is ahead by `by_ms` makes of a time. No clock shows a time before 1970.
pub(super) fn reported_ms(time_ms: i64, by_ms: i64, form: TimeFormat) -> i64 {
    let shown_ms = time_ms.saturating_add(by_ms).max(0);
    form.for_time(shown_ms).truncate_ms(shown_ms)
}

/// When a person's device sends what it would have sent at `at_ms`, and the number of the absence that it is back from;
/// `None` if it is in reach then.
pub(super) fn back(
    spec: &WorkloadSpec,
    person: u64,
    mut at_ms: i64,
    draw: &impl Fn(&'static str, u128) -> u64,
) -> Option<(u32, SendSlot)> {
    let mut back = None;
    // It may come back into the next absence; each is over before it comes back from it, so none is met twice.
    for _ in 0..spec.offline_windows.len() {
        let met = spec.offline_windows.iter().zip(0..).find_map(|(absence, nth)| {
            let mut prng = Prng::new(draw("workload.absent", key(spec, person, absence.from_ms)), 1);
            let is_absent = prng.hit(absence.share_ppm);
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
