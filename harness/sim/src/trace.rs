//! The trace: every send, receive, disk operation, crash, fault and mark, with virtual time, node and digest.
//!
//! Each record is packed into 64 bytes and fed to a rolling XXH3-128. Two runs with the same hash did the same
//! operations at the same virtual times. Contents enter as digests. Data read from a disk does not enter: it follows
//! from the writes and the faults, which are in the trace.
//!
//! Observers are called at each record, synchronously and after the world updated its own state. They have no task,
//! no timer and no draw, so a run with observers is the same run.

use crate::World;
use crate::disk::CrashPolicy;
use crate::faults::FaultAction;
use bytes::Bytes;
use latent_ports::{DiskErrorKind, DiskOp, Message, NetErrorKind, NodeId, UnixMs};
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use xxhash_rust::xxh3::{Xxh3, xxh3_64, xxh3_128};

/// Identity of a run: 128-bit hash of its whole trace. Displayed as 32 hexadecimal digits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TraceHash(pub u128);

impl fmt::Display for TraceHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

/// Outcome of a call, as its caller sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallOutcome {
    /// The caller received the answer.
    Answered,
    /// The call failed.
    Failed(NetErrorKind),
}

/// Event of a trace record.
#[derive(Clone, Copy, Debug)]
pub enum Event<'a> {
    /// A process started.
    Boot,
    /// A process died; the policy that resolved its un-synced disk operations.
    Kill(CrashPolicy),
    /// A process was paused.
    Pause,
    /// A paused process was resumed.
    Resume,
    /// The node sent a request.
    Send {
        /// The server.
        to: NodeId,
        /// Length of head and body.
        len_bytes: u64,
        /// XXH3-128 of head and body.
        digest: u128,
    },
    /// The node's process took a request from its queue.
    Receive {
        /// The caller.
        from: NodeId,
        /// Length of head and body.
        len_bytes: u64,
        /// XXH3-128 of head and body.
        digest: u128,
    },
    /// The node answered a request.
    Answer {
        /// The caller.
        to: NodeId,
        /// Length of head and body.
        len_bytes: u64,
        /// XXH3-128 of head and body.
        digest: u128,
    },
    /// A call of this node ended.
    CallEnded {
        /// The server.
        to: NodeId,
        /// Outcome of the call.
        outcome: CallOutcome,
        /// Length of the answer, 0 if there is none.
        len_bytes: u64,
        /// XXH3-128 of the answer, 0 if there is none.
        digest: u128,
    },
    /// A message of this node was lost in transit.
    MessageLost {
        /// The receiver.
        to: NodeId,
        /// XXH3-128 of the message.
        digest: u128,
    },
    /// The network duplicated a message of this node.
    MessageDuplicated {
        /// The receiver.
        to: NodeId,
        /// XXH3-128 of the message.
        digest: u128,
    },
    /// A disk operation of the node. Recorded when it takes effect; a sync, when it ends.
    Disk {
        /// The operation.
        op: DiskOp,
        /// The path; for an open file, the path that opened it.
        path: &'a str,
        /// The new path of a rename, otherwise empty.
        to: &'a str,
        /// Offset in the file; 0 for operations without one.
        offset: u64,
        /// Number of bytes written or read.
        len_bytes: u64,
        /// XXH3-128 of the bytes written; 0 for operations that write none.
        digest: u128,
        /// Outcome of the operation.
        outcome: Result<(), DiskErrorKind>,
    },
    /// The system under test reached a mark.
    Mark {
        /// The mark's name.
        name: &'static str,
        /// The subject of the mark.
        subject: &'a str,
    },
    /// A note of the harness.
    Note(&'a str),
    /// A fault was injected (`ends` is false) or ended.
    Fault {
        /// The fault's action.
        action: &'a FaultAction,
        /// Whether the fault ended.
        ends: bool,
    },
}

/// One record of the trace.
#[derive(Clone, Copy, Debug)]
pub struct Record<'a> {
    /// Nanoseconds since the start of the world.
    pub time_ns: u64,
    /// The node; [`crate::WORLD_NODE`] for the world itself.
    pub node: NodeId,
    /// The event.
    pub event: Event<'a>,
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

/// Observes a run without changing it.
///
/// An observer is called at each record, after the world updated its own state. It may read the world (disk images,
/// marks, time) and fork. It must not change it: kill, cut, arm and note panic.
pub trait Observer: Send {
    /// Called at each record.
    fn on_record(&mut self, record: &Record<'_>, world: &World);
}

/// The world's trace so far.
pub(crate) struct Trace {
    hash: Xxh3,
    pub(crate) records: u64,
    pub(crate) last_ns: u64,
    pub(crate) marks: BTreeMap<&'static str, u64>,
    pub(crate) log: Option<Vec<LogLine>>,
    digests: DigestCache,
}

impl Trace {
    pub(crate) fn new(keep_log: bool) -> Trace {
        Trace {
            hash: Xxh3::new(),
            records: 0,
            last_ns: 0,
            marks: BTreeMap::new(),
            log: keep_log.then(Vec::new),
            digests: DigestCache::default(),
        }
    }

    pub(crate) fn push(&mut self, record: &Record<'_>) {
        self.hash.update(&pack(record));
        self.records += 1;
        self.last_ns = record.time_ns;
    }

    pub(crate) fn hash(&self) -> TraceHash {
        TraceHash(self.hash.digest128())
    }

    pub(crate) fn digest(&mut self, bytes: &Bytes) -> u128 {
        self.digests.digest(bytes)
    }

    pub(crate) fn message_digest(&mut self, message: &Message) -> u128 {
        let head = self.digests.digest(&message.head);
        if message.body.is_empty() {
            return head;
        }
        let body = self.digests.digest(&message.body);
        // Rotated, so that swapped or equal head and body yield different digests.
        head.rotate_left(17) ^ body
    }
}

/// Digests of recent payloads. Eight disks that append one body, and the messages that carry it, share its bytes:
/// they are hashed once. The cache holds the bytes, so their address cannot be reused for other bytes.
#[derive(Default)]
struct DigestCache {
    entries: Vec<(Bytes, u128)>,
    next: usize,
}

impl DigestCache {
    const ENTRIES: usize = 8;
    /// Below this length, hashing is cheaper than the lookup.
    const WORTH_BYTES: usize = 512;
    /// Above this length, holding the bytes costs more than hashing them again.
    const MOST_BYTES: usize = 1 << 20;

    fn digest(&mut self, bytes: &Bytes) -> u128 {
        if bytes.len() < Self::WORTH_BYTES || bytes.len() > Self::MOST_BYTES {
            return xxh3_128(bytes);
        }
        let same =
            |entry: &&(Bytes, u128)| entry.0.as_ptr() == bytes.as_ptr() && entry.0.len() == bytes.len();
        if let Some((_, digest)) = self.entries.iter().find(same) {
            return *digest;
        }
        let digest = xxh3_128(bytes);
        if self.entries.len() < Self::ENTRIES {
            self.entries.push((bytes.clone(), digest));
        } else {
            self.entries[self.next] = (bytes.clone(), digest);
            self.next = (self.next + 1) % Self::ENTRIES;
        }
        digest
    }
}

/// Packs a record. Bytes: time 8, node 2, kind 1, detail 1, outcome 1, spare 3, digest 16, a 8, b 8, c 8, spare 8.
fn pack(record: &Record<'_>) -> [u8; 64] {
    let mut out = [0_u8; 64];
    out[..8].copy_from_slice(&record.time_ns.to_le_bytes());
    out[8..10].copy_from_slice(&record.node.0.to_le_bytes());
    let PackedEvent { kind, detail, outcome, digest, words } = PackedEvent::of(&record.event);
    out[10] = kind;
    out[11] = detail;
    out[12] = outcome;
    out[16..32].copy_from_slice(&digest.to_le_bytes());
    for (slot, word) in out[32..].chunks_exact_mut(8).zip(words) {
        slot.copy_from_slice(&word.to_le_bytes());
    }
    out
}

#[derive(Default)]
struct PackedEvent {
    kind: u8,
    detail: u8,
    outcome: u8,
    digest: u128,
    words: [u64; 3],
}

impl PackedEvent {
    fn of(event: &Event<'_>) -> PackedEvent {
        let text = |kind, text: &str| PackedEvent {
            kind,
            words: [xxh3_64(text.as_bytes()), 0, 0],
            ..PackedEvent::default()
        };
        let message = |kind, peer: &NodeId, len: &u64, digest: &u128| PackedEvent {
            kind,
            digest: *digest,
            words: [u64::from(peer.0), *len, 0],
            ..PackedEvent::default()
        };
        match event {
            Event::Boot => PackedEvent { kind: 1, ..PackedEvent::default() },
            Event::Kill(keeps) => PackedEvent { kind: 2, detail: *keeps as u8, ..PackedEvent::default() },
            Event::Pause => PackedEvent { kind: 3, ..PackedEvent::default() },
            Event::Resume => PackedEvent { kind: 4, ..PackedEvent::default() },
            Event::Send { to, len_bytes, digest } => message(5, to, len_bytes, digest),
            Event::Receive { from, len_bytes, digest } => message(6, from, len_bytes, digest),
            Event::Answer { to, len_bytes, digest } => message(7, to, len_bytes, digest),
            Event::CallEnded { to, outcome, len_bytes, digest } => {
                let outcome = match outcome {
                    CallOutcome::Answered => 0,
                    CallOutcome::Failed(kind) => 1 + *kind as u8,
                };
                PackedEvent { outcome, ..message(8, to, len_bytes, digest) }
            }
            Event::MessageLost { to, digest } => message(9, to, &0, digest),
            Event::MessageDuplicated { to, digest } => message(14, to, &0, digest),
            Event::Disk { op, path, to, offset, len_bytes, digest, outcome } => PackedEvent {
                kind: 10,
                detail: *op as u8,
                outcome: outcome.map_or_else(|kind| 1 + kind as u8, |()| 0),
                digest: *digest,
                words: [
                    xxh3_64(path.as_bytes()) ^ xxh3_64(to.as_bytes()).rotate_left(1),
                    *offset,
                    *len_bytes,
                ],
            },
            Event::Mark { name, subject } => PackedEvent {
                kind: 11,
                words: [xxh3_64(name.as_bytes()), xxh3_64(subject.as_bytes()), 0],
                ..PackedEvent::default()
            },
            Event::Note(what) => text(12, what),
            Event::Fault { action, ends } => {
                PackedEvent { detail: u8::from(*ends), ..text(13, &format!("{action:?}")) }
            }
        }
    }
}

impl Event<'_> {
    /// Describes the event in words; `name_of` names the nodes.
    #[must_use]
    pub fn describe<N: fmt::Display>(&self, name_of: impl Fn(NodeId) -> N) -> String {
        let of = |node: &NodeId| name_of(*node);
        match self {
            Event::Boot => "boot".to_owned(),
            Event::Kill(keeps) => format!("killed, un-synced disk operations: {keeps:?}"),
            Event::Pause => "paused".to_owned(),
            Event::Resume => "resumed".to_owned(),
            Event::Send { to, len_bytes, digest } => {
                format!("calls {} with {len_bytes} bytes {}", of(to), short_digest(*digest))
            }
            Event::Receive { from, len_bytes, digest } => {
                format!("receives from {}: {len_bytes} bytes {}", of(from), short_digest(*digest))
            }
            Event::Answer { to, len_bytes, digest } => {
                format!("answers {} with {len_bytes} bytes {}", of(to), short_digest(*digest))
            }
            Event::CallEnded { to, outcome: CallOutcome::Answered, len_bytes, digest } => {
                format!("is answered by {}: {len_bytes} bytes {}", of(to), short_digest(*digest))
            }
            Event::CallEnded { to, outcome: CallOutcome::Failed(kind), .. } => {
                format!("call to {} failed: {kind:?}", of(to))
            }
            Event::MessageLost { to, digest } => {
                format!("message to {} lost {}", of(to), short_digest(*digest))
            }
            Event::MessageDuplicated { to, digest } => {
                format!("message to {} duplicated {}", of(to), short_digest(*digest))
            }
            Event::Disk { op, path, to, offset, len_bytes, digest, outcome } => {
                let to = if to.is_empty() { String::new() } else { format!(" to '{to}'") };
                let place = if *len_bytes > 0 || *offset > 0 {
                    format!(" at {offset}, {len_bytes} bytes")
                } else {
                    String::new()
                };
                let written =
                    if *digest == 0 { String::new() } else { format!(" {}", short_digest(*digest)) };
                let ended = outcome.map_or_else(|kind| format!(": {kind:?}"), |()| String::new());
                format!("{op:?} '{path}'{to}{place}{written}{ended}")
            }
            Event::Mark { name, subject: "" } => format!("mark {name}"),
            Event::Mark { name, subject } => format!("mark {name} {subject}"),
            Event::Note(what) => format!("note {what}"),
            Event::Fault { action, ends: false } => format!("fault {}", action_json(action)),
            Event::Fault { action, ends: true } => format!("end of fault {}", action_json(action)),
        }
    }
}

impl fmt::Display for Event<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.describe(|node| format!("node {}", node.0)))
    }
}

/// Returns a fault action as plans and cases write it, without null fields, so that it can be searched there and
/// copied from here.
fn action_json(action: &FaultAction) -> String {
    let mut value = serde_json::to_value(action).expect("names and numbers only, all representable in JSON");
    for fields in value.as_object_mut().into_iter().flat_map(|kinds| kinds.values_mut()) {
        if let Some(fields) = fields.as_object_mut() {
            fields.retain(|_, field| !field.is_null());
        }
    }
    value.to_string()
}

fn short_digest(digest: u128) -> String {
    format!("#{:08x}", digest >> 96)
}
