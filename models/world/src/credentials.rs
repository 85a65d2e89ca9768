//! Permissions at the object stores, granted by role: part of the topology.
//!
//! By default each role has the least permissions that its work needs: production has none; edges fill the tee store;
//! the backup node adds objects to the data centers and removes old backups, but cannot overwrite; the audit reads
//! and places holds, which needs `put`; the operator reads. A grant in a scenario replaces the default for that role
//! and store. Permissions within Arb and ingest are not modelled: there, production trusts itself.

use crate::topology::NodeIds;
use latent_pipeline::access::{AccessPolicy, Permission};
use latent_ports::NodeId;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// Permissions of each role at the object stores. A role that is left out has the least permissions that it needs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Credentials {
    /// Ingest, Arb disks and workers. They need no permission.
    pub production: RoleGrants,
    /// The edges. They need `read`, `put` and `overwrite` at the tee store.
    pub edges: RoleGrants,
    /// The backup node. It needs `read`, `put` and `delete` at the data centers.
    pub backup: RoleGrants,
    /// The audit. It needs `read` and `put` at both kinds of stores: it also monitors the backups and places holds.
    pub audit: RoleGrants,
    /// The operator, who runs recoveries. The role needs `read` at both kinds of stores.
    pub operator: RoleGrants,
    /// The tee store's own maintenance, which removes expired objects and adds objects where records are in fewer
    /// than two. It needs `read`, `put`, `overwrite` and `delete`.
    pub tee_store: RoleGrants,
}

impl Credentials {
    /// Returns true if every role has the default permissions.
    pub(crate) fn is_default(&self) -> bool {
        *self == Credentials::default()
    }
}

/// Permissions of one role. Absent: the least that the role needs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RoleGrants {
    /// Permissions at the data centers, which hold the backups. Absent: the least that the role needs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub backups: Option<Vec<StorePermission>>,
    /// Permissions at the tee store. Absent: the least that the role needs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tee: Option<Vec<StorePermission>>,
}

/// A permission at an object store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum StorePermission {
    /// Read objects, object lengths and listings.
    Read,
    /// Put an object under an unused key, or the same bytes again.
    Put,
    /// Replace an object by other bytes.
    Overwrite,
    /// Remove an object.
    Delete,
}

impl From<StorePermission> for Permission {
    fn from(grant: StorePermission) -> Permission {
        match grant {
            StorePermission::Read => Permission::Read,
            StorePermission::Put => Permission::Put,
            StorePermission::Overwrite => Permission::Overwrite,
            StorePermission::Delete => Permission::Delete,
        }
    }
}

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
