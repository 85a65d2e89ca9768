//! Identity of an event: its de-duplication key, its content digest, its arrival id, and its project-day.
//!
//! Keys are stored as big-endian integers, so that they sort like their bytes. Keys and digests are computed from the
//! event's text and never taken from a file; a file that states another key is wrong.

use crc_fast::CrcAlgorithm;
use std::fmt;

/// Returns the first 16 bytes of a BLAKE3 hash as a big-endian integer.
#[must_use]
pub fn truncate_to_128_bits(hasher: &blake3::Hasher) -> u128 {
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&hasher.finalize().as_bytes()[..16]);
    u128::from_be_bytes(bytes)
}

/// De-duplication key: two events of one project-day with equal keys are the same event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DedupKey(pub u128);

impl DedupKey {
    /// Returns the key of an event with an `$insert_id`.
    ///
    /// `distinct_id` is text: a string's content, a number's JSON text, empty when absent.
    #[must_use]
    pub fn of(name: &str, distinct_id: &str, insert_id: &str) -> DedupKey {
        let mut hasher = blake3::Hasher::new();
        for part in [name, distinct_id, insert_id] {
            let len = u32::try_from(part.len()).unwrap_or(u32::MAX);
            hasher.update(&len.to_le_bytes());
            hasher.update(part.as_bytes());
        }
        DedupKey(truncate_to_128_bits(&hasher))
    }

    /// Returns the key of an event without `$insert_id`: each arrival is a separate event.
    #[must_use]
    pub fn of_anonymous(arrival: ArrivalId) -> DedupKey {
        let mut input = [0xFF; 18];
        input[4..6].copy_from_slice(&arrival.edge.to_le_bytes());
        input[6..14].copy_from_slice(&arrival.sequence.to_le_bytes());
        input[14..18].copy_from_slice(&arrival.item.to_le_bytes());
        let mut hasher = blake3::Hasher::new();
        hasher.update(&input);
        DedupKey(truncate_to_128_bits(&hasher))
    }
}

impl fmt::Display for DedupKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

/// A 128-bit digest of an event's JSON text as it is stored: the text as it was sent, byte for byte, without the white
/// space between its tokens. See [`EventDigest::of_sent`].
///
/// Combines two CRC-64s of different polynomials and mixes the bits. Like one CRC of 128 bits, it misses an accidental
/// difference with probability 2^-128, at memory speed. It does not resist malicious input, and need not: events are
/// compared with themselves. Files never contain it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EventDigest(pub u128);

impl EventDigest {
    /// Returns the digest of an event's JSON text.
    #[must_use]
    pub fn of(json: &[u8]) -> EventDigest {
        let high = crc_fast::checksum(CrcAlgorithm::Crc64Nvme, json);
        let low = crc_fast::checksum(CrcAlgorithm::Crc64Xz, json);
        EventDigest(mix_bits(u128::from(high) << 64 | u128::from(low)))
    }

    /// Returns the digest of the stored form of an event sent as `json`.
    #[must_use]
    pub fn of_sent(json: &[u8]) -> EventDigest {
        EventDigest::of(&crate::json_text::compact_json(json))
    }
}

/// A bijection that is not linear, so that in a sum of digests no exchange of bytes between two events cancels out.
fn mix_bits(crc: u128) -> u128 {
    const ODD: u128 = 0x9E37_79B9_7F4A_7C15_F39C_C060_5CED_C835; // 2^128 divided by the golden ratio, made odd
    let mixed = (crc ^ (crc >> 65)).wrapping_mul(ODD);
    (mixed ^ (mixed >> 63)).wrapping_mul(ODD)
}

impl fmt::Display for EventDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

/// Arrival of an event: the edge, the edge's sequence number of the request, and the position in the request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ArrivalId {
    /// Edge that numbered the request.
    pub edge: u16,
    /// The edge's sequence number of the request.
    pub sequence: u64,
    /// Position of the event in the request, from 0.
    pub item: u32,
}

/// A project and one of its local days, counted from 1970-01-01.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ProjectDay {
    /// Project number.
    pub project: u32,
    /// The calendar day in the project's zone; 0 is 1970-01-01.
    pub day: i32,
}

impl fmt::Display for ProjectDay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "p{} {}", self.project, crate::day::format_day(self.day))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_part_changes_the_key() {
        let key = DedupKey::of("Signed up", "u1", "i1");
        assert_ne!(key, DedupKey::of("Signed in", "u1", "i1"));
        assert_ne!(key, DedupKey::of("Signed up", "u2", "i1"));
        assert_ne!(key, DedupKey::of("Signed up", "u1", "i2"));
        assert_ne!(DedupKey::of("ab", "c", ""), DedupKey::of("a", "bc", ""), "lengths separate the parts");
    }

    #[test]
    fn a_key_is_the_hash_of_length_prefixed_parts() {
        let hash = blake3::hash(b"\x01\0\0\0e\x02\0\0\0d1\x01\0\0\0i");
        assert_eq!(DedupKey::of("e", "d1", "i").to_string(), hash.to_hex().as_str()[..32]);
        let hash = blake3::hash(b"\xff\xff\xff\xff\x02\0\x03\0\0\0\0\0\0\0\x04\0\0\0");
        let arrival = ArrivalId { edge: 2, sequence: 3, item: 4 };
        assert_eq!(DedupKey::of_anonymous(arrival).to_string(), hash.to_hex().as_str()[..32]);
    }

    #[test]
    fn any_changed_added_or_moved_byte_changes_the_digest() {
        let text = br#"{"event":"a","properties":{"x":1,"y":2}}"#;
        let base = EventDigest::of(text);
        for at in 0..text.len() {
            for bit in 0..8 {
                let mut other = text.to_vec();
                other[at] ^= 1 << bit;
                assert_ne!(base, EventDigest::of(&other));
            }
        }
        let swapped = br#"{"event":"a","properties":{"y":2,"x":1}}"#;
        assert_ne!(base, EventDigest::of(swapped));
        assert_ne!(EventDigest::of(b""), EventDigest::of(b"\0"));
        assert_ne!(EventDigest::of(b"\0"), EventDigest::of(b"\0\0"));
    }

    #[test]
    fn swapping_values_between_two_events_changes_their_sum() {
        let digest_of = |name: &str, value: &str| {
            EventDigest::of(format!("{{\"event\":\"{name}\",\"v\":\"{value}\"}}").as_bytes()).0
        };
        for number in 0..1000 {
            let [one, two] = [number, number + 1].map(|number| format!("{number:04}"));
            let as_sent = digest_of("a", &one).wrapping_add(digest_of("b", &two));
            assert_ne!(as_sent, digest_of("a", &two).wrapping_add(digest_of("b", &one)));
        }
    }
}
