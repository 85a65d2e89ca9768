//! A cache of parsed event texts, so that a text in another block (compacted, restored, replayed) is not parsed again.
//!
//! A hash table with open addressing that is never iterated, so its order decides nothing. It is cleared when full;
//! everything in it can be parsed again.

use super::ReadErrorKind;
use super::event::EventFields;
use crate::identity::{ArrivalId, DedupKey, EventDigest};

/// Maximal number of entries. A slot is 48 bytes, and at most five eighths of the slots are occupied.
const MAX_ENTRIES: usize = 320_000;

/// Facts that determine an event's identity and time, except for the arrival, from which an event without identity
/// derives its key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct EventFacts {
    key: Option<DedupKey>,
    time_ms: Option<i64>,
}

impl EventFacts {
    pub(crate) fn read(json: &[u8]) -> Result<EventFacts, ReadErrorKind> {
        let facts = EventFields::of(json)?;
        let key = facts.insert_id.as_ref().map(|id| DedupKey::of(&facts.name, &facts.distinct_id, id));
        Ok(EventFacts { key, time_ms: facts.time_ms })
    }

    pub(crate) fn is_anonymous(&self) -> bool {
        self.key.is_none()
    }

    pub(crate) fn key(&self, arrival: ArrivalId) -> DedupKey {
        self.key.unwrap_or_else(|| DedupKey::of_anonymous(arrival))
    }

    pub(crate) fn time_ms(&self, arrived_ms: i64) -> i64 {
        self.time_ms.unwrap_or(arrived_ms)
    }
}

#[derive(Clone, Copy, Debug)]
struct CacheSlot {
    content: u128,
    key: u128,
    time_ms: i64,
    /// Zero for a free slot.
    flags: u8,
}

const FREE: CacheSlot = CacheSlot { content: 0, key: 0, time_ms: 0, flags: 0 };
const OCCUPIED: u8 = 1;
const HAS_KEY: u8 = 2;
const HAS_TIME: u8 = 4;

/// Cache of parsed event texts, by content digest.
#[derive(Debug, Default)]
pub(crate) struct EventCache {
    slots: Vec<CacheSlot>,
    occupied: usize,
}

impl EventCache {
    /// Returns the facts of the text with this content, from the cache or by `read`.
    pub(crate) fn of(
        &mut self,
        content: EventDigest,
        read: impl FnOnce() -> Result<EventFacts, ReadErrorKind>,
    ) -> Result<EventFacts, ReadErrorKind> {
        if self.occupied * 8 >= self.slots.len() * 5 {
            self.grow();
        }
        let at = self.find(content.0);
        let slot = self.slots[at];
        if slot.flags != 0 {
            return Ok(EventFacts {
                key: (slot.flags & HAS_KEY != 0).then_some(DedupKey(slot.key)),
                time_ms: (slot.flags & HAS_TIME != 0).then_some(slot.time_ms),
            });
        }
        let facts = read()?;
        let has = |flag, is| if is { flag } else { 0 };
        self.slots[at] = CacheSlot {
            content: content.0,
            key: facts.key.map_or(0, |key| key.0),
            time_ms: facts.time_ms.unwrap_or(0),
            flags: OCCUPIED | has(HAS_KEY, facts.key.is_some()) | has(HAS_TIME, facts.time_ms.is_some()),
        };
        self.occupied += 1;
        Ok(facts)
    }

    /// Returns the slot that holds this content, or the free slot where it belongs. One always exists: the table is
    /// never full.
    fn find(&self, content: u128) -> usize {
        let mask = self.slots.len() - 1;
        let mut at = content as usize & mask;
        while self.slots[at].flags != 0 && self.slots[at].content != content {
            at = (at + 1) & mask;
        }
        at
    }

    fn grow(&mut self) {
        if self.occupied >= MAX_ENTRIES {
            *self = EventCache::default();
        }
        let room = (self.slots.len() * 2).max(1024);
        let old = std::mem::replace(&mut self.slots, vec![FREE; room]);
        for slot in old.into_iter().filter(|slot| slot.flags != 0) {
            let at = self.find(slot.content);
            self.slots[at] = slot;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(number: u128) -> EventFacts {
        EventFacts {
            key: (!number.is_multiple_of(3)).then_some(DedupKey(number)),
            time_ms: (!number.is_multiple_of(5)).then_some(number as i64),
        }
    }

    #[test]
    fn each_text_is_parsed_once_until_the_cache_is_full() {
        let mut texts = EventCache::default();
        let mut reads = 0;
        for number in (0..2_000u128).chain(0..2_000) {
            // Contents with equal low bits compete for the same slots.
            let content = EventDigest((number << 64) | (number % 7));
            let found = texts.of(content, || {
                reads += 1;
                Ok(facts(number))
            });
            assert_eq!(found, Ok(facts(number)));
        }
        assert_eq!((reads, texts.occupied), (2_000, 2_000));
    }

    #[test]
    fn a_malformed_text_is_not_cached() {
        let mut texts = EventCache::default();
        assert!(texts.of(EventDigest(1), || EventFacts::read(b"{}")).is_err());
        assert_eq!(texts.of(EventDigest(1), || Ok(facts(1))), Ok(facts(1)));
    }

    #[test]
    fn a_full_cache_is_cleared() {
        let mut texts = EventCache::default();
        for number in 0..=(MAX_ENTRIES as u128 * 2) {
            texts.of(EventDigest(number), || Ok(facts(number))).unwrap();
        }
        assert!(texts.slots.len() <= 1 << 19, "{}", texts.slots.len());
    }
}
