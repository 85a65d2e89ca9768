//! Cost estimate of a scenario from its text: work, in events sent, and memory.
//!
//! Events are counted at the maximum that classes, bursts and repetitions allow. Exports and drills count as a
//! fraction of sending the events that they read. Not counted: retries after faults, and replays.
//!
//! All figures are measured with the release build on one machine. Processor time per event: 48 to 77 microseconds if
//! sent (`quiet-week` with 9,500 events per customer and day, `incident-2016`), 3.5 if exported (100 exports per
//! customer in `quiet-week`), 17 if restored by a drill (30 drills in `busy-week`).

use crate::scenario::LoadPattern;
use crate::scenario::{TenantClass, WorldConfig};
use latent_engine::{CostEstimate, Scenario};

const DAY_MS: u128 = 86_400_000;
const PPM: u128 = 1_000_000;

/// Memory per event, in bytes: `incident-2016@1` holds 402 MB with 143,858 events, the large `quiet-week` 1,992 MB
/// with 778,440.
const BYTES_PER_EVENT: u64 = 2_700;
/// Memory per exported event, in bytes: 100 exports per customer add 238 MB to `quiet-week`, for 2 million events
/// read.
const BYTES_PER_EXPORTED_EVENT: u64 = 120;
/// Memory of an empty run, in bytes: `one-day@1`.
const BYTES_OF_A_RUN: u64 = 18 << 20;
/// Number of exported events that cost as much work as one sent event.
const EXPORTED_PER_SENT: u128 = 14;
/// Number of restored events that cost as much work as one sent event.
const RESTORED_PER_SENT: u128 = 3;

/// Number of times that an impatient client sends a request.
const STORM_SENDS: u128 = 5;

/// Returns the estimate and the field that contributes most to it.
pub(crate) fn estimate(scenario: &Scenario<WorldConfig>) -> CostEstimate {
    let config = &scenario.config;
    let sent: Vec<u128> = config.tenants.iter().map(|class| sent_by(class, scenario)).collect();
    let all: u128 = sent.iter().sum();
    let largest = (0..sent.len()).max_by_key(|class| sent[*class]).unwrap_or_default();
    let exported = all * u128::from(config.exports_per_project);
    let parts = [
        (all, format!("/tenants/{largest}/{}", larger_field(config.tenants.get(largest)))),
        (exported / EXPORTED_PER_SENT, "/exports_per_project".to_owned()),
        (all * u128::from(config.drills) / RESTORED_PER_SENT, "/drills".to_owned()),
    ];
    let items: u128 = parts.iter().map(|(events, _)| events).sum();
    let pointer = parts.into_iter().max_by_key(|(events, _)| *events).map(|(_, pointer)| pointer);
    let of_exports = clamped(exported).saturating_mul(BYTES_PER_EXPORTED_EVENT);
    let of_events = clamped(all).saturating_mul(BYTES_PER_EVENT);
    let held = of_events.saturating_add(of_exports).saturating_add(BYTES_OF_A_RUN);
    CostEstimate { items: clamped(items), memory_mb: held >> 20, pointer: pointer.unwrap_or_default() }
}

/// Returns the maximum number of events that a class sends. A send time costs as much as an event, even without
/// events.
fn sent_by(class: &TenantClass, scenario: &Scenario<WorldConfig>) -> u128 {
    let per_day = u128::from(class.events_per_day.1.max(class.requests_per_day)) * u128::from(class.count);
    let of_time = |ms: u128| per_day * ms / DAY_MS;
    let usual = of_time(scenario.run_for.0.as_millis());
    let more = scenario.config.load.iter().map(|load| match load {
        LoadPattern::Burst { duration, times, .. } => of_time(duration.0.as_millis()) * u128::from(*times),
        LoadPattern::RetryStorm { duration, .. } => of_time(duration.0.as_millis()) * STORM_SENDS,
        LoadPattern::Offline { .. }
        | LoadPattern::DeviceClocks { .. }
        | LoadPattern::Silence { .. }
        | LoadPattern::Backlog { .. } => 0,
    });
    let once = usual + more.sum::<u128>();
    once + once * u128::from(class.repeated_ppm) / PPM
}

fn larger_field(class: Option<&TenantClass>) -> &'static str {
    match class {
        Some(class) if class.requests_per_day > class.events_per_day.1 => "requests_per_day",
        _ => "events_per_day",
    }
}

fn clamped(events: u128) -> u64 {
    u64::try_from(events).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Latent;
    use latent_engine::parse;

    fn cost(more: &str, tenants: &str) -> CostEstimate {
        let text = format!(
            r#"{{"name":"any","start":"2016-02-21T00:00:00Z","run_for":"10d","zones":[{{"zone":"Asia/Tokyo","weight":1}}],
            "tenants":[{tenants}]{more}}}"#
        );
        estimate(&parse::<Latent>("any.json", &text).unwrap_or_else(|bad| panic!("{bad}")))
    }

    const SMALL: &str = r#"{"name":"small","count":2,"events_per_day":[5,10],"requests_per_day":4}"#;
    const LARGE: &str =
        r#"{"name":"large","count":3,"events_per_day":[5,100],"requests_per_day":4,"repeated_ppm":500000}"#;

    #[test]
    fn events_are_counted_at_the_maximum_that_a_scenario_allows() {
        let both = cost("", &format!("{SMALL},{LARGE}"));
        assert_eq!((both.items, both.pointer.as_str()), (200 + 4_500, "/tenants/1/events_per_day"));
        let often = SMALL.replace(r#""requests_per_day":4"#, r#""requests_per_day":40"#);
        let often = cost("", &often);
        assert_eq!((often.items, often.pointer.as_str()), (800, "/tenants/0/requests_per_day"));
        let burst = r#","load":[{"burst":{"from":"2016-02-22T00:00:00Z","for":"1d","times":40}}]"#;
        assert_eq!(cost(burst, SMALL).items, 200 + 800);
    }

    #[test]
    fn exports_and_drills_count_as_a_fraction_of_the_events_that_they_read() {
        let exports = cost(r#","exports_per_project":28,"drills":3"#, SMALL);
        assert_eq!((exports.items, exports.pointer.as_str()), (200 * (1 + 2 + 1), "/exports_per_project"));
        let drills = cost(r#","exports_per_project":28,"drills":9"#, SMALL);
        assert_eq!((drills.items, drills.pointer.as_str()), (200 * (1 + 2 + 3), "/drills"));
    }
}
