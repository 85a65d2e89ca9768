//! Frame format of every append-only file, after the file's own header.
//!
//! `u32 payload_len_bytes, u32 crc32c(payload) ^ salt, payload`, little-endian. Models the format alone: no file, no
//! I/O. The salt is 0 where the payload identifies the file that it belongs to. Elsewhere the salt does: a frame that
//! the disk writes into the wrong file fails its checksum there. This module classifies damage from a crash or a bad
//! sector, so that all readers apply the same rule.

use bytes::Bytes;
use crc_fast::CrcAlgorithm;

/// Size of the length and checksum before each payload, in bytes.
pub const FRAME_HEAD_BYTES: usize = 8;

/// Maximum payload size, in bytes.
pub const MAX_PAYLOAD_BYTES: usize = 67_108_864;

/// Error for a payload that does not fit a frame: empty, or longer than [`MAX_PAYLOAD_BYTES`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a frame's payload of {0} bytes: it must have 1 to {MAX_PAYLOAD_BYTES}; split it")]
pub struct InvalidPayloadLength(pub usize);

/// Returns the CRC-32C (Castagnoli) of `bytes`.
#[must_use]
pub fn crc32c(bytes: &[u8]) -> u32 {
    // The checksum of a 32-bit algorithm fills the lower half of the crate's u64.
    crc_fast::checksum(CrcAlgorithm::Crc32Iscsi, bytes) as u32
}

/// Appends the frame of `payload` to `out`.
///
/// # Errors
/// The payload is empty or too long; `out` is then unchanged.
pub fn push_frame(out: &mut Vec<u8>, payload: &[u8]) -> Result<(), InvalidPayloadLength> {
    push_salted_frame(out, payload, 0)
}

/// Appends the frame of `payload` to `out`, with a salt.
///
/// # Errors
/// See [`push_frame`].
fn push_salted_frame(out: &mut Vec<u8>, payload: &[u8], salt: u32) -> Result<(), InvalidPayloadLength> {
    if payload.is_empty() || payload.len() > MAX_PAYLOAD_BYTES {
        return Err(InvalidPayloadLength(payload.len()));
    }
    out.reserve(FRAME_HEAD_BYTES + payload.len());
    out.extend_from_slice(&(payload.len() as u32).to_le_bytes());
    out.extend_from_slice(&(crc32c(payload) ^ salt).to_le_bytes());
    out.extend_from_slice(payload);
    Ok(())
}

/// Returns the frame of `payload`.
///
/// # Errors
/// The payload is empty or too long.
pub fn encode_frame(payload: &[u8]) -> Result<Bytes, InvalidPayloadLength> {
    encode_salted_frame(payload, 0)
}

/// Returns the frame of `payload`, with a salt.
///
/// # Errors
/// See [`encode_frame`].
pub fn encode_salted_frame(payload: &[u8], salt: u32) -> Result<Bytes, InvalidPayloadLength> {
    let mut out = Vec::new();
    push_salted_frame(&mut out, payload, salt)?;
    Ok(out.into())
}

/// State of the end of a scanned file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ScanEnd {
    /// The last frame ends at the end of the file.
    Clean,
    /// Unfinished write. The file must be truncated at `at`; no valid frame follows.
    TornTail {
        /// Offset of the first bad byte, equal to the length of the valid prefix.
        at: usize,
    },
    /// Bad frame followed by a valid one: durable data was damaged. The damage must not be truncated or skipped; the
    /// file must be repaired from another copy.
    CorruptMiddle {
        /// Offset of the bad frame.
        at: usize,
        /// Offset of the next valid frame.
        next: usize,
    },
}

/// Result of [`scan`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FrameScan {
    /// Payloads of the frames before the end or the first bad frame, as slices of the file.
    pub payloads: Vec<Bytes>,
    /// Offset after the last of these frames: the length that a recovery may keep.
    pub valid_bytes: usize,
    /// State of the data after `valid_bytes`.
    pub end: ScanEnd,
}

/// Reads the frames of `file` from offset `from` (after the file's own header).
///
/// A bad frame is a torn tail only if no valid frame follows: neither where its length field points nor, since that
/// field may be damaged, at any other offset. Exception: eight zero bytes in place of length and checksum are the hole
/// that a lost append leaves under a later append that survived. Neither was synced, so this is a torn tail whatever
/// follows.
#[must_use]
pub fn scan(file: &Bytes, from: usize) -> FrameScan {
    scan_salted(file, from, 0)
}

/// Reads frames with a salt; see [`scan`].
#[must_use]
pub fn scan_salted(file: &Bytes, from: usize, salt: u32) -> FrameScan {
    let mut payloads = Vec::new();
    let mut at = from.min(file.len());
    let end = loop {
        if at == file.len() {
            break ScanEnd::Clean;
        }
        match frame_at(file, at, salt) {
            FrameStatus::Valid { payload_end } => {
                payloads.push(file.slice(at + FRAME_HEAD_BYTES..payload_end));
                at = payload_end;
            }
            FrameStatus::Hole => break ScanEnd::TornTail { at },
            FrameStatus::Invalid => {
                break match next_valid(file, at + 1, salt) {
                    Some(next) => ScanEnd::CorruptMiddle { at, next },
                    None => ScanEnd::TornTail { at },
                };
            }
        }
    };
    FrameScan { payloads, valid_bytes: at, end }
}

/// Returns the payloads of all valid frames from `from` on, including those after damage. Used as a last resort to
/// merge several damaged copies. Readers that must not miss data use [`scan`].
#[must_use]
pub fn salvage(file: &Bytes, from: usize) -> Vec<Bytes> {
    let mut payloads = Vec::new();
    let mut at = from;
    while let Some(start) = next_valid(file, at, 0) {
        let found = scan(file, start);
        payloads.extend(found.payloads);
        at = found.valid_bytes + 1;
    }
    payloads
}

enum FrameStatus {
    Valid { payload_end: usize },
    Hole,
    Invalid,
}

fn frame_at(file: &[u8], at: usize, salt: u32) -> FrameStatus {
    let Some(head) = file.get(at..at + FRAME_HEAD_BYTES) else {
        return FrameStatus::Invalid;
    };
    if head == [0; FRAME_HEAD_BYTES] {
        return FrameStatus::Hole;
    }
    let len = u32::from_le_bytes([head[0], head[1], head[2], head[3]]) as usize;
    let sum = u32::from_le_bytes([head[4], head[5], head[6], head[7]]);
    if len == 0 || len > MAX_PAYLOAD_BYTES {
        return FrameStatus::Invalid;
    }
    let payload_end = at + FRAME_HEAD_BYTES + len;
    match file.get(at + FRAME_HEAD_BYTES..payload_end) {
        Some(payload) if crc32c(payload) ^ salt == sum => FrameStatus::Valid { payload_end },
        _ => FrameStatus::Invalid,
    }
}

fn next_valid(file: &[u8], from: usize, salt: u32) -> Option<usize> {
    // The length check comes first because it is cheap: in text, almost any four bytes make an invalid length.
    (from..file.len().saturating_sub(FRAME_HEAD_BYTES))
        .find(|&at| matches!(frame_at(file, at, salt), FrameStatus::Valid { .. }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(payloads: &[&[u8]]) -> Vec<u8> {
        let mut out = b"HEAD".to_vec();
        for payload in payloads {
            push_frame(&mut out, payload).unwrap();
        }
        out
    }

    fn scanned(bytes: Vec<u8>) -> FrameScan {
        scan(&bytes.into(), 4)
    }

    #[test]
    fn a_frame_with_another_salt_is_invalid() {
        let own = encode_salted_frame(b"own", 7).unwrap();
        let file: Bytes = [&own[..], &encode_salted_frame(b"foreign", 8).unwrap(), &own].concat().into();
        assert_eq!(
            scan_salted(&file, 0, 7).end,
            ScanEnd::CorruptMiddle { at: own.len(), next: file.len() - own.len() }
        );
        let end = scan_salted(&file.slice(..file.len() - own.len()), 0, 7);
        assert_eq!((end.payloads.len(), end.end), (1, ScanEnd::TornTail { at: own.len() }));
    }

    #[test]
    fn encoded_frames_decode_to_their_payloads() {
        let found = scanned(file(&[b"one", b"two"]));
        assert_eq!(found.payloads, [Bytes::from("one"), Bytes::from("two")]);
        assert_eq!(found.end, ScanEnd::Clean);
    }

    #[test]
    fn crc32c_uses_the_castagnoli_polynomial() {
        assert_eq!(crc32c(b"123456789"), 0xE306_9283);
    }

    #[test]
    fn truncation_at_any_length_is_a_torn_tail_with_the_valid_prefix() {
        let whole = file(&[b"one", b"second", b"third one"]);
        let ends = [4, 15, 29, 46];
        assert_eq!(whole.len(), 46);
        for len in 4..whole.len() {
            let found = scanned(whole[..len].to_vec());
            let prefix = ends.iter().rev().find(|end| **end <= len).copied().unwrap();
            assert_eq!(found.valid_bytes, prefix, "cut at {len}");
            let expected = if len == prefix { ScanEnd::Clean } else { ScanEnd::TornTail { at: prefix } };
            assert_eq!(found.end, expected, "cut at {len}");
        }
    }

    #[test]
    fn one_flipped_bit_is_a_corrupt_middle_or_a_torn_tail_at_the_end() {
        let whole = file(&[b"one", b"second", b"third one"]);
        for at in 4..whole.len() {
            for bit in 0..8 {
                let mut damaged = whole.clone();
                damaged[at] ^= 1 << bit;
                let found = scanned(damaged);
                let (start, next) = match at {
                    4..15 => (4, Some(15)),
                    15..29 => (15, Some(29)),
                    _ => (29, None),
                };
                assert_eq!(found.valid_bytes, start, "bit {bit} of byte {at}");
                let expected = match next {
                    Some(next) => ScanEnd::CorruptMiddle { at: start, next },
                    None => ScanEnd::TornTail { at: start },
                };
                assert_eq!(found.end, expected, "bit {bit} of byte {at}");
            }
        }
    }

    #[test]
    fn damaged_length_past_the_end_followed_by_valid_frames_is_a_corrupt_middle() {
        let mut damaged = file(&[b"one", b"second"]);
        damaged[7] = 0x7F;
        assert_eq!(scanned(damaged).end, ScanEnd::CorruptMiddle { at: 4, next: 15 });
    }

    #[test]
    fn zeros_at_the_end_are_a_torn_tail() {
        let mut extended = file(&[b"one"]);
        extended.extend([0; 4096]);
        assert_eq!(scanned(extended).end, ScanEnd::TornTail { at: 15 });
    }

    #[test]
    fn salvage_finds_frames_after_damage() {
        let mut damaged = file(&[b"one", b"second", b"third"]);
        damaged[24] ^= 1;
        assert_eq!(salvage(&damaged.into(), 4), [Bytes::from("one"), Bytes::from("third")]);
    }

    #[test]
    fn empty_and_oversized_payloads_are_rejected() {
        let mut out = Vec::new();
        assert_eq!(push_frame(&mut out, b""), Err(InvalidPayloadLength(0)));
        let oversized = vec![0; MAX_PAYLOAD_BYTES + 1];
        assert_eq!(push_frame(&mut out, &oversized), Err(InvalidPayloadLength(MAX_PAYLOAD_BYTES + 1)));
        assert!(out.is_empty());
    }
}
