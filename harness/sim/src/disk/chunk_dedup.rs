//! Deduplicates equal bytes that are written at about the same time.
//!
//! Independent replicas (eight disks that merge the same files) write equal bytes from separate buffers. Recent
//! chunks are cached by digest; a write of the same bytes uses the earlier buffer. This is not part of the
//! simulation: bytes are compared, so no read ever depends on it.

use bytes::Bytes;
use std::collections::{BTreeMap, VecDeque};

/// Maximum number of cached chunks.
const MOST_CHUNKS: usize = 512;
/// Maximum of their total length: the memory that removed files can keep alive.
const MOST_BYTES: usize = 16 << 20;
/// Below this length, caching costs about as much as it saves.
const WORTH_BYTES: usize = 1 << 10;
/// Above this length, one chunk would evict too many others.
const LARGEST_BYTES: usize = 4 << 20;

/// Recently written chunks of all disks of a world.
#[derive(Debug, Default)]
pub(crate) struct ChunkDedup {
    by_digest: BTreeMap<u128, Bytes>,
    oldest_first: VecDeque<u128>,
    bytes: usize,
}

impl ChunkDedup {
    /// Returns the same bytes, in the buffer of an earlier write if one is cached. `digest` is the digest of `data`.
    pub(crate) fn dedup(&mut self, data: Bytes, digest: u128) -> Bytes {
        if data.len() < WORTH_BYTES || data.len() > LARGEST_BYTES {
            return data;
        }
        match self.by_digest.get(&digest) {
            Some(known) if known.as_ptr() == data.as_ptr() || *known == data => return known.clone(),
            // Digest collision: the first chunk stays cached, nothing is shared.
            Some(_) => return data,
            None => {}
        }
        self.bytes += data.len();
        self.by_digest.insert(digest, data.clone());
        self.oldest_first.push_back(digest);
        while self.oldest_first.len() > MOST_CHUNKS || self.bytes > MOST_BYTES {
            let oldest = self.oldest_first.pop_front().and_then(|digest| self.by_digest.remove(&digest));
            self.bytes -= oldest.map_or(0, |chunk| chunk.len());
        }
        data
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chunk(byte: u8, len: usize) -> Bytes {
        Bytes::from(vec![byte; len])
    }

    #[test]
    fn only_equal_bytes_share_a_buffer() {
        let mut shared = ChunkDedup::default();
        let first = shared.dedup(chunk(1, WORTH_BYTES), 7);
        assert_eq!(shared.dedup(chunk(1, WORTH_BYTES), 7).as_ptr(), first.as_ptr());
        let other = shared.dedup(chunk(2, WORTH_BYTES), 7);
        assert_eq!(other, chunk(2, WORTH_BYTES), "a digest collision must not return other bytes");
        let longer = shared.dedup(chunk(1, WORTH_BYTES + 1), 7);
        assert_eq!(longer.len(), WORTH_BYTES + 1);
        let small = shared.dedup(chunk(1, WORTH_BYTES - 1), 8);
        assert_ne!(shared.dedup(chunk(1, WORTH_BYTES - 1), 8).as_ptr(), small.as_ptr());
    }

    #[test]
    fn the_cache_is_bounded_in_chunks_and_bytes() {
        let mut shared = ChunkDedup::default();
        for digest in 0..2 * MOST_CHUNKS as u128 {
            shared.dedup(chunk(1, WORTH_BYTES), digest);
        }
        assert_eq!((shared.by_digest.len(), shared.bytes), (MOST_CHUNKS, MOST_CHUNKS * WORTH_BYTES));
        for digest in 0..8 {
            shared.dedup(chunk(1, LARGEST_BYTES), 1 << 64 | digest);
        }
        assert_eq!((shared.oldest_first.len(), shared.bytes), (4, MOST_BYTES));
        assert_eq!(shared.by_digest.len(), 4);
        let fresh = chunk(3, WORTH_BYTES);
        assert_eq!(shared.dedup(fresh.clone(), 0).as_ptr(), fresh.as_ptr(), "the oldest are evicted");
    }
}
