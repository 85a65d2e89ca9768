//! Named conditions of a node: the way in which a system's own model of a machine (an object store that throttles, a
//! credential that expired) is switched by a fault of the plan. The simulator knows when one holds and how strong
//! it is; what it means is the system's business, which asks [`World::condition`](crate::World::condition).
//! A condition by itself changes nothing.

use super::{FaultBehavior, FaultDuration};
use crate::world::World;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A named condition holds at a node.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub struct Condition {
    /// The node.
    pub node: String,
    /// Its name: `store.throttled`.
    pub name: String,
    /// How strong it is: what the number means depends on the condition.
    #[serde(default)]
    #[schemars(range(max = 1_000_000_000_000_u64))]
    pub level: u64,
    /// For how many milliseconds; `None`: until faults are over.
    #[serde(default)]
    #[schemars(range(max = 31_622_400_000_u64))]
    pub for_ms: Option<u64>,
}

impl FaultBehavior for Condition {
    fn nodes(&self) -> Vec<&str> {
        vec![&self.node]
    }

    fn begin(&self, world: &World, fault: usize) -> FaultDuration {
        if let Some(node) = world.find_node(&self.node) {
            node.conditions(|held| held.insert(fault, (self.name.clone(), self.level)));
        }
        FaultDuration::ms_or_until_faults_end(self.for_ms)
    }

    fn end(&self, world: &World, fault: usize) {
        if let Some(node) = world.find_node(&self.node) {
            node.conditions(|held| held.remove(&fault));
        }
    }
}
