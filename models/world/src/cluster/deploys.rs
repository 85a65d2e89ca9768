//! Nodes that a deploy moves.

use crate::cluster::node_ids::NodeIds;
use crate::scenario::DeployTarget;
use latent_engine::sim::World;
use latent_ports::NodeId;
use std::time::Duration;

/// Returns the nodes that a deploy moves, in order, and the pause after each.
pub(crate) fn deploy_targets(to: &DeployTarget, world: &World, nodes: &NodeIds) -> (Vec<NodeId>, Duration) {
    let production = || nodes.production().collect();
    match to {
        DeployTarget::All => (production(), Duration::ZERO),
        DeployTarget::Rolling { pause } => (production(), pause.0),
        DeployTarget::Canary { replica_set } => {
            let half = nodes.disks.len().div_ceil(2);
            let set = nodes.disks.chunks(half).nth(usize::from(*replica_set)).unwrap_or_default();
            let worker = nodes.workers.get(usize::from(*replica_set));
            (set.iter().chain(worker).copied().collect(), Duration::ZERO)
        }
        DeployTarget::Protection => (nodes.protection().collect(), Duration::ZERO),
        DeployTarget::Nodes(names) => {
            (names.iter().filter_map(|name| world.node_named(name)).collect(), Duration::ZERO)
        }
    }
}
