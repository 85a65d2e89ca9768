//! Remembers what was decoded, so that eight copies read every day cost little more than one read once.
//!
//! Bytes are known again in two ways. By place: the memo keeps the bytes it has read alive, so the same address and
//! length can only be the same bytes. By content: a digest of the payload, the hash of a sealed file. Addresses are only
//! looked up, never walked, so nothing that the oracle says depends on them. What was not used in the last
//! [`KEEP_ROUNDS`] whole snapshots is forgotten.

use crate::content::DayContent;
use crate::identity::Content;
use crate::invariants::i11_tee::{self, Teed};
use crate::reader::frame::{self, Frame, Tail};
use crate::reader::manifest::Manifest;
use crate::reader::segment::{self, Block, HEADER_BYTES, Segment, Tier};
use crate::reader::texts::Texts;
use crate::reader::{Flaw, ReadError};
use crate::view::{Cursor, FileView, len_bytes};
use bytes::Bytes;
use std::collections::BTreeMap;
use std::sync::Arc;

/// How many whole snapshots a thing is remembered for without being met again.
pub const KEEP_ROUNDS: u32 = 2;

type Place = (usize, usize);
type Wrong = (u64, Flaw);

/// A remembered thing and the round in which it was last met.
#[derive(Debug)]
struct Met<T> {
    thing: T,
    round: u32,
}

#[derive(Debug)]
struct PlacedBlock {
    /// Keeps the address from being used for other bytes.
    _alive: Bytes,
    /// Less its salt.
    crc: u32,
    block: Arc<Block>,
}

#[derive(Debug)]
struct PlacedFile<T> {
    /// Keeps the addresses from being used for other bytes.
    _alive: Vec<Bytes>,
    read: Result<Arc<T>, Wrong>,
}

#[derive(Debug)]
struct PlacedTee {
    /// Keeps the addresses from being used for other bytes.
    _alive: Vec<Bytes>,
    read: Result<Arc<Vec<Teed>>, ReadError>,
}

/// What was decoded before. One memo serves any number of disks, stores and drills.
#[derive(Debug, Default)]
pub struct Memo {
    round: u32,
    last_id: u64,
    blocks_by_place: BTreeMap<Place, Met<PlacedBlock>>,
    blocks_by_content: BTreeMap<u128, Met<Arc<Block>>>,
    segments_by_place: BTreeMap<Vec<Place>, Met<PlacedFile<Segment>>>,
    segments_by_hash: BTreeMap<[u8; 32], Met<Arc<Segment>>>,
    manifests: BTreeMap<Vec<Place>, Met<PlacedFile<Manifest>>>,
    manifests_by_hash: BTreeMap<[u8; 32], Met<Arc<Manifest>>>,
    days: BTreeMap<Vec<u64>, Met<Arc<DayContent>>>,
    tees: BTreeMap<(String, Vec<Place>), Met<PlacedTee>>,
    texts: Texts,
}

/// How much a memo holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MemoSize {
    /// Distinct blocks.
    pub blocks: usize,
    /// Files known by place.
    pub files: usize,
    /// Distinct days.
    pub days: usize,
}

impl Memo {
    /// Starts a new round and forgets what was not met for [`KEEP_ROUNDS`] rounds.
    pub fn next_round(&mut self) {
        self.round += 1;
        let oldest = self.round.saturating_sub(KEEP_ROUNDS);
        self.blocks_by_place.retain(|_, met| met.round >= oldest);
        self.blocks_by_content.retain(|_, met| met.round >= oldest);
        self.segments_by_place.retain(|_, met| met.round >= oldest);
        self.segments_by_hash.retain(|_, met| met.round >= oldest);
        self.manifests.retain(|_, met| met.round >= oldest);
        self.manifests_by_hash.retain(|_, met| met.round >= oldest);
        self.days.retain(|_, met| met.round >= oldest);
        self.tees.retain(|_, met| met.round >= oldest);
    }

    /// How much is remembered.
    #[must_use]
    pub fn size(&self) -> MemoSize {
        MemoSize {
            blocks: self.blocks_by_content.len(),
            files: self.segments_by_place.len() + self.manifests.len(),
            days: self.days.len(),
        }
    }

    /// Reads a segment. A sealed one is hashed, and must not have a torn tail.
    pub(crate) fn segment(&mut self, chunks: &[Bytes], sealed: bool) -> Result<Arc<Segment>, Wrong> {
        let place = places(chunks);
        if let Some(met) = self.segments_by_place.get_mut(&place) {
            met.round = self.round;
            match &met.thing.read {
                Ok(known) if sealed && known.hash.is_none() => {} // it was open when it was read last
                read => return read.clone().and_then(|segment| whole_if(sealed, segment)),
            }
        }
        let read = if sealed { self.sealed(chunks) } else { self.decode(chunks).map(Arc::new) };
        let thing = PlacedFile { _alive: chunks.to_vec(), read: read.clone() };
        self.segments_by_place.insert(place, Met { thing, round: self.round });
        read.and_then(|segment| whole_if(sealed, segment))
    }

    fn sealed(&mut self, chunks: &[Bytes]) -> Result<Arc<Segment>, Wrong> {
        let hash = hash_of(chunks);
        if let Some(met) = self.segments_by_hash.get_mut(hash.as_bytes()) {
            met.round = self.round;
            return Ok(met.thing.clone());
        }
        let mut segment = self.decode(chunks)?;
        segment.hash = Some(hash.to_hex().to_string());
        let segment = Arc::new(segment);
        self.segments_by_hash.insert(*hash.as_bytes(), Met { thing: segment.clone(), round: self.round });
        Ok(segment)
    }

    fn decode(&mut self, chunks: &[Bytes]) -> Result<Segment, Wrong> {
        let mut cursor = Cursor::new(chunks);
        let header = segment::header(&frame::header(&mut cursor, segment::MAGIC, HEADER_BYTES)?)?;
        let mut blocks = Vec::new();
        let salt = segment::salt(header.of);
        let tail = frame::each_frame(&mut cursor, salt, |frame| {
            let block = self.block(frame, salt)?;
            let sound = block.is_some();
            blocks.extend(block);
            Ok(sound)
        })?;
        if header.tier == Tier::Compacted {
            segment::check_compacted(&blocks).map_err(|flaw| (HEADER_BYTES as u64, flaw))?;
        }
        Ok(Segment {
            tier: header.tier,
            of: header.of,
            id: header.id,
            records: blocks.iter().map(|block| block.records.len() as u64).sum(),
            blocks,
            len_bytes: len_bytes(chunks),
            tail,
            hash: None,
        })
    }

    /// The block of a frame; `None` if the frame's checksum does not match.
    fn block(&mut self, frame: &Frame, salt: u32) -> Result<Option<Arc<Block>>, Wrong> {
        let place = place(&frame.payload);
        if let Some(met) = self.blocks_by_place.get_mut(&place) {
            met.round = self.round;
            return Ok((met.thing.crc == frame.crc ^ salt).then(|| met.thing.block.clone()));
        }
        if !frame.is_sound(salt) {
            return Ok(None);
        }
        let content = Content::of(&frame.payload).0;
        let block = match self.blocks_by_content.get_mut(&content) {
            Some(met) => {
                met.round = self.round;
                met.thing.clone()
            }
            None => {
                let records =
                    segment::block(&frame.payload, &mut self.texts).map_err(|flaw| (frame.at, flaw))?;
                let block = Arc::new(Block { id: self.new_id(), records });
                self.blocks_by_content.insert(content, Met { thing: block.clone(), round: self.round });
                block
            }
        };
        let thing =
            PlacedBlock { _alive: frame.payload.clone(), crc: frame.crc ^ salt, block: block.clone() };
        self.blocks_by_place.insert(place, Met { thing, round: self.round });
        Ok(Some(block))
    }

    /// Reads a manifest.
    pub(crate) fn manifest(&mut self, chunks: &[Bytes]) -> Result<Arc<Manifest>, Wrong> {
        let place = places(chunks);
        if let Some(met) = self.manifests.get_mut(&place) {
            met.round = self.round;
            return met.thing.read.clone();
        }
        let read = self.manifest_of_bytes(chunks);
        let thing = PlacedFile { _alive: chunks.to_vec(), read: read.clone() };
        self.manifests.insert(place, Met { thing, round: self.round });
        read
    }

    /// Eight disks that did the same have equal manifests, in buffers of their own.
    fn manifest_of_bytes(&mut self, chunks: &[Bytes]) -> Result<Arc<Manifest>, Wrong> {
        let hash = hash_of(chunks);
        if let Some(met) = self.manifests_by_hash.get_mut(hash.as_bytes()) {
            met.round = self.round;
            return Ok(met.thing.clone());
        }
        let manifest = Arc::new(Manifest::read(chunks)?);
        let met = Met { thing: manifest.clone(), round: self.round };
        self.manifests_by_hash.insert(*hash.as_bytes(), met);
        Ok(manifest)
    }

    /// The requests of a tee file. Its name counts with its bytes: it states hour and edge.
    pub(crate) fn tee(&mut self, file: &FileView) -> Result<Arc<Vec<Teed>>, ReadError> {
        file.read().map_err(|wrong| ReadError::new(&file.path, wrong))?;
        let name = (file.path.clone(), places(&file.chunks));
        if let Some(met) = self.tees.get_mut(&name) {
            met.round = self.round;
            return met.thing.read.clone();
        }
        let read = i11_tee::digests(file);
        let thing = PlacedTee { _alive: file.chunks.clone(), read: read.clone() };
        self.tees.insert(name, Met { thing, round: self.round });
        read
    }

    /// The day that these segments make together.
    pub(crate) fn day<'a>(&mut self, segments: impl Iterator<Item = &'a Arc<Segment>>) -> Arc<DayContent> {
        let mut blocks: Vec<Arc<Block>> =
            segments.flat_map(|segment| segment.blocks.iter().cloned()).collect();
        blocks.sort_unstable_by_key(|block| block.id);
        self.day_of_blocks(blocks)
    }

    /// A day that came some other way than in segments.
    pub(crate) fn day_of_records(&mut self, records: Vec<segment::Stored>) -> Arc<DayContent> {
        let block = Arc::new(Block { id: self.new_id(), records });
        self.day_of_blocks(vec![block])
    }

    fn day_of_blocks(&mut self, blocks: Vec<Arc<Block>>) -> Arc<DayContent> {
        let ids: Vec<u64> = blocks.iter().map(|block| block.id).collect();
        if let Some(met) = self.days.get_mut(&ids) {
            met.round = self.round;
            return met.thing.clone();
        }
        let day = Arc::new(DayContent::of(self.new_id(), blocks));
        self.days.insert(ids, Met { thing: day.clone(), round: self.round });
        day
    }

    fn new_id(&mut self) -> u64 {
        self.last_id += 1;
        self.last_id
    }
}

fn whole_if(sealed: bool, segment: Arc<Segment>) -> Result<Arc<Segment>, Wrong> {
    match segment.tail {
        Tail::Torn { at } if sealed => Err((at, Flaw::SealedTorn)),
        _ => Ok(segment),
    }
}

fn hash_of(chunks: &[Bytes]) -> blake3::Hash {
    let mut hasher = blake3::Hasher::new();
    for chunk in chunks {
        hasher.update(chunk);
    }
    hasher.finalize()
}

fn place(bytes: &Bytes) -> Place {
    (bytes.as_ptr() as usize, bytes.len())
}

fn places(chunks: &[Bytes]) -> Vec<Place> {
    chunks.iter().map(place).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::ProjectDay;
    use crate::testing::{self, DAY, NOON_MS, Rec};

    const OF: ProjectDay = ProjectDay { project: 17, day: DAY };

    fn file() -> Bytes {
        let rec = |id: &str| vec![Rec::new("a", id, NOON_MS)];
        testing::segment(1, OF, 3, &[rec("i1"), rec("i2")])
    }

    #[test]
    fn equal_bytes_are_decoded_once_wherever_they_lie() {
        let mut memo = Memo::default();
        let (one, copy) = (file(), Bytes::from(file().to_vec()));
        let first = memo.segment(std::slice::from_ref(&one), false).unwrap();
        let second = memo.segment(std::slice::from_ref(&copy), false).unwrap();
        assert!(Arc::ptr_eq(&first.blocks[0], &second.blocks[0]));
        assert!(Arc::ptr_eq(&first, &memo.segment(&[one], false).unwrap()), "known by place");
        assert_eq!(memo.size(), MemoSize { blocks: 2, files: 2, days: 0 });
        let day = memo.day([&first].into_iter());
        assert!(Arc::ptr_eq(&day, &memo.day([&second].into_iter())));
    }

    #[test]
    fn a_known_payload_under_a_wrong_checksum_is_not_taken() {
        let mut memo = Memo::default();
        let whole = file();
        let end = testing::segment(1, OF, 3, &[vec![Rec::new("a", "i1", NOON_MS)]]).len();
        let first = memo.segment(&[whole.slice(..end)], false).unwrap();
        assert_eq!(first.records, 1);
        let mut head = whole[..HEADER_BYTES + 8].to_vec();
        head[HEADER_BYTES + 4] ^= 1;
        let bad = [Bytes::from(head), whole.slice(HEADER_BYTES + 8..end)];
        assert_eq!(memo.segment(&bad, false).unwrap().tail, Tail::Torn { at: 32 });
        assert_eq!(memo.segment(&bad, true).unwrap_err(), (32, Flaw::SealedTorn));
        let corrupt = [bad[0].clone(), whole.slice(HEADER_BYTES + 8..)];
        assert_eq!(memo.segment(&corrupt, false).unwrap_err(), (32, Flaw::CorruptMiddle));
    }

    #[test]
    fn a_segment_that_grows_keeps_its_blocks_and_one_that_is_sealed_gets_a_hash() {
        let mut memo = Memo::default();
        let (whole, end) = (file(), testing::segment(1, OF, 3, &[vec![Rec::new("a", "i1", NOON_MS)]]).len());
        let one = memo.segment(&[whole.slice(..end)], false).unwrap();
        let two = memo.segment(&[whole.slice(..end), whole.slice(end..)], false).unwrap();
        assert!(Arc::ptr_eq(&one.blocks[0], &two.blocks[0]));
        assert_eq!((one.records, two.records, &two.hash), (1, 2, &None));
        let sealed = memo.segment(&[whole.slice(..end), whole.slice(end..)], true).unwrap();
        assert_eq!(sealed.hash.as_deref(), Some(blake3::hash(&whole).to_hex().as_str()));
    }

    #[test]
    fn what_is_met_no_more_is_forgotten() {
        let mut memo = Memo::default();
        let whole = file();
        memo.segment(std::slice::from_ref(&whole), true).unwrap();
        for _ in 0..KEEP_ROUNDS {
            memo.next_round();
            assert_eq!(memo.size().files, 1);
        }
        memo.next_round();
        assert_eq!(memo.size(), MemoSize::default());
    }
}
