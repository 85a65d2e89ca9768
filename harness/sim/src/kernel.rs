//! The kernel of a world: true time, keyed draws and the trace. Every layer above shares it.

use crate::disk::ChunkDedup;
use crate::lock::lock;
use crate::prng::KeyedPrng;
use crate::timers::{Sleep, Timers};
use crate::trace::{Event, Record, Recorder};
use bytes::Bytes;
use latent_ports::{Message, NodeId, UnixMs};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

pub(crate) struct Kernel {
    prng: KeyedPrng,
    start: UnixMs,
    timers: Arc<Timers>,
    recorder: Recorder,
    chunk_dedup: Mutex<ChunkDedup>,
    spawned_tasks: AtomicU32,
}

impl Kernel {
    /// Creates a kernel. Must be called inside the madsim runtime.
    pub(crate) fn new(draw_seed: u64, start: UnixMs, keep_log: bool) -> Kernel {
        Kernel {
            prng: KeyedPrng::new(draw_seed),
            start,
            timers: Arc::new(Timers::new()),
            recorder: Recorder::new(start, keep_log),
            chunk_dedup: Mutex::default(),
            spawned_tasks: AtomicU32::new(0),
        }
    }

    /// Returns true time.
    pub(crate) fn now(&self) -> UnixMs {
        self.start + Duration::from_nanos(self.now_ns())
    }

    /// Returns true time since the start of the world, in nanoseconds.
    pub(crate) fn now_ns(&self) -> u64 {
        self.timers.now_ns()
    }

    /// Returns the true time at which the world starts.
    pub(crate) fn start(&self) -> UnixMs {
        self.start
    }

    pub(crate) fn elapsed_ns_at(&self, time: UnixMs) -> u64 {
        u64::try_from(time.since(self.start).as_nanos()).unwrap_or(u64::MAX)
    }

    pub(crate) async fn sleep_ns(&self, duration_ns: u64) {
        self.sleep_until_ns(self.now_ns().saturating_add(duration_ns)).await;
    }

    pub(crate) async fn sleep_until_ns(&self, deadline_ns: u64) {
        Sleep::until(self.timers.clone(), deadline_ns).await;
    }

    pub(crate) fn timers(&self) -> &Timers {
        &self.timers
    }

    pub(crate) fn prng(&self) -> KeyedPrng {
        self.prng
    }

    pub(crate) fn recorder(&self) -> &Recorder {
        &self.recorder
    }

    pub(crate) fn digest(&self, bytes: &Bytes) -> u128 {
        self.recorder.digest(bytes)
    }

    pub(crate) fn message_digest(&self, message: &Message) -> u128 {
        self.recorder.message_digest(message)
    }

    /// Returns the same bytes, in the buffer of an earlier equal write if there is one.
    pub(crate) fn dedup(&self, data: Bytes, digest: u128) -> Bytes {
        lock(&self.chunk_dedup).dedup(data, digest)
    }

    /// Records an event now. The caller must hold no lock: observers may read all state.
    pub(crate) fn record_at(&self, node: NodeId, event: Event<'_>) {
        self.recorder.record(&Record { time_ns: self.now_ns(), node, event });
    }

    /// Counts a spawned task. madsim keeps an entry for every task that a node ever spawned until its task count is
    /// read.
    pub(crate) fn count_spawn(&self) {
        self.spawned_tasks.fetch_add(1, Ordering::Relaxed);
    }

    /// Makes madsim forget finished tasks once many were spawned.
    pub(crate) fn forget_finished_tasks(&self) {
        const FORGET_EVERY: u32 = 4_096;
        if self.spawned_tasks.load(Ordering::Relaxed) >= FORGET_EVERY {
            self.spawned_tasks.store(0, Ordering::Relaxed);
            madsim::runtime::Handle::current().metrics().num_tasks();
        }
    }
}
