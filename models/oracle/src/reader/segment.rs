//! Segments: `arb/<project>/<day>/<id>.seg`.
//!
//! A segment is decoded to what the invariants need of each record: who it is, when, and a digest of its text. The
//! key is worked out anew from the text; whether the file stated the same is kept as a flag, since a store that
//! keys events wrongly still holds them.

use super::frame::{Fields, Tail};
use super::texts::{Known, Texts};
use super::{Flaw, decimal};
use crate::day::{day_text, parse_day};
use crate::identity::{ArrivalId, Content, Key, ProjectDay};
use serde::Deserialize;
use std::sync::Arc;

/// Bytes of a segment's header.
pub const HEADER_BYTES: usize = 32;
pub(crate) const MAGIC: [u8; 8] = *b"LARBSEG1";

/// Which kind of segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Tier {
    /// Events that came two hours or more after their time.
    Late,
    /// Events that came in time.
    OnTime,
    /// What a compaction wrote.
    Compacted,
}

/// One stored record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stored {
    /// The key that the event's text calls for.
    pub key: Key,
    /// Digest of the event's text.
    pub content: Content,
    /// The edge's clock when the request came in.
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

impl Stored {
    /// Where the event came in.
    #[must_use]
    pub fn arrival(&self) -> ArrivalId {
        ArrivalId { edge: self.edge, sequence: self.sequence, item: self.item }
    }

    /// The event has no `$insert_id`.
    #[must_use]
    pub fn is_anonymous(&self) -> bool {
        self.flags & ANONYMOUS != 0
    }

    /// The file states another key than the event's text calls for.
    #[must_use]
    pub fn key_is_wrong(&self) -> bool {
        self.flags & KEY_WRONG != 0
    }

    /// The file states another time than the event's text (or its arrival, if the text has none) calls for.
    #[must_use]
    pub fn time_is_wrong(&self) -> bool {
        self.flags & TIME_WRONG != 0
    }

    /// Of several records with one key the one with the least of this is kept.
    #[must_use]
    pub fn precedence(&self) -> (i64, u16, u64, u32) {
        (self.arrived_ms, self.edge, self.sequence, self.item)
    }

    fn sort_key(&self) -> (i64, Key, u16, u64, u32) {
        (self.time_ms, self.key, self.edge, self.sequence, self.item)
    }

    pub(crate) fn from_export(json: &[u8], arrived_ms: i64, line: u32) -> Result<Stored, Flaw> {
        let known = Known::read(json)?;
        let arrival = ArrivalId { edge: u16::MAX, sequence: u64::MAX, item: line };
        Ok(Stored {
            key: known.key(arrival),
            content: Content::of(json),
            arrived_ms,
            time_ms: known.time_ms(arrived_ms),
            sequence: arrival.sequence,
            item: line,
            edge: arrival.edge,
            flags: if known.is_anonymous() { ANONYMOUS } else { 0 },
        })
    }
}

/// The records of one frame.
#[derive(Debug, PartialEq, Eq)]
pub struct Block {
    /// Its number in the memo: equal numbers, equal bytes.
    pub id: u64,
    /// Its records, in the file's order.
    pub records: Vec<Stored>,
}

/// A whole segment.
#[derive(Debug)]
pub struct Segment {
    /// Which kind.
    pub tier: Tier,
    /// Whose day.
    pub of: ProjectDay,
    /// Its number, unique on its disk within the day.
    pub id: u64,
    /// Its frames.
    pub blocks: Vec<Arc<Block>>,
    /// How many records there are in all blocks.
    pub records: u64,
    /// Length of the file.
    pub len_bytes: u64,
    /// How it ends.
    pub tail: Tail,
    /// BLAKE3-256 of the whole file, for sealed files.
    pub hash: Option<String>,
}

/// What a segment's header says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    pub tier: Tier,
    pub of: ProjectDay,
    pub id: u64,
}

/// What the checksum of each block's frame is salted with: a block does not say itself whose it is.
pub(crate) fn salt(of: ProjectDay) -> u32 {
    crc_fast::crc32_iscsi(&[of.project.to_le_bytes(), of.day.to_le_bytes()].concat())
}

pub(crate) fn header(bytes: &[u8]) -> Result<Header, (u64, Flaw)> {
    read_header(bytes).map_err(|flaw| (0, flaw))
}

fn read_header(bytes: &[u8]) -> Result<Header, Flaw> {
    let mut fields = Fields::of(bytes);
    fields.bytes(8)?;
    let tier = fields.u16()?;
    let reserved = fields.u16()?;
    let (project, day, id, crc) = (fields.u32()?, fields.i32()?, fields.u64()?, fields.u32()?);
    if crc_fast::crc32_iscsi(&bytes[..28]) != crc {
        return Err(Flaw::HeaderChecksum);
    }
    if reserved != 0 {
        return Err(Flaw::NotZero(u32::from(reserved)));
    }
    let tier = match tier {
        0 => Tier::Late,
        1 => Tier::OnTime,
        2 => Tier::Compacted,
        other => return Err(Flaw::UnknownCode { field: "tier", value: u64::from(other) }),
    };
    Ok(Header { tier, of: ProjectDay { project, day }, id })
}

/// The records of one frame's payload.
pub(crate) fn block(payload: &[u8], texts: &mut Texts) -> Result<Vec<Stored>, Flaw> {
    let mut fields = Fields::of(payload);
    let count = fields.u32()?;
    // A record is 52 bytes and its text: a count that cannot fit must not reserve memory.
    let mut records = Vec::with_capacity((count as usize).min(fields.left() / 52));
    for _ in 0..count {
        records.push(record(&mut fields, texts)?);
    }
    fields.end()?;
    Ok(records)
}

fn record(fields: &mut Fields<'_>, texts: &mut Texts) -> Result<Stored, Flaw> {
    let (edge, sequence, item) = (fields.u16()?, fields.u64()?, fields.u32()?);
    // Which replacement it is matters where two of one arrival meet; on one disk they never do.
    let _repair = fields.u16()?;
    let (arrived_ms, time_ms) = (fields.i64()?, fields.i64()?);
    let stated = Key(u128::from_be_bytes(fields.array()?));
    let len = fields.u32()?;
    let json = fields.bytes(len as usize)?;
    let content = Content::of(json);
    let known = texts.of(content, || Known::read(json))?;
    let key = known.key(ArrivalId { edge, sequence, item });
    // A fraction of a millisecond may be cut off or rounded: formats.md does not say which.
    let time_is_right = known.time_ms(arrived_ms).abs_diff(time_ms) <= 1;
    let flags = [(known.is_anonymous(), ANONYMOUS), (stated != key, KEY_WRONG), (!time_is_right, TIME_WRONG)];
    Ok(Stored {
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

/// Compacted records are strictly sorted, and no key stands twice. Records whose stated key or time is wrong are
/// reported as such and left out here, since order can only be judged by what the file states.
pub(crate) fn check_compacted(blocks: &[Arc<Block>]) -> Result<(), Flaw> {
    let mut last = None;
    let mut keys = Vec::new();
    for (at, record) in blocks.iter().flat_map(|block| &block.records).enumerate() {
        if record.flags & (KEY_WRONG | TIME_WRONG) != 0 {
            continue;
        }
        let place = record.sort_key();
        if last.is_some_and(|last| last >= place) {
            return Err(Flaw::Unsorted { record: at as u64 });
        }
        last = Some(place);
        keys.push((record.key, at));
    }
    keys.sort_unstable();
    match keys.windows(2).find(|pair| pair[0].0 == pair[1].0) {
        Some(pair) => Err(Flaw::Unsorted { record: pair[1].1 as u64 }),
        None => Ok(()),
    }
}

/// The project's day and the id of a segment's path on a disk of Arb, if it is one.
#[must_use]
pub fn segment_of(path: &str) -> Option<(ProjectDay, u64)> {
    match arb_path(path)? {
        ArbPath::Segment(of, id) => Some((of, id)),
        _ => None,
    }
}

/// What a path below `arb/` names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ArbPath {
    /// The manifest of a day.
    Manifest(ProjectDay),
    /// A segment by its number.
    Segment(ProjectDay, u64),
    /// Something else in a day's directory, such as a segment that is being written.
    Stray(ProjectDay),
    /// Something of a day that was set aside, and the number of that.
    Aside(ProjectDay, u64),
    /// A project's lease.
    Lease(u32),
}

/// Reads `arb/17/2016-02-22/3.seg` and its like; `None` for every other path.
pub(crate) fn arb_path(path: &str) -> Option<ArbPath> {
    let (project, rest) = path.strip_prefix("arb/")?.split_once('/')?;
    let project = decimal(project)?;
    if rest == "lease" {
        return Some(ArbPath::Lease(project));
    }
    let (day, name) = rest.split_once('/')?;
    if let Some((day, number)) = day.split_once(".corrupt-") {
        return Some(ArbPath::Aside(ProjectDay { project, day: parse_day(day)? }, decimal(number)?));
    }
    let of = ProjectDay { project, day: parse_day(day)? };
    if name == "manifest" {
        return Some(ArbPath::Manifest(of));
    }
    Some(match name.strip_suffix(".seg").and_then(decimal) {
        Some(id) => ArbPath::Segment(of, id),
        None => ArbPath::Stray(of),
    })
}

/// The path of a day's manifest.
#[must_use]
pub fn manifest_path(of: ProjectDay) -> String {
    format!("arb/{}/{}/manifest", of.project, day_text(of.day))
}

/// The path of a segment.
#[must_use]
pub fn path_of(of: ProjectDay, id: u64) -> String {
    format!("arb/{}/{}/{id}.seg", of.project, day_text(of.day))
}

/// The directory of a day that was set aside.
#[must_use]
pub fn aside_path(of: ProjectDay, number: u64) -> String {
    format!("arb/{}/{}.corrupt-{number}", of.project, day_text(of.day))
}

/// The header must say what its place says.
pub(crate) fn check_place(header: &Segment, of: ProjectDay, id: u64) -> Result<(), Flaw> {
    let misplaced = |field, found: String, expected: String| Err(Flaw::Misplaced { field, found, expected });
    if header.of != of {
        return misplaced("project and day", header.of.to_string(), of.to_string());
    }
    if header.id != id {
        return misplaced("segment id", header.id.to_string(), id.to_string());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{self, Rec};

    fn read(payload: &[u8]) -> Result<Vec<Stored>, Flaw> {
        block(payload, &mut Texts::default())
    }

    #[test]
    fn paths_are_read_strictly() {
        let of = ProjectDay { project: 17, day: 16_853 };
        assert_eq!(arb_path("arb/17/2016-02-22/3.seg"), Some(ArbPath::Segment(of, 3)));
        assert_eq!(arb_path("arb/17/2016-02-22/manifest"), Some(ArbPath::Manifest(of)));
        assert_eq!(arb_path("arb/17/2016-02-22/3.seg.tmp"), Some(ArbPath::Stray(of)));
        assert_eq!(arb_path("arb/17/2016-02-22/03.seg"), Some(ArbPath::Stray(of)));
        assert_eq!(arb_path("arb/17/2016-02-22.corrupt-3/manifest"), Some(ArbPath::Aside(of, 3)));
        assert_eq!(arb_path("arb/17/lease"), Some(ArbPath::Lease(17)));
        assert_eq!(arb_path("arb/17/lease.corrupt-0"), None);
        assert_eq!(arb_path("arb/017/2016-02-22/3.seg"), None);
        assert_eq!(arb_path("arb/17/2016-02-30/3.seg"), None);
        assert_eq!(path_of(of, 3), "arb/17/2016-02-22/3.seg");
    }

    #[test]
    fn a_record_keeps_who_and_when() {
        let rec = Rec::new("Signed up", "i1", 1_456_190_481_000);
        let records =
            read(&testing::block(&[rec.clone(), Rec { insert_id: None, item: 1, ..rec.clone() }])).unwrap();
        assert_eq!(records[0].key, Key::of("Signed up", "u1", "i1"));
        assert_eq!(records[0].content, Content::of(rec.json().as_bytes()));
        assert!(!records[0].is_anonymous() && !records[0].key_is_wrong() && !records[0].time_is_wrong());
        assert_eq!(records[1].key, Key::of_anonymous(records[1].arrival()));
        assert!(records[1].is_anonymous() && !records[1].key_is_wrong());
    }

    #[test]
    fn a_wrong_key_or_time_is_seen() {
        let mut bytes = testing::block(&[Rec::new("a", "i1", 1_456_190_481_000)]);
        bytes[4 + 32] ^= 1; // the key's first byte
        assert!(read(&bytes).unwrap()[0].key_is_wrong());
        let rec = Rec { stored_time_ms: Some(1_456_190_481), ..Rec::new("a", "i1", 1_456_190_481_000) };
        assert!(read(&testing::block(&[rec])).unwrap()[0].time_is_wrong());
    }

    #[test]
    fn counts_and_lengths_are_compared() {
        let good = testing::block(&[Rec::new("a", "i1", 1_456_190_481_000)]);
        assert!(read(&good).is_ok());
        assert_eq!(read(&[0, 0, 0, 0]).unwrap().len(), 0);
        assert!(matches!(read(&good[..good.len() - 1]), Err(Flaw::FieldCutOff { .. })));
        let mut fewer = good.clone();
        fewer[0] = 0;
        assert!(matches!(read(&fewer), Err(Flaw::Trailing(_))));
        let mut more = good;
        more[0] = 2;
        assert!(matches!(read(&more), Err(Flaw::FieldCutOff { .. })));
    }
}
