//! Numbers of nodes.

/// A node's number, unique in its world. Names belong to the topology.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(pub u16);
