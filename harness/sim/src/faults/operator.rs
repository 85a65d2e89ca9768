//! Operator mistakes on a machine: removal of the wrong directory.
//!
//! Modelled: a directory and its contents are removed at once, synced or not, and durably, as after `rm -rf` and a
//! flush (which makes every other change of names durable too). A process that has files in it open keeps them,
//! without names: data written there is gone when the process ends. A path that does not exist, or that is a file,
//! loses nothing. Not modelled: a removal that is interrupted (trigger a crash at a removal for that), changed
//! permissions, edited files. Other operator mistakes concern the system and not the machine: deploys, credentials,
//! retention and recoveries are the system's own plan items.
//!
//! Source: GitLab's account of 2017-01-31, in which the data directory of the wrong host was removed.

use super::behavior::{FaultBehavior, FaultDuration, FaultTarget};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Removes a directory and its contents.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub struct RemoveDirectory {
    /// The node.
    pub node: String,
    /// Path of the directory. Empty: everything on the disk.
    #[serde(default)]
    pub path: String,
}

impl FaultBehavior for RemoveDirectory {
    fn nodes(&self) -> Vec<&str> {
        vec![&self.node]
    }

    fn begin(&self, target: &dyn FaultTarget, _: usize) -> FaultDuration {
        if let Some(machine) = target.machine(&self.node) {
            machine.disk().tree(|tree| tree.remove_all(&self.path));
        }
        FaultDuration::Instant
    }

    fn end(&self, _: &dyn FaultTarget, _: usize) {}
}
