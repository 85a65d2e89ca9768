//! Stored events and the blocks that hold them; see `models/formats.md`.

use crate::zone::Day;
use bytes::{BufMut, Bytes, BytesMut};
use latent_storekit::frame::{FrameScan, InvalidPayloadLength, crc32c, encode_salted_frame, scan_salted};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::ops::Range;

/// Origin of a stored event: edge, request, and position in the request. Kept permanently, so that a replay can skip
/// events that are present.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ArrivalId {
    /// Number of the edge that received the request.
    pub edge: u16,
    /// Sequence number of the request.
    pub sequence: u64,
    /// Position of the event in the request, from 0.
    pub item: u32,
}

/// De-duplication key: 128 bits of BLAKE3 over name, distinct_id and insert id.
pub type Key = [u8; 16];

/// Converts a key to a number with the same order: one comparison instead of sixteen.
#[must_use]
pub fn key_order(key: &Key) -> u128 {
    u128::from_be_bytes(*key)
}

/// A stored event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Arrival id.
    pub arrival: ArrivalId,
    /// Repair number: how often a recovery replaced the record of this arrival. Of two records that differ, the one
    /// with the higher number is right. 0 for a record that ingest stored.
    pub repair: u16,
    /// Arrival time by the edge's clock, in ms since 1970.
    pub arrived_ms: i64,
    /// The event's own time, in ms since 1970.
    pub time_ms: i64,
    /// De-duplication key.
    pub key: Key,
    /// The event as sent.
    pub json: Bytes,
}

/// Size of a record without its JSON, in bytes.
pub const RECORD_FIXED_BYTES: usize = 2 + 8 + 4 + 2 + 8 + 8 + 16 + 4;

/// Error for a block with a valid checksum but malformed contents.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("malformed block: {what} at byte {at}")]
pub struct MalformedBlock {
    /// Part that is missing or left over.
    pub what: &'static str,
    /// Offset in the block's payload.
    pub at: usize,
}

/// Returns the size of a block with `records`, in bytes.
#[must_use]
pub fn block_bytes(records: &[Record]) -> usize {
    4 + records.iter().map(|r| RECORD_FIXED_BYTES + r.json.len()).sum::<usize>()
}

/// Encodes records as one block (a frame's payload).
#[must_use]
fn encode_block(records: &[Record]) -> Bytes {
    let mut out = BytesMut::with_capacity(block_bytes(records));
    out.put_u32_le(records.len() as u32);
    for record in records {
        out.put_u16_le(record.arrival.edge);
        out.put_u64_le(record.arrival.sequence);
        out.put_u32_le(record.arrival.item);
        out.put_u16_le(record.repair);
        out.put_i64_le(record.arrived_ms);
        out.put_i64_le(record.time_ms);
        out.put_slice(&record.key);
        out.put_u32_le(record.json.len() as u32);
        out.put_slice(&record.json);
    }
    out.freeze()
}

/// Returns the salt that binds a block's frame to its project and day. A block does not identify its day, so without
/// the salt a misdirected write into another day's segment would be read there.
fn salt(project: u32, day: Day) -> u32 {
    crc32c(&[project.to_le_bytes(), day.0.to_le_bytes()].concat())
}

/// Encodes records of a project's day as one block in its frame.
///
/// # Errors
/// The block exceeds a frame.
pub fn encode_framed_block(
    project: u32,
    day: Day,
    records: &[Record],
) -> Result<Bytes, InvalidPayloadLength> {
    encode_salted_frame(&encode_block(records), salt(project, day))
}

/// Reads the frames of a project's day from offset `from`.
#[must_use]
pub fn scan_blocks(file: &Bytes, from: usize, project: u32, day: Day) -> FrameScan {
    scan_salted(file, from, salt(project, day))
}

/// Decodes a block's records and appends them to `out`. The records share the block's bytes.
///
/// # Errors
/// The block is malformed; `out` then has the records before the bad one.
pub fn decode_block(block: &Bytes, out: &mut Vec<Record>) -> Result<(), MalformedBlock> {
    each_record(block, |head, json| {
        let RecordHeader { arrival, repair, arrived_ms, time_ms, key } = head;
        out.push(Record { arrival, repair, arrived_ms, time_ms, key, json: block.slice(json) });
    })
}

/// A record without its JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecordHeader {
    /// Arrival id.
    pub arrival: ArrivalId,
    /// Repair number; see [`Record::repair`].
    pub repair: u16,
    /// Arrival time by the edge's clock, in ms since 1970.
    pub arrived_ms: i64,
    /// The event's own time, in ms since 1970.
    pub time_ms: i64,
    /// De-duplication key.
    pub key: Key,
}

/// Calls `each` for the records of a block, with the range of their JSON in the block. For readers that need only
/// counts or keys.
///
/// # Errors
/// See [`decode_block`].
pub fn each_record(
    block: &[u8],
    mut each: impl FnMut(RecordHeader, Range<usize>),
) -> Result<(), MalformedBlock> {
    let mut reader = BlockReader { block, at: 0 };
    let count = u32::from_le_bytes(reader.take("record count")?);
    for _ in 0..count {
        let arrival = ArrivalId {
            edge: u16::from_le_bytes(reader.take("edge")?),
            sequence: u64::from_le_bytes(reader.take("sequence")?),
            item: u32::from_le_bytes(reader.take("item")?),
        };
        let repair = u16::from_le_bytes(reader.take("repair")?);
        let arrived_ms = i64::from_le_bytes(reader.take("arrived_ms")?);
        let time_ms = i64::from_le_bytes(reader.take("time_ms")?);
        let key: Key = reader.take("key")?;
        let json_len = u32::from_le_bytes(reader.take("json length")?) as usize;
        let json = reader.skip(json_len, "json")?;
        each(RecordHeader { arrival, repair, arrived_ms, time_ms, key }, json);
    }
    if reader.at == block.len() {
        Ok(())
    } else {
        Err(MalformedBlock { what: "bytes left over", at: reader.at })
    }
}

struct BlockReader<'a> {
    block: &'a [u8],
    at: usize,
}

impl BlockReader<'_> {
    fn take<const N: usize>(&mut self, what: &'static str) -> Result<[u8; N], MalformedBlock> {
        let end = self.at + N;
        let bytes = self.block.get(self.at..end).ok_or(MalformedBlock { what, at: self.at })?;
        self.at = end;
        Ok(bytes.try_into().expect("a slice of N bytes makes an array of N"))
    }

    fn skip(&mut self, len: usize, what: &'static str) -> Result<Range<usize>, MalformedBlock> {
        let end = self.at.checked_add(len).filter(|end| *end <= self.block.len());
        let end = end.ok_or(MalformedBlock { what, at: self.at })?;
        let start = std::mem::replace(&mut self.at, end);
        Ok(start..end)
    }
}

/// 128-bit digest of a set of keys. Equal sets have equal digests, independent of order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct SetDigest {
    /// Number of distinct keys.
    pub count: u64,
    /// BLAKE3 over the sorted keys, truncated to 128 bits.
    pub digest: [u8; 16],
}

impl SetDigest {
    /// Returns the digest of the distinct keys in `keys`, which it sorts.
    #[must_use]
    pub fn of(keys: &mut Vec<Key>) -> Self {
        SetDigest::with_repairs(keys, &mut Vec::new())
    }

    /// Returns the digest of keys and replaced records: copies of a day differ until all of them have the same
    /// replacements. The count covers keys only.
    #[must_use]
    pub fn with_repairs(keys: &mut Vec<Key>, repairs: &mut Vec<(ArrivalId, u16)>) -> Self {
        keys.sort_unstable_by_key(key_order);
        keys.dedup();
        let mut hasher = blake3::Hasher::new();
        for key in keys.iter() {
            hasher.update(key);
        }
        repairs.sort_unstable();
        repairs.dedup();
        for (arrival, repair) in repairs.iter() {
            hasher.update(&arrival.edge.to_le_bytes());
            hasher.update(&arrival.sequence.to_le_bytes());
            hasher.update(&arrival.item.to_le_bytes());
            hasher.update(&repair.to_le_bytes());
        }
        SetDigest { count: keys.len() as u64, digest: first_16(&hasher.finalize()) }
    }
}

/// Returns a digest of a record's contents, including its arrival. The repair number is not included.
#[must_use]
pub fn content_digest(record: &Record) -> [u8; 16] {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&record.arrival.edge.to_le_bytes());
    hasher.update(&record.arrival.sequence.to_le_bytes());
    hasher.update(&record.arrival.item.to_le_bytes());
    hasher.update(&record.arrived_ms.to_le_bytes());
    hasher.update(&record.time_ms.to_le_bytes());
    hasher.update(&record.key);
    hasher.update(&record.json);
    first_16(&hasher.finalize())
}

/// Keeps only the last replacement of each arrival; all other records stay, in order.
pub fn drop_replaced(records: &mut Vec<Record>) {
    // Replacements are rare; most calls return here.
    if records.iter().all(|record| record.repair == 0) {
        return;
    }
    let mut newest: BTreeMap<ArrivalId, u16> = BTreeMap::new();
    for record in records.iter() {
        let repair = newest.entry(record.arrival).or_default();
        *repair = record.repair.max(*repair);
    }
    records.retain(|record| newest.get(&record.arrival) == Some(&record.repair));
}

/// Returns the first 16 bytes of a BLAKE3 hash.
#[must_use]
pub fn first_16(hash: &blake3::Hash) -> [u8; 16] {
    let mut out = [0; 16];
    out.copy_from_slice(&hash.as_bytes()[..16]);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_round_trips_and_a_truncated_one_is_rejected() {
        let records: Vec<Record> = (0..3)
            .map(|item| Record {
                arrival: ArrivalId { edge: 1, sequence: 7 << 40, item },
                repair: item as u16,
                arrived_ms: 1_456_190_481_000,
                time_ms: -5,
                key: [item as u8; 16],
                json: Bytes::from(format!("{{\"n\":{item}}}")),
            })
            .collect();
        let block = encode_block(&records);
        let mut back = Vec::new();
        decode_block(&block, &mut back).unwrap();
        assert_eq!(back, records);
        for len in 0..block.len() {
            assert!(decode_block(&block.slice(..len), &mut Vec::new()).is_err(), "cut at {len}");
        }
    }

    #[test]
    fn only_the_last_replacement_of_an_arrival_counts() {
        let record = |item: u32, repair: u16, json: &'static str| Record {
            arrival: ArrivalId { edge: 1, sequence: 1, item },
            repair,
            arrived_ms: 0,
            time_ms: 0,
            key: [item as u8; 16],
            json: Bytes::from_static(json.as_bytes()),
        };
        let (wrong, right) = (record(1, 0, "altered"), record(1, 1, "as sent"));
        let mut records = vec![wrong.clone(), record(2, 0, "other"), right.clone()];
        drop_replaced(&mut records);
        assert_eq!(records, [record(2, 0, "other"), right.clone()]);
        assert_ne!(content_digest(&wrong), content_digest(&right));
        assert_eq!(content_digest(&right), content_digest(&Record { repair: 0, ..right.clone() }));
        let digest = |repairs: &[u16]| {
            let mut repairs = repairs.iter().map(|repair| (right.arrival, *repair)).collect();
            SetDigest::with_repairs(&mut vec![[1; 16]], &mut repairs)
        };
        assert_ne!(digest(&[]), digest(&[1]));
        assert_eq!((digest(&[1, 1]), digest(&[2]).count), (digest(&[1]), 1));
    }

    #[test]
    fn a_set_digest_ignores_order_and_repeats() {
        let (a, b) = ([1; 16], [2; 16]);
        assert_eq!(SetDigest::of(&mut vec![a, b, a]), SetDigest::of(&mut vec![b, a]));
        assert_ne!(SetDigest::of(&mut vec![a]), SetDigest::of(&mut vec![b]));
    }
}
