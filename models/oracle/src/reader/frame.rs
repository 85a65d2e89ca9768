//! Frames: the payloads of append-only files, and the distinction between a torn tail and corruption.
//!
//! Written from formats.md alone. A truncated or bad frame with no valid frame after it is a torn tail: everything
//! before it counts. A bad frame with a valid one after it, at any offset, is corruption, and the whole file is
//! unreadable. A frame's checksum may be salted with the identity of its owner. Eight zero bytes in place of a frame
//! header are the hole of a lost append: a torn tail, whatever follows.

use super::ReadErrorKind;
use crate::view::Cursor;
use bytes::Bytes;

/// Maximal payload length of a frame.
pub const MAX_PAYLOAD_BYTES: u32 = 67_108_864;

/// Length of a frame header, in bytes: payload length and checksum.
const HEAD_BYTES: usize = 8;

/// End of a file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FileTail {
    /// The file ends with a valid frame.
    #[default]
    Clean,
    /// The file ends with bytes that are not a frame: a write that a crash cut short.
    Torn {
        /// Offset of the end of the last valid frame.
        at: u64,
    },
}

/// A frame as stored; its checksum is not verified yet.
#[derive(Clone, Debug)]
pub(crate) struct Frame {
    /// Offset of the frame's header.
    pub at: u64,
    /// CRC-32C stated by the header.
    pub crc: u32,
    /// The payload.
    pub payload: Bytes,
}

impl Frame {
    pub(crate) fn is_sound(&self, salt: u32) -> bool {
        crc_fast::crc32_iscsi(&self.payload) ^ salt == self.crc
    }
}

/// Reads the frame at the cursor; `None` if the remaining bytes are not a frame (the cursor is then unusable).
pub(crate) fn next_frame(cursor: &mut Cursor<'_>) -> Option<Frame> {
    let at = cursor.at();
    let len = take_u32(cursor)?;
    let crc = take_u32(cursor)?;
    if len == 0 || len > MAX_PAYLOAD_BYTES {
        return None;
    }
    let payload = cursor.take(len as usize)?;
    Some(Frame { at, crc, payload })
}

/// Classifies bytes at the cursor that are not a valid frame.
///
/// Any of them may be corrupted, the length too: so every later offset is searched for a valid frame.
fn classify_bad_frame(mut bad: Cursor<'_>, salt: u32) -> Result<FileTail, (u64, ReadErrorKind)> {
    let at = bad.at();
    let rest = usize::try_from(bad.left()).ok().and_then(|left| bad.take(left)).unwrap_or_default();
    let is_hole = rest.starts_with(&[0; HEAD_BYTES]);
    if !is_hole && (1..rest.len()).any(|from| is_sound_at(&rest[from..], salt)) {
        return Err((at, ReadErrorKind::CorruptFrame));
    }
    Ok(FileTail::Torn { at })
}

/// Whether `bytes` begin with a valid frame.
fn is_sound_at(bytes: &[u8], salt: u32) -> bool {
    let Some((head, behind)) = bytes.split_first_chunk::<HEAD_BYTES>() else { return false };
    let len = u32::from_le_bytes([head[0], head[1], head[2], head[3]]);
    let crc = u32::from_le_bytes([head[4], head[5], head[6], head[7]]);
    // Check the length first: in text nearly every four bytes form an impossible length.
    let payload = (1..=MAX_PAYLOAD_BYTES).contains(&len).then(|| behind.get(..len as usize)).flatten();
    payload.is_some_and(|payload| crc_fast::crc32_iscsi(payload) ^ salt == crc)
}

/// Passes every frame to `accept`, which verifies the checksum unless it knows the payload already.
///
/// `accept` returns `Ok(false)` for a bad checksum.
pub(crate) fn for_each_frame(
    cursor: &mut Cursor<'_>,
    salt: u32,
    mut accept: impl FnMut(&Frame) -> Result<bool, (u64, ReadErrorKind)>,
) -> Result<FileTail, (u64, ReadErrorKind)> {
    while cursor.left() > 0 {
        let before = *cursor;
        match next_frame(cursor) {
            Some(frame) if accept(&frame)? => {}
            _ => return classify_bad_frame(before, salt),
        }
    }
    Ok(FileTail::Clean)
}

/// Reads a file with a header of `header_len` bytes: the header, the frames, and the end.
pub(crate) fn read_file(
    chunks: &[Bytes],
    magic: [u8; 8],
    header_len: usize,
) -> Result<(Bytes, Vec<Frame>, FileTail), (u64, ReadErrorKind)> {
    let mut cursor = Cursor::new(chunks);
    let header = header(&mut cursor, magic, header_len)?;
    let mut frames = Vec::new();
    let tail = for_each_frame(&mut cursor, 0, |frame| {
        let sound = frame.is_sound(0);
        if sound {
            frames.push(frame.clone());
        }
        Ok(sound)
    })?;
    Ok((header, frames, tail))
}

/// Reads a file's header and verifies its magic.
pub(crate) fn header(
    cursor: &mut Cursor<'_>,
    magic: [u8; 8],
    len: usize,
) -> Result<Bytes, (u64, ReadErrorKind)> {
    let has_bytes = cursor.left();
    let header =
        cursor.take(len).ok_or((0, ReadErrorKind::ShortHeader { has_bytes, needs_bytes: len as u64 }))?;
    if header[..8] != magic {
        return Err((0, ReadErrorKind::BadMagic { found: header[..8].escape_ascii().to_string() }));
    }
    Ok(header)
}

fn take_u32(cursor: &mut Cursor<'_>) -> Option<u32> {
    let bytes = cursor.take(4)?;
    Some(u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]))
}

/// Reads little-endian fields from front to back.
pub(crate) struct FieldReader<'a> {
    bytes: &'a [u8],
}

impl<'a> FieldReader<'a> {
    pub(crate) fn of(bytes: &'a [u8]) -> FieldReader<'a> {
        FieldReader { bytes }
    }

    pub(crate) fn left(&self) -> usize {
        self.bytes.len()
    }

    pub(crate) fn bytes(&mut self, len: usize) -> Result<&'a [u8], ReadErrorKind> {
        let (field, rest) = self.bytes.split_at_checked(len).ok_or_else(|| self.cut_off(len))?;
        self.bytes = rest;
        Ok(field)
    }

    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N], ReadErrorKind> {
        let (field, rest) = self.bytes.split_first_chunk::<N>().ok_or_else(|| self.cut_off(N))?;
        self.bytes = rest;
        Ok(*field)
    }

    fn cut_off(&self, needs: usize) -> ReadErrorKind {
        ReadErrorKind::TruncatedField { needs_bytes: needs as u64, has_bytes: self.bytes.len() as u64 }
    }

    pub(crate) fn u8(&mut self) -> Result<u8, ReadErrorKind> {
        Ok(self.array::<1>()?[0])
    }

    pub(crate) fn u16(&mut self) -> Result<u16, ReadErrorKind> {
        Ok(u16::from_le_bytes(self.array()?))
    }

    pub(crate) fn u32(&mut self) -> Result<u32, ReadErrorKind> {
        Ok(u32::from_le_bytes(self.array()?))
    }

    pub(crate) fn i32(&mut self) -> Result<i32, ReadErrorKind> {
        Ok(i32::from_le_bytes(self.array()?))
    }

    pub(crate) fn u64(&mut self) -> Result<u64, ReadErrorKind> {
        Ok(u64::from_le_bytes(self.array()?))
    }

    pub(crate) fn i64(&mut self) -> Result<i64, ReadErrorKind> {
        Ok(i64::from_le_bytes(self.array()?))
    }

    /// Returns an error if bytes are left.
    pub(crate) fn end(&self) -> Result<(), ReadErrorKind> {
        if self.bytes.is_empty() {
            Ok(())
        } else {
            Err(ReadErrorKind::TrailingBytes(self.bytes.len() as u64))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_support::frame;

    const MAGIC: [u8; 8] = *b"TESTFILE";

    fn read(parts: &[&[u8]]) -> Result<(Vec<Bytes>, FileTail), (u64, ReadErrorKind)> {
        let chunks: Vec<Bytes> = parts.iter().map(|part| Bytes::copy_from_slice(part)).collect();
        let (_, frames, tail) = read_file(&chunks, MAGIC, 8)?;
        Ok((frames.into_iter().map(|frame| frame.payload).collect(), tail))
    }

    #[test]
    fn frames_decode_across_chunk_boundaries() {
        let file = [&MAGIC[..], &frame(b"one"), &frame(b"two")].concat();
        for cut in 0..file.len() {
            let (payloads, tail) = read(&[&file[..cut], &file[cut..]]).unwrap();
            assert_eq!((payloads, tail), (vec![Bytes::from("one"), Bytes::from("two")], FileTail::Clean));
        }
    }

    #[test]
    fn every_cut_leaves_a_torn_tail_or_a_clean_end() {
        let file = [&MAGIC[..], &frame(b"one"), &frame(b"two")].concat();
        for cut in 8..file.len() {
            let (payloads, tail) = read(&[&file[..cut]]).unwrap();
            let (whole, end) = if cut < 19 { (0, 8) } else { (1, 19) };
            assert_eq!(payloads.len(), whole);
            assert_eq!(tail, if cut == end { FileTail::Clean } else { FileTail::Torn { at: end as u64 } });
        }
        assert_eq!(
            read(&[&file[..5]]).unwrap_err().1,
            ReadErrorKind::ShortHeader { has_bytes: 5, needs_bytes: 8 }
        );
    }

    #[test]
    fn a_bad_frame_is_torn_at_the_end_and_corrupt_before_a_valid_one() {
        let mut bad = frame(b"bad");
        bad[9] ^= 1;
        assert_eq!(read(&[&MAGIC, &frame(b"one"), &bad]).unwrap().1, FileTail::Torn { at: 19 });
        assert_eq!(read(&[&MAGIC, &bad, &frame(b"one")]).unwrap_err(), (8, ReadErrorKind::CorruptFrame));
        assert_eq!(read(&[&MAGIC, &bad, &bad]).unwrap().1, FileTail::Torn { at: 8 });
    }

    #[test]
    fn a_corrupt_length_does_not_hide_the_frames_after_it() {
        let file = [&MAGIC[..], &frame(b"one"), &frame(b"second"), &frame(b"three")].concat();
        for at in 8..33 {
            for bit in 0..8 {
                let mut corrupt = file.clone();
                corrupt[at] ^= 1 << bit;
                let start = if at < 19 { 8 } else { 19 };
                assert_eq!(
                    read(&[&corrupt]).unwrap_err(),
                    (start, ReadErrorKind::CorruptFrame),
                    "bit {bit} of byte {at}"
                );
            }
        }
    }

    #[test]
    fn zeros_after_the_last_frame_are_torn() {
        let (payloads, tail) = read(&[&MAGIC, &frame(b"one"), &[0; 64]]).unwrap();
        assert_eq!((payloads.len(), tail), (1, FileTail::Torn { at: 19 }));
    }

    #[test]
    fn the_hole_of_a_lost_append_is_torn_even_before_a_later_append() {
        let (payloads, tail) = read(&[&MAGIC, &frame(b"one"), &[0; 11], &frame(b"two")]).unwrap();
        assert_eq!((payloads.len(), tail), (1, FileTail::Torn { at: 19 }));
    }
}
