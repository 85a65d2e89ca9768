//! What a project-day should consist of. Pure.
//!
//! The events of a backup, and those of the tee that arrived since the backup's position (with some overlap: they
//! are recognised by their arrival ids). The audit of the result: every key that the tee holds for the day, also
//! those from before the position, must be among its keys. A backup that was taken when the day was damaged
//! already fails this, and an older one is tried, together with what the newer ones hold: what they have may have come
//! after the older one, and the tee may have let go of it. Where none passes, what is missing is taken from the tee whenever it
//! arrived: by the clock of an edge that was slow it came before the position, and in truth after it.

use crate::record::{ArrivalId, Key, Record};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// Events that arrived this long before a backup's position are replayed too: clocks of edges differ a little.
pub const OVERLAP: Duration = Duration::from_secs(10 * 60);

/// A project-day put together again.
#[derive(Debug, Default)]
pub struct Rebuilt {
    /// Its events, each arrival once.
    pub records: Vec<Record>,
    /// How many came from the backup.
    pub restored: u64,
    /// How many the tee added.
    pub replayed: u64,
    /// Keys that the tee has and the result lacks: more than none fails the audit.
    pub missing_keys: u64,
}

/// Puts a day together from a backup's events and the tee's.
#[must_use]
pub fn rebuild(restored: Vec<Record>, tee: &[Record], position_ms: i64) -> Rebuilt {
    let replay_from_ms = position_ms.saturating_sub(OVERLAP.as_millis() as i64);
    let mut by_arrival: BTreeMap<ArrivalId, Record> = restored.into_iter().map(|r| (r.arrival, r)).collect();
    let restored = by_arrival.len() as u64;
    let mut replayed = 0;
    for record in tee.iter().filter(|record| record.arrived_ms >= replay_from_ms) {
        by_arrival.entry(record.arrival).or_insert_with(|| {
            replayed += 1;
            record.clone()
        });
    }
    let keys: BTreeSet<Key> = by_arrival.values().map(|record| record.key).collect();
    let wanted: BTreeSet<Key> = tee.iter().map(|record| record.key).collect();
    let missing_keys = wanted.difference(&keys).count() as u64;
    Rebuilt { records: by_arrival.into_values().collect(), restored, replayed, missing_keys }
}

impl Rebuilt {
    /// Adds what the tee holds and the day lacks, however early it is said to have arrived.
    pub fn complete_from(&mut self, tee: &[Record]) {
        let held: BTreeSet<Key> = self.records.iter().map(|record| record.key).collect();
        let missing = tee.iter().filter(|record| !held.contains(&record.key)).cloned();
        let before = self.records.len();
        self.records.extend(missing);
        self.replayed += (self.records.len() - before) as u64;
        self.missing_keys = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;

    fn record(item: u32, key: u8, arrived_ms: i64) -> Record {
        let arrival = ArrivalId { edge: 0, sequence: 1, item };
        Record { arrival, arrived_ms, time_ms: 0, key: [key; 16], json: Bytes::from_static(b"{}") }
    }

    const HOUR: i64 = 3_600_000;

    #[test]
    fn a_backup_and_the_tee_since_its_position_make_the_day_whole() {
        let tee = [record(1, 1, HOUR), record(2, 2, 2 * HOUR), record(3, 3, 4 * HOUR)];
        let day = rebuild(vec![record(1, 1, HOUR), record(2, 2, 2 * HOUR)], &tee, 3 * HOUR);
        assert_eq!((day.restored, day.replayed, day.missing_keys), (2, 1, 0));
    }

    #[test]
    fn a_backup_of_a_damaged_day_fails_the_audit() {
        let tee = [record(1, 1, HOUR), record(2, 2, 2 * HOUR)];
        assert_eq!(rebuild(vec![record(2, 2, 2 * HOUR)], &tee, 3 * HOUR).missing_keys, 1);
    }

    #[test]
    fn what_an_edge_with_a_slow_clock_took_after_the_backup_is_taken_from_the_tee_in_the_end() {
        let tee = [record(1, 1, HOUR), record(2, 2, 2 * HOUR)];
        let mut day = rebuild(vec![record(1, 1, HOUR)], &tee, 26 * HOUR);
        assert_eq!((day.replayed, day.missing_keys), (0, 1));
        day.complete_from(&tee);
        assert_eq!((day.restored, day.replayed, day.missing_keys, day.records.len()), (1, 1, 0, 2));
    }

    #[test]
    fn what_both_have_counts_once() {
        let tee = [record(1, 1, 3 * HOUR)];
        assert_eq!(rebuild(vec![record(1, 1, 3 * HOUR)], &tee, 3 * HOUR).records.len(), 1);
    }
}
