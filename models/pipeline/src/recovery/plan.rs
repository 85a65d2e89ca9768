//! What a project-day should consist of. Pure.
//!
//! The events of the backups, and those of the tee that arrived since the newest one's position (with some overlap:
//! they are recognised by their arrival ids). The audit of the result: every key that the tee holds for the day, also
//! those from before the position, must be among its keys. What is missing is taken from the tee whenever it arrived:
//! by the clock of an edge that was slow it came before the position, and in truth after it.
//!
//! Who is right where two sources differ about one arrival: the tee, which holds the request itself. Of backups (and of
//! production, for what the tee has let go of) the one of the higher repair; of equal ones the older, since the newer
//! may have been taken of a day that was damaged. A record that production holds otherwise is written as the next
//! repair of its arrival, so that it wins on every disk.

use crate::record::{ArrivalId, Key, Record, content_digest};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// Events that arrived this long before a backup's position are replayed too: clocks of edges differ a little.
pub const OVERLAP: Duration = Duration::from_secs(10 * 60);

/// A project-day put together again.
#[derive(Debug, Default)]
pub struct Rebuilt {
    /// Its events, by arrival.
    pub records: BTreeMap<ArrivalId, Record>,
    /// How many came from backups.
    pub restored: u64,
    /// How many the tee added.
    pub replayed: u64,
    /// How many say something else than some source did: that is replaced.
    pub replaced: u64,
    /// Keys that the tee has and the result lacks: more than none fails the audit.
    pub missing_keys: u64,
}

/// Puts a day together from what backups hold of it and the tee's events.
#[must_use]
pub fn rebuild(restored: &BTreeMap<ArrivalId, Record>, tee: &[Record], position_ms: i64) -> Rebuilt {
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
    let wanted: BTreeSet<Key> = tee.iter().map(|record| record.key).collect();
    let missing_keys = wanted.difference(&keys).count() as u64;
    Rebuilt { records, restored, replayed, replaced: 0, missing_keys }
}

/// Adds what an older backup holds: arrivals whose keys newer ones lack, and what it says otherwise of arrivals that
/// they have.
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

impl Rebuilt {
    /// Adds what the tee holds and the day lacks, however early it is said to have arrived.
    pub fn complete_from(&mut self, tee: &[Record]) {
        let held: BTreeSet<Key> = self.records.values().map(|record| record.key).collect();
        let missing = tee.iter().filter(|record| !held.contains(&record.key));
        let before = self.records.len();
        self.records.extend(missing.map(|record| (record.arrival, record.clone())));
        self.replayed += (self.records.len() - before) as u64;
        self.missing_keys = 0;
    }

    /// Settles which repair each record is, given what production holds: the next one where that is something else, and
    /// production's own where it says the same. What neither the tee nor a backup of that repair knows, production may
    /// have right: of a later repair it is believed.
    pub fn settle(&mut self, production: &[Vec<Record>], tee: &[Record]) {
        let in_tee: BTreeSet<ArrivalId> = tee.iter().map(|record| record.arrival).collect();
        let mut replaced: BTreeSet<ArrivalId> = BTreeSet::new();
        for found in production.iter().flatten().filter(|found| !in_tee.contains(&found.arrival)) {
            if let Some(held) = self.records.get_mut(&found.arrival).filter(|held| found.repair > held.repair)
            {
                *held = found.clone();
            }
        }
        // Those that say the same first: a repair that is right already is not repaired again.
        for same in [true, false] {
            for found in production.iter().flatten() {
                let Some(held) = self.records.get_mut(&found.arrival) else { continue };
                let says_the_same = content_digest(held) == content_digest(found);
                if same && says_the_same {
                    held.repair = held.repair.max(found.repair);
                } else if !same && !says_the_same {
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

    fn saying(json: &'static str, repair: u16) -> Record {
        Record { json: Bytes::from_static(json.as_bytes()), repair, ..record(1, 1, HOUR) }
    }

    fn restored(records: &[Record]) -> BTreeMap<ArrivalId, Record> {
        records.iter().map(|record| (record.arrival, record.clone())).collect()
    }

    const HOUR: i64 = 3_600_000;

    #[test]
    fn a_backup_and_the_tee_since_its_position_make_the_day_whole() {
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
    fn what_an_edge_with_a_slow_clock_took_after_the_backup_is_taken_from_the_tee_in_the_end() {
        let tee = [record(1, 1, HOUR), record(2, 2, 2 * HOUR)];
        let mut day = rebuild(&restored(&tee[..1]), &tee, 26 * HOUR);
        assert_eq!((day.replayed, day.missing_keys), (0, 1));
        day.complete_from(&tee);
        assert_eq!((day.restored, day.replayed, day.missing_keys, day.records.len()), (1, 1, 0, 2));
    }

    #[test]
    fn what_both_have_counts_once() {
        let tee = [record(1, 1, 3 * HOUR)];
        assert_eq!(rebuild(&restored(&tee), &tee, 3 * HOUR).records.len(), 1);
    }

    #[test]
    fn where_a_backup_and_the_tee_differ_the_tee_is_right_and_wins_on_every_disk() {
        let tee = [saying("as sent", 0)];
        let mut day = rebuild(&restored(&[saying("altered", 0)]), &tee, 3 * HOUR);
        assert_eq!(day.records[&tee[0].arrival], saying("as sent", 1));
        day.settle(&[vec![saying("altered", 0)], vec![saying("as sent", 0)]], &tee);
        assert_eq!((day.records[&tee[0].arrival].clone(), day.replaced), (saying("as sent", 1), 1));
    }

    #[test]
    fn what_production_altered_is_replaced_once() {
        let tee = [saying("as sent", 0)];
        let settled = |production: &[Vec<Record>]| {
            let mut day = rebuild(&BTreeMap::new(), &tee, 0);
            day.settle(production, &tee);
            (day.records[&tee[0].arrival].clone(), day.replaced)
        };
        assert_eq!(settled(&[vec![saying("as sent", 0)]]), (saying("as sent", 0), 0));
        assert_eq!(settled(&[vec![saying("altered", 0)]]), (saying("as sent", 1), 1));
        assert_eq!(settled(&[vec![saying("as sent", 1)]]), (saying("as sent", 1), 0), "a second recovery");
        let one_was_away = [vec![saying("altered", 0)], vec![saying("as sent", 1)]];
        assert_eq!(settled(&one_was_away), (saying("as sent", 1), 1));
        assert_eq!(settled(&[vec![saying("altered again", 1)]]), (saying("as sent", 2), 1));
    }

    #[test]
    fn of_backups_the_older_is_right_unless_the_newer_was_repaired() {
        let believed = |newer: Record, older: Record| {
            let mut all = restored(&[newer]);
            add_older(&mut all, vec![older]);
            all.into_values().next().unwrap()
        };
        assert_eq!(believed(saying("altered", 0), saying("as sent", 0)), saying("as sent", 0));
        assert_eq!(believed(saying("as sent", 1), saying("altered", 0)), saying("as sent", 1));
    }

    #[test]
    fn an_older_backup_adds_what_newer_ones_lack_and_doubles_nothing() {
        let mut all = restored(&[record(1, 1, HOUR)]);
        add_older(&mut all, vec![record(7, 1, HOUR), record(2, 2, HOUR)]);
        assert_eq!(all.values().map(|record| record.arrival.item).collect::<Vec<_>>(), [1, 2]);
    }

    #[test]
    fn what_the_tee_let_go_of_and_production_was_repaired_in_is_left_as_it_is() {
        let mut day = rebuild(&restored(&[saying("altered", 0)]), &[], 3 * HOUR);
        day.settle(&[vec![saying("as sent", 1)]], &[]);
        assert_eq!((day.records.into_values().next(), day.replaced), (Some(saying("as sent", 1)), 0));
    }
}
