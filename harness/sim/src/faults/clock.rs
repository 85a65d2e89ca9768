//! Clock faults: steps and drift. The monotonic clock and sleeps are not affected.
//!
//! Modelled: a wall clock that steps either way, one that gains or loses, and the time service that corrects both
//! with another step. The wall clock belongs to the machine: its error outlives processes. Overlapping steps and
//! drifts add up, and each removes its own effect when it ends. Not modelled: a monotonic clock that drifts (sleeps
//! are always true), a time service that slews instead of stepping, smeared leap seconds, clocks of external devices
//! (those belong to the clients, see the load of a scenario).
//!
//! Figures: a quartz oscillator without correction is off by up to about 50 ppm, 4.3 s a day; Spanner allows for 200
//! ppm (Corbett et al., OSDI 2012), NTP for 15 (RFC 5905). Steps of an hour result from a zone mistaken for UTC,
//! steps of a day from a wrong battery clock at boot. NTP steps an error of more than 128 ms, and gives up at more
//! than 1,000 s (RFC 5905), so that an error of an hour stays until an operator corrects it. Frequency: a sixth of
//! that of processor failures (Corbett et al.); scenarios run weeks, so their rates are accelerated.

use super::behavior::{FaultBehavior, FaultDuration, FaultTarget};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Steps the node's wall clock.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub struct ClockStep {
    /// The node.
    pub node: String,
    /// Size of the step in milliseconds; negative: backwards.
    #[schemars(range(min = -31_622_400_000_i64, max = 31_622_400_000_i64))]
    pub by_ms: i64,
    /// Milliseconds until the time service corrects it; `None`: until faults end.
    #[serde(default)]
    #[schemars(range(max = 31_622_400_000_u64))]
    pub for_ms: Option<u64>,
}

/// Makes the node's wall clock run fast or slow.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub struct ClockDrift {
    /// The node.
    pub node: String,
    /// Drift in parts per million; positive: gains, negative: loses.
    #[schemars(range(min = -500_000, max = 500_000))]
    pub ppm: i32,
    /// Duration in milliseconds, after which the gain is corrected; `None`: until faults end.
    #[serde(default)]
    #[schemars(range(max = 31_622_400_000_u64))]
    pub for_ms: Option<u64>,
}

impl FaultBehavior for ClockStep {
    fn nodes(&self) -> Vec<&str> {
        vec![&self.node]
    }

    fn begin(&self, target: &dyn FaultTarget, _: usize) -> FaultDuration {
        if let Some(machine) = target.machine(&self.node) {
            machine.wall_clock().step(self.by_ms);
        }
        FaultDuration::ms_or_until_faults_end(self.for_ms)
    }

    fn end(&self, target: &dyn FaultTarget, _: usize) {
        if let Some(machine) = target.machine(&self.node) {
            machine.wall_clock().step(self.by_ms.saturating_neg());
        }
    }
}

impl FaultBehavior for ClockDrift {
    fn nodes(&self) -> Vec<&str> {
        vec![&self.node]
    }

    fn begin(&self, target: &dyn FaultTarget, fault: usize) -> FaultDuration {
        if let Some(machine) = target.machine(&self.node) {
            machine.wall_clock().drift(fault, target.now_ns(), self.ppm);
        }
        FaultDuration::ms_or_until_faults_end(self.for_ms)
    }

    fn end(&self, target: &dyn FaultTarget, fault: usize) {
        if let Some(machine) = target.machine(&self.node) {
            machine.wall_clock().end_drift(fault);
        }
    }
}
