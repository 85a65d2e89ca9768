//! One incarnation of a node: what its ports share, and the checks that stop it after its death.
//!
//! A dead process takes no further step. Operations of its own tasks never complete (the tasks are about to be
//! dropped). A handle that leaked to a task of another node or of the world returns `Fenced`.

use crate::disk::DiskStore;
use crate::kernel::Kernel;
use crate::net::Network;
use crate::node::Node;
use crate::op_kind::OpKind;
use crate::panic_guard::PanicGuard;
use crate::trace::Event;
use latent_ports::{Mark, MarkName, NodeId};
use madsim::runtime::NodeHandle;
use std::future::Future;
use std::sync::Arc;
use std::task::Poll;

/// Object of an operation, for triggers and recordings.
#[derive(Clone, Copy)]
pub(crate) enum OpTarget<'a> {
    /// Path of a disk operation, and the new path of a rename, otherwise empty.
    Paths { path: &'a str, to: &'a str },
    /// The node at the other end of a message.
    Peer(NodeId),
}

impl<'a> OpTarget<'a> {
    /// Returns the path and the new path, empty for a message.
    pub(crate) fn paths(self) -> (&'a str, &'a str) {
        match self {
            OpTarget::Paths { path, to } => (path, to),
            OpTarget::Peer(_) => ("", ""),
        }
    }

    /// Returns the node at the other end of a message.
    pub(crate) fn peer(self) -> Option<NodeId> {
        match self {
            OpTarget::Paths { .. } => None,
            OpTarget::Peer(peer) => Some(peer),
        }
    }
}

/// Faults of the plan, as the operations and marks that trigger them see them.
pub(crate) trait FaultTriggers: Send + Sync {
    /// Counts an operation and injects the faults that it triggers, except process faults: it returns those, to be
    /// injected after the operation.
    fn on_op(&self, node: &Node, op: OpKind, target: OpTarget<'_>) -> Vec<usize>;

    /// Counts a mark and injects the faults that it triggers.
    fn on_mark(&self, node: &Node, mark: MarkName);

    /// Injects a fault.
    fn inject(&self, fault: usize);
}

/// One incarnation of a node, as its ports see it.
pub(crate) struct NodeContext {
    kernel: Arc<Kernel>,
    network: Arc<Network>,
    faults: Box<dyn FaultTriggers>,
    node: Arc<Node>,
    incarnation: u32,
    process: NodeHandle,
}

impl NodeContext {
    pub(crate) fn new(
        (kernel, network): (Arc<Kernel>, Arc<Network>),
        faults: Box<dyn FaultTriggers>,
        node: Arc<Node>,
        process: NodeHandle,
    ) -> NodeContext {
        let incarnation = node.incarnation();
        NodeContext { kernel, network, faults, node, incarnation, process }
    }

    pub(crate) fn kernel(&self) -> &Kernel {
        &self.kernel
    }

    pub(crate) fn network(&self) -> &Network {
        &self.network
    }

    pub(crate) fn node(&self) -> &Node {
        &self.node
    }

    pub(crate) fn incarnation(&self) -> u32 {
        self.incarnation
    }

    pub(crate) fn id(&self) -> NodeId {
        self.node.id()
    }

    /// Returns the node's number, as a key for draws.
    pub(crate) fn number(&self) -> u64 {
        u64::from(self.node.id().0)
    }

    pub(crate) fn disk_store(&self) -> &DiskStore {
        self.node.disk()
    }

    pub(crate) fn is_alive(&self) -> bool {
        self.node.incarnation() == self.incarnation
    }

    pub(crate) fn record(&self, event: Event<'_>) {
        self.kernel.record_at(self.id(), event);
    }

    /// Counts and records a mark, and injects the faults that it triggers.
    pub(crate) fn mark(&self, mark: Mark<'_>) {
        let Mark { name, subject } = mark;
        self.kernel.recorder().count_mark(name);
        self.record(Event::Mark { name, subject });
        self.faults.on_mark(&self.node, name);
    }

    /// Runs a task in this process.
    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let guard = PanicGuard::for_node(self.node.name());
        drop(self.process.spawn(async move {
            let _guard = guard;
            task.await;
        }));
    }

    /// Counts an operation that is about to take effect, for triggers. Returns the triggered process faults: they are
    /// injected after the operation has taken effect.
    pub(crate) fn trigger_faults(&self, op: impl FnOnce() -> OpKind, target: OpTarget<'_>) -> Vec<usize> {
        if self.node.has_op_trigger() { self.faults.on_op(&self.node, op(), target) } else { Vec::new() }
    }

    /// Injects `deferred` faults. Does not return if they end this process, nor before it is resumed.
    pub(crate) async fn inject_deferred(&self, deferred: Vec<usize>) {
        if deferred.is_empty() {
            return;
        }
        for fault in deferred {
            self.faults.inject(fault);
        }
        self.wait_until_runnable().await;
    }

    /// Waits until a task of this process may run. A task of a dead process never continues; one of a paused process
    /// continues when it is resumed. Tasks of other nodes pass: their calls return `Fenced`.
    pub(crate) async fn wait_until_runnable(&self) {
        if (self.node.is_paused() || !self.is_alive()) && madsim::plugin::node() == self.process.id() {
            yield_once().await;
            if !self.is_alive() {
                std::future::pending::<()>().await;
            }
        }
    }
}

/// Yields once, so that the executor can park this task.
async fn yield_once() {
    let mut yielded = false;
    std::future::poll_fn(|cx| {
        if std::mem::replace(&mut yielded, true) {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}
