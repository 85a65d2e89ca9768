//! Wall clock of a node, with a known error.
//!
//! Wall time = true time + offset + drift x time since the start of the world + the steps so far.

use crate::lock::lock;
use latent_ports::UnixMs;
use std::collections::BTreeMap;
use std::sync::Mutex;

/// Error of a node's wall clock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ClockSpec {
    /// Initial offset from true time, in milliseconds; positive: ahead.
    pub offset_ms: i64,
    /// Drift in parts per million; positive: gains.
    pub drift_ppm: i32,
}

/// Wall clock of a node. It outlives processes.
#[derive(Debug)]
pub(crate) struct WallClock {
    spec: Mutex<ClockSpec>,
    /// Drifts of active faults, by fault index: start in nanoseconds since the start of the world, and parts per
    /// million.
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

    /// Adds a drift of `ppm` from now on.
    pub(crate) fn drift(&self, fault: usize, since_ns: u64, ppm: i32) {
        lock(&self.drifts).insert(fault, (since_ns, ppm));
    }

    /// Ends a drift and removes the time that it gained.
    pub(crate) fn end_drift(&self, fault: usize) {
        lock(&self.drifts).remove(&fault);
    }

    fn drifted_ms(&self, elapsed_ns: u64) -> i64 {
        lock(&self.drifts).values().map(|(since_ns, ppm)| gained_ms(elapsed_ns - since_ns, *ppm)).sum()
    }

    pub(crate) fn read(&self, start: UnixMs, elapsed_ns: u64) -> UnixMs {
        let spec = *lock(&self.spec);
        let elapsed_ms = i64::try_from(elapsed_ns / 1_000_000).unwrap_or(i64::MAX);
        let gained_ms = gained_ms(elapsed_ns, spec.drift_ppm).saturating_add(self.drifted_ms(elapsed_ns));
        UnixMs(start.0.saturating_add(elapsed_ms).saturating_add(spec.offset_ms).saturating_add(gained_ms))
    }
}

/// Returns the time that a clock gains, in milliseconds.
fn gained_ms(elapsed_ns: u64, ppm: i32) -> i64 {
    i64::try_from(i128::from(elapsed_ns) * i128::from(ppm) / 1_000_000_000_000).unwrap_or(0)
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
