//! The simulated cluster: nodes, links, releases and object stores.
//!
//! - `topology`: nodes, services and links. `node_ids`: nodes by role. `releases`, `deploys`: software of the
//!   nodes. `operator_changes`: changed configurations.
//! - `adversary`: a hostile release. `node_env`: the environment that every node of the system runs in.
//! - `store_access`: access lists of object stores. `store_faults`: faults of calls to them.

mod adversary;
pub(crate) mod deploys;
pub(crate) mod node_env;
pub(crate) mod node_ids;
mod operator_changes;
pub(crate) mod releases;
pub(crate) mod store_access;
pub(crate) mod store_faults;
pub(crate) mod topology;
