//! The simulated world: true time, nodes, links, faults and the trace. [`World`] is a cheap handle to shared state.

use crate::disk::{ChunkDedup, CrashPolicy, DiskImage, DiskStats};
use crate::env::SimEnv;
use crate::faults::{FaultRegistry, OpRecorder};
use crate::lock::lock;
use crate::net::LinkTable;
use crate::node::{Node, NodeSpec};
use crate::prng::KeyedPrng;
use crate::run::WorldSpec;
use crate::timers::{Sleep, TimerEvent, Timers};
use crate::trace::{Event, LogLine, Observer, Record, Trace, TraceHash};
use bytes::Bytes;
use latent_ports::{Mark, Message, NodeId, UnixMs};
use std::collections::BTreeMap;
use std::future::Future;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// Node number of the world itself in the trace: faults, notes and cuts. Nodes are numbered from 1.
pub const WORLD_NODE: NodeId = NodeId(0);

/// Handle to the world for the code that drives a run. Nodes see only their [`SimEnv`].
#[derive(Clone)]
pub struct World {
    pub(crate) inner: Arc<WorldState>,
}

pub(crate) struct WorldState {
    prng: KeyedPrng,
    start: UnixMs,
    timers: Timers,
    trace: Mutex<Trace>,
    chunk_dedup: Mutex<ChunkDedup>,
    observers: Mutex<Vec<Box<dyn Observer>>>,
    has_observers: AtomicBool,
    /// Whether observers are being called. They must not change the world.
    is_observing: AtomicBool,
    nodes: Mutex<Vec<Arc<Node>>>,
    pub(crate) links: Mutex<LinkTable>,
    pub(crate) faults: Mutex<FaultRegistry>,
    pub(crate) op_recorder: Mutex<Option<OpRecorder>>,
    spawned_tasks: AtomicU32,
}

impl AsRef<Timers> for World {
    fn as_ref(&self) -> &Timers {
        &self.inner.timers
    }
}

impl World {
    /// Creates a world. Must be called inside the madsim runtime.
    pub(crate) fn new(spec: &WorldSpec) -> World {
        World {
            inner: Arc::new(WorldState {
                prng: KeyedPrng::new(spec.draw_seed),
                start: spec.start,
                timers: Timers::new(),
                trace: Mutex::new(Trace::new(spec.keep_log)),
                chunk_dedup: Mutex::default(),
                observers: Mutex::default(),
                has_observers: AtomicBool::new(false),
                is_observing: AtomicBool::new(false),
                nodes: Mutex::default(),
                links: Mutex::default(),
                faults: Mutex::default(),
                op_recorder: Mutex::default(),
                spawned_tasks: AtomicU32::new(0),
            }),
        }
    }

    // ---- nodes

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
        let node = {
            let mut nodes = lock(&self.inner.nodes);
            let id = u16::try_from(nodes.len() + 1).expect("a world holds at most 65,535 nodes");
            let node = Arc::new(Node::new(NodeId(id), spec, boot));
            nodes.push(node.clone());
            node
        };
        if self.is_recording_ops()
            || self.with_fault_registry(|registry| registry.has_op_trigger(node.name()))
        {
            node.set_has_op_trigger();
        }
        node.start(self);
        node.id()
    }

    /// Kills a node's process. The disk's own policy resolves un-synced disk operations. No effect on a node that is
    /// down.
    pub fn kill(&self, node: NodeId) {
        self.assert_not_observing("kill");
        self.node(node).kill(self, None);
    }

    /// Kills a node's process; `policy` resolves un-synced disk operations.
    pub fn kill_with_policy(&self, node: NodeId, keeps: CrashPolicy) {
        self.assert_not_observing("kill");
        self.node(node).kill(self, Some(keeps));
    }

    /// Boots a node again; kills it first if it is up.
    pub fn restart(&self, node: NodeId) {
        self.kill(node);
        self.node(node).start(self);
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
        self.node(node).pause(self);
    }

    /// Resumes a paused node.
    pub fn resume(&self, node: NodeId) {
        self.assert_not_observing("resume");
        self.node(node).resume(self);
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
        lock(&self.inner.nodes).iter().map(|node| node.id()).collect()
    }

    pub(crate) fn find_node(&self, name: &str) -> Option<Arc<Node>> {
        lock(&self.inner.nodes).iter().find(|node| &**node.name() == name).cloned()
    }

    pub(crate) fn find_node_by_id(&self, id: NodeId) -> Option<Arc<Node>> {
        let index = usize::from(id.0).checked_sub(1)?;
        lock(&self.inner.nodes).get(index).cloned()
    }

    pub(crate) fn node(&self, id: NodeId) -> Arc<Node> {
        self.find_node_by_id(id).expect("node numbers come from add_node of this world")
    }

    // ---- time

    /// Returns true time.
    #[must_use]
    pub fn now(&self) -> UnixMs {
        self.inner.start + Duration::from_nanos(self.now_ns())
    }

    /// Returns true time since the start of the world, in nanoseconds.
    #[must_use]
    pub fn now_ns(&self) -> u64 {
        self.inner.timers.now_ns()
    }

    /// Returns the true time at which the world starts.
    #[must_use]
    pub fn start(&self) -> UnixMs {
        self.inner.start
    }

    /// Waits for a duration of true time.
    pub async fn sleep(&self, duration: Duration) {
        self.sleep_ns(u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)).await;
    }

    /// Waits for an instant of true time. Returns at once if it has passed.
    pub async fn sleep_until(&self, time: UnixMs) {
        Sleep::until(self.clone(), self.elapsed_ns_at(time)).await;
    }

    pub(crate) fn elapsed_ns_at(&self, time: UnixMs) -> u64 {
        u64::try_from(time.since(self.inner.start).as_nanos()).unwrap_or(u64::MAX)
    }

    pub(crate) async fn sleep_ns(&self, duration_ns: u64) {
        Sleep::until(self.clone(), self.now_ns().saturating_add(duration_ns)).await;
    }

    pub(crate) fn timers(&self) -> &Timers {
        &self.inner.timers
    }

    // ---- disks

    /// Returns the disk's contents as reads see them now. Costs O(files), not O(bytes).
    #[must_use]
    pub fn disk_image(&self, node: NodeId) -> DiskImage {
        self.node(node).disk().image()
    }

    /// Returns the files under some directories, as reads see them now. For observers that often read a few
    /// directories.
    #[must_use]
    pub fn disk_image_under<'d>(&self, node: NodeId, dirs: impl Iterator<Item = &'d str>) -> DiskImage {
        self.node(node).disk().image_under(dirs)
    }

    /// Returns the contents that survive any power loss now: nothing un-synced.
    #[must_use]
    pub fn durable_image(&self, node: NodeId) -> DiskImage {
        self.node(node).disk().durable_image()
    }

    /// Returns [`World::durable_image`] limited to the files under some directories. For observers that often read a
    /// few directories.
    #[must_use]
    pub fn durable_image_under<'d>(&self, node: NodeId, dirs: impl Iterator<Item = &'d str>) -> DiskImage {
        self.node(node).disk().durable_image_under(dirs)
    }

    /// Returns counters of a node's disk.
    #[must_use]
    pub fn disk_stats(&self, node: NodeId) -> DiskStats {
        self.node(node).disk().stats()
    }

    // ---- trace

    /// Calls `observer` at each record from now on.
    pub fn observe(&self, observer: Box<dyn Observer>) {
        self.assert_not_observing("observe");
        lock(&self.inner.observers).push(observer);
        self.inner.has_observers.store(true, Ordering::Relaxed);
    }

    /// Returns how often each mark was reached.
    #[must_use]
    pub fn marks(&self) -> BTreeMap<&'static str, u64> {
        self.trace(|trace| trace.marks.clone())
    }

    /// Returns the hash of the trace so far.
    #[must_use]
    pub fn trace_hash(&self) -> TraceHash {
        self.trace(|trace| trace.hash())
    }

    /// Returns the number of trace records so far.
    #[must_use]
    pub fn record_count(&self) -> u64 {
        self.trace(|trace| trace.records)
    }

    /// Records a line in the trace: an action of the harness, such as a deploy.
    pub fn note(&self, text: &str) {
        self.assert_not_observing("note");
        self.record_at(WORLD_NODE, Event::Note(text));
    }

    /// Returns a random number for `key` in the stream `stream`: a pure function of (draw seed, stream, key).
    #[must_use]
    pub fn draw(&self, stream: &'static str, key: u128) -> u64 {
        self.inner.prng.draw(stream, key)
    }

    pub(crate) fn prng(&self) -> KeyedPrng {
        self.inner.prng
    }

    fn trace<T>(&self, work: impl FnOnce(&mut Trace) -> T) -> T {
        work(&mut lock(&self.inner.trace))
    }

    pub(crate) fn digest(&self, bytes: &Bytes) -> u128 {
        self.trace(|trace| trace.digest(bytes))
    }

    /// Returns the same bytes, in the buffer of an earlier equal write if there is one.
    pub(crate) fn dedup(&self, data: Bytes, digest: u128) -> Bytes {
        lock(&self.inner.chunk_dedup).dedup(data, digest)
    }

    pub(crate) fn message_digest(&self, message: &Message) -> u128 {
        self.trace(|trace| trace.message_digest(message))
    }

    pub(crate) fn record_at(&self, node: NodeId, event: Event<'_>) {
        self.record(&Record { time_ns: self.now_ns(), node, event });
    }

    /// Appends a record and calls the observers. The caller must hold no lock: observers may read all state.
    pub(crate) fn record(&self, record: &Record<'_>) {
        let keep_log = self.trace(|trace| {
            trace.push(record);
            trace.log.is_some()
        });
        if keep_log {
            let line = self.log_line(record);
            self.trace(|trace| trace.log.get_or_insert_default().push(line));
        }
        if self.inner.has_observers.load(Ordering::Relaxed) {
            self.notify_observers(record);
        }
    }

    fn log_line(&self, record: &Record<'_>) -> LogLine {
        LogLine {
            time: self.inner.start + Duration::from_nanos(record.time_ns),
            time_ns: record.time_ns,
            node: record.node,
            node_name: self.node_name(record.node),
            text: record.event.to_string(),
        }
    }

    fn notify_observers(&self, record: &Record<'_>) {
        self.assert_not_observing("be recorded");
        let mut observers = std::mem::take(&mut *lock(&self.inner.observers));
        self.inner.is_observing.store(true, Ordering::Relaxed);
        for observer in &mut observers {
            observer.on_record(record, self);
        }
        self.inner.is_observing.store(false, Ordering::Relaxed);
        *lock(&self.inner.observers) = observers;
    }

    pub(crate) fn assert_not_observing(&self, action: &str) {
        let is_observing = self.inner.is_observing.load(Ordering::Relaxed);
        assert!(!is_observing, "an observer tried to {action}: observers must not change the world");
    }

    pub(crate) fn mark(&self, node: &Node, mark: Mark<'_>) {
        self.trace(|trace| *trace.marks.entry(mark.name).or_default() += 1);
        self.record_at(node.id(), Event::Mark { name: mark.name, subject: mark.subject });
        self.trigger_on_mark(node, mark.name);
    }

    // ---- housekeeping

    /// Counts a spawned task. madsim keeps an entry for every task that a node ever spawned until its task count is
    /// read.
    pub(crate) fn count_spawn(&self) {
        self.inner.spawned_tasks.fetch_add(1, Ordering::Relaxed);
    }

    /// Handles due timer events, indefinitely.
    pub(crate) async fn pump(self) {
        const FORGET_EVERY: u32 = 4_096;
        let world = self.clone();
        self.inner
            .timers
            .pump(move |due| {
                world.handle(due);
                if world.inner.spawned_tasks.load(Ordering::Relaxed) >= FORGET_EVERY {
                    world.inner.spawned_tasks.store(0, Ordering::Relaxed);
                    madsim::runtime::Handle::current().metrics().num_tasks();
                }
            })
            .await;
    }

    fn handle(&self, due: TimerEvent) {
        match due {
            TimerEvent::WakeTask(waker) => waker.wake(),
            TimerEvent::DeliverMessage(flight) => self.deliver(flight),
            TimerEvent::TimeOutCall(call) => self.time_out_call(call),
            TimerEvent::TriggerFault(fault) => self.inject_fault(fault),
            TimerEvent::EndFaultPhase(fault) => self.advance_fault(fault),
            TimerEvent::Idle => {
                let last = self.inner.start + Duration::from_nanos(self.trace(|trace| trace.last_ns));
                panic!(
                    "no event is left: every task has waited indefinitely since about unix time {} ms",
                    last.0
                );
            }
        }
    }

    /// Kills every process and drops everything that refers back to the world, so that nothing leaks into the next
    /// run. The trace does not show this: its hash is read before.
    pub(crate) fn shut_down(&self) {
        self.inner.has_observers.store(false, Ordering::Relaxed);
        let observers = std::mem::take(&mut *lock(&self.inner.observers));
        drop(observers);
        let nodes = lock(&self.inner.nodes).clone();
        for node in nodes {
            node.drop_boot_closure();
            node.kill(self, Some(CrashPolicy::Everything));
        }
    }

    /// Returns the log, empty if it was not kept.
    pub(crate) fn take_log(&self) -> Vec<LogLine> {
        self.trace(|trace| trace.log.take()).unwrap_or_default()
    }
}
