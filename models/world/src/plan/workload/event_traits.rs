//! Traits of an event: which identity, time and lateness it has, drawn from its seed by the shares of the
//! specification.

use super::prng::Prng;
use super::time_format::TimeFormat;
use super::workload_spec::WorkloadSpec;

/// Lateness class of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lateness {
    OnTime,
    SameDay,
    Later,
    Long,
}

/// Traits of an event, derived from its draw alone.
#[derive(Clone, Copy, Debug)]
pub(super) struct EventTraits {
    pub(super) has_time: bool,
    pub(super) has_insert_id: bool,
    pub(super) shares_insert_id: bool,
    pub(super) is_wrong: bool,
    pub(super) is_huge: bool,
    pub(super) is_ahead: bool,
    pub(super) is_resent: bool,
    pub(super) lateness: Lateness,
    pub(super) form: TimeFormat,
}

impl EventTraits {
    pub(super) fn draw(spec: &WorkloadSpec, seed: u64) -> EventTraits {
        let mut prng = Prng::new(seed, 1);
        // Every number is drawn even if unused, so changing one share leaves the others unchanged.
        let is_wrong = prng.chance_ppm(spec.invalid_ppm);
        let is_late = prng.chance_ppm(spec.late.share_ppm);
        let class = prng.below(1_000_000);
        let has_time = !prng.chance_ppm(spec.no_time_ppm) || is_wrong;
        let has_insert_id = !prng.chance_ppm(spec.no_insert_id_ppm);
        let shares_insert_id = prng.chance_ppm(spec.shared_insert_id_ppm) && !is_wrong;
        let is_huge = prng.chance_ppm(spec.huge_ppm) && !is_wrong;
        let is_ahead = prng.chance_ppm(spec.ahead_ppm) && !is_wrong;
        // A second copy of an event without identity is another event, and one without time has two times.
        let is_resent = prng.chance_ppm(spec.resend_ppm) && has_insert_id && has_time && !is_wrong;
        let form = TimeFormat::draw(&mut prng);
        let lateness = match class {
            _ if !is_late || !has_time || is_wrong => Lateness::OnTime,
            _ if class < u64::from(spec.late.same_day_ppm) => Lateness::SameDay,
            _ if class < u64::from(spec.late.same_day_ppm) + u64::from(spec.late.long_ppm) => Lateness::Long,
            _ => Lateness::Later,
        };
        EventTraits {
            has_time,
            has_insert_id,
            shares_insert_id,
            is_wrong,
            is_huge,
            is_ahead,
            is_resent,
            lateness,
            form,
        }
    }
}
