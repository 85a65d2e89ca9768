//! A node's clocks: a wall clock that is wrong in a known way, and a monotonic one.
//!
//! Wall time = true time + offset + drift x time since the world began + the steps so far. The monotonic clock
//! counts true time since boot: it neither steps nor drifts.

use crate::env::NodeContext;
use crate::lock::lock;
use latent_ports::{Clock, UnixMs};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// How wrong a node's wall clock is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ClockSpec {
    /// How far ahead of true time it starts, in milliseconds.
    pub offset_ms: i64,
    /// How much it gains, in parts per million.
    pub drift_ppm: i32,
}

/// A node's wall clock, which outlives its processes.
#[derive(Debug)]
pub(crate) struct WallClock {
    spec: Mutex<ClockSpec>,
    /// Drifts that faults brought, by the fault's number: since when, in nanoseconds of the world, and how strong.
    drifts: Mutex<BTreeMap<usize, (u64, i32)>>,
}

impl WallClock {
    pub(crate) fn new(spec: ClockSpec) -> WallClock {
        WallClock { spec: Mutex::new(spec), drifts: Mutex::default() }
    }

    pub(crate) fn step(&self, by_ms: i64) {
        let mut spec = lock(&self.spec);
        spec.offset_ms = spec.offset_ms.saturating_add(by_ms);
    }

    /// Gains `ppm` from now on.
    pub(crate) fn drift(&self, fault: usize, since_ns: u64, ppm: i32) {
        lock(&self.drifts).insert(fault, (since_ns, ppm));
    }

    /// Gains no more, and what it gained is set right.
    pub(crate) fn end_drift(&self, fault: usize) {
        lock(&self.drifts).remove(&fault);
    }

    fn drifted_ms(&self, elapsed_ns: u64) -> i64 {
        lock(&self.drifts).values().map(|(since_ns, ppm)| gained_ms(elapsed_ns - since_ns, *ppm)).sum()
    }

    fn read(&self, start: UnixMs, elapsed_ns: u64) -> UnixMs {
        let spec = *lock(&self.spec);
        let elapsed_ms = i64::try_from(elapsed_ns / 1_000_000).unwrap_or(i64::MAX);
        let gained_ms = gained_ms(elapsed_ns, spec.drift_ppm).saturating_add(self.drifted_ms(elapsed_ns));
        UnixMs(start.0.saturating_add(elapsed_ms).saturating_add(spec.offset_ms).saturating_add(gained_ms))
    }
}

/// What a clock gains in a time, in milliseconds.
fn gained_ms(elapsed_ns: u64, ppm: i32) -> i64 {
    i64::try_from(i128::from(elapsed_ns) * i128::from(ppm) / 1_000_000_000_000).unwrap_or(0)
}

/// One incarnation's view of its node's clocks.
#[derive(Clone)]
pub struct SimClock {
    context: Arc<NodeContext>,
}

impl SimClock {
    pub(crate) fn new(context: Arc<NodeContext>) -> SimClock {
        SimClock { context }
    }
}

impl Clock for SimClock {
    fn wall(&self) -> UnixMs {
        let world = self.context.world();
        self.context.node().wall_clock().read(world.start(), world.now_ns())
    }

    fn monotonic(&self) -> Duration {
        Duration::from_nanos(self.context.world().now_ns().saturating_sub(self.context.node().booted_ns()))
    }

    async fn sleep(&self, duration: Duration) {
        let shortest = duration.max(Duration::from_millis(1));
        self.context.world().sleep_ns(u64::try_from(shortest.as_nanos()).unwrap_or(u64::MAX)).await;
        self.context.admit().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offset_drift_and_steps_add_up() {
        let clock = WallClock::new(ClockSpec { offset_ms: -5, drift_ppm: 50 });
        let start = UnixMs(1_000_000);
        let day_ns = 86_400_000_000_000;
        assert_eq!(clock.read(start, 0), UnixMs(999_995));
        // 50 ppm of a day are 4.32 s.
        assert_eq!(clock.read(start, day_ns), UnixMs(999_995 + 86_400_000 + 4_320));
        clock.step(-3_600_000);
        assert_eq!(clock.read(start, 0), UnixMs(999_995 - 3_600_000));
    }
}
