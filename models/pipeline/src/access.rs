//! Permissions at an object store, and an interceptor that injects faults before and after the store's own code handles
//! a call.
//!
//! Permissions are granted to nodes one by one, and the store enforces them: a node without a grant can do nothing.
//! Connections are authenticated, so the sender of a message is trusted. Not modelled: forged senders, and credentials
//! copied to another node. Putting an object again with equal bytes does not count as an overwrite: a caller whose
//! response was lost may retry without the right to overwrite.

use bytes::Bytes;
use latent_ports::NodeId;
use latent_storekit::object_store::ObjectRequest;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use strum::IntoStaticStr;

/// Permission of a node at a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, IntoStaticStr)]
#[serde(rename_all = "kebab-case")]
#[strum(serialize_all = "kebab-case")]
pub enum Permission {
    /// Read objects, their lengths and listings.
    Read,
    /// Put an object under a new key, or the same bytes again.
    Put,
    /// Replace an object with other bytes.
    Overwrite,
    /// Remove an object.
    Delete,
}

impl Permission {
    /// Returns the name used in scenarios and reports.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.into()
    }
}

/// Permissions that one store grants, by node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AccessPolicy {
    allow_all: bool,
    granted: BTreeMap<NodeId, BTreeSet<Permission>>,
}

impl AccessPolicy {
    /// Grants everything to every node: a store that is not shared.
    #[must_use]
    pub fn allow_all() -> AccessPolicy {
        AccessPolicy { allow_all: true, ..AccessPolicy::default() }
    }

    /// Grants nothing.
    #[must_use]
    pub fn deny_all() -> AccessPolicy {
        AccessPolicy::default()
    }

    /// Returns the policy with these permissions granted to `node` as well.
    #[must_use]
    pub fn grant(mut self, node: NodeId, permissions: &BTreeSet<Permission>) -> AccessPolicy {
        self.granted.entry(node).or_default().extend(permissions);
        self
    }

    /// Whether `node` has the permission.
    #[must_use]
    pub fn allows(&self, node: NodeId, permission: Permission) -> bool {
        self.allow_all || self.granted.get(&node).is_some_and(|granted| granted.contains(&permission))
    }
}

/// Fault to inject into a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum InjectedResult {
    /// No fault: the store handles the call.
    Normal,
    /// 5xx: the call has no effect.
    Unavailable,
    /// 429 or "slow down": the call has no effect.
    Throttled {
        /// Delay before the next attempt that the store asks for, in ms.
        retry_after_ms: u32,
    },
    /// Denied whatever was granted: the credentials have expired.
    Denied,
    /// The call takes effect; its response arrives after the caller has timed out.
    ResponseLost,
    /// A put breaks off part-way: no object is visible, and the received part stays among the uploads.
    UploadTruncated,
    /// A put is confirmed, and the store keeps something else.
    PutAltered(AlteredPut),
    /// A listing returns at most this many keys per page.
    ShortPages {
        /// Keys per page, at least 1.
        keys: u32,
    },
}

/// What a store keeps of a put that it confirms.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AlteredPut {
    /// The first half of the bytes.
    Half,
    /// As many other bytes.
    OtherBytes,
    /// Nothing: no object exists, or the one before is unchanged.
    Nothing,
}

/// Fault injection and access log of a store: it sees every call before the store does, and every change after.
pub trait Interceptor: Send + Sync + 'static {
    /// Returns the fault to inject into a call of `from`.
    fn intercept(&self, from: NodeId, call: &ObjectRequest, body: &Bytes) -> InjectedResult;

    /// Records that `from` changed the object `key` under this permission.
    fn object_changed(&self, from: NodeId, permission: Permission, key: &str);
}

/// Interceptor that injects no faults and records nothing.
#[derive(Clone, Copy, Debug)]
pub struct NoInterceptor;

impl Interceptor for NoInterceptor {
    fn intercept(&self, _: NodeId, _: &ObjectRequest, _: &Bytes) -> InjectedResult {
        InjectedResult::Normal
    }

    fn object_changed(&self, _: NodeId, _: Permission, _: &str) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn permissions_that_were_not_granted_are_denied() {
        let backup = NodeId(7);
        let access =
            AccessPolicy::deny_all().grant(backup, &BTreeSet::from([Permission::Read, Permission::Put]));
        assert!(access.allows(backup, Permission::Put));
        assert!(!access.allows(backup, Permission::Delete));
        assert!(!access.allows(NodeId(8), Permission::Read));
        assert!(AccessPolicy::allow_all().allows(NodeId(8), Permission::Delete));
    }
}
