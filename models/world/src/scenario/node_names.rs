//! Names of the nodes: they follow from the topology and the protection of a scenario.

use super::world_config::WorldConfig;

/// Node names by role, in the order in which the nodes are added.
pub(crate) struct NodeNames {
    pub edges: Vec<String>,
    pub ingest: Vec<String>,
    pub disks: Vec<String>,
    pub workers: Vec<String>,
    pub data_centers: Vec<String>,
    pub tee_store: Option<String>,
    pub backup: Option<String>,
    pub audit: Option<String>,
    pub operator: Option<String>,
}

impl NodeNames {
    pub fn new(config: &WorldConfig) -> NodeNames {
        let numbered = |what: &str, count: u16| (1..=count).map(|n| format!("{what}-{n}")).collect();
        let (topology, protection) = (&config.topology, &config.protection);
        let backup = protection.backup.is_some();
        NodeNames {
            edges: numbered("edge", topology.edges),
            ingest: numbered("ingest", topology.ingest),
            disks: numbered("disk", topology.copies),
            workers: numbered("worker", topology.workers),
            data_centers: numbered("dc", if backup { topology.data_centers } else { 0 }),
            tee_store: protection.tee.as_ref().map(|_| "tee-store".to_owned()),
            backup: backup.then(|| "backup".to_owned()),
            audit: protection.audit.as_ref().map(|_| "audit".to_owned()),
            operator: protection.audit.as_ref().map(|_| "operator".to_owned()),
        }
    }

    /// Returns all nodes of the system. The operator's machine is not included: it belongs to a person.
    pub fn system(&self) -> Vec<String> {
        let many = [&self.edges, &self.ingest, &self.disks, &self.workers, &self.data_centers];
        let single = [&self.tee_store, &self.backup, &self.audit];
        many.into_iter().flatten().chain(single.into_iter().flatten()).cloned().collect()
    }

    /// Returns the nodes of the system by role; roles without nodes are left out.
    pub fn roles(&self) -> Vec<Vec<String>> {
        let many = [&self.edges, &self.ingest, &self.disks, &self.workers, &self.data_centers];
        let single = [&self.tee_store, &self.backup, &self.audit];
        let single = single.into_iter().flatten().map(|node| vec![node.clone()]);
        many.into_iter().cloned().chain(single).filter(|nodes| !nodes.is_empty()).collect()
    }

    /// Returns all object stores.
    pub fn stores(&self) -> Vec<String> {
        self.data_centers.iter().chain(&self.tee_store).cloned().collect()
    }

    pub fn all(&self) -> impl Iterator<Item = &String> {
        let many = [&self.edges, &self.ingest, &self.disks, &self.workers, &self.data_centers];
        let single = [&self.tee_store, &self.backup, &self.audit, &self.operator];
        many.into_iter().flatten().chain(single.into_iter().flatten())
    }
}
