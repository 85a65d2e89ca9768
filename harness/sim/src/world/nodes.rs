//! Nodes of a world, as the code that drives a run adds, kills and restarts them.

use super::{Boot, World};
use crate::context::NodeContext;
use crate::disk::{CrashPolicy, DiskImage};
use crate::env::SimEnv;
use crate::lock::lock;
use crate::node::{Node, NodeSpec};
use crate::trace::{Event, WORLD_NODE};
use latent_ports::NodeId;
use std::future::Future;
use std::sync::Arc;

impl World {
    /// Adds a node and boots it. `boot` runs now and at each restart. When a boot future ends, the tasks that it
    /// spawned keep running.
    ///
    /// # Panics
    /// If the name is taken, or with more than 65,535 nodes.
    pub fn add_node<F>(&self, spec: NodeSpec, boot: impl Fn(SimEnv) -> F + Send + Sync + 'static) -> NodeId
    where
        F: Future<Output = ()> + Send + 'static,
    {
        self.assert_not_observing("add a node");
        assert!(self.node_named(&spec.name).is_none(), "node name '{}' is already in use", spec.name);
        let node = self.inner.nodes.add(spec);
        self.kernel().recorder().add_node(node.name().clone());
        let boot: Boot = Arc::new(move |env| Box::pin(boot(env)));
        lock(&self.inner.boots).insert(node.id(), boot);
        if self.needs_op_trigger(&node) {
            node.set_has_op_trigger();
        }
        self.start_node(&node);
        node.id()
    }

    /// Kills a node's process. The disk's own policy resolves un-synced disk operations. No effect on a node that is
    /// down.
    pub fn kill(&self, node: NodeId) {
        self.assert_not_observing("kill");
        self.node(node).kill(self.kernel(), None);
    }

    /// Kills a node's process; `policy` resolves un-synced disk operations.
    pub fn kill_with_policy(&self, node: NodeId, keeps: CrashPolicy) {
        self.assert_not_observing("kill");
        self.node(node).kill(self.kernel(), Some(keeps));
    }

    /// Boots a node again; kills it first if it is up.
    pub fn restart(&self, node: NodeId) {
        self.kill(node);
        self.start_node(&self.node(node));
    }

    /// Replaces a node's disk. An empty image is a new disk in the old machine.
    ///
    /// # Panics
    /// If the node is up.
    pub fn replace_disk(&self, node: NodeId, image: &DiskImage) {
        self.assert_not_observing("replace a disk");
        let node = self.node(node);
        assert!(!node.is_up(), "node '{}' is up: kill it before replacing its disk", node.name());
        node.disk().replace(image);
    }

    /// Stops a node's tasks. Messages to it wait.
    pub fn pause(&self, node: NodeId) {
        self.assert_not_observing("pause");
        self.node(node).pause(self.kernel());
    }

    /// Resumes a paused node.
    pub fn resume(&self, node: NodeId) {
        self.assert_not_observing("resume");
        self.node(node).resume(self.kernel());
    }

    /// Whether the node has a process, paused or not.
    #[must_use]
    pub fn is_up(&self, node: NodeId) -> bool {
        self.node(node).is_up()
    }

    /// Returns the node with this name.
    #[must_use]
    pub fn node_named(&self, name: &str) -> Option<NodeId> {
        self.find_node(name).map(|node| node.id())
    }

    /// Returns a node's name; `world` for [`WORLD_NODE`].
    #[must_use]
    pub fn node_name(&self, node: NodeId) -> Arc<str> {
        if node == WORLD_NODE { "world".into() } else { self.node(node).name().clone() }
    }

    /// Returns every node, in the order of [`World::add_node`].
    #[must_use]
    pub fn nodes(&self) -> Vec<NodeId> {
        self.inner.nodes.all().iter().map(|node| node.id()).collect()
    }

    /// Boots a process of a node that is down.
    pub(super) fn start_node(&self, node: &Arc<Node>) {
        let Some(boot) = lock(&self.inner.boots).get(&node.id()).cloned() else { return };
        let process = node.start_process(self.kernel());
        let shared = (self.inner.kernel.clone(), self.inner.network.clone());
        let context = Arc::new(NodeContext::new(shared, Box::new(self.clone()), node.clone(), process));
        let env = SimEnv::new(context.clone());
        context.record(Event::Boot);
        // The closure runs inside the task, so that it belongs to the process.
        context.spawn(async move { boot(env).await });
    }

    pub(super) fn find_node(&self, name: &str) -> Option<Arc<Node>> {
        self.inner.nodes.find(name)
    }

    pub(super) fn node(&self, id: NodeId) -> Arc<Node> {
        self.inner.nodes.get(id)
    }
}
