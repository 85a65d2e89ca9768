//! Who may do what at an object store, and the store's door: what the machine does to a call before and after the
//! store's own code sees it.
//!
//! Permissions are granted to nodes, one by one, and the store's code enforces them: nobody may do anything that was
//! not granted. The sender of a message is taken for who it is (connections are authenticated); forged senders are
//! not modelled, nor keys that are copied from one node to another. An object put again with equal bytes is no
//! overwrite: a caller whose answer was lost may try again without the right to overwrite.

use bytes::Bytes;
use latent_edge::object_api::ObjectRequest;
use latent_ports::NodeId;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// What a node may do at a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Permission {
    /// Read objects, their lengths and listings.
    Read,
    /// Put an object under a key that has none, or the same bytes again.
    Put,
    /// Put other bytes in an object's place.
    Overwrite,
    /// Remove an object.
    Delete,
}

impl Permission {
    /// Its name in scenarios and reports.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Permission::Read => "read",
            Permission::Put => "put",
            Permission::Overwrite => "overwrite",
            Permission::Delete => "delete",
        }
    }
}

/// What one store grants to whom.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Access {
    anybody_anything: bool,
    granted: BTreeMap<NodeId, BTreeSet<Permission>>,
}

impl Access {
    /// Everything to everybody: a store that is not shared.
    #[must_use]
    pub fn open() -> Access {
        Access { anybody_anything: true, ..Access::default() }
    }

    /// Nothing to nobody.
    #[must_use]
    pub fn closed() -> Access {
        Access::default()
    }

    /// The same, and these permissions to `node`.
    #[must_use]
    pub fn grant(mut self, node: NodeId, permissions: &BTreeSet<Permission>) -> Access {
        self.granted.entry(node).or_default().extend(permissions);
        self
    }

    /// Whether `node` may do it.
    #[must_use]
    pub fn allows(&self, node: NodeId, permission: Permission) -> bool {
        self.anybody_anything || self.granted.get(&node).is_some_and(|granted| granted.contains(&permission))
    }
}

/// What the machine does to a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fate {
    /// The store answers.
    AsUsual,
    /// 5xx: the call has no effect.
    Unavailable,
    /// 429 or "slow down": the call has no effect.
    Throttled {
        /// The caller is asked to come back this much later.
        retry_after_ms: u32,
    },
    /// Whatever was granted: credentials that expired.
    Denied,
    /// The call takes effect; its answer comes when nobody waits for it any more.
    AnswerLost,
    /// A put breaks off part-way: nothing is visible, what came stays among the uploads.
    UploadBroken,
    /// A listing gives at most so many keys a page.
    ShortPages {
        /// Keys a page, at least 1.
        keys: u32,
    },
}

/// The store's door: every call passes it on its way in, and every change is told to it, as to an access log.
pub trait Door: Send + Sync + 'static {
    /// What becomes of a call of `from`.
    fn fate(&self, from: NodeId, call: &ObjectRequest, body: &Bytes) -> Fate;

    /// `from` changed the object `key`, by this permission.
    fn changed(&self, from: NodeId, permission: Permission, key: &str);
}

/// A door that is always open, and forgets.
#[derive(Clone, Copy, Debug)]
pub struct OpenDoor;

impl Door for OpenDoor {
    fn fate(&self, _: NodeId, _: &ObjectRequest, _: &Bytes) -> Fate {
        Fate::AsUsual
    }

    fn changed(&self, _: NodeId, _: Permission, _: &str) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_may_do_what_was_not_granted() {
        let backup = NodeId(7);
        let access = Access::closed().grant(backup, &BTreeSet::from([Permission::Read, Permission::Put]));
        assert!(access.allows(backup, Permission::Put));
        assert!(!access.allows(backup, Permission::Delete));
        assert!(!access.allows(NodeId(8), Permission::Read));
        assert!(Access::open().allows(NodeId(8), Permission::Delete));
    }
}
