//! Conditions on the kinds of faults: time and targets that each needs.

use super::fault_budget::REPAIRED_AFTER_MS;
use super::fault_sampler::WARM_UP_MS;
use crate::scenario::{FaultKind, NodeNames, WorldConfig};
use latent_engine::Scenario;
use std::time::Duration;

impl FaultKind {
    /// Returns true if the fault removes durable bytes or makes them unreadable.
    pub(super) fn is_damage(self) -> bool {
        use FaultKind::{BitRot, LatentSector, LostWrite, MisdirectedWrite, NewDisk, RemovedDirectory};
        matches!(self, NewDisk | LatentSector | BitRot | MisdirectedWrite | LostWrite | RemovedDirectory)
    }

    /// Returns true if the scenario is long enough: damage needs days until it is certainly repaired.
    pub(crate) fn has_time(self, scenario: &Scenario<WorldConfig>) -> bool {
        let ms = |time: Duration| i64::try_from(time.as_millis()).unwrap_or(i64::MAX / 4);
        let all_ms = ms(scenario.run_for.0) + ms(scenario.config.healing.0);
        !self.is_damage() || all_ms > REPAIRED_AFTER_MS + WARM_UP_MS.cast_signed()
    }

    /// Returns true if the topology has a node that this fault can affect.
    pub(crate) fn has_targets(self, names: &NodeNames) -> bool {
        self != FaultKind::ObjectStore || !names.stores().is_empty()
    }
}
