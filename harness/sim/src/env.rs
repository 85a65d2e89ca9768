//! One incarnation of a node: the ports that its process holds, and the checks that stop it after its death.
//!
//! A dead process takes no further step. Operations of its own tasks never complete (the tasks are about to be
//! dropped). A handle that leaked to a task of another node or of the world returns `Fenced`.

use crate::clock::SimClock;
use crate::disk::{DiskStore, SimDisk};
use crate::net::SimNet;
use crate::node::Node;
use crate::op_kind::OpKind;
use crate::panic_guard::PanicGuard;
use crate::trace::{Event, Record};
use crate::world::World;
use latent_ports::{Env, Mark, NodeId};
use madsim::runtime::NodeHandle;
use std::future::Future;
use std::sync::Arc;
use std::task::Poll;

/// One incarnation of a node, as its ports see it.
pub(crate) struct NodeContext {
    world: World,
    node: Arc<Node>,
    incarnation: u32,
    process: NodeHandle,
}

impl NodeContext {
    pub(crate) fn new(world: World, node: Arc<Node>, incarnation: u32, process: NodeHandle) -> NodeContext {
        NodeContext { world, node, incarnation, process }
    }

    pub(crate) fn world(&self) -> &World {
        &self.world
    }

    pub(crate) fn node(&self) -> &Arc<Node> {
        &self.node
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
        self.world.record(&Record { time_ns: self.world.now_ns(), node: self.id(), event });
    }

    /// Counts an operation that is about to take effect, for triggers. Returns the triggered process faults: they are
    /// injected after the operation has taken effect.
    pub(crate) fn trigger_faults(&self, op: impl FnOnce() -> OpKind, path: &str, to: &str) -> Vec<usize> {
        if self.node.has_op_trigger() {
            self.world.trigger_on_op(&self.node, op(), path, to)
        } else {
            Vec::new()
        }
    }

    /// Injects `deferred` faults. Does not return if they end this process, nor before it is resumed.
    pub(crate) async fn inject_deferred(&self, deferred: Vec<usize>) {
        if deferred.is_empty() {
            return;
        }
        for fault in deferred {
            self.world.inject_fault(fault);
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

/// Environment of one incarnation of a node: everything that its code may use. Cheap to clone.
#[derive(Clone)]
pub struct SimEnv {
    ports: Arc<SimPorts>,
}

struct SimPorts {
    context: Arc<NodeContext>,
    disk: SimDisk,
    net: SimNet,
    clock: SimClock,
}

impl SimEnv {
    pub(crate) fn new(context: Arc<NodeContext>) -> SimEnv {
        let (disk, net, clock) =
            (SimDisk::new(context.clone()), SimNet::new(context.clone()), SimClock::new(context.clone()));
        SimEnv { ports: Arc::new(SimPorts { context, disk, net, clock }) }
    }

    /// Returns how often the node was killed before this incarnation.
    #[must_use]
    pub fn incarnation(&self) -> u32 {
        self.ports.context.incarnation
    }

    /// Returns the level of a named condition at this node, if an active fault sets it. For code that models a
    /// machine of the system, such as an object store.
    #[must_use]
    pub fn condition(&self, name: &str) -> Option<u64> {
        self.ports.context.world.condition(self.ports.context.id(), name)
    }

    /// Whether this incarnation's process is still alive.
    #[must_use]
    pub fn is_alive(&self) -> bool {
        self.ports.context.is_alive()
    }
}

impl Env for SimEnv {
    type Disk = SimDisk;
    type Net = SimNet;
    type Clock = SimClock;

    fn node(&self) -> NodeId {
        self.ports.context.id()
    }

    fn disk(&self) -> &SimDisk {
        &self.ports.disk
    }

    fn net(&self) -> &SimNet {
        &self.ports.net
    }

    fn clock(&self) -> &SimClock {
        &self.ports.clock
    }

    fn draw(&self, stream: &'static str, key: u128) -> u64 {
        self.ports.context.world.draw(stream, key)
    }

    fn spawn<F>(&self, task: F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let context = &self.ports.context;
        if context.is_alive() {
            context.world.count_spawn();
            let guard = PanicGuard::for_node(&context.node);
            drop(context.process.spawn(async move {
                let _guard = guard;
                task.await;
            }));
        }
    }

    fn mark(&self, mark: Mark<'_>) {
        if self.ports.context.is_alive() {
            self.ports.context.world.mark(&self.ports.context.node, mark);
        }
    }
}
