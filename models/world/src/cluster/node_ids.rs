//! Nodes of a world by role.

use latent_ports::NodeId;

/// Node ids by role.
#[derive(Clone, Debug, Default)]
pub(crate) struct NodeIds {
    pub edges: Vec<NodeId>,
    pub ingest: Vec<NodeId>,
    pub disks: Vec<NodeId>,
    pub workers: Vec<NodeId>,
    pub data_centers: Vec<NodeId>,
    pub tee_store: Option<NodeId>,
    pub backup: Option<NodeId>,
    pub audit: Option<NodeId>,
    pub operator: Option<NodeId>,
}

impl NodeIds {
    /// Returns the nodes of production.
    pub fn production(&self) -> impl Iterator<Item = NodeId> + '_ {
        self.disks.iter().chain(&self.ingest).chain(&self.workers).copied()
    }

    /// Returns the nodes that protect production and run the pipeline's code.
    pub fn protection(&self) -> impl Iterator<Item = NodeId> + '_ {
        let stores = self.data_centers.iter().chain(&self.tee_store);
        stores.chain(&self.backup).chain(&self.audit).chain(&self.operator).copied()
    }
}
