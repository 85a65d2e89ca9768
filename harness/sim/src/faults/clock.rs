//! Faults of clocks: steps and drift. The monotonic clock and sleeps do not notice.
//!
//! Modelled: a wall clock that jumps either way, one that gains or loses, and the time service that sets both right
//! again, which is a jump of its own. The wall clock is the machine's: what is wrong with it outlives processes.
//! Overlapping steps and drifts add up, and each takes back what it brought. Not modelled: a monotonic clock that
//! drifts (sleeps are always true), a time service that slews instead of stepping, smeared leap seconds, clocks of
//! devices outside (those are the clients' own, see the load of a scenario).
//!
//! Figures: a quartz oscillator without correction is off by up to about 50 ppm, 4.3 s a day; Spanner allows for 200 ppm
//! (Corbett et al., OSDI 2012), NTP for 15 (RFC 5905). Steps of an hour are what a zone mistaken for UTC makes, steps of
//! a day what a wrong battery clock makes at boot; NTP steps what is off by more than 128 ms, and gives up at more than
//! 1,000 s (RFC 5905), so that a wrong hour stays until somebody comes. How often: a sixth as often as a processor fails
//! (Corbett et al.); scenarios run weeks, so their rates are accelerated.

use super::{FaultBehavior, FaultDuration};
use crate::world::World;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The node's wall clock jumps.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub struct ClockStep {
    /// The node.
    pub node: String,
    /// By how many milliseconds; negative: back.
    #[schemars(range(min = -31_622_400_000_i64, max = 31_622_400_000_i64))]
    pub by_ms: i64,
    /// The time service sets it right again after this many milliseconds; `None`: when faults are over.
    #[serde(default)]
    #[schemars(range(max = 31_622_400_000_u64))]
    pub for_ms: Option<u64>,
}

/// The node's wall clock runs fast or slow.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub struct ClockDrift {
    /// The node.
    pub node: String,
    /// What it gains, in parts per million; negative: loses.
    #[schemars(range(min = -500_000, max = 500_000))]
    pub ppm: i32,
    /// For how many milliseconds; what it gained is set right then. `None`: until faults are over.
    #[serde(default)]
    #[schemars(range(max = 31_622_400_000_u64))]
    pub for_ms: Option<u64>,
}

impl FaultBehavior for ClockStep {
    fn nodes(&self) -> Vec<&str> {
        vec![&self.node]
    }

    fn begin(&self, world: &World, _: usize) -> FaultDuration {
        if let Some(node) = world.find_node(&self.node) {
            node.wall_clock().step(self.by_ms);
        }
        FaultDuration::ms_or_until_faults_end(self.for_ms)
    }

    fn end(&self, world: &World, _: usize) {
        if let Some(node) = world.find_node(&self.node) {
            node.wall_clock().step(self.by_ms.saturating_neg());
        }
    }
}

impl FaultBehavior for ClockDrift {
    fn nodes(&self) -> Vec<&str> {
        vec![&self.node]
    }

    fn begin(&self, world: &World, fault: usize) -> FaultDuration {
        if let Some(node) = world.find_node(&self.node) {
            node.wall_clock().drift(fault, world.now_ns(), self.ppm);
        }
        FaultDuration::ms_or_until_faults_end(self.for_ms)
    }

    fn end(&self, world: &World, fault: usize) {
        if let Some(node) = world.find_node(&self.node) {
            node.wall_clock().end_drift(fault);
        }
    }
}
