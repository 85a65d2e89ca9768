//! What people do to a machine by mistake: a directory removed that was another one's.
//!
//! Modelled: a directory and all that is in it goes at once, synced or not, and durably, as after `rm -rf` and a flush
//! (which makes every other change of names durable too).
//! A process that has files of it open keeps them, without names: what it writes there is gone when it ends. A path
//! that does not exist, or that is a file, loses nothing. Not modelled: a removal that is stopped half-way (crash the
//! node at a removal of its own for that), changed permissions, edited files. Other mistakes of operators concern the
//! system and not the machine: deploys, credentials, retention, recoveries are the system's own plan items.
//!
//! Source: GitLab's account of 2017-01-31, in which the data directory of the wrong host was removed.

use super::{FaultBehavior, FaultDuration};
use crate::world::World;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Removes a directory and all that is in it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub struct RemoveDirectory {
    /// The node.
    pub node: String,
    /// The directory's path. Empty: everything on the disk.
    #[serde(default)]
    pub path: String,
}

impl FaultBehavior for RemoveDirectory {
    fn nodes(&self) -> Vec<&str> {
        vec![&self.node]
    }

    fn begin(&self, world: &World, _: usize) -> FaultDuration {
        if let Some(node) = world.find_node(&self.node) {
            node.disk().tree(|tree| tree.remove_all(&self.path));
        }
        FaultDuration::Instant
    }

    fn end(&self, _: &World, _: usize) {}
}
