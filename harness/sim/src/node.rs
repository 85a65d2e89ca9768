//! Nodes: a machine that outlives processes, and at most one process at a time.

use crate::disk::{CrashPolicy, DiskImage, DiskSpec, DiskStore};
use crate::kernel::Kernel;
use crate::lock::lock;
use crate::machine::Machine;
use crate::net::Mailbox;
use crate::trace::Event;
use crate::wall_clock::ClockSpec;
use latent_ports::NodeId;
use madsim::runtime::{Handle, NodeHandle};
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

/// Configuration of a node.
#[derive(Clone, Debug, Default)]
pub struct NodeSpec {
    /// Name, unique in the world. Faults refer to it.
    pub name: String,
    /// Configuration of the disk.
    pub disk: DiskSpec,
    /// Error of the wall clock.
    pub clock: ClockSpec,
    /// Durable contents of the disk at the start; `None`: empty.
    pub image: Option<DiskImage>,
}

impl NodeSpec {
    /// Returns a node with an empty disk and a true clock.
    #[must_use]
    pub fn named(name: impl Into<String>) -> NodeSpec {
        NodeSpec { name: name.into(), ..NodeSpec::default() }
    }
}

pub(crate) struct Node {
    id: NodeId,
    name: Arc<str>,
    machine: Arc<Machine>,
    /// Number of processes of this node that have died.
    incarnation: AtomicU32,
    up: AtomicBool,
    paused: AtomicBool,
    /// Whether a fault waits for an operation of this node.
    has_op_trigger: AtomicBool,
    booted_ns: AtomicU64,
    mailbox: Mutex<Option<Mailbox>>,
    process: Mutex<Option<NodeHandle>>,
}

impl Node {
    fn new(id: NodeId, spec: NodeSpec) -> Node {
        Node {
            id,
            name: spec.name.into(),
            machine: Arc::new(Machine::new(spec.disk, spec.image.as_ref(), spec.clock)),
            incarnation: AtomicU32::new(0),
            up: AtomicBool::new(false),
            paused: AtomicBool::new(false),
            has_op_trigger: AtomicBool::new(false),
            booted_ns: AtomicU64::new(0),
            mailbox: Mutex::default(),
            process: Mutex::default(),
        }
    }

    pub(crate) fn id(&self) -> NodeId {
        self.id
    }

    pub(crate) fn name(&self) -> &Arc<str> {
        &self.name
    }

    pub(crate) fn machine(&self) -> &Arc<Machine> {
        &self.machine
    }

    pub(crate) fn disk(&self) -> &DiskStore {
        self.machine.disk()
    }

    pub(crate) fn incarnation(&self) -> u32 {
        self.incarnation.load(Ordering::Relaxed)
    }

    pub(crate) fn is_up(&self) -> bool {
        self.up.load(Ordering::Relaxed)
    }

    pub(crate) fn is_paused(&self) -> bool {
        self.paused.load(Ordering::Relaxed)
    }

    pub(crate) fn has_op_trigger(&self) -> bool {
        self.has_op_trigger.load(Ordering::Relaxed)
    }

    pub(crate) fn set_has_op_trigger(&self) {
        self.has_op_trigger.store(true, Ordering::Relaxed);
    }

    pub(crate) fn booted_ns(&self) -> u64 {
        self.booted_ns.load(Ordering::Relaxed)
    }

    pub(crate) fn mailbox<T>(&self, work: impl FnOnce(&mut Option<Mailbox>) -> T) -> T {
        work(&mut lock(&self.mailbox))
    }

    /// Starts a process without tasks, and returns it. The node must be down.
    pub(crate) fn start_process(&self, kernel: &Kernel) -> NodeHandle {
        let handle = Handle::current();
        let previous = lock(&self.process).clone();
        let process = match previous {
            None => handle.create_node().name(&*self.name).build(),
            Some(previous) => {
                handle.restart(previous.id());
                handle.get_node(previous.id()).expect("a node that was created is never removed")
            }
        };
        *lock(&self.process) = Some(process.clone());
        self.up.store(true, Ordering::Relaxed);
        self.booted_ns.store(kernel.now_ns(), Ordering::Relaxed);
        process
    }

    /// Ends the process, if there is one, and resolves the disk's un-synced operations.
    pub(crate) fn kill(&self, kernel: &Kernel, keeps: Option<CrashPolicy>) {
        self.kill_with_tear_size(kernel, keeps, None);
    }

    /// As [`Node::kill`]; `tear_bytes` overrides the block size at which the disk tears un-synced writes.
    pub(crate) fn kill_with_tear_size(
        &self,
        kernel: &Kernel,
        keeps: Option<CrashPolicy>,
        tear_bytes: Option<u32>,
    ) {
        if !self.up.swap(false, Ordering::Relaxed) {
            return;
        }
        self.paused.store(false, Ordering::Relaxed);
        let incarnation = self.incarnation.fetch_add(1, Ordering::Relaxed);
        let keeps = keeps.unwrap_or(self.machine.disk().crash_policy());
        self.machine.disk().crash(kernel.prng(), (self.id.0, incarnation), keeps, tear_bytes);
        let mailbox = self.mailbox(Option::take);
        drop(mailbox);
        if let Some(process) = lock(&self.process).clone() {
            Handle::current().kill(process.id());
        }
        kernel.record_at(self.id, Event::Kill(keeps));
    }

    pub(crate) fn pause(&self, kernel: &Kernel) {
        if self.is_up() && !self.paused.swap(true, Ordering::Relaxed) {
            if let Some(process) = lock(&self.process).clone() {
                Handle::current().pause(process.id());
            }
            kernel.record_at(self.id, Event::Pause);
        }
    }

    pub(crate) fn resume(&self, kernel: &Kernel) {
        if self.paused.swap(false, Ordering::Relaxed) {
            kernel.record_at(self.id, Event::Resume);
            if let Some(process) = lock(&self.process).clone() {
                Handle::current().resume(process.id());
            }
        }
    }
}

/// All nodes of a world, in the order in which they were added. Nodes are numbered from 1.
#[derive(Default)]
pub(crate) struct NodeTable {
    nodes: Mutex<Vec<Arc<Node>>>,
}

impl NodeTable {
    pub(crate) fn add(&self, spec: NodeSpec) -> Arc<Node> {
        let mut nodes = lock(&self.nodes);
        let id = u16::try_from(nodes.len() + 1).expect("a world holds at most 65,535 nodes");
        let node = Arc::new(Node::new(NodeId(id), spec));
        nodes.push(node.clone());
        node
    }

    pub(crate) fn find(&self, name: &str) -> Option<Arc<Node>> {
        lock(&self.nodes).iter().find(|node| &**node.name() == name).cloned()
    }

    pub(crate) fn find_by_id(&self, id: NodeId) -> Option<Arc<Node>> {
        let index = usize::from(id.0).checked_sub(1)?;
        lock(&self.nodes).get(index).cloned()
    }

    pub(crate) fn get(&self, id: NodeId) -> Arc<Node> {
        self.find_by_id(id).expect("node numbers come from add_node of this world")
    }

    pub(crate) fn all(&self) -> Vec<Arc<Node>> {
        lock(&self.nodes).clone()
    }
}
