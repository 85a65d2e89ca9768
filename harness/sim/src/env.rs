//! The environment of one incarnation of a node: its ports put together.

use crate::clock::SimClock;
use crate::context::NodeContext;
use crate::disk::SimDisk;
use crate::net::SimNet;
use latent_ports::{Env, Mark, NodeId};
use std::future::Future;
use std::sync::Arc;

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
        self.ports.context.incarnation()
    }

    /// Returns the level of a named condition at this node, if an active fault sets it. For code that models a
    /// machine of the system, such as an object store.
    #[must_use]
    pub fn condition(&self, name: &str) -> Option<u64> {
        self.ports.context.node().machine().condition(name)
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
        self.ports.context.kernel().prng().draw(stream, key)
    }

    fn spawn<F>(&self, task: F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let context = &self.ports.context;
        if context.is_alive() {
            context.kernel().count_spawn();
            context.spawn(task);
        }
    }

    fn mark(&self, mark: Mark<'_>) {
        if self.ports.context.is_alive() {
            self.ports.context.mark(mark);
        }
    }
}
