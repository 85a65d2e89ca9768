//! Customers and their traffic.

use super::choices::Choices;
use crate::scenario::{ApiWeights, TenantClass, ZoneShare};
use latent_engine::Span;

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

/// Draws one to four zones.
pub(super) fn zones(choices: &Choices<'_>) -> Vec<ZoneShare> {
    let mut zones: Vec<ZoneShare> = Vec::new();
    for _ in 0..choices.within(1, 4) {
        let zone = choices.pick(&ZONES).to_owned();
        if zones.iter().all(|share| share.zone != zone) {
            zones.push(ZoneShare { zone, weight: choices.within(1, 3) });
        }
    }
    zones
}

/// Draws the number of events per week of all customers: half of the runs have up to 600, a few very many.
fn events_per_week(choices: &Choices<'_>) -> u32 {
    let (min, max) = match choices.within(0, 99) {
        0..=24 => (80, 350),
        25..=49 => (350, 600),
        50..=74 => (600, 1_200),
        75..=89 => (1_200, 4_000),
        90..=97 => (4_000, 15_000),
        _ => (15_000, 50_000),
    };
    choices.within(min, max)
}

/// Draws one class of customers, or two, of which the first sends most.
pub(super) fn tenants(choices: &Choices<'_>, run_for: Span) -> Vec<TenantClass> {
    let weeks_of_days = u32::try_from(run_for.0.as_secs() / 86_400).unwrap_or(7).max(1);
    // Longer runs have fewer events per day: the cost depends on the number of events.
    let per_day = (events_per_week(choices) / weeks_of_days.max(7)).max(1);
    let first = class("first", choices, choices.pick(&[2, 1, 1, 2, 3, 4]), per_day);
    if !choices.percent(50) {
        return vec![first];
    }
    let second = class("second", choices, choices.pick(&[1, 2, 3, 6]), per_day / 5);
    vec![first, second]
}

fn class(name: &str, choices: &Choices<'_>, count: u32, per_day: u32) -> TenantClass {
    let each = (per_day / count).max(1);
    let events_per_day = (each / choices.pick(&[1, 2, 10]), each + each / choices.pick(&[10, 2, 1]));
    // About six events per request; late and repeated events add requests.
    let requests_per_day = (each / choices.pick(&[6, 8, 6, 5, 20, 3])).clamp(1, 400);
    // About every other run has each of these traits.
    let share = |max_ppm: u32| if choices.percent(50) { choices.within(1_000, max_ppm) } else { 0 };
    let late_max_ppm = choices.pick(&[0, 50_000, 150_000, 400_000]);
    TenantClass {
        name: name.to_owned(),
        count,
        events_per_day,
        requests_per_day,
        late_ppm: (late_max_ppm / 4, late_max_ppm),
        late_same_day_ppm: choices.pick(&[800_000, 500_000, 0]),
        very_late_ppm: share(200_000),
        repeated_ppm: share(100_000),
        no_insert_id_ppm: share(100_000),
        no_time_ppm: share(50_000),
        invalid_ppm: share(50_000),
        api: api(choices),
    }
}

/// Draws the weights of the request formats; imports are always enabled, for events too old for the others.
fn api(choices: &Choices<'_>) -> ApiWeights {
    let weight = || choices.pick(&[0, 1, 4]);
    ApiWeights {
        track_raw: weight(),
        track_form: weight(),
        track_get: weight(),
        import_json: 1 + weight(),
        import_ndjson: weight(),
        gzip_ppm: choices.pick(&[0, 100_000, 500_000]),
    }
}
