//! Request streams of customers, and the time in which clients send.

use super::workload::{RequestStream, WorkloadSpecError};
use super::world_plan::Tenant;
use crate::scenario::WorldConfig;
use latent_engine::Scenario;
use latent_pipeline::zone::{Day, ZoneHistory};
use latent_ports::UnixMs;

/// Time before clients start, so that every node has booted.
pub(crate) const WARM_UP_MS: i64 = 60_000;

/// A request stream whose local days are those of a zone, which is queried once a day.
pub(crate) type TenantStream<D> = RequestStream<Box<dyn Fn(i32) -> (i64, i64) + Send>, D>;

/// Returns the request stream of a customer within `sends_ms`, in milliseconds since 1970.
///
/// # Errors
/// An invalid specification.
pub(crate) fn stream_of<D: Fn(&'static str, u128) -> u64>(
    tenant: &Tenant,
    sends_ms: std::ops::Range<i64>,
    draw: D,
) -> Result<TenantStream<D>, WorkloadSpecError> {
    let silent_from_ms = tenant.workload.silent_from_ms.unwrap_or(i64::MAX);
    let sends_ms = sends_ms.start..sends_ms.end.min(silent_from_ms).max(sends_ms.start);
    let zones = ZoneHistory::constant(&tenant.zone).expect("zones were checked with the scenario");
    let first = zones.day(UnixMs(sends_ms.start), UnixMs(0)).0;
    let last = zones.day(UnixMs(sends_ms.end), UnixMs(0)).0;
    let limits =
        move |day: i32| (zones.begins(Day(day), UnixMs(0)).0, zones.begins(Day(day + 1), UnixMs(0)).0);
    RequestStream::new(tenant.workload.clone(), first..last + 1, sends_ms, Box::new(limits), draw)
}

/// Returns the time range in which clients send, in milliseconds since 1970.
pub(crate) fn send_window_ms(scenario: &Scenario<WorldConfig>) -> std::ops::Range<i64> {
    scenario.start.0.0 + WARM_UP_MS..scenario.end().0.0
}
