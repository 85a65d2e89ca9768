//! Union of several copies of a day, each arrival once. Pure.
//!
//! Of two records of one arrival the one with the higher repair number is right. Copies that differ under one repair
//! number cannot be resolved from the copies: the union takes the version that most of them hold, so that a copy filled
//! from it agrees with the majority and replaces nothing. The audit, which compares with the tee, reports the
//! difference.

use crate::record::{ArrivalId, Record};
use std::cmp::Reverse;
use std::collections::BTreeMap;

/// One version of a record, with the number of copies that hold it.
struct RecordVersion {
    record: Record,
    copies: usize,
}

/// Returns the union of copies, by arrival id.
#[must_use]
pub fn union(copies: Vec<Vec<Record>>) -> Vec<Record> {
    let mut versions: BTreeMap<ArrivalId, Vec<RecordVersion>> = BTreeMap::new();
    for record in copies.into_iter().flatten() {
        let of = versions.entry(record.arrival).or_default();
        match of.iter_mut().find(|version| version.record == record) {
            Some(version) => version.copies += 1,
            None => of.push(RecordVersion { record, copies: 1 }),
        }
    }
    let right = |of: Vec<RecordVersion>| of.into_iter().min_by_key(|v| Reverse((v.record.repair, v.copies)));
    versions.into_values().filter_map(right).map(|version| version.record).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;

    fn record(item: u32, repair: u16, json: &'static str) -> Record {
        let arrival = ArrivalId { edge: 0, sequence: 1, item };
        Record {
            arrival,
            repair,
            arrived_ms: 0,
            time_ms: 0,
            key: [0; 16],
            json: Bytes::from_static(json.as_bytes()),
        }
    }

    #[test]
    fn the_union_has_each_arrival_once_in_its_last_repair() {
        let copies = vec![
            vec![record(1, 0, "altered"), record(2, 0, "two")],
            vec![record(1, 0, "altered")],
            vec![record(1, 1, "as sent"), record(3, 0, "three")],
        ];
        let all = vec![record(1, 1, "as sent"), record(2, 0, "two"), record(3, 0, "three")];
        assert_eq!(union(copies), all);
    }

    #[test]
    fn the_majority_wins_between_equal_repairs() {
        let copies = ["altered", "as sent", "as sent"].map(|json| vec![record(1, 0, json)]);
        assert_eq!(union(copies.to_vec()), [record(1, 0, "as sent")]);
    }
}
