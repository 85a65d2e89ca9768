//! Computes the contents of a project-day. Pure.
//!
//! A day consists of the events of the backups, and of the tee's events since the newest backup's position (with some
//! overlap, matched by arrival id). The audit of the result requires every key that the tee holds for the day,
//! including those from before the position. Missing events are taken from the tee whatever their arrival time: an edge
//! with a slow clock may have recorded a time before the position for a request that arrived after it.
//!
//! If two sources differ about an arrival, the tee is right, since it holds the request itself. Of backups (and of
//! production, for events that the tee no longer holds), the higher repair number is right; for equal numbers the older
//! backup, since the newer may have been taken of a damaged day. A record that differs in production is written with
//! the next repair number of its arrival, so that it wins on every disk.

use crate::record::{ArrivalId, Key, Record, content_digest};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// Overlap of the replay before a backup's position, because clocks of edges differ.
pub const OVERLAP: Duration = Duration::from_secs(10 * 60);

/// A reconstructed project-day.
#[derive(Debug, Default)]
pub struct RebuiltDay {
    /// Events by arrival.
    pub records: BTreeMap<ArrivalId, Record>,
    /// Number of events from backups.
    pub restored: u64,
    /// Number of events added from the tee.
    pub replayed: u64,
    /// Number of events that differ in production and are replaced.
    pub replaced: u64,
    /// Number of keys in the tee that the result lacks. The audit fails if there are any.
    pub missing_keys: u64,
}

/// Reconstructs a day from the contents of backups and the tee's events.
#[must_use]
pub fn rebuild(restored: &BTreeMap<ArrivalId, Record>, tee: &[Record], position_ms: i64) -> RebuiltDay {
    let replay_from_ms = position_ms.saturating_sub(OVERLAP.as_millis() as i64);
    let mut records = restored.clone();
    let restored = records.len() as u64;
    let mut replayed = 0;
    for record in tee {
        match records.get_mut(&record.arrival) {
            Some(held) if content_digest(held) != content_digest(record) => *held = next_repair(record, held),
            Some(_) => {}
            None if record.arrived_ms >= replay_from_ms => {
                replayed += 1;
                records.insert(record.arrival, record.clone());
            }
            None => {}
        }
    }
    let keys: BTreeSet<Key> = records.values().map(|record| record.key).collect();
    let tee_keys: BTreeSet<Key> = tee.iter().map(|record| record.key).collect();
    let missing_keys = tee_keys.difference(&keys).count() as u64;
    RebuiltDay { records, restored, replayed, replaced: 0, missing_keys }
}

/// Adds an older backup: arrivals whose keys are missing, and other versions of present arrivals.
pub fn add_older(restored: &mut BTreeMap<ArrivalId, Record>, older: Vec<Record>) {
    let keys: BTreeSet<Key> = restored.values().map(|record| record.key).collect();
    for record in older {
        match restored.get_mut(&record.arrival) {
            Some(held) if record.repair >= held.repair => *held = record,
            None if !keys.contains(&record.key) => drop(restored.insert(record.arrival, record)),
            _ => {}
        }
    }
}

fn next_repair(right: &Record, wrong: &Record) -> Record {
    Record { repair: wrong.repair.max(right.repair).saturating_add(1), ..right.clone() }
}

impl RebuiltDay {
    /// Adds events of the tee that the day lacks, whatever their arrival time.
    pub fn fill_from_tee(&mut self, tee: &[Record]) {
        let held: BTreeSet<Key> = self.records.values().map(|record| record.key).collect();
        let missing = tee.iter().filter(|record| !held.contains(&record.key));
        let before = self.records.len();
        self.records.extend(missing.map(|record| (record.arrival, record.clone())));
        self.replayed += (self.records.len() - before) as u64;
        self.missing_keys = 0;
    }

    /// Determines the repair number of each record from the contents of production: the next number if production
    /// differs, and production's own if it is equal. For arrivals that are neither in the tee nor in a backup with that
    /// repair number, production's record is used if its repair number is higher.
    pub fn resolve_repairs(&mut self, production: &[Vec<Record>], tee: &[Record]) {
        let in_tee: BTreeSet<ArrivalId> = tee.iter().map(|record| record.arrival).collect();
        let mut replaced: BTreeSet<ArrivalId> = BTreeSet::new();
        for found in production.iter().flatten().filter(|found| !in_tee.contains(&found.arrival)) {
            if let Some(held) = self.records.get_mut(&found.arrival).filter(|held| found.repair > held.repair)
            {
                *held = found.clone();
            }
        }
        // Equal records first: a correct replacement is not replaced again.
        for same in [true, false] {
            for found in production.iter().flatten() {
                let Some(held) = self.records.get_mut(&found.arrival) else { continue };
                let is_equal = content_digest(held) == content_digest(found);
                if same && is_equal {
                    held.repair = held.repair.max(found.repair);
                } else if !same && !is_equal {
                    replaced.insert(found.arrival);
                    if found.repair >= held.repair {
                        *held = next_repair(held, found);
                    }
                }
            }
        }
        self.replaced = replaced.len() as u64;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;

    fn record(item: u32, key: u8, arrived_ms: i64) -> Record {
        let arrival = ArrivalId { edge: 0, sequence: 1, item };
        let json = Bytes::from_static(b"{}");
        Record { arrival, repair: 0, arrived_ms, time_ms: 0, key: [key; 16], json }
    }

    fn record_with(json: &'static str, repair: u16) -> Record {
        Record { json: Bytes::from_static(json.as_bytes()), repair, ..record(1, 1, HOUR) }
    }

    fn restored(records: &[Record]) -> BTreeMap<ArrivalId, Record> {
        records.iter().map(|record| (record.arrival, record.clone())).collect()
    }

    const HOUR: i64 = 3_600_000;

    #[test]
    fn a_backup_and_the_tee_since_its_position_complete_the_day() {
        let tee = [record(1, 1, HOUR), record(2, 2, 2 * HOUR), record(3, 3, 4 * HOUR)];
        let day = rebuild(&restored(&tee[..2]), &tee, 3 * HOUR);
        assert_eq!((day.restored, day.replayed, day.missing_keys), (2, 1, 0));
    }

    #[test]
    fn a_backup_of_a_damaged_day_fails_the_audit() {
        let tee = [record(1, 1, HOUR), record(2, 2, 2 * HOUR)];
        assert_eq!(rebuild(&restored(&tee[1..]), &tee, 3 * HOUR).missing_keys, 1);
    }

    #[test]
    fn events_of_an_edge_with_a_slow_clock_are_filled_from_the_tee() {
        let tee = [record(1, 1, HOUR), record(2, 2, 2 * HOUR)];
        let mut day = rebuild(&restored(&tee[..1]), &tee, 26 * HOUR);
        assert_eq!((day.replayed, day.missing_keys), (0, 1));
        day.fill_from_tee(&tee);
        assert_eq!((day.restored, day.replayed, day.missing_keys, day.records.len()), (1, 1, 0, 2));
    }

    #[test]
    fn an_event_in_backup_and_tee_counts_once() {
        let tee = [record(1, 1, 3 * HOUR)];
        assert_eq!(rebuild(&restored(&tee), &tee, 3 * HOUR).records.len(), 1);
    }

    #[test]
    fn the_tee_overrides_a_backup_and_wins_on_every_disk() {
        let tee = [record_with("as sent", 0)];
        let mut day = rebuild(&restored(&[record_with("altered", 0)]), &tee, 3 * HOUR);
        assert_eq!(day.records[&tee[0].arrival], record_with("as sent", 1));
        day.resolve_repairs(&[vec![record_with("altered", 0)], vec![record_with("as sent", 0)]], &tee);
        assert_eq!((day.records[&tee[0].arrival].clone(), day.replaced), (record_with("as sent", 1), 1));
    }

    #[test]
    fn a_record_altered_in_production_is_replaced_once() {
        let tee = [record_with("as sent", 0)];
        let settled = |production: &[Vec<Record>]| {
            let mut day = rebuild(&BTreeMap::new(), &tee, 0);
            day.resolve_repairs(production, &tee);
            (day.records[&tee[0].arrival].clone(), day.replaced)
        };
        assert_eq!(settled(&[vec![record_with("as sent", 0)]]), (record_with("as sent", 0), 0));
        assert_eq!(settled(&[vec![record_with("altered", 0)]]), (record_with("as sent", 1), 1));
        assert_eq!(
            settled(&[vec![record_with("as sent", 1)]]),
            (record_with("as sent", 1), 0),
            "a second recovery"
        );
        let one_was_away = [vec![record_with("altered", 0)], vec![record_with("as sent", 1)]];
        assert_eq!(settled(&one_was_away), (record_with("as sent", 1), 1));
        assert_eq!(settled(&[vec![record_with("altered again", 1)]]), (record_with("as sent", 2), 1));
    }

    #[test]
    fn the_older_backup_is_right_unless_the_newer_was_repaired() {
        let believed = |newer: Record, older: Record| {
            let mut all = restored(&[newer]);
            add_older(&mut all, vec![older]);
            all.into_values().next().unwrap()
        };
        assert_eq!(believed(record_with("altered", 0), record_with("as sent", 0)), record_with("as sent", 0));
        assert_eq!(believed(record_with("as sent", 1), record_with("altered", 0)), record_with("as sent", 1));
    }

    #[test]
    fn an_older_backup_adds_missing_events_without_duplicates() {
        let mut all = restored(&[record(1, 1, HOUR)]);
        add_older(&mut all, vec![record(7, 1, HOUR), record(2, 2, HOUR)]);
        assert_eq!(all.values().map(|record| record.arrival.item).collect::<Vec<_>>(), [1, 2]);
    }

    #[test]
    fn a_repair_in_production_of_events_beyond_the_tee_is_kept() {
        let mut day = rebuild(&restored(&[record_with("altered", 0)]), &[], 3 * HOUR);
        day.resolve_repairs(&[vec![record_with("as sent", 1)]], &[]);
        assert_eq!((day.records.into_values().next(), day.replaced), (Some(record_with("as sent", 1)), 0));
    }
}
