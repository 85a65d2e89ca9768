//! Placement of an event in time: event time and send time, a function of the event's draw and the calendar alone.
//!
//! - **On time**: sent in a slot of its day or the first of the next day; it happened up to 110 minutes before, on
//!   its day. Ten minutes are left for retries.
//! - **Late, same day**: sent in a slot of its day at least 2 h after midnight; it happened between
//!   [`LatenessSpec::by_ms`](super::LatenessSpec::by_ms) before it and the start of the day.
//! - **Late, later**: it happened at a busy time of its day and is sent in the first slot after its lateness.
//! - **Ahead**: like on time, but with a time up to 50 minutes after its sending; only in imports.
//! - **On a border**: exactly on a border that the system knows, or a millisecond or a second beside it: the start or
//!   the end of its day, 2 h before its sending, the age at which `/track` refuses it, the greatest lead of a clock.
//! - **Without time**: like on time, without stating the time.
//! - **To be rejected**: like on time.
//!
//! An event older than [`TRACK_AGE_MS`] goes to the next slot that is an import.

use super::calendar::{LocalDay, SendSlot, SendSlotId, SlotLane};
use super::event_traits::{EventTraits, Lateness};
use super::prng::Prng;
use super::time_format::TimeFormat;
use super::workload_spec::{Defect, HOUR_MS, LATE_MS, MINUTE_MS, TRACK_AGE_MS, WorkloadSpec};
use std::sync::Arc;

/// Maximum age of an on-time event.
const ON_TIME_MS: i64 = 110 * MINUTE_MS;
/// Maximum lead of a legal clock; the API accepts an hour.
const AHEAD_MS: i64 = 50 * MINUTE_MS;
/// Lead of a clock above which the API refuses an event.
const LIMIT_AHEAD_MS: i64 = HOUR_MS;
/// Age from which `/track` refuses an event.
const TRACK_LIMIT_MS: i64 = 5 * 24 * HOUR_MS;
/// Stream of the draws of borders.
const BORDERS: u64 = 6;
/// Maximum number of days that an event waits for a suitable slot.
const MAX_WAIT_DAYS: i32 = 32;

/// Placement of an event.
#[derive(Clone, Copy, Debug)]
pub(super) struct Placement {
    pub(super) time_ms: i64,
    pub(super) defect: Option<Defect>,
    pub(super) sent: (SendSlotId, SendSlot),
    pub(super) again: Option<(SendSlotId, SendSlot)>,
}

/// Places the event of draw `seed` on `day`; `None` if no slot can take it.
pub(super) fn place(
    spec: &WorkloadSpec,
    traits: &EventTraits,
    seed: u64,
    day: i32,
    days: &mut impl FnMut(i32) -> Arc<LocalDay>,
) -> Option<Placement> {
    let mut prng = Prng::new(seed, 2);
    let border = border(spec, traits, seed, day, days);
    let (time_ms, sent) = match traits.lateness {
        _ if let Some(placement) = border => placement,
        Lateness::OnTime => on_time(traits, day, days, &mut prng)?,
        Lateness::SameDay => match late_same_day(spec, day, &days(day), &mut prng) {
            Some(placement) => placement,
            None => late(spec.late.by_ms, day, days, &mut prng)?,
        },
        Lateness::Later => late(spec.late.by_ms, day, days, &mut prng)?,
        Lateness::Long => late(spec.late.long_by_ms, day, days, &mut prng)?,
    };
    let (time_ms, defect) = told(traits, time_ms, sent.1, &mut prng);
    let again = if traits.is_resent {
        let at_ms = sent.1.at_ms + prng.within(spec.resend_after_ms).max(1);
        Some(at_ms)
            .filter(|at_ms| at_ms - time_ms < TRACK_AGE_MS)
            .and_then(|at_ms| first_slot(time_ms, at_ms, day, days))
    } else {
        None
    };
    Some(Placement { time_ms, defect, sent, again })
}

/// Places an event of a burst: on time, in one of the burst's slots.
pub(super) fn place_in_burst(
    traits: &EventTraits,
    seed: u64,
    (day, lane): (i32, SlotLane),
    limits_ms: (i64, i64),
    slots: &[SendSlot],
) -> Option<Placement> {
    let mut prng = Prng::new(seed, 2);
    let nth = prng.below(slots.len() as u64) as usize;
    let sent = (SendSlotId { day, nth: nth as u32, lane }, *slots.get(nth)?);
    let time_ms = shortly_before(traits, sent.1, limits_ms, &mut prng);
    let (time_ms, defect) = told(traits, time_ms, sent.1, &mut prng);
    Some(Placement { time_ms, defect, sent, again: None })
}

/// Returns the reported time of an event, and its defect.
fn told(traits: &EventTraits, time_ms: i64, slot: SendSlot, prng: &mut Prng) -> (i64, Option<Defect>) {
    let defect = traits.is_wrong.then(|| defect(slot, prng));
    let time_ms = match defect {
        Some(Defect::OldTime) => prng.within((HOUR_MS, 300 * 24 * HOUR_MS)),
        Some(Defect::FutureTime) => slot.at_ms + prng.within((2 * HOUR_MS, 365 * 24 * HOUR_MS)),
        _ => time_ms,
    };
    // Invalid times are in seconds: in milliseconds, a time in 1970 would be read as seconds of another year.
    let form = if traits.is_wrong { TimeFormat::Seconds } else { traits.form };
    (form.truncate_ms(time_ms), defect)
}

fn on_time(
    traits: &EventTraits,
    day: i32,
    days: &mut impl FnMut(i32) -> Arc<LocalDay>,
    prng: &mut Prng,
) -> Option<(i64, (SendSlotId, SendSlot))> {
    let today = days(day);
    let nth = prng.below(today.slots.len() as u64 + 1) as usize;
    // If clients send soon after midnight, the last events of a day arrive while its nightly job starts.
    let tomorrow = (nth == today.slots.len()).then(|| days(day + 1));
    let after_midnight = tomorrow
        .and_then(|tomorrow| tomorrow.slots.first().copied())
        .filter(|slot| slot.at_ms < today.end_ms + ON_TIME_MS)
        .map(|slot| (SendSlotId::usual(day + 1, 0), slot));
    let sent = match after_midnight {
        Some(sent) => sent,
        None => {
            let nth = nth.min(today.slots.len().checked_sub(1)?);
            (SendSlotId::usual(day, nth as u32), today.slots[nth])
        }
    };
    Some((shortly_before(traits, sent.1, (today.start_ms, today.end_ms), prng), sent))
}

/// Returns the event time of an on-time event in this slot, on the day with these limits.
fn shortly_before(
    traits: &EventTraits,
    slot: SendSlot,
    (start_ms, end_ms): (i64, i64),
    prng: &mut Prng,
) -> i64 {
    let at_ms = slot.at_ms;
    if traits.is_ahead && slot.api.is_import() {
        return at_ms + prng.within((0, AHEAD_MS));
    }
    let oldest_ms = (at_ms - start_ms).clamp(0, ON_TIME_MS);
    let youngest_ms = (at_ms - end_ms + 1).max(1_000).min(oldest_ms);
    at_ms - prng.within((youngest_ms, oldest_ms))
}

/// Places an event on a border; `None` for most events.
fn border(
    spec: &WorkloadSpec,
    traits: &EventTraits,
    seed: u64,
    day: i32,
    days: &mut impl FnMut(i32) -> Arc<LocalDay>,
) -> Option<(i64, (SendSlotId, SendSlot))> {
    let mut prng = Prng::new(seed, BORDERS);
    if !prng.chance_ppm(spec.border_ppm) || traits.is_wrong || !traits.has_time {
        return None;
    }
    let beside_ms = prng.pick(&[0, 1, -1, 1_000, -1_000]);
    let today = days(day);
    let of_day_ms = match prng.below(5) {
        0 | 1 => today.start_ms + beside_ms,
        2 => today.end_ms + beside_ms,
        which => {
            let nth = prng.below(today.slots.len() as u64) as usize;
            let slot = *today.slots.get(nth)?;
            let distance_ms = match which {
                3 => -LATE_MS,
                _ if slot.api.is_import() => LIMIT_AHEAD_MS,
                _ => -TRACK_LIMIT_MS,
            };
            return Some((slot.at_ms + distance_ms + beside_ms, (SendSlotId::usual(day, nth as u32), slot)));
        }
    };
    Some((of_day_ms, first_slot(of_day_ms, of_day_ms, day, days)?))
}

fn late_same_day(
    spec: &WorkloadSpec,
    day: i32,
    today: &LocalDay,
    prng: &mut Prng,
) -> Option<(i64, (SendSlotId, SendSlot))> {
    let min_ms = spec.late.by_ms.0.max(LATE_MS);
    let first = today.slots.iter().position(|slot| slot.at_ms - today.start_ms > min_ms)?;
    let nth = first + prng.below((today.slots.len() - first) as u64) as usize;
    let slot = today.slots[nth];
    let max_ms = spec.late.by_ms.1.min(slot.at_ms - today.start_ms);
    Some((slot.at_ms - prng.within((min_ms, max_ms)), (SendSlotId::usual(day, nth as u32), slot)))
}

fn late(
    by_ms: (i64, i64),
    day: i32,
    days: &mut impl FnMut(i32) -> Arc<LocalDay>,
    prng: &mut Prng,
) -> Option<(i64, (SendSlotId, SendSlot))> {
    let time_ms = days(day).weighted_time_ms(prng);
    let sent = first_slot(time_ms, time_ms + prng.within(by_ms), day, days)?;
    Some((time_ms, sent))
}

/// Returns the first slot at or after `from_ms` that accepts an event of time `time_ms`.
fn first_slot(
    time_ms: i64,
    from_ms: i64,
    day: i32,
    days: &mut impl FnMut(i32) -> Arc<LocalDay>,
) -> Option<(SendSlotId, SendSlot)> {
    let takes = |slot: &SendSlot| {
        slot.at_ms >= from_ms && (slot.at_ms - time_ms < TRACK_AGE_MS || slot.api.is_import())
    };
    (day..day + MAX_WAIT_DAYS).find_map(|day| {
        let slots = days(day);
        let nth = slots.slots.iter().position(takes)?;
        Some((SendSlotId::usual(day, nth as u32), slots.slots[nth]))
    })
}

fn defect(slot: SendSlot, prng: &mut Prng) -> Defect {
    const ANYWHERE: [Defect; 6] = [
        Defect::MissingName,
        Defect::OldTime,
        Defect::LongInsertId,
        Defect::WrongInsertId,
        Defect::TooDeep,
        Defect::TooManyProperties,
    ];
    if slot.api.is_import() && prng.one_in(4) { Defect::FutureTime } else { prng.pick(&ANYWHERE) }
}
