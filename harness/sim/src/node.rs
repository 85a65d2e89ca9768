//! Nodes: a disk and a wall clock that outlive processes, and at most one process at a time.

use crate::clock::{ClockSpec, WallClock};
use crate::disk::{CrashPolicy, DiskImage, DiskSpec, DiskStore};
use crate::env::{NodeContext, SimEnv};
use crate::lock::lock;
use crate::net::Mailbox;
use crate::panic_guard::PanicGuard;
use crate::trace::Event;
use crate::world::World;
use latent_ports::NodeId;
use madsim::runtime::{Handle, NodeHandle};
use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
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

type Boot = Arc<dyn Fn(SimEnv) -> Pin<Box<dyn Future<Output = ()> + Send>> + Send + Sync>;

pub(crate) struct Node {
    id: NodeId,
    name: Arc<str>,
    disk: DiskStore,
    wall_clock: WallClock,
    /// Number of processes of this node that have died.
    incarnation: AtomicU32,
    up: AtomicBool,
    paused: AtomicBool,
    /// Whether a fault waits for an operation of this node.
    has_op_trigger: AtomicBool,
    /// Conditions that faults set: name and level, by fault index.
    conditions: Mutex<BTreeMap<usize, (String, u64)>>,
    booted_ns: AtomicU64,
    mailbox: Mutex<Option<Mailbox>>,
    process: Mutex<Option<NodeHandle>>,
    boot: Mutex<Option<Boot>>,
}

impl Node {
    pub(crate) fn new<F>(
        id: NodeId,
        spec: NodeSpec,
        boot: impl Fn(SimEnv) -> F + Send + Sync + 'static,
    ) -> Node
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let boot: Boot = Arc::new(move |env| Box::pin(boot(env)));
        Node {
            id,
            name: spec.name.into(),
            disk: DiskStore::new(spec.disk, spec.image.as_ref()),
            wall_clock: WallClock::new(spec.clock),
            incarnation: AtomicU32::new(0),
            up: AtomicBool::new(false),
            paused: AtomicBool::new(false),
            has_op_trigger: AtomicBool::new(false),
            conditions: Mutex::default(),
            booted_ns: AtomicU64::new(0),
            mailbox: Mutex::default(),
            process: Mutex::default(),
            boot: Mutex::new(Some(boot)),
        }
    }

    pub(crate) fn id(&self) -> NodeId {
        self.id
    }

    pub(crate) fn name(&self) -> &Arc<str> {
        &self.name
    }

    pub(crate) fn disk(&self) -> &DiskStore {
        &self.disk
    }

    pub(crate) fn wall_clock(&self) -> &WallClock {
        &self.wall_clock
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

    pub(crate) fn conditions<T>(&self, work: impl FnOnce(&mut BTreeMap<usize, (String, u64)>) -> T) -> T {
        work(&mut lock(&self.conditions))
    }

    pub(crate) fn booted_ns(&self) -> u64 {
        self.booted_ns.load(Ordering::Relaxed)
    }

    pub(crate) fn mailbox<T>(&self, work: impl FnOnce(&mut Option<Mailbox>) -> T) -> T {
        work(&mut lock(&self.mailbox))
    }

    /// Starts a process. The node must be down.
    pub(crate) fn start(self: &Arc<Node>, world: &World) {
        let Some(boot) = lock(&self.boot).clone() else { return };
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
        self.booted_ns.store(world.now_ns(), Ordering::Relaxed);
        let context =
            Arc::new(NodeContext::new(world.clone(), self.clone(), self.incarnation(), process.clone()));
        let env = SimEnv::new(context.clone());
        context.record(Event::Boot);
        // The closure runs inside the task, so that it belongs to the process.
        let guard = PanicGuard::for_node(self);
        drop(process.spawn(async move {
            let _guard = guard;
            boot(env).await;
        }));
    }

    /// Ends the process, if there is one, and resolves the disk's un-synced operations.
    pub(crate) fn kill(&self, world: &World, keeps: Option<CrashPolicy>) {
        self.kill_with_tear_size(world, keeps, None);
    }

    /// As [`Node::kill`]; `tear_bytes` overrides the block size at which the disk tears un-synced writes.
    pub(crate) fn kill_with_tear_size(
        &self,
        world: &World,
        keeps: Option<CrashPolicy>,
        tear_bytes: Option<u32>,
    ) {
        if !self.up.swap(false, Ordering::Relaxed) {
            return;
        }
        self.paused.store(false, Ordering::Relaxed);
        let incarnation = self.incarnation.fetch_add(1, Ordering::Relaxed);
        let keeps = keeps.unwrap_or(self.disk.crash_policy());
        self.disk.crash(world.prng(), (self.id.0, incarnation), keeps, tear_bytes);
        let mailbox = self.mailbox(Option::take);
        drop(mailbox);
        if let Some(process) = lock(&self.process).clone() {
            Handle::current().kill(process.id());
        }
        world.record_at(self.id, Event::Kill(keeps));
    }

    pub(crate) fn pause(&self, world: &World) {
        if self.is_up() && !self.paused.swap(true, Ordering::Relaxed) {
            if let Some(process) = lock(&self.process).clone() {
                Handle::current().pause(process.id());
            }
            world.record_at(self.id, Event::Pause);
        }
    }

    pub(crate) fn resume(&self, world: &World) {
        if self.paused.swap(false, Ordering::Relaxed) {
            world.record_at(self.id, Event::Resume);
            if let Some(process) = lock(&self.process).clone() {
                Handle::current().resume(process.id());
            }
        }
    }

    /// Drops the boot closure, which may refer back to the world.
    pub(crate) fn drop_boot_closure(&self) {
        let boot = lock(&self.boot).take();
        drop(boot);
    }
}
