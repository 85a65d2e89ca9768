//! Named conditions of a node. They let a fault plan control a system's own model of a machine, such as an object
//! store that throttles or a credential that expired. The simulator knows whether a condition is active and its
//! level. The system defines the meaning and reads it with [`World::condition`](crate::World::condition). A condition
//! by itself changes nothing.

use super::behavior::{FaultBehavior, FaultDuration, FaultTarget};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Activates a named condition at a node.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub struct Condition {
    /// The node.
    pub node: String,
    /// Name of the condition, such as `store.throttled`.
    pub name: String,
    /// Level. Its meaning depends on the condition.
    #[serde(default)]
    #[schemars(range(max = 1_000_000_000_000_u64))]
    pub level: u64,
    /// Duration in milliseconds; `None`: until faults end.
    #[serde(default)]
    #[schemars(range(max = 31_622_400_000_u64))]
    pub for_ms: Option<u64>,
}

impl FaultBehavior for Condition {
    fn nodes(&self) -> Vec<&str> {
        vec![&self.node]
    }

    fn begin(&self, target: &dyn FaultTarget, fault: usize) -> FaultDuration {
        if let Some(machine) = target.machine(&self.node) {
            machine.set_condition(fault, self.name.clone(), self.level);
        }
        FaultDuration::ms_or_until_faults_end(self.for_ms)
    }

    fn end(&self, target: &dyn FaultTarget, fault: usize) {
        if let Some(machine) = target.machine(&self.node) {
            machine.remove_condition(fault);
        }
    }
}
