//! Configuration changes of operator actions: the node that restarts, and its new configuration.

use crate::cluster::node_ids::NodeIds;
use crate::scenario::{OperatorAction, RetentionTarget, RetentionTypo};
use latent_pipeline::config::Cluster;
use latent_ports::NodeId;

impl OperatorAction {
    /// Returns the node that restarts with a changed configuration, and that configuration; `None` for a recovery.
    pub(crate) fn configure(&self, cluster: &Cluster, nodes: &NodeIds) -> Option<(NodeId, Cluster)> {
        let mut changed = cluster.clone();
        let node = match self {
            OperatorAction::Recover(_) => return None,
            OperatorAction::RetentionTypo(RetentionTypo { target: RetentionTarget::Tee, typed, .. }) => {
                changed.tee.as_mut()?.retention = typed.0;
                nodes.tee_store?
            }
            OperatorAction::RetentionTypo(RetentionTypo {
                target: RetentionTarget::Backups, typed, ..
            }) => {
                changed.backup.as_mut()?.retention = typed.0;
                nodes.backup?
            }
            OperatorAction::DisableBackup(_) => {
                changed.backup = None;
                nodes.backup?
            }
            OperatorAction::WrongBucket(_) => {
                changed.backup.as_mut()?.data_centers = vec![nodes.tee_store?];
                nodes.backup?
            }
        };
        Some((node, changed))
    }
}
