//! Calls between nodes over links that are slow, lossy and sometimes cut.
//!
//! A call is one message each way. Each way has its own latency, keyed by its content, and its own chance of loss. A
//! message is lost if its link is cut when it leaves or when it would arrive. A call to a node without a process, or
//! whose process does not serve, is refused after the round trip. If a process dies while it handles a call, no
//! answer is sent and the caller times out. Calls are independent: two calls from one node to another may arrive in
//! either order.
//!
//! Not modelled: connections and their state, back-pressure other than the server's limit.

mod link_faults;
mod link_spec;
mod mailbox;
mod network;
mod sim_net;

pub use link_faults::CallPart;
pub(crate) use link_faults::{LinkDegradation, LinkFaults};
pub use link_spec::{LatencyTail, LinkSpec};
pub(crate) use mailbox::Mailbox;
pub(crate) use network::Network;
pub use sim_net::SimNet;
