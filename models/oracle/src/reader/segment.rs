//! Segments: `arb/<project>/<day>/<id>.seg`.
//!
//! Of each record, the decoder keeps what the invariants need: its identity, its time, and a digest of its text. The
//! key is computed from the text; a flag records whether the file states another key, since a store that keys events
//! wrongly still holds them.

use super::ReadErrorKind;
use super::event_cache::{EventCache, EventFacts};
use super::frame::{FieldReader, FileTail};
use crate::identity::{ArrivalId, DedupKey, EventDigest, ProjectDay};
use serde::Deserialize;
use std::sync::Arc;

/// Length of a segment's header, in bytes.
pub const HEADER_BYTES: usize = 32;
pub(crate) const MAGIC: [u8; 8] = *b"LARBSEG1";

/// Tier of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Tier {
    /// Events that arrived two hours or more after their time.
    Late,
    /// Events that arrived in time.
    OnTime,
    /// Output of a compaction.
    Compacted,
}

/// One stored record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StoredRecord {
    /// Key computed from the event's text.
    pub key: DedupKey,
    /// Digest of the event's text.
    pub content: EventDigest,
    /// The edge's clock when the request arrived.
    pub arrived_ms: i64,
    /// The event's time as stored.
    pub time_ms: i64,
    sequence: u64,
    item: u32,
    edge: u16,
    flags: u8,
}

const ANONYMOUS: u8 = 1;
const KEY_WRONG: u8 = 2;
const TIME_WRONG: u8 = 4;

impl StoredRecord {
    /// Returns the arrival id.
    #[must_use]
    pub fn arrival(&self) -> ArrivalId {
        ArrivalId { edge: self.edge, sequence: self.sequence, item: self.item }
    }

    /// Whether the event has no `$insert_id`.
    #[must_use]
    pub fn is_anonymous(&self) -> bool {
        self.flags & ANONYMOUS != 0
    }

    /// Whether the file states another key than the one computed from the event's text.
    #[must_use]
    pub fn key_is_wrong(&self) -> bool {
        self.flags & KEY_WRONG != 0
    }

    /// Whether the file states another time than the event's text (or its arrival, if the text has none).
    #[must_use]
    pub fn time_is_wrong(&self) -> bool {
        self.flags & TIME_WRONG != 0
    }

    /// Returns the precedence among records with one key: the least wins.
    #[must_use]
    pub fn precedence(&self) -> (i64, u16, u64, u32) {
        (self.arrived_ms, self.edge, self.sequence, self.item)
    }

    fn sort_key(&self) -> (i64, DedupKey, u16, u64, u32) {
        (self.time_ms, self.key, self.edge, self.sequence, self.item)
    }

    pub(crate) fn from_export(
        json: &[u8],
        arrived_ms: i64,
        line: u32,
    ) -> Result<StoredRecord, ReadErrorKind> {
        let facts = EventFacts::read(json)?;
        let arrival = ArrivalId { edge: u16::MAX, sequence: u64::MAX, item: line };
        Ok(StoredRecord {
            key: facts.key(arrival),
            content: EventDigest::of(json),
            arrived_ms,
            time_ms: facts.time_ms(arrived_ms),
            sequence: arrival.sequence,
            item: line,
            edge: arrival.edge,
            flags: if facts.is_anonymous() { ANONYMOUS } else { 0 },
        })
    }
}

/// Records of one frame.
#[derive(Debug, PartialEq, Eq)]
pub struct SegmentBlock {
    /// Id in the decode cache: equal ids mean equal bytes.
    pub id: u64,
    /// Records, in the file's order.
    pub records: Vec<StoredRecord>,
}

/// A decoded segment.
#[derive(Debug)]
pub struct Segment {
    /// Tier of the segment.
    pub tier: Tier,
    /// Project-day of the segment.
    pub project_day: ProjectDay,
    /// Id, unique on its disk within the day.
    pub id: u64,
    /// Decoded frames.
    pub blocks: Vec<Arc<SegmentBlock>>,
    /// Number of records in all blocks.
    pub records: u64,
    /// Length of the file.
    pub len_bytes: u64,
    /// End of the file.
    pub tail: FileTail,
    /// BLAKE3-256 of the whole file, for sealed files.
    pub hash: Option<String>,
}

/// Fields of a segment's header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SegmentHeader {
    pub tier: Tier,
    pub project_day: ProjectDay,
    pub id: u64,
}

/// Returns the salt of the block checksums: a block does not state its own project-day.
pub(crate) fn salt(project_day: ProjectDay) -> u32 {
    crc_fast::crc32_iscsi(&[project_day.project.to_le_bytes(), project_day.day.to_le_bytes()].concat())
}

pub(crate) fn header(bytes: &[u8]) -> Result<SegmentHeader, (u64, ReadErrorKind)> {
    read_header(bytes).map_err(|flaw| (0, flaw))
}

fn read_header(bytes: &[u8]) -> Result<SegmentHeader, ReadErrorKind> {
    let mut fields = FieldReader::of(bytes);
    fields.bytes(8)?;
    let tier = fields.u16()?;
    let reserved = fields.u16()?;
    let (project, day, id, crc) = (fields.u32()?, fields.i32()?, fields.u64()?, fields.u32()?);
    if crc_fast::crc32_iscsi(&bytes[..28]) != crc {
        return Err(ReadErrorKind::HeaderChecksum);
    }
    if reserved != 0 {
        return Err(ReadErrorKind::ReservedNotZero(u32::from(reserved)));
    }
    let tier = match tier {
        0 => Tier::Late,
        1 => Tier::OnTime,
        2 => Tier::Compacted,
        other => return Err(ReadErrorKind::UnknownCode { field: "tier", value: u64::from(other) }),
    };
    Ok(SegmentHeader { tier, project_day: ProjectDay { project, day }, id })
}

/// Decodes the records of one frame's payload.
pub(crate) fn block(payload: &[u8], texts: &mut EventCache) -> Result<Vec<StoredRecord>, ReadErrorKind> {
    let mut fields = FieldReader::of(payload);
    let count = fields.u32()?;
    // A record is 52 bytes plus its text: an impossible count must not reserve memory.
    let mut records = Vec::with_capacity((count as usize).min(fields.left() / 52));
    for _ in 0..count {
        records.push(record(&mut fields, texts)?);
    }
    fields.end()?;
    Ok(records)
}

fn record(fields: &mut FieldReader<'_>, texts: &mut EventCache) -> Result<StoredRecord, ReadErrorKind> {
    let (edge, sequence, item) = (fields.u16()?, fields.u64()?, fields.u32()?);
    // The repair number orders replacements of one arrival on different disks; one disk never holds two of them.
    let _repair = fields.u16()?;
    let (arrived_ms, time_ms) = (fields.i64()?, fields.i64()?);
    let stated = DedupKey(u128::from_be_bytes(fields.array()?));
    let len = fields.u32()?;
    let json = fields.bytes(len as usize)?;
    let content = EventDigest::of(json);
    let facts = texts.of(content, || EventFacts::read(json))?;
    let key = facts.key(ArrivalId { edge, sequence, item });
    // A fraction of a millisecond may be truncated or rounded: formats.md does not define which.
    let time_is_right = facts.time_ms(arrived_ms).abs_diff(time_ms) <= 1;
    let flags = [(facts.is_anonymous(), ANONYMOUS), (stated != key, KEY_WRONG), (!time_is_right, TIME_WRONG)];
    Ok(StoredRecord {
        key,
        content,
        arrived_ms,
        time_ms,
        sequence,
        item,
        edge,
        flags: flags.iter().filter(|(is, _)| *is).map(|(_, flag)| flag).sum(),
    })
}

/// Checks that compacted records are strictly sorted and that no key appears twice. Records with a wrong key or time
/// are reported separately and skipped here, since the order depends on what the file states.
pub(crate) fn check_compacted(blocks: &[Arc<SegmentBlock>]) -> Result<(), ReadErrorKind> {
    let mut last = None;
    let mut keys = Vec::new();
    for (at, record) in blocks.iter().flat_map(|block| &block.records).enumerate() {
        if record.flags & (KEY_WRONG | TIME_WRONG) != 0 {
            continue;
        }
        let position = record.sort_key();
        if last.is_some_and(|last| last >= position) {
            return Err(ReadErrorKind::Unsorted { record: at as u64 });
        }
        last = Some(position);
        keys.push((record.key, at));
    }
    keys.sort_unstable();
    match keys.windows(2).find(|pair| pair[0].0 == pair[1].0) {
        Some(pair) => Err(ReadErrorKind::Unsorted { record: pair[1].1 as u64 }),
        None => Ok(()),
    }
}

/// Checks that a segment's header matches its path.
pub(crate) fn check_location(
    header: &Segment,
    project_day: ProjectDay,
    id: u64,
) -> Result<(), ReadErrorKind> {
    let misplaced =
        |field, found: String, expected: String| Err(ReadErrorKind::Misplaced { field, found, expected });
    if header.project_day != project_day {
        return misplaced("project and day", header.project_day.to_string(), project_day.to_string());
    }
    if header.id != id {
        return misplaced("segment id", header.id.to_string(), id.to_string());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_support::{self, TestRecord};

    fn read(payload: &[u8]) -> Result<Vec<StoredRecord>, ReadErrorKind> {
        block(payload, &mut EventCache::default())
    }

    #[test]
    fn a_record_keeps_its_identity_and_time() {
        let rec = TestRecord::new("Signed up", "i1", 1_456_190_481_000);
        let records = read(&test_support::block(&[
            rec.clone(),
            TestRecord { insert_id: None, item: 1, ..rec.clone() },
        ]))
        .unwrap();
        assert_eq!(records[0].key, DedupKey::of("Signed up", "u1", "i1"));
        assert_eq!(records[0].content, EventDigest::of(rec.json().as_bytes()));
        assert!(!records[0].is_anonymous() && !records[0].key_is_wrong() && !records[0].time_is_wrong());
        assert_eq!(records[1].key, DedupKey::of_anonymous(records[1].arrival()));
        assert!(records[1].is_anonymous() && !records[1].key_is_wrong());
    }

    #[test]
    fn a_wrong_key_or_time_is_flagged() {
        let mut bytes = test_support::block(&[TestRecord::new("a", "i1", 1_456_190_481_000)]);
        bytes[4 + 32] ^= 1; // the key's first byte
        assert!(read(&bytes).unwrap()[0].key_is_wrong());
        let rec = TestRecord {
            stored_time_ms: Some(1_456_190_481),
            ..TestRecord::new("a", "i1", 1_456_190_481_000)
        };
        assert!(read(&test_support::block(&[rec])).unwrap()[0].time_is_wrong());
    }

    #[test]
    fn counts_and_lengths_are_checked() {
        let good = test_support::block(&[TestRecord::new("a", "i1", 1_456_190_481_000)]);
        assert!(read(&good).is_ok());
        assert_eq!(read(&[0, 0, 0, 0]).unwrap().len(), 0);
        assert!(matches!(read(&good[..good.len() - 1]), Err(ReadErrorKind::TruncatedField { .. })));
        let mut fewer = good.clone();
        fewer[0] = 0;
        assert!(matches!(read(&fewer), Err(ReadErrorKind::TrailingBytes(_))));
        let mut more = good;
        more[0] = 2;
        assert!(matches!(read(&more), Err(ReadErrorKind::TruncatedField { .. })));
    }
}
