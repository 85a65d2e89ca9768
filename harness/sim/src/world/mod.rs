//! The simulated world: true time, nodes, links, faults and the trace. [`World`] is a cheap handle to shared state.

mod disks;
mod faults;
mod links;
mod nodes;
mod observer;
mod spec;

use crate::disk::CrashPolicy;
use crate::env::SimEnv;
use crate::faults::{FaultRegistry, OpRecorder};
use crate::kernel::Kernel;
use crate::lock::lock;
use crate::net::Network;
use crate::node::NodeTable;
use crate::timers::TimerEvent;
use crate::trace::{Event, LogLine, TraceHash, WORLD_NODE};
use latent_ports::{NodeId, UnixMs};
use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::time::Duration;

pub use observer::Observer;
pub use spec::WorldSpec;

/// Handle to the world for the code that drives a run. Nodes see only their [`SimEnv`].
#[derive(Clone)]
pub struct World {
    inner: Arc<WorldState>,
}

type Boot = Arc<dyn Fn(SimEnv) -> Pin<Box<dyn Future<Output = ()> + Send>> + Send + Sync>;

struct WorldState {
    kernel: Arc<Kernel>,
    nodes: Arc<NodeTable>,
    network: Arc<Network>,
    /// What each node runs when it boots.
    boots: Mutex<BTreeMap<NodeId, Boot>>,
    faults: Mutex<FaultRegistry>,
    op_recorder: Mutex<Option<OpRecorder>>,
}

impl World {
    /// Creates a world. Must be called inside the madsim runtime.
    pub(crate) fn new(spec: &WorldSpec) -> World {
        let kernel = Arc::new(Kernel::new(spec.draw_seed, spec.start, spec.keep_log));
        let nodes = Arc::new(NodeTable::default());
        let network = Arc::new(Network::new(kernel.clone(), nodes.clone()));
        let (boots, faults, op_recorder) = (Mutex::default(), Mutex::default(), Mutex::default());
        World { inner: Arc::new(WorldState { kernel, nodes, network, boots, faults, op_recorder }) }
    }

    pub(crate) fn kernel(&self) -> &Kernel {
        &self.inner.kernel
    }

    fn network(&self) -> &Network {
        &self.inner.network
    }

    // ---- time

    /// Returns true time.
    #[must_use]
    pub fn now(&self) -> UnixMs {
        self.kernel().now()
    }

    /// Returns true time since the start of the world, in nanoseconds.
    #[must_use]
    pub fn now_ns(&self) -> u64 {
        self.kernel().now_ns()
    }

    /// Returns the true time at which the world starts.
    #[must_use]
    pub fn start(&self) -> UnixMs {
        self.kernel().start()
    }

    /// Waits for a duration of true time.
    pub async fn sleep(&self, duration: Duration) {
        self.kernel().sleep_ns(u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)).await;
    }

    /// Waits for an instant of true time. Returns at once if it has passed.
    pub async fn sleep_until(&self, time: UnixMs) {
        self.kernel().sleep_until_ns(self.kernel().elapsed_ns_at(time)).await;
    }

    // ---- trace

    /// Calls `observer` at each record from now on.
    pub fn observe(&self, observer: Box<dyn Observer>) {
        self.assert_not_observing("observe");
        let (mut observer, inner) = (observer, Arc::downgrade(&self.inner));
        self.kernel().recorder().observe(Box::new(move |record| {
            if let Some(inner) = inner.upgrade() {
                observer.on_record(record, &World { inner });
            }
        }));
    }

    /// Returns how often each mark was reached.
    #[must_use]
    pub fn marks(&self) -> BTreeMap<&'static str, u64> {
        self.kernel().recorder().marks()
    }

    /// Returns the hash of the trace so far.
    #[must_use]
    pub fn trace_hash(&self) -> TraceHash {
        self.kernel().recorder().hash()
    }

    /// Returns the number of trace records so far.
    #[must_use]
    pub fn record_count(&self) -> u64 {
        self.kernel().recorder().record_count()
    }

    /// Records a line in the trace: an action of the harness, such as a deploy.
    pub fn note(&self, text: &str) {
        self.assert_not_observing("note");
        self.record_at(WORLD_NODE, Event::Note(text));
    }

    /// Returns a random number for `key` in the stream `stream`: a pure function of (draw seed, stream, key).
    #[must_use]
    pub fn draw(&self, stream: &'static str, key: u128) -> u64 {
        self.kernel().prng().draw(stream, key)
    }

    fn record_at(&self, node: NodeId, event: Event<'_>) {
        self.kernel().record_at(node, event);
    }

    fn assert_not_observing(&self, action: &str) {
        self.kernel().recorder().assert_not_observing(action);
    }

    // ---- housekeeping

    /// Handles due timer events, indefinitely.
    pub(crate) async fn pump(self) {
        let world = self.clone();
        self.kernel()
            .timers()
            .pump(move |due| {
                world.handle(due);
                world.kernel().forget_finished_tasks();
            })
            .await;
    }

    fn handle(&self, due: TimerEvent) {
        match due {
            TimerEvent::WakeTask(waker) => waker.wake(),
            TimerEvent::DeliverMessage(flight) => self.network().deliver(flight),
            TimerEvent::TimeOutCall(call) => self.network().time_out_call(call),
            TimerEvent::TriggerFault(fault) => self.inject_fault(fault),
            TimerEvent::EndFaultPhase(fault) => self.advance_fault(fault),
            TimerEvent::Idle => {
                panic!(
                    "no event is left: every task has waited indefinitely since about unix time {} ms",
                    self.kernel().recorder().last_time().0
                );
            }
        }
    }

    /// Kills every process and drops everything that refers back to the world, so that nothing leaks into the next
    /// run. The trace does not show this: its hash is read before.
    pub(crate) fn shut_down(&self) {
        self.kernel().recorder().drop_observers();
        for node in self.inner.nodes.all() {
            let boot = lock(&self.inner.boots).remove(&node.id());
            drop(boot);
            node.kill(self.kernel(), Some(CrashPolicy::Everything));
        }
    }

    /// Returns the log, empty if it was not kept.
    pub(crate) fn take_log(&self) -> Vec<LogLine> {
        self.kernel().recorder().take_log()
    }
}
