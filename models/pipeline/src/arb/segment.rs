//! Segment files: their names, their header, and their entry in a manifest.

use super::api::ArbFailure;
use super::manifest::{FileEntry, Tier};
use crate::zone::Day;
use bytes::{Buf, BufMut, Bytes, BytesMut};
use latent_storekit::frame;

const SEGMENT_MAGIC: &[u8; 8] = b"LARBSEG1";
/// Length of a segment's header, in bytes.
pub const SEGMENT_HEADER_BYTES: usize = 32;

/// Parses the id from the name of a segment, finished or not.
pub(super) fn segment_id(name: &str) -> Option<u64> {
    name.split_once(".seg")?.0.parse().ok()
}

/// Encodes the header of a segment file.
#[must_use]
pub fn segment_header(tier: Tier, project: u32, day: Day, id: u64) -> Bytes {
    let mut out = BytesMut::with_capacity(SEGMENT_HEADER_BYTES);
    out.put_slice(SEGMENT_MAGIC);
    out.put_u16_le(tier as u16);
    out.put_u16_le(0);
    out.put_u32_le(project);
    out.put_i32_le(day.0);
    out.put_u64_le(id);
    let crc = frame::crc32c(&out);
    out.put_u32_le(crc);
    out.freeze()
}

/// Checks a segment's header against the expected project and day. `path` is used in errors.
pub fn check_segment_header(bytes: &Bytes, project: u32, day: Day, path: &str) -> Result<Tier, ArbFailure> {
    let bad = |what: &str| ArbFailure::Corrupt(format!("{path}: {what}"));
    if bytes.len() < SEGMENT_HEADER_BYTES || !bytes.starts_with(SEGMENT_MAGIC) {
        return Err(bad("no segment header"));
    }
    let mut rest = bytes.slice(8..SEGMENT_HEADER_BYTES);
    let (tier, _zero) = (rest.get_u16_le(), rest.get_u16_le());
    let (found_project, found_day, _id) = (rest.get_u32_le(), rest.get_i32_le(), rest.get_u64_le());
    if rest.get_u32_le() != frame::crc32c(&bytes[..28]) {
        return Err(bad("checksum of the segment header"));
    }
    if (found_project, found_day) != (project, day.0) {
        return Err(bad("segment of another day"));
    }
    Tier::from_number(tier).ok_or_else(|| bad("unknown tier"))
}

/// Returns the id in a segment's header, which must have been checked.
pub(super) fn segment_header_id(bytes: &Bytes) -> u64 {
    bytes.get(20..28).map_or(0, |mut id| id.get_u64_le())
}

/// Returns the manifest entry of a sealed file with these bytes.
pub(super) fn sealed_entry(id: u64, tier: Tier, bytes: &[u8], records: u64) -> FileEntry {
    let hash = blake3::hash(bytes).to_hex().to_string();
    FileEntry { id, tier, sealed: true, bytes: bytes.len() as u64, records, hash }
}
