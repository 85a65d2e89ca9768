//! Compares copies of a project-day with their expected contents. Pure.
//!
//! The expected contents come from the tee (in the audit) or from a recovery's result: for each arrival its key and a
//! digest of its record. A key that no copy has is missing. A record that differs from the expected one of its arrival
//! is altered, in whichever copy it is: a reader may receive that copy. For arrivals without an expected record,
//! because they are older than all expected ones, a record must at least be a valid event.

use crate::export::export_line;
use crate::record::{ArrivalId, Key, Record, content_digest};
use crate::wire;
use std::collections::{BTreeMap, BTreeSet};

/// Expected contents of one arrival.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExpectedRecord {
    /// De-duplication key.
    pub key: Key,
    /// Arrival time by the edge's clock, in ms since 1970.
    pub arrived_ms: i64,
    /// Digest of the record's contents.
    pub content: [u8; 16],
}

impl ExpectedRecord {
    /// Returns the expectation for a correct record.
    #[must_use]
    pub fn of(record: &Record) -> ExpectedRecord {
        ExpectedRecord { key: record.key, arrived_ms: record.arrived_ms, content: content_digest(record) }
    }
}

/// Expected records of a project-day, by arrival.
pub type ExpectedDay = BTreeMap<ArrivalId, ExpectedRecord>;

/// Differences between copies of a day and the expected records.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DayDifference {
    /// Keys that no copy has.
    pub missing: BTreeSet<Key>,
    /// Arrivals for which some copy has other contents.
    pub altered: BTreeSet<ArrivalId>,
}

impl DayDifference {
    /// Whether there are no differences.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.missing.is_empty() && self.altered.is_empty()
    }
}

/// Compares copies of a day with the expected records.
#[must_use]
pub fn compare(expected: &ExpectedDay, copies: &[Vec<Record>]) -> DayDifference {
    let mut difference = DayDifference {
        missing: expected.values().map(|expected| expected.key).collect(),
        ..DayDifference::default()
    };
    for record in copies.iter().flatten() {
        let key = match expected.get(&record.arrival) {
            Some(expected) if expected.content == content_digest(record) => Some(expected.key),
            Some(_) => {
                difference.altered.insert(record.arrival);
                stated_key(record)
            }
            None => {
                let stated = stated_key(record);
                if stated.is_none() {
                    difference.altered.insert(record.arrival);
                }
                stated
            }
        };
        if let Some(key) = key {
            difference.missing.remove(&key);
        }
    }
    difference
}

/// Derives the key of an exported event from its line; `None` when the record is not one valid event.
fn stated_key(record: &Record) -> Option<Key> {
    let event: serde_json::Value = serde_json::from_str(&export_line(record)?).ok()?;
    let properties = &event["properties"];
    let text = |value: &serde_json::Value| match value {
        serde_json::Value::String(text) => text.clone(),
        serde_json::Value::Null => String::new(),
        other => other.to_string(),
    };
    let insert_id = properties["$insert_id"].as_str();
    Some(wire::key(&text(&event["event"]), &text(&properties["distinct_id"]), insert_id, record.arrival))
}

/// Returns duplicates without identity: records with the text of an expected record, under arrivals that are not
/// expected. Each shows one event twice. Only arrivals in the range `arrived` (ms since 1970) are considered, for which
/// the expected records are complete.
#[must_use]
pub fn find_duplicates(
    expected: &BTreeMap<ArrivalId, Record>,
    copies: &[Vec<Record>],
    arrived: std::ops::Range<i64>,
) -> BTreeSet<ArrivalId> {
    let texts: BTreeSet<&[u8]> = expected.values().map(|record| record.json.as_ref()).collect();
    let is_double = |record: &&Record| {
        !expected.contains_key(&record.arrival)
            && arrived.contains(&record.arrived_ms)
            && texts.contains(record.json.as_ref())
            && record.key == wire::key("", "", None, record.arrival)
    };
    copies.iter().flatten().filter(is_double).map(|record| record.arrival).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;

    fn record(sequence: u64, insert_id: &str, note: &str) -> Record {
        let arrival = ArrivalId { edge: 0, sequence, item: 0 };
        let json = format!(
            r#"{{"event":"e","properties":{{"distinct_id":"d","$insert_id":"{insert_id}","n":{note}}}}}"#
        );
        let key = wire::key("e", "d", Some(insert_id), arrival);
        Record { arrival, repair: 0, arrived_ms: 5, time_ms: 5, key, json: Bytes::from(json) }
    }

    fn expected(records: &[Record]) -> ExpectedDay {
        records.iter().map(|record| (record.arrival, ExpectedRecord::of(record))).collect()
    }

    fn counts(expected: &ExpectedDay, copies: &[Vec<Record>]) -> (usize, usize) {
        let difference = compare(expected, copies);
        (difference.missing.len(), difference.altered.len())
    }

    #[test]
    fn a_key_in_any_copy_is_present_and_a_record_altered_in_any_copy_is_altered() {
        let (one, two) = (record(1, "i1", "1.50"), record(2, "i2", "2"));
        let expected = expected(&[one.clone(), two.clone()]);
        assert!(compare(&expected, &[vec![one.clone()], vec![two.clone()]]).is_empty());
        assert_eq!(counts(&expected, &[vec![one.clone()]]), (1, 0));
        let altered = Record { json: record(1, "i1", "1.5").json, ..one.clone() };
        assert_eq!(
            counts(&expected, &[vec![one.clone(), two.clone()], vec![altered.clone(), two.clone()]]),
            (0, 1)
        );
        let repaired = Record { repair: 3, ..one };
        assert!(compare(&expected, &[vec![repaired, two]]).is_empty(), "which repair it is does not count");
    }

    #[test]
    fn a_duplicate_event_under_an_unknown_arrival_counts_as_present() {
        let (one, again) = (record(1, "i1", "1"), record(9, "i1", "2"));
        assert!(compare(&expected(&[one]), &[vec![again]]).is_empty());
    }

    #[test]
    fn an_unreadable_record_is_altered_and_does_not_affect_others() {
        let (one, two) = (record(1, "i1", "1"), record(2, "i2", "2"));
        let broken = Record { json: Bytes::from_static(b"{"), ..record(3, "i3", "3") };
        assert_eq!(counts(&expected(&[one.clone(), two.clone()]), &[vec![broken, one, two]]), (0, 1));
    }

    #[test]
    fn an_event_without_identity_under_an_unknown_arrival_is_a_duplicate() {
        let anonymous = |sequence: u64| {
            let arrival = ArrivalId { edge: 0, sequence, item: 0 };
            Record { arrival, key: wire::key("e", "d", None, arrival), ..record(sequence, "", "1") }
        };
        let expected: BTreeMap<ArrivalId, Record> =
            [anonymous(1), anonymous(2)].map(|r| (r.arrival, r)).into();
        let copies = [vec![anonymous(1), anonymous(2)], vec![anonymous(3)]];
        assert_eq!(find_duplicates(&expected, &copies, 0..10).len(), 1);
        assert_eq!(find_duplicates(&expected, &copies, 6..10).len(), 0, "what came before all that is known");
        let keyed = record(4, "i4", "1");
        assert_eq!(
            find_duplicates(&[(keyed.arrival, keyed.clone())].into(), &[vec![record(5, "i4", "1")]], 0..10)
                .len(),
            0
        );
    }
}
