//! Contents of one replica of one project-day, de-duplicated as the format prescribes.

use crate::identity::{DedupKey, EventDigest, ProjectDay};
use crate::reader::segment::{SegmentBlock, StoredRecord};
use std::collections::BTreeMap;
use std::sync::Arc;

/// One de-duplicated event of a replica: the winning record among all with its key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DedupedEvent {
    /// Key, computed from the event's text.
    pub key: DedupKey,
    /// Digest of the event's text.
    pub content: EventDigest,
    /// Arrival time of the winning record, by its edge's clock.
    pub arrived_ms: i64,
    /// Number of records with this key in the replica, saturating at 65,535.
    pub copies: u16,
    /// Number of distinct arrivals among these records: an arrival written twice counts once.
    pub arrivals: u16,
    /// The event has no `$insert_id`: its key is derived from its arrival.
    pub anonymous: bool,
}

/// A 128-bit digest of a multiset of contents, with their count. Independent of order, sensitive to multiplicity.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MultisetDigest {
    /// Number of elements.
    pub count: u64,
    /// Sum of the elements' digests, modulo 2^128.
    pub sum: u128,
}

impl MultisetDigest {
    /// Adds one element.
    pub fn add(&mut self, digest: u128) {
        self.count += 1;
        self.sum = self.sum.wrapping_add(digest);
    }
}

impl std::fmt::Display for MultisetDigest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} events, digest {:032x}", self.count, self.sum)
    }
}

/// One project-day of one replica.
#[derive(Debug, Default)]
pub struct DayContent {
    /// Id in the decode cache: equal ids mean equal contents.
    pub id: u64,
    /// Blocks it was built from, in order of their ids.
    pub blocks: Vec<Arc<SegmentBlock>>,
    /// Distinct events, by key.
    pub events: Vec<DedupedEvent>,
    /// Events without identity: number of copies per content, by content.
    pub anonymous: Vec<(EventDigest, u32)>,
    /// For keys whose records differ in content: every content except the winner's.
    pub variants: BTreeMap<DedupKey, Vec<EventDigest>>,
    /// Digest of the winners' contents.
    pub digest: MultisetDigest,
    /// Number of records in all blocks.
    pub records: u64,
}

impl DayContent {
    /// Builds a day from its blocks, in any order.
    #[must_use]
    pub fn of(id: u64, blocks: Vec<Arc<SegmentBlock>>) -> DayContent {
        let mut all: Vec<&StoredRecord> = blocks.iter().flat_map(|block| &block.records).collect();
        all.sort_unstable_by_key(|record| (record.key, record.precedence()));
        let mut day = DayContent { id, records: all.len() as u64, ..DayContent::default() };
        for same in all.chunk_by(|one, next| one.key == next.key) {
            day.keep(same);
        }
        day.count_anonymous();
        day.blocks = blocks;
        day
    }

    fn keep(&mut self, same: &[&StoredRecord]) {
        let winner = same[0];
        for other in &same[1..] {
            if other.content != winner.content {
                let variants = self.variants.entry(winner.key).or_default();
                if !variants.contains(&other.content) {
                    variants.push(other.content);
                }
            }
        }
        self.digest.add(winner.content.0);
        self.events.push(DedupedEvent {
            key: winner.key,
            content: winner.content,
            arrived_ms: winner.arrived_ms,
            copies: saturated(same.len()),
            arrivals: saturated(same.chunk_by(|one, next| one.arrival() == next.arrival()).count()),
            anonymous: winner.is_anonymous(),
        });
    }

    fn count_anonymous(&mut self) {
        let mut contents: Vec<EventDigest> =
            self.events.iter().filter(|k| k.anonymous).map(|k| k.content).collect();
        contents.sort_unstable();
        self.anonymous =
            contents.chunk_by(|one, next| one == next).map(|same| (same[0], same.len() as u32)).collect();
    }

    /// Returns every record, in order of the block ids.
    pub fn records(&self) -> impl Iterator<Item = &StoredRecord> {
        self.blocks.iter().flat_map(|block| &block.records)
    }
}

fn saturated(count: usize) -> u16 {
    u16::try_from(count).unwrap_or(u16::MAX)
}

/// Contents of one replica (a disk, a backup, an export), by project-day.
pub type DayContents = BTreeMap<ProjectDay, Arc<DayContent>>;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reader::event_cache::EventCache;
    use crate::reader::segment;
    use crate::test_support::{self, NOON_MS, TestRecord};

    fn day(records: &[TestRecord]) -> DayContent {
        let records = segment::block(&test_support::block(records), &mut EventCache::default()).unwrap();
        DayContent::of(0, vec![Arc::new(SegmentBlock { id: 0, records })])
    }

    #[test]
    fn the_first_arrival_wins_among_records_with_one_key() {
        let first = TestRecord::new("a", "i1", NOON_MS);
        let retry =
            TestRecord { sequence: 2, arrived_ms: NOON_MS + 9_000, note: "edited".into(), ..first.clone() };
        let day = day(&[retry.clone(), first.clone()]);
        assert_eq!(
            (day.events.len(), day.events[0].copies, day.events[0].arrivals, day.digest.count),
            (1, 2, 2, 1)
        );
        assert_eq!(day.events[0].content, EventDigest::of(first.json().as_bytes()));
        assert_eq!(day.variants[&first.key()], [EventDigest::of(retry.json().as_bytes())]);
    }

    #[test]
    fn an_arrival_written_twice_counts_once() {
        let rec = TestRecord::new("a", "i1", NOON_MS);
        let day = day(&[rec.clone(), rec]);
        assert_eq!((day.events[0].copies, day.events[0].arrivals), (2, 1));
    }

    #[test]
    fn events_without_identity_are_counted_by_content() {
        let one = TestRecord { insert_id: None, ..TestRecord::new("a", "", NOON_MS) };
        let twin = TestRecord { sequence: 2, ..one.clone() };
        let day = day(&[one.clone(), twin]);
        assert_eq!(day.anonymous, [(EventDigest::of(one.json().as_bytes()), 2)]);
        assert_eq!(day.events.len(), 2);
    }

    #[test]
    fn the_digest_depends_on_multiplicity_and_not_on_order() {
        let digest = |order: &[u128]| {
            let mut set = MultisetDigest::default();
            order.iter().for_each(|one| set.add(*one));
            set
        };
        assert_eq!(digest(&[1, 2, u128::MAX]), digest(&[u128::MAX, 1, 2]));
        assert_ne!(digest(&[1, 2]), digest(&[1, 2, 2]));
        assert_ne!(digest(&[1, 2]), digest(&[3]));
    }
}
