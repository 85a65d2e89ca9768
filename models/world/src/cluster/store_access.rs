//! Access lists of the object stores, from the scenario's grants by role and the least that each role needs.

use crate::cluster::node_ids::NodeIds;
use crate::scenario::{Credentials, RoleGrants};
use latent_pipeline::access::{AccessPolicy, Permission};
use latent_ports::NodeId;
use std::collections::BTreeSet;

/// Kind of an object store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum StoreKind {
    Backups,
    Tee,
}

impl StoreKind {
    /// Returns the location, as printed in a report.
    pub fn place(self) -> &'static str {
        match self {
            StoreKind::Backups => "at the data centers",
            StoreKind::Tee => "at the tee store",
        }
    }
}

/// Grants in the scenario for a role, the role's nodes, and the default permissions at the data centers and at the
/// tee store.
type Role<'a> = (&'a RoleGrants, Vec<NodeId>, &'a [Permission], &'a [Permission]);

impl Credentials {
    /// Returns the access list of the stores of one kind.
    pub(crate) fn access(&self, kind: StoreKind, nodes: &NodeIds) -> AccessPolicy {
        use Permission::{Delete, Overwrite, Put, Read};
        let tee_store: Vec<NodeId> = nodes.tee_store.iter().copied().collect();
        let one = |node: Option<NodeId>| node.into_iter().collect::<Vec<_>>();
        let roles: [Role<'_>; 6] = [
            (&self.production, nodes.production().collect(), &[], &[]),
            (&self.edges, nodes.edges.clone(), &[], &[Read, Put, Overwrite]),
            (&self.backup, one(nodes.backup), &[Read, Put, Delete], &[]),
            (&self.audit, one(nodes.audit), &[Read, Put], &[Read, Put]),
            (&self.operator, one(nodes.operator), &[Read], &[Read]),
            (&self.tee_store, tee_store, &[], &[Read, Put, Overwrite, Delete]),
        ];
        let mut access = AccessPolicy::deny_all();
        for (grants, nodes, backups, tee) in roles {
            let (written, needed) = match kind {
                StoreKind::Backups => (&grants.backups, backups),
                StoreKind::Tee => (&grants.tee, tee),
            };
            let permissions: BTreeSet<Permission> = match written {
                Some(written) => written.iter().map(|grant| (*grant).into()).collect(),
                None => needed.iter().copied().collect(),
            };
            access = nodes.into_iter().fold(access, |access, node| access.grant(node, &permissions));
        }
        access
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nodes() -> NodeIds {
        NodeIds {
            edges: vec![NodeId(1)],
            disks: vec![NodeId(2)],
            data_centers: vec![NodeId(3)],
            tee_store: Some(NodeId(4)),
            backup: Some(NodeId(5)),
            operator: Some(NodeId(6)),
            ..NodeIds::default()
        }
    }

    #[test]
    fn by_default_production_has_no_permission_and_the_backup_node_cannot_overwrite() {
        let access = Credentials::default().access(StoreKind::Backups, &nodes());
        assert!(!access.allows(NodeId(2), Permission::Read));
        assert!(
            access.allows(NodeId(5), Permission::Put) && !access.allows(NodeId(5), Permission::Overwrite)
        );
        assert!(access.allows(NodeId(6), Permission::Read) && !access.allows(NodeId(6), Permission::Delete));
        let tee = Credentials::default().access(StoreKind::Tee, &nodes());
        assert!(tee.allows(NodeId(1), Permission::Overwrite) && !tee.allows(NodeId(1), Permission::Delete));
        assert!(tee.allows(NodeId(4), Permission::Delete) && !tee.allows(NodeId(5), Permission::Read));
    }

    #[test]
    fn grants_in_a_scenario_replace_only_the_named_defaults() {
        let text = r#"{ "production": { "backups": ["delete"] }, "edges": { "tee": ["read"] } }"#;
        let credentials: Credentials = serde_json::from_str(text).unwrap();
        let backups = credentials.access(StoreKind::Backups, &nodes());
        assert!(backups.allows(NodeId(2), Permission::Delete) && !backups.allows(NodeId(2), Permission::Put));
        let tee = credentials.access(StoreKind::Tee, &nodes());
        assert!(!tee.allows(NodeId(2), Permission::Delete));
        assert!(tee.allows(NodeId(1), Permission::Read) && !tee.allows(NodeId(1), Permission::Put));
        assert!(serde_json::from_str::<Credentials>(r#"{ "clients": {} }"#).is_err());
    }
}
