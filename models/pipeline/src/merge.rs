//! Merge of a compaction run. Pure: any grouping or order of inputs gives the same set.
//!
//! Of several records of one arrival, the last replacement is kept. Of several records with one key, the one with the
//! least (arrived_ms, arrival id) is kept: all disks agree on this order, whatever they have received so far. The
//! output is sorted by (time, key, arrival id).

use crate::record::{RECORD_FIXED_BYTES, Record, drop_replaced, key_order};
use crate::release::{Bug, Release};
use latent_ports::Env;

/// Window of the planted bug [`Bug::IdsForgottenAfterWindow`], in ms.
const ID_WINDOW_MS: i64 = 6 * 3_600_000;

/// Merges, de-duplicates and sorts records.
#[must_use]
pub fn merge(records: Vec<Record>) -> Vec<Record> {
    merge_within(i64::MAX, records)
}

/// Merges as `release` does, for compaction and for reads.
pub fn merge_of_release<E: Env>(env: &E, release: &Release, records: Vec<Record>) -> Vec<Record> {
    if !release.has(Bug::IdsForgottenAfterWindow) {
        return merge(records);
    }
    let correct = merge(records.clone()).len();
    let merged = merge_within(ID_WINDOW_MS, records);
    if merged.len() != correct {
        release.reached(env, Bug::IdsForgottenAfterWindow);
    }
    merged
}

/// Merges records. Of two with one key, the later is dropped if it arrived at most `window_ms` after the one that is
/// kept.
fn merge_within(window_ms: i64, mut records: Vec<Record>) -> Vec<Record> {
    drop_replaced(&mut records);
    records.sort_unstable_by_key(|r| (key_order(&r.key), r.arrived_ms, r.arrival));
    records.dedup_by(|later, kept| {
        later.key == kept.key && later.arrived_ms.saturating_sub(kept.arrived_ms) <= window_ms
    });
    records.sort_unstable_by_key(|r| (r.time_ms, key_order(&r.key), r.arrival));
    records
}

/// Splits sorted records into files of about `max_bytes`, with at least one record each.
pub fn split(records: &[Record], max_bytes: u64) -> impl Iterator<Item = &[Record]> {
    let mut rest = records;
    std::iter::from_fn(move || {
        let mut bytes = 0u64;
        let fits = rest.iter().take_while(|record| {
            bytes += (RECORD_FIXED_BYTES + record.json.len()) as u64;
            bytes <= max_bytes
        });
        let count = fits.count().max(1).min(rest.len());
        let (part, left) = rest.split_at(count);
        rest = left;
        (!part.is_empty()).then_some(part)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::ArrivalId;
    use bytes::Bytes;
    use proptest::prelude::*;

    fn records() -> impl Strategy<Value = Vec<Record>> {
        let one = (0u8..12, 0i64..6, 0i64..4, 0u32..50).prop_map(|(key, time_ms, arrived_ms, item)| Record {
            arrival: ArrivalId { edge: 0, sequence: 1, item },
            repair: 0,
            arrived_ms,
            time_ms,
            key: [key; 16],
            json: Bytes::from(format!("{key}-{item}")),
        });
        proptest::collection::vec(one, 0..60).prop_map(|mut all| {
            // An arrival id identifies one event.
            all.sort_by_key(|r| r.arrival);
            all.dedup_by_key(|r| r.arrival);
            all
        })
    }

    proptest! {
        #[test]
        fn merging_is_independent_of_grouping_and_idempotent(all in records(), cut in 0usize..60) {
            let whole = merge(all.clone());
            prop_assert_eq!(&merge(whole.clone()), &whole);
            let (left, right) = all.split_at(cut.min(all.len()));
            let mut grouped = merge(right.to_vec());
            grouped.extend(merge(left.to_vec()));
            prop_assert_eq!(merge(grouped), whole);
        }

        #[test]
        fn merging_keeps_every_key_exactly_once(all in records()) {
            let keys = |list: &[Record]| list.iter().map(|r| r.key).collect::<std::collections::BTreeSet<_>>();
            let merged = merge(all.clone());
            prop_assert_eq!(keys(&merged), keys(&all));
            prop_assert_eq!(keys(&merged).len(), merged.len());
        }

        #[test]
        fn splitting_loses_nothing(all in records(), max in 1u64..400) {
            let parts: Vec<Record> = split(&all, max).flatten().cloned().collect();
            prop_assert_eq!(parts, all);
        }
    }
}
