//! The recorder: hashes each record, keeps it as text on request, and calls the observers.

use super::digest_cache::DigestCache;
use super::event::{Record, WORLD_NODE};
use super::pack::pack;
use crate::lock::lock;
use bytes::Bytes;
use latent_ports::{MarkName, Message, NodeId, UnixMs};
use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use xxhash_rust::xxh3::Xxh3;

/// Identity of a run: 128-bit hash of its whole trace. Displayed as 32 hexadecimal digits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TraceHash(pub u128);

impl fmt::Display for TraceHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

/// One record as text, kept if [`crate::WorldSpec::keep_log`] is set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogLine {
    /// True time, rounded down to the millisecond.
    pub time: UnixMs,
    /// Nanoseconds since the start of the world.
    pub time_ns: u64,
    /// The node.
    pub node: NodeId,
    /// The node's name.
    pub node_name: Arc<str>,
    /// Description of the event.
    pub text: String,
}

impl fmt::Display for LogLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (secs, nanos) = (self.time_ns / 1_000_000_000, self.time_ns % 1_000_000_000);
        write!(f, "{secs:>7}.{nanos:09} {:<12} {}", self.node_name, self.text)
    }
}

/// The world's trace so far.
struct Trace {
    hash: Xxh3,
    records: u64,
    last_ns: u64,
    marks: BTreeMap<&'static str, u64>,
    log: Option<Vec<LogLine>>,
    digests: DigestCache,
}

impl Trace {
    fn new(keep_log: bool) -> Trace {
        Trace {
            hash: Xxh3::new(),
            records: 0,
            last_ns: 0,
            marks: BTreeMap::new(),
            log: keep_log.then(Vec::new),
            digests: DigestCache::default(),
        }
    }

    fn push(&mut self, record: &Record<'_>) {
        self.hash.update(&pack(record));
        self.records += 1;
        self.last_ns = record.time_ns;
    }

    fn hash(&self) -> TraceHash {
        TraceHash(self.hash.digest128())
    }

    fn digest(&mut self, bytes: &Bytes) -> u128 {
        self.digests.digest(bytes)
    }

    fn message_digest(&mut self, message: &Message) -> u128 {
        let head = self.digests.digest(&message.head);
        if message.body.is_empty() {
            return head;
        }
        let body = self.digests.digest(&message.body);
        // Rotated, so that swapped or equal head and body yield different digests.
        head.rotate_left(17) ^ body
    }
}

/// Call that an observer gets at each record.
pub(crate) type ObserverCall = Box<dyn FnMut(&Record<'_>) + Send>;

/// Trace of one world, its log and its observers.
pub(crate) struct Recorder {
    /// True time at which the world starts.
    start: UnixMs,
    trace: Mutex<Trace>,
    /// Names of the nodes, for the log, in the order of their numbers.
    node_names: Mutex<Vec<Arc<str>>>,
    observers: Mutex<Vec<ObserverCall>>,
    has_observers: AtomicBool,
    /// Whether observers are being called. They must not change the world.
    is_observing: AtomicBool,
}

impl Recorder {
    pub(crate) fn new(start: UnixMs, keep_log: bool) -> Recorder {
        Recorder {
            start,
            trace: Mutex::new(Trace::new(keep_log)),
            node_names: Mutex::default(),
            observers: Mutex::default(),
            has_observers: AtomicBool::new(false),
            is_observing: AtomicBool::new(false),
        }
    }

    /// Adds the name of the next node.
    pub(crate) fn add_node(&self, name: Arc<str>) {
        lock(&self.node_names).push(name);
    }

    /// Calls `observer` at each record from now on.
    pub(crate) fn observe(&self, observer: ObserverCall) {
        lock(&self.observers).push(observer);
        self.has_observers.store(true, Ordering::Relaxed);
    }

    /// Drops the observers, which refer back to the world.
    pub(crate) fn drop_observers(&self) {
        self.has_observers.store(false, Ordering::Relaxed);
        let observers = std::mem::take(&mut *lock(&self.observers));
        drop(observers);
    }

    /// Returns how often each mark was reached.
    pub(crate) fn marks(&self) -> BTreeMap<&'static str, u64> {
        self.trace(|trace| trace.marks.clone())
    }

    pub(crate) fn count_mark(&self, mark: MarkName) {
        self.trace(|trace| *trace.marks.entry(mark.name()).or_default() += 1);
    }

    pub(crate) fn hash(&self) -> TraceHash {
        self.trace(|trace| trace.hash())
    }

    pub(crate) fn record_count(&self) -> u64 {
        self.trace(|trace| trace.records)
    }

    /// Returns the true time of the last record.
    pub(crate) fn last_time(&self) -> UnixMs {
        self.start + Duration::from_nanos(self.trace(|trace| trace.last_ns))
    }

    pub(crate) fn digest(&self, bytes: &Bytes) -> u128 {
        self.trace(|trace| trace.digest(bytes))
    }

    pub(crate) fn message_digest(&self, message: &Message) -> u128 {
        self.trace(|trace| trace.message_digest(message))
    }

    /// Returns the log, empty if it was not kept.
    pub(crate) fn take_log(&self) -> Vec<LogLine> {
        self.trace(|trace| trace.log.take()).unwrap_or_default()
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
        if self.has_observers.load(Ordering::Relaxed) {
            self.notify_observers(record);
        }
    }

    /// Panics if observers are being called.
    pub(crate) fn assert_not_observing(&self, action: &str) {
        let is_observing = self.is_observing.load(Ordering::Relaxed);
        assert!(!is_observing, "an observer tried to {action}: observers must not change the world");
    }

    fn trace<T>(&self, work: impl FnOnce(&mut Trace) -> T) -> T {
        work(&mut lock(&self.trace))
    }

    fn log_line(&self, record: &Record<'_>) -> LogLine {
        LogLine {
            time: self.start + Duration::from_nanos(record.time_ns),
            time_ns: record.time_ns,
            node: record.node,
            node_name: self.node_name(record.node),
            text: record.event.to_string(),
        }
    }

    fn node_name(&self, node: NodeId) -> Arc<str> {
        if node == WORLD_NODE {
            return "world".into();
        }
        let names = lock(&self.node_names);
        names.get(usize::from(node.0) - 1).expect("node numbers come from add_node of this world").clone()
    }

    fn notify_observers(&self, record: &Record<'_>) {
        self.assert_not_observing("be recorded");
        let mut observers = std::mem::take(&mut *lock(&self.observers));
        self.is_observing.store(true, Ordering::Relaxed);
        for observer in &mut observers {
            observer(record);
        }
        self.is_observing.store(false, Ordering::Relaxed);
        *lock(&self.observers) = observers;
    }
}
