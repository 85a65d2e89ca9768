//! Hints: writes that an ingest node keeps for a disk that did not take them.
//!
//! Written from formats.md alone: two frames, a head and a body. The head names project, days and the length of each
//! block; the body holds the blocks as frames of their days.

use super::frame;
use super::segment::{SegmentBlock, salt};
use crate::decode_cache::DecodeCache;
use crate::identity::{DedupKey, ProjectDay};
use crate::view::Cursor;
use bytes::Bytes;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// First byte of the head: a call to a disk.
const CALL_TO_DISK: u8 = 32;
/// Number of the call that writes events.
const WRITE: u64 = 0;

/// Keys of a hint's events, by project-day.
pub type HintedEvents = BTreeMap<ProjectDay, BTreeSet<DedupKey>>;

/// Reads the events of a hint; `None` if it is incomplete or unreadable: a crash may cut it short.
#[must_use]
pub fn read(cache: &mut DecodeCache, chunks: &[Bytes]) -> Option<HintedEvents> {
    let mut cursor = Cursor::new(chunks);
    let head = frame::next_frame(&mut cursor).filter(|frame| frame.is_sound(0))?;
    let body = frame::next_frame(&mut cursor).filter(|frame| frame.is_sound(0))?;
    if cursor.left() > 0 {
        return None;
    }
    let mut events = HintedEvents::new();
    let mut at = 0;
    for (project_day, len) in blocks_of_head(&head.payload)? {
        let block = body.payload.get(at..at + len).map(|_| body.payload.slice(at..at + len))?;
        at += len;
        let block = read_block(cache, &block, project_day)?;
        events.entry(project_day).or_default().extend(block.records.iter().map(|record| record.key));
    }
    (at == body.payload.len()).then_some(events)
}

fn read_block(cache: &mut DecodeCache, framed: &Bytes, project_day: ProjectDay) -> Option<Arc<SegmentBlock>> {
    let chunks = std::slice::from_ref(framed);
    let mut cursor = Cursor::new(chunks);
    let frame = frame::next_frame(&mut cursor).filter(|_| cursor.left() == 0)?;
    cache.block(&frame, salt(project_day)).ok().flatten()
}

/// Returns the project-day and the length of each block that the head states.
fn blocks_of_head(head: &[u8]) -> Option<Vec<(ProjectDay, usize)>> {
    let mut numbers = Varints { bytes: head.strip_prefix(&[CALL_TO_DISK])? };
    if numbers.unsigned()? != WRITE {
        return None;
    }
    let project = u32::try_from(numbers.unsigned()?).ok()?;
    let count = numbers.unsigned()?;
    let mut blocks = Vec::new();
    for _ in 0..count {
        let day = i32::try_from(numbers.signed()?).ok()?;
        let _tier = numbers.unsigned()?;
        let len = usize::try_from(numbers.unsigned()?).ok()?;
        blocks.push((ProjectDay { project, day }, len));
    }
    // The flag for events that are already present.
    (numbers.bytes.len() == 1).then_some(blocks)
}

/// Numbers of seven bits per byte, the lowest first; the top bit of a byte says that more follow.
struct Varints<'a> {
    bytes: &'a [u8],
}

impl Varints<'_> {
    fn unsigned(&mut self) -> Option<u64> {
        let mut value = 0_u64;
        for shift in (0..64).step_by(7) {
            let (byte, rest) = self.bytes.split_first()?;
            self.bytes = rest;
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Some(value);
            }
        }
        None
    }

    /// Signed numbers alternate: 0, -1, 1, -2.
    fn signed(&mut self) -> Option<i64> {
        let value = self.unsigned()?;
        Some((value >> 1).cast_signed() ^ -((value & 1).cast_signed()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_support::{self, DAY, NOON_MS, TestRecord, frame};

    /// A hint of project 17: one block of two events for `DAY`, one of one event for the day after.
    fn hint() -> Vec<u8> {
        let day = |day: i32, ids: &[&str]| {
            let project_day = ProjectDay { project: 17, day };
            let records = ids.iter().map(|id| TestRecord::new("a", id, NOON_MS)).collect();
            let file = test_support::segment(0, project_day, 1, &[records]);
            file.slice(super::super::segment::HEADER_BYTES..)
        };
        let (first, second) = (day(DAY, &["i1", "i2"]), day(DAY + 1, &["i3"]));
        let mut head = vec![CALL_TO_DISK, 0, 17, 2];
        for (day, block) in [(DAY, &first), (DAY + 1, &second)] {
            for mut value in [u32::try_from(day * 2).unwrap(), 1, u32::try_from(block.len()).unwrap()] {
                while value > 0x7f {
                    head.push((value & 0x7f) as u8 | 0x80);
                    value >>= 7;
                }
                head.push(value as u8);
            }
        }
        head.push(0);
        [frame(&head), frame(&[first, second].concat())].concat()
    }

    fn keys(bytes: &[u8]) -> Option<Vec<(i32, usize)>> {
        let chunks = [Bytes::copy_from_slice(bytes)];
        let events = read(&mut DecodeCache::default(), &chunks)?;
        Some(events.iter().map(|(project_day, keys)| (project_day.day, keys.len())).collect())
    }

    #[test]
    fn a_whole_hint_names_its_events_and_any_other_is_none() {
        let whole = hint();
        assert_eq!(keys(&whole), Some(vec![(DAY, 2), (DAY + 1, 1)]));
        for end in 0..whole.len() {
            assert_eq!(keys(&whole[..end]), None, "cut at byte {end}");
        }
        for at in [4, 9, 30, whole.len() - 1] {
            let mut bad = whole.clone();
            bad[at] ^= 1;
            assert_eq!(keys(&bad), None, "byte {at}");
        }
        assert_eq!(keys(&[&whole[..], b"x"].concat()), None);
    }

    #[test]
    fn signed_numbers_alternate() {
        let of = |bytes: &[u8]| Varints { bytes }.signed();
        assert_eq!([of(&[0]), of(&[1]), of(&[2]), of(&[3])], [Some(0), Some(-1), Some(1), Some(-2)]);
        assert_eq!(of(&[0xac, 0x02]), Some(150));
        assert_eq!(of(&[0x80]), None);
    }
}
