//! Whether copies of a project-day hold what they should, contents included. Pure.
//!
//! What they should hold comes from the tee (in the audit) or from a recovery's own result: for each arrival its key
//! and a digest of all that its record says. A key that no copy has is missing. A record that says something else
//! than is known of its arrival is altered, in whichever copy it stands: a reader may be given that one. Of
//! arrivals that are not known, because they came before all that is known, a record must at least be an event.

use crate::export::export_line;
use crate::record::{ArrivalId, Key, Record, content_digest};
use crate::wire;
use std::collections::{BTreeMap, BTreeSet};

/// What is known of one arrival.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Known {
    /// Its de-duplication key.
    pub key: Key,
    /// When it came in, by its edge's clock (ms since 1970).
    pub arrived_ms: i64,
    /// Digest of all that its record says.
    pub content: [u8; 16],
}

impl Known {
    /// What a right record says of its arrival.
    #[must_use]
    pub fn of(record: &Record) -> Known {
        Known { key: record.key, arrived_ms: record.arrived_ms, content: content_digest(record) }
    }
}

/// What is known of a project-day, by arrival.
pub type KnownDay = BTreeMap<ArrivalId, Known>;

/// How copies of a day differ from what is known of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Difference {
    /// Keys that no copy has.
    pub missing: BTreeSet<Key>,
    /// Arrivals of which some copy says something else.
    pub altered: BTreeSet<ArrivalId>,
}

impl Difference {
    /// Whether there is none.
    #[must_use]
    pub fn is_none(&self) -> bool {
        self.missing.is_empty() && self.altered.is_empty()
    }
}

/// Compares copies of a day with what is known of it.
#[must_use]
pub fn compare(known: &KnownDay, copies: &[Vec<Record>]) -> Difference {
    let mut difference =
        Difference { missing: known.values().map(|known| known.key).collect(), ..Difference::default() };
    for record in copies.iter().flatten() {
        let key = match known.get(&record.arrival) {
            Some(known) if known.content == content_digest(record) => Some(known.key),
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

/// The key of an exported event, derived from its line; `None` when there is no line, or it is not one event.
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

/// Records without identity that say what a known one says, under arrivals that are not known: each shows one event
/// once more. `arrived` bounds for which arrivals what is known is all there was (ms since 1970).
#[must_use]
pub fn doubled(
    known: &BTreeMap<ArrivalId, Record>,
    copies: &[Vec<Record>],
    arrived: std::ops::Range<i64>,
) -> BTreeSet<ArrivalId> {
    let texts: BTreeSet<&[u8]> = known.values().map(|record| record.json.as_ref()).collect();
    let is_double = |record: &&Record| {
        !known.contains_key(&record.arrival)
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

    fn known(records: &[Record]) -> KnownDay {
        records.iter().map(|record| (record.arrival, Known::of(record))).collect()
    }

    fn counts(known: &KnownDay, copies: &[Vec<Record>]) -> (usize, usize) {
        let difference = compare(known, copies);
        (difference.missing.len(), difference.altered.len())
    }

    #[test]
    fn what_any_copy_has_is_not_missing_and_what_any_copy_alters_is_altered() {
        let (one, two) = (record(1, "i1", "1.50"), record(2, "i2", "2"));
        let known = known(&[one.clone(), two.clone()]);
        assert!(compare(&known, &[vec![one.clone()], vec![two.clone()]]).is_none());
        assert_eq!(counts(&known, &[vec![one.clone()]]), (1, 0));
        let altered = Record { json: record(1, "i1", "1.5").json, ..one.clone() };
        assert_eq!(
            counts(&known, &[vec![one.clone(), two.clone()], vec![altered.clone(), two.clone()]]),
            (0, 1)
        );
        let repaired = Record { repair: 3, ..one };
        assert!(compare(&known, &[vec![repaired, two]]).is_none(), "which repair it is does not count");
    }

    #[test]
    fn the_same_event_of_an_arrival_that_is_not_known_will_do() {
        let (one, again) = (record(1, "i1", "1"), record(9, "i1", "2"));
        assert!(compare(&known(&[one]), &[vec![again]]).is_none());
    }

    #[test]
    fn one_record_that_cannot_be_read_is_altered_and_costs_no_other() {
        let (one, two) = (record(1, "i1", "1"), record(2, "i2", "2"));
        let broken = Record { json: Bytes::from_static(b"{"), ..record(3, "i3", "3") };
        assert_eq!(counts(&known(&[one.clone(), two.clone()]), &[vec![broken, one, two]]), (0, 1));
    }

    #[test]
    fn an_event_without_identity_under_an_arrival_that_nothing_knows_is_a_double() {
        let anonymous = |sequence: u64| {
            let arrival = ArrivalId { edge: 0, sequence, item: 0 };
            Record { arrival, key: wire::key("e", "d", None, arrival), ..record(sequence, "", "1") }
        };
        let known: BTreeMap<ArrivalId, Record> = [anonymous(1), anonymous(2)].map(|r| (r.arrival, r)).into();
        let copies = [vec![anonymous(1), anonymous(2)], vec![anonymous(3)]];
        assert_eq!(doubled(&known, &copies, 0..10).len(), 1);
        assert_eq!(doubled(&known, &copies, 6..10).len(), 0, "what came before all that is known");
        let keyed = record(4, "i4", "1");
        assert_eq!(
            doubled(&[(keyed.arrival, keyed.clone())].into(), &[vec![record(5, "i4", "1")]], 0..10).len(),
            0
        );
    }
}
