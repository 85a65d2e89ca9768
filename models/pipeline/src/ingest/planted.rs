//! Steps of planted bugs that take more than a line, and tests of whether the mistake makes a difference.

use super::classify::RecordsByDay;
use crate::arb::api::ArbRequest;
use crate::arb::manifest::Tier;
use crate::arb::write_call::{ProjectWrite, encode_write};
use crate::record::{Record, decode_block, scan_blocks};
use crate::wire::{DecodedEvent, DecodedRequest, IMPORT_FROM_MS};
use crate::zone::Day;
use serde::Deserialize;
use std::sync::{Arc, Mutex, PoisonError};

/// Maximum size of an event in the write queue, in bytes. A real queue has 1 MB; scaled down with the events.
const QUEUE_MAX_BYTES: usize = 296;

type DayBlock = (Day, Tier, Vec<Record>);

/// Bit of a sequence number that no edge sets.
const RENUMBERED: u64 = 1 << 62;

/// Returns the number that a request gets at its second ingest node.
pub(super) fn renumber(sequence: u64) -> u64 {
    sequence | RENUMBERED
}

/// Drops events that are too large for the queue. Returns whether there were any.
pub(super) fn drop_oversized(records: &mut RecordsByDay) -> bool {
    let count = |records: &RecordsByDay| records.values().map(Vec::len).sum::<usize>();
    let before = count(records);
    records.retain(|_, list| {
        list.retain(|record| record.json.len() < QUEUE_MAX_BYTES);
        !list.is_empty()
    });
    count(records) < before
}

/// Whether two classifications store the same items in the same places.
pub(super) fn is_placed_alike(one: &RecordsByDay, other: &RecordsByDay) -> bool {
    let items = |list: &[Record]| list.iter().map(|record| record.arrival.item).collect::<Vec<_>>();
    one.len() == other.len()
        && one.iter().zip(other).all(|((of, list), (at, found))| of == at && items(list) == items(found))
}

/// Reads the times of a batch that starts with milliseconds as milliseconds. Returns whether that changes an event that
/// is stored.
pub(super) fn read_all_as_milliseconds(decoded: &mut DecodedRequest) -> bool {
    let counts_ms = |time: f64| time.abs() >= IMPORT_FROM_MS as f64;
    let first = decoded.items.iter().flatten().find_map(sent_time);
    if !first.is_some_and(counts_ms) {
        return false;
    }
    let mut is_changed = false;
    for event in decoded.items.iter_mut().flatten() {
        if sent_time(event).is_some_and(|time| !counts_ms(time)) {
            event.time_ms = event.time_ms.div_euclid(1000);
            is_changed = true;
        }
    }
    is_changed && decoded.accepted().next().is_some()
}

/// Returns an event's `time` as sent, in either unit.
fn sent_time(event: &DecodedEvent) -> Option<f64> {
    #[derive(Deserialize)]
    struct Event {
        properties: Properties,
    }
    #[derive(Deserialize)]
    struct Properties {
        time: Option<f64>,
    }
    serde_json::from_slice::<Event>(&event.raw).ok()?.properties.time
}

/// Write buffer that all requests of a node share. A write that failed on a disk has released it, and still reads it.
#[derive(Default)]
pub(super) struct SharedBuffer(Mutex<Option<Arc<ProjectWrite>>>);

impl SharedBuffer {
    /// Takes the buffer over for a write.
    pub fn put(&self, write: Arc<ProjectWrite>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(write);
    }

    /// Returns what the owner of `write` finds in the buffer: its own blocks, with the records that a later write of
    /// another project put there. `None` when no other project has taken the buffer over.
    pub fn contents(&self, write: &ProjectWrite) -> Option<ProjectWrite> {
        let later = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()?;
        let (project, mut blocks) = blocks_of(write)?;
        let (_, found) = blocks_of(&later).filter(|(of, _)| *of != project)?;
        let found = found.into_iter().flat_map(|(_, _, records)| records);
        blocks
            .iter_mut()
            .flat_map(|(_, _, records)| records)
            .zip(found)
            .for_each(|(own, other)| *own = other);
        let blocks = blocks.iter().map(|(day, tier, records)| (*day, *tier, records.as_slice()));
        encode_write(project, blocks, false).ok()
    }
}

/// Decodes a write to its project and blocks.
fn blocks_of(write: &ProjectWrite) -> Option<(u32, Vec<DayBlock>)> {
    let ArbRequest::Write { project, parts, .. } = &write.call else { return None };
    let (mut at, mut blocks) = (0, Vec::new());
    for part in parts {
        let end = at + part.frame_bytes as usize;
        let mut records = Vec::new();
        for block in scan_blocks(&write.body.slice(at..end), 0, *project, part.day).payloads {
            decode_block(&block, &mut records).ok()?;
        }
        blocks.push((part.day, part.tier, records));
        at = end;
    }
    Some((*project, blocks))
}
