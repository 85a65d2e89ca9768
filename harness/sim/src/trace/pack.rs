//! Encoding of a record for the trace's hash.

use super::event::{CallOutcome, Event, Record};
use latent_ports::NodeId;
use xxhash_rust::xxh3::xxh3_64;

/// Packs a record. Bytes: time 8, node 2, kind 1, detail 1, outcome 1, spare 3, digest 16, a 8, b 8, c 8, spare 8.
pub(super) fn pack(record: &Record<'_>) -> [u8; 64] {
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
                words: [xxh3_64(name.name().as_bytes()), xxh3_64(subject.as_bytes()), 0],
                ..PackedEvent::default()
            },
            Event::Note(what) => text(12, what),
            Event::Fault { action, ends } => {
                PackedEvent { detail: u8::from(*ends), ..text(13, &format!("{action:?}")) }
            }
        }
    }
}
