//! A cache of decoded files, so that reading eight replicas every day costs little more than reading one once.
//!
//! Bytes are recognized in two ways. By address: the cache keeps the bytes that it has read alive, so an equal address
//! and length mean equal bytes. By content: a digest of a block's payload, or the hash of a sealed file. Addresses are
//! looked up and never iterated, so no result depends on their order. Entries not used in the last [`RETAINED_ROUNDS`]
//! full snapshots are evicted.

use crate::content::DayContent;
use crate::identity::EventDigest;
use crate::reader::event_cache::EventCache;
use crate::reader::frame::{self, FileTail, Frame};
use crate::reader::manifest::Manifest;
use crate::reader::segment::{self, HEADER_BYTES, Segment, SegmentBlock, Tier};
use crate::reader::teed_request::{TeedRequest, teed_requests};
use crate::reader::{ReadError, ReadErrorKind};
use crate::view::{Cursor, FileView, len_bytes};
use bytes::Bytes;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Number of full snapshots after which an unused entry is evicted.
pub const RETAINED_ROUNDS: u32 = 2;

type BufferAddress = (usize, usize);
type ErrorAt = (u64, ReadErrorKind);

/// A cached value and the round in which it was last used.
#[derive(Debug)]
struct CacheEntry<T> {
    value: T,
    round: u32,
}

#[derive(Debug)]
struct CachedBlock {
    /// Keeps the address from being reused for other bytes.
    _alive: Bytes,
    /// CRC-32C of the payload without the salt.
    crc: u32,
    block: Arc<SegmentBlock>,
}

#[derive(Debug)]
struct CachedFile<T> {
    /// Keeps the addresses from being reused for other bytes.
    _alive: Vec<Bytes>,
    read: Result<Arc<T>, ErrorAt>,
}

#[derive(Debug)]
struct CachedTeeFile {
    /// Keeps the addresses from being reused for other bytes.
    _alive: Vec<Bytes>,
    read: Result<Arc<Vec<TeedRequest>>, ReadError>,
}

/// Cache of decoded blocks, files and days. One cache serves any number of disks, stores and drills.
#[derive(Debug, Default)]
pub struct DecodeCache {
    round: u32,
    last_id: u64,
    blocks_by_place: BTreeMap<BufferAddress, CacheEntry<CachedBlock>>,
    blocks_by_content: BTreeMap<u128, CacheEntry<Arc<SegmentBlock>>>,
    segments_by_place: BTreeMap<Vec<BufferAddress>, CacheEntry<CachedFile<Segment>>>,
    segments_by_hash: BTreeMap<[u8; 32], CacheEntry<Arc<Segment>>>,
    manifests: BTreeMap<Vec<BufferAddress>, CacheEntry<CachedFile<Manifest>>>,
    manifests_by_hash: BTreeMap<[u8; 32], CacheEntry<Arc<Manifest>>>,
    days: BTreeMap<Vec<u64>, CacheEntry<Arc<DayContent>>>,
    tee_files: BTreeMap<(String, Vec<BufferAddress>), CacheEntry<CachedTeeFile>>,
    texts: EventCache,
}

/// Number of entries in a decode cache.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DecodeCacheSize {
    /// Distinct blocks.
    pub blocks: usize,
    /// Files known by address.
    pub files: usize,
    /// Distinct days.
    pub days: usize,
}

impl DecodeCache {
    /// Starts a new round and evicts entries that were not used for [`RETAINED_ROUNDS`] rounds.
    pub fn next_round(&mut self) {
        self.round += 1;
        let oldest = self.round.saturating_sub(RETAINED_ROUNDS);
        self.blocks_by_place.retain(|_, cached| cached.round >= oldest);
        self.blocks_by_content.retain(|_, cached| cached.round >= oldest);
        self.segments_by_place.retain(|_, cached| cached.round >= oldest);
        self.segments_by_hash.retain(|_, cached| cached.round >= oldest);
        self.manifests.retain(|_, cached| cached.round >= oldest);
        self.manifests_by_hash.retain(|_, cached| cached.round >= oldest);
        self.days.retain(|_, cached| cached.round >= oldest);
        self.tee_files.retain(|_, cached| cached.round >= oldest);
    }

    /// Returns the number of entries.
    #[must_use]
    pub fn size(&self) -> DecodeCacheSize {
        DecodeCacheSize {
            blocks: self.blocks_by_content.len(),
            files: self.segments_by_place.len() + self.manifests.len(),
            days: self.days.len(),
        }
    }

    /// Reads a segment. A sealed segment is hashed and must not have a torn tail.
    pub(crate) fn segment(&mut self, chunks: &[Bytes], sealed: bool) -> Result<Arc<Segment>, ErrorAt> {
        let address = buffer_addresses(chunks);
        if let Some(cached) = self.segments_by_place.get_mut(&address) {
            cached.round = self.round;
            match &cached.value.read {
                Ok(known) if sealed && known.hash.is_none() => {} // it was open when it was read last
                read => return read.clone().and_then(|segment| require_whole(sealed, segment)),
            }
        }
        let read = if sealed { self.sealed(chunks) } else { self.decode(chunks).map(Arc::new) };
        let value = CachedFile { _alive: chunks.to_vec(), read: read.clone() };
        self.segments_by_place.insert(address, CacheEntry { value, round: self.round });
        read.and_then(|segment| require_whole(sealed, segment))
    }

    fn sealed(&mut self, chunks: &[Bytes]) -> Result<Arc<Segment>, ErrorAt> {
        let hash = hash_chunks(chunks);
        if let Some(cached) = self.segments_by_hash.get_mut(hash.as_bytes()) {
            cached.round = self.round;
            return Ok(cached.value.clone());
        }
        let mut segment = self.decode(chunks)?;
        segment.hash = Some(hash.to_hex().to_string());
        let segment = Arc::new(segment);
        self.segments_by_hash
            .insert(*hash.as_bytes(), CacheEntry { value: segment.clone(), round: self.round });
        Ok(segment)
    }

    fn decode(&mut self, chunks: &[Bytes]) -> Result<Segment, ErrorAt> {
        let mut cursor = Cursor::new(chunks);
        let header = segment::header(&frame::header(&mut cursor, segment::MAGIC, HEADER_BYTES)?)?;
        let mut blocks = Vec::new();
        let salt = segment::salt(header.project_day);
        let tail = frame::for_each_frame(&mut cursor, salt, |frame| {
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
            project_day: header.project_day,
            id: header.id,
            records: blocks.iter().map(|block| block.records.len() as u64).sum(),
            blocks,
            len_bytes: len_bytes(chunks),
            tail,
            hash: None,
        })
    }

    /// Returns the block of a frame; `None` if the frame's checksum does not match.
    pub(crate) fn block(&mut self, frame: &Frame, salt: u32) -> Result<Option<Arc<SegmentBlock>>, ErrorAt> {
        let address = address(&frame.payload);
        if let Some(cached) = self.blocks_by_place.get_mut(&address) {
            cached.round = self.round;
            return Ok((cached.value.crc == frame.crc ^ salt).then(|| cached.value.block.clone()));
        }
        if !frame.is_sound(salt) {
            return Ok(None);
        }
        let content = EventDigest::of(&frame.payload).0;
        let block = match self.blocks_by_content.get_mut(&content) {
            Some(cached) => {
                cached.round = self.round;
                cached.value.clone()
            }
            None => {
                let records =
                    segment::block(&frame.payload, &mut self.texts).map_err(|flaw| (frame.at, flaw))?;
                let block = Arc::new(SegmentBlock { id: self.new_id(), records });
                self.blocks_by_content
                    .insert(content, CacheEntry { value: block.clone(), round: self.round });
                block
            }
        };
        let value =
            CachedBlock { _alive: frame.payload.clone(), crc: frame.crc ^ salt, block: block.clone() };
        self.blocks_by_place.insert(address, CacheEntry { value, round: self.round });
        Ok(Some(block))
    }

    /// Reads a manifest.
    pub(crate) fn manifest(&mut self, chunks: &[Bytes]) -> Result<Arc<Manifest>, ErrorAt> {
        let address = buffer_addresses(chunks);
        if let Some(cached) = self.manifests.get_mut(&address) {
            cached.round = self.round;
            return cached.value.read.clone();
        }
        let read = self.manifest_of_bytes(chunks);
        let value = CachedFile { _alive: chunks.to_vec(), read: read.clone() };
        self.manifests.insert(address, CacheEntry { value, round: self.round });
        read
    }

    /// Decodes a manifest unless an equal one is cached: disks with the same history have equal manifests in separate
    /// buffers.
    fn manifest_of_bytes(&mut self, chunks: &[Bytes]) -> Result<Arc<Manifest>, ErrorAt> {
        let hash = hash_chunks(chunks);
        if let Some(cached) = self.manifests_by_hash.get_mut(hash.as_bytes()) {
            cached.round = self.round;
            return Ok(cached.value.clone());
        }
        let manifest = Arc::new(Manifest::read(chunks)?);
        let cached = CacheEntry { value: manifest.clone(), round: self.round };
        self.manifests_by_hash.insert(*hash.as_bytes(), cached);
        Ok(manifest)
    }

    /// Reads the requests of a tee file. The cache key includes the file name, which states the hour and the edge.
    pub(crate) fn tee(&mut self, file: &FileView) -> Result<Arc<Vec<TeedRequest>>, ReadError> {
        file.read().map_err(|wrong| ReadError::new(&file.path, wrong))?;
        let name = (file.path.clone(), buffer_addresses(&file.chunks));
        if let Some(cached) = self.tee_files.get_mut(&name) {
            cached.round = self.round;
            return cached.value.read.clone();
        }
        let read = teed_requests(file);
        let value = CachedTeeFile { _alive: file.chunks.clone(), read: read.clone() };
        self.tee_files.insert(name, CacheEntry { value, round: self.round });
        read
    }

    /// Returns the day that these segments form together.
    pub(crate) fn day<'a>(&mut self, segments: impl Iterator<Item = &'a Arc<Segment>>) -> Arc<DayContent> {
        let mut blocks: Vec<Arc<SegmentBlock>> =
            segments.flat_map(|segment| segment.blocks.iter().cloned()).collect();
        blocks.sort_unstable_by_key(|block| block.id);
        self.day_of_blocks(blocks)
    }

    /// Returns a day built from records that do not come from segments.
    pub(crate) fn day_of_records(&mut self, records: Vec<segment::StoredRecord>) -> Arc<DayContent> {
        let block = Arc::new(SegmentBlock { id: self.new_id(), records });
        self.day_of_blocks(vec![block])
    }

    fn day_of_blocks(&mut self, blocks: Vec<Arc<SegmentBlock>>) -> Arc<DayContent> {
        let ids: Vec<u64> = blocks.iter().map(|block| block.id).collect();
        if let Some(cached) = self.days.get_mut(&ids) {
            cached.round = self.round;
            return cached.value.clone();
        }
        let day = Arc::new(DayContent::of(self.new_id(), blocks));
        self.days.insert(ids, CacheEntry { value: day.clone(), round: self.round });
        day
    }

    fn new_id(&mut self) -> u64 {
        self.last_id += 1;
        self.last_id
    }
}

fn require_whole(sealed: bool, segment: Arc<Segment>) -> Result<Arc<Segment>, ErrorAt> {
    match segment.tail {
        FileTail::Torn { at } if sealed => Err((at, ReadErrorKind::TornSealedFile)),
        _ => Ok(segment),
    }
}

fn hash_chunks(chunks: &[Bytes]) -> blake3::Hash {
    let mut hasher = blake3::Hasher::new();
    for chunk in chunks {
        hasher.update(chunk);
    }
    hasher.finalize()
}

fn address(bytes: &Bytes) -> BufferAddress {
    (bytes.as_ptr() as usize, bytes.len())
}

fn buffer_addresses(chunks: &[Bytes]) -> Vec<BufferAddress> {
    chunks.iter().map(address).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::ProjectDay;
    use crate::test_support::{self, DAY, NOON_MS, TestRecord};

    const PROJECT_DAY: ProjectDay = ProjectDay { project: 17, day: DAY };

    fn file() -> Bytes {
        let rec = |id: &str| vec![TestRecord::new("a", id, NOON_MS)];
        test_support::segment(1, PROJECT_DAY, 3, &[rec("i1"), rec("i2")])
    }

    #[test]
    fn equal_bytes_are_decoded_once_at_any_address() {
        let mut cache = DecodeCache::default();
        let (one, copy) = (file(), Bytes::from(file().to_vec()));
        let first = cache.segment(std::slice::from_ref(&one), false).unwrap();
        let second = cache.segment(std::slice::from_ref(&copy), false).unwrap();
        assert!(Arc::ptr_eq(&first.blocks[0], &second.blocks[0]));
        assert!(Arc::ptr_eq(&first, &cache.segment(&[one], false).unwrap()), "known by address");
        assert_eq!(cache.size(), DecodeCacheSize { blocks: 2, files: 2, days: 0 });
        let day = cache.day([&first].into_iter());
        assert!(Arc::ptr_eq(&day, &cache.day([&second].into_iter())));
    }

    #[test]
    fn a_cached_payload_with_a_wrong_checksum_is_rejected() {
        let mut cache = DecodeCache::default();
        let whole = file();
        let end =
            test_support::segment(1, PROJECT_DAY, 3, &[vec![TestRecord::new("a", "i1", NOON_MS)]]).len();
        let first = cache.segment(&[whole.slice(..end)], false).unwrap();
        assert_eq!(first.records, 1);
        let mut head = whole[..HEADER_BYTES + 8].to_vec();
        head[HEADER_BYTES + 4] ^= 1;
        let bad = [Bytes::from(head), whole.slice(HEADER_BYTES + 8..end)];
        assert_eq!(cache.segment(&bad, false).unwrap().tail, FileTail::Torn { at: 32 });
        assert_eq!(cache.segment(&bad, true).unwrap_err(), (32, ReadErrorKind::TornSealedFile));
        let corrupt = [bad[0].clone(), whole.slice(HEADER_BYTES + 8..)];
        assert_eq!(cache.segment(&corrupt, false).unwrap_err(), (32, ReadErrorKind::CorruptFrame));
    }

    #[test]
    fn a_growing_segment_keeps_its_blocks_and_a_sealed_one_gets_a_hash() {
        let mut cache = DecodeCache::default();
        let (whole, end) = (
            file(),
            test_support::segment(1, PROJECT_DAY, 3, &[vec![TestRecord::new("a", "i1", NOON_MS)]]).len(),
        );
        let one = cache.segment(&[whole.slice(..end)], false).unwrap();
        let two = cache.segment(&[whole.slice(..end), whole.slice(end..)], false).unwrap();
        assert!(Arc::ptr_eq(&one.blocks[0], &two.blocks[0]));
        assert_eq!((one.records, two.records, &two.hash), (1, 2, &None));
        let sealed = cache.segment(&[whole.slice(..end), whole.slice(end..)], true).unwrap();
        assert_eq!(sealed.hash.as_deref(), Some(blake3::hash(&whole).to_hex().as_str()));
    }

    #[test]
    fn unused_entries_are_evicted() {
        let mut cache = DecodeCache::default();
        let whole = file();
        cache.segment(std::slice::from_ref(&whole), true).unwrap();
        for _ in 0..RETAINED_ROUNDS {
            cache.next_round();
            assert_eq!(cache.size().files, 1);
        }
        cache.next_round();
        assert_eq!(cache.size(), DecodeCacheSize::default());
    }
}
