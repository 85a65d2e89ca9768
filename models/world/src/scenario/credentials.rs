//! Permissions at the object stores, granted by role: part of the topology.
//!
//! By default each role has the least permissions that its work needs: production has none; edges fill the tee store;
//! the backup node adds objects to the data centers and removes old backups, but cannot overwrite; the audit reads
//! and places holds, which needs `put`; the operator reads. A grant in a scenario replaces the default for that role
//! and store. Permissions within Arb and ingest are not modelled: there, production trusts itself.

use latent_pipeline::access::Permission;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

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
