//! Customers and their traffic.

use super::calendar::Calendar;
use super::in_context::ArbitraryIn;
use crate::scenario::{ApiWeights, TenantClass, ZoneShare};
use arbitrary::{Arbitrary, Result, Unstructured};
use latent_nemesis::Choices;

/// Time zones of customers: offsets of whole hours and others, with and without summer time, on both sides of the
/// date line.
pub const ZONES: [&str; 16] = [
    "Etc/UTC",
    "America/Los_Angeles",
    "America/New_York",
    "America/Sao_Paulo",
    "America/St_Johns",
    "Europe/London",
    "Europe/Berlin",
    "Asia/Tehran",
    "Asia/Kolkata",
    "Asia/Kathmandu",
    "Asia/Tokyo",
    "Australia/Lord_Howe",
    "Pacific/Auckland",
    "Pacific/Chatham",
    "Pacific/Kiritimati",
    "Pacific/Pago_Pago",
];

/// One to four zones. A zone that repeats draws no weight, so one share alone is not a part of its own.
pub(super) struct Zones(pub Vec<ZoneShare>);

impl<'a> Arbitrary<'a> for Zones {
    fn arbitrary(bytes: &mut Unstructured<'a>) -> Result<Zones> {
        let mut zones: Vec<ZoneShare> = Vec::new();
        for _ in 0..bytes.within(1, 4) {
            let zone = bytes.pick(&ZONES).to_owned();
            if zones.iter().all(|share| share.zone != zone) {
                zones.push(ZoneShare { zone, weight: bytes.within(1, 3) });
            }
        }
        Ok(Zones(zones))
    }
}

/// Number of events per week of all customers: half of the runs have up to 600, a few very many.
struct EventsPerWeek(u32);

impl<'a> Arbitrary<'a> for EventsPerWeek {
    fn arbitrary(bytes: &mut Unstructured<'a>) -> Result<EventsPerWeek> {
        let (min, max) = match bytes.within(0, 99) {
            0..=24 => (80, 350),
            25..=49 => (350, 600),
            50..=74 => (600, 1_200),
            75..=89 => (1_200, 4_000),
            90..=97 => (4_000, 15_000),
            _ => (15_000, 50_000),
        };
        Ok(EventsPerWeek(bytes.within(min, max)))
    }
}

/// One class of customers, or two, of which the first sends most.
pub(super) struct Tenants(pub Vec<TenantClass>);

impl ArbitraryIn for Tenants {
    /// Longer runs have fewer events per day: the cost depends on the number of events.
    type Context = Calendar;

    fn arbitrary_in(calendar: &Calendar, bytes: &mut Unstructured<'_>) -> Result<Tenants> {
        let weeks_of_days = u32::try_from(calendar.run_for.0.as_secs() / 86_400).unwrap_or(7).max(1);
        let EventsPerWeek(events) = bytes.arbitrary()?;
        let per_day = (events / weeks_of_days.max(7)).max(1);
        let count = bytes.pick(&[2, 1, 1, 2, 3, 4]);
        let first = TenantTraits::arbitrary(bytes)?.class("first", count, per_day);
        if !bytes.percent(50) {
            return Ok(Tenants(vec![first]));
        }
        let count = bytes.pick(&[1, 2, 3, 6]);
        let second = TenantTraits::arbitrary(bytes)?.class("second", count, per_day / 5);
        Ok(Tenants(vec![first, second]))
    }
}

/// A class of customers relative to its size.
struct TenantTraits {
    /// The quietest customer sends the mean number of events divided by this.
    min_divisor: u32,
    /// The busiest customer sends the mean plus the mean divided by this.
    excess_divisor: u32,
    /// About six events per request; late and repeated events add requests.
    events_per_request: u32,
    late_max_ppm: u32,
    late_same_day_ppm: u32,
    very_late_ppm: u32,
    repeated_ppm: u32,
    no_insert_id_ppm: u32,
    no_time_ppm: u32,
    invalid_ppm: u32,
    ahead_ppm: u32,
    border_ppm: u32,
    api: ApiWeights,
}

impl<'a> Arbitrary<'a> for TenantTraits {
    fn arbitrary(bytes: &mut Unstructured<'a>) -> Result<TenantTraits> {
        // About every other run has each of these traits.
        fn share(bytes: &mut Unstructured<'_>, max_ppm: u32) -> u32 {
            if bytes.percent(50) { bytes.within(1_000, max_ppm) } else { 0 }
        }
        Ok(TenantTraits {
            min_divisor: bytes.pick(&[1, 2, 10]),
            excess_divisor: bytes.pick(&[10, 2, 1]),
            events_per_request: bytes.pick(&[6, 8, 6, 5, 20, 3]),
            late_max_ppm: bytes.pick(&[0, 50_000, 150_000, 400_000]),
            late_same_day_ppm: bytes.pick(&[800_000, 500_000, 0]),
            very_late_ppm: share(bytes, 200_000),
            repeated_ppm: share(bytes, 100_000),
            no_insert_id_ppm: share(bytes, 100_000),
            no_time_ppm: share(bytes, 50_000),
            invalid_ppm: share(bytes, 50_000),
            ahead_ppm: share(bytes, 200_000),
            border_ppm: bytes.pick(&[0, 20_000, 100_000, 300_000]),
            api: bytes.arbitrary()?,
        })
    }
}

impl TenantTraits {
    /// Returns the class of `count` customers that send `per_day` events together.
    fn class(self, name: &str, count: u32, per_day: u32) -> TenantClass {
        let each = (per_day / count).max(1);
        TenantClass {
            name: name.to_owned(),
            count,
            events_per_day: (each / self.min_divisor, each + each / self.excess_divisor),
            requests_per_day: (each / self.events_per_request).clamp(1, 400),
            late_ppm: (self.late_max_ppm / 4, self.late_max_ppm),
            late_same_day_ppm: self.late_same_day_ppm,
            very_late_ppm: self.very_late_ppm,
            repeated_ppm: self.repeated_ppm,
            no_insert_id_ppm: self.no_insert_id_ppm,
            no_time_ppm: self.no_time_ppm,
            invalid_ppm: self.invalid_ppm,
            ahead_ppm: self.ahead_ppm,
            border_ppm: self.border_ppm,
            api: self.api,
        }
    }
}

/// Weights of the request formats; imports are always enabled, for events too old for the others.
impl<'a> Arbitrary<'a> for ApiWeights {
    fn arbitrary(bytes: &mut Unstructured<'a>) -> Result<ApiWeights> {
        let mut weight = || bytes.pick(&[0, 1, 4]);
        Ok(ApiWeights {
            track_raw: weight(),
            track_form: weight(),
            track_get: weight(),
            import_json: 1 + weight(),
            import_ndjson: weight(),
            gzip_ppm: bytes.pick(&[0, 100_000, 500_000]),
        })
    }
}
