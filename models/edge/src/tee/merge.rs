//! Merges several copies of one tee file, damaged or not, into a file with the records of all of them.
//!
//! Two copies of a request are written before it is answered, so a record that one copy lost is in the other. Records
//! are only ever added to an object: an uploader first reads what it stored earlier.

use super::record::{HEADER_BYTES, TeeName, TeeRecord, decode_header};
use crate::sequence::boot_of;
use bytes::Bytes;
use latent_storekit::frame::{ScanEnd, push_frame, salvage, scan};
use std::collections::BTreeSet;

/// Union of the records of all copies added so far.
#[derive(Debug)]
pub struct TeeMerge {
    name: TeeName,
    /// Ordered by sequence number. Two payloads with the same number do not occur; both would be kept.
    payloads: BTreeSet<(u64, Bytes)>,
}

/// Integrity of one copy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CopyIntegrity {
    /// As written.
    Intact,
    /// Ends with an unfinished write. Damage to the last record looks the same.
    Torn,
    /// Has damage that an unfinished write cannot cause.
    Damaged,
}

impl TeeMerge {
    /// Creates an empty merge for the file `name`.
    #[must_use]
    pub fn new(name: TeeName) -> TeeMerge {
        TeeMerge { name, payloads: BTreeSet::new() }
    }

    /// Adds every valid record of a copy.
    pub fn add(&mut self, copy: &Bytes) -> CopyIntegrity {
        if copy.len() < HEADER_BYTES {
            return CopyIntegrity::Torn;
        }
        let found = scan(copy, HEADER_BYTES);
        let header_ok = decode_header(copy) == Ok((self.name.edge, self.name.hour));
        let (payloads, integrity) = match found.end {
            ScanEnd::Clean if header_ok => (found.payloads, CopyIntegrity::Intact),
            ScanEnd::TornTail { .. } if header_ok => (found.payloads, CopyIntegrity::Torn),
            _ => (salvage(copy, HEADER_BYTES), CopyIntegrity::Damaged),
        };
        let mut has_foreign_records = false;
        for payload in payloads {
            match TeeRecord::decode(&payload) {
                Ok(record) if record.edge == self.name.edge && boot_of(record.sequence) == self.name.boot => {
                    self.payloads.insert((record.sequence, payload));
                }
                _ => has_foreign_records = true,
            }
        }
        if has_foreign_records { CopyIntegrity::Damaged } else { integrity }
    }

    /// Returns the name of the merged file.
    #[must_use]
    pub fn name(&self) -> TeeName {
        self.name
    }

    /// Returns the sequence numbers of the records, in order.
    pub fn sequences(&self) -> impl Iterator<Item = u64> {
        self.payloads.iter().map(|(sequence, _)| *sequence)
    }

    /// Number of records.
    #[must_use]
    pub fn records(&self) -> usize {
        self.payloads.len()
    }

    /// Encodes the merged file, with records in order of sequence number.
    #[must_use]
    pub fn file(&self) -> Bytes {
        let mut file = self.name.header().to_vec();
        for (_, payload) in &self.payloads {
            push_frame(&mut file, payload).expect("the payload came out of a frame");
        }
        file.into()
    }
}

/// Returns the prefix of a copy that may be kept and appended to: header and records before the first bad byte. Empty
/// when the header is bad.
pub(crate) fn valid_prefix(name: TeeName, copy: &Bytes) -> Bytes {
    if decode_header(copy) != Ok((name.edge, name.hour)) {
        return Bytes::new();
    }
    copy.slice(..scan(copy, HEADER_BYTES).valid_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use latent_storekit::http_message::Method;

    const NAME: TeeName = TeeName { hour: 404_497, edge: 1, boot: 7 };

    fn record(count: u64) -> Bytes {
        let record = TeeRecord {
            edge: 1,
            sequence: 7 << 40 | count,
            arrived_ms: 1_456_190_481_123,
            method: Method::Post,
            target: "/track".into(),
            headers: vec![],
            body: Bytes::from(format!("request {count}")),
        };
        record.encode_frame().unwrap()
    }

    fn file(counts: &[u64]) -> Bytes {
        let mut file = NAME.header().to_vec();
        counts.iter().for_each(|count| file.extend(record(*count)));
        file.into()
    }

    fn merged(copies: &[&Bytes]) -> (Bytes, Vec<CopyIntegrity>) {
        let mut merge = TeeMerge::new(NAME);
        let shapes = copies.iter().map(|copy| merge.add(copy)).collect();
        (merge.file(), shapes)
    }

    #[test]
    fn an_intact_copy_merges_to_the_same_bytes() {
        let copy = file(&[1, 2, 3]);
        assert_eq!(merged(&[&copy]), (copy, vec![CopyIntegrity::Intact]));
    }

    #[test]
    fn damaged_copies_that_together_hold_all_records_merge_to_the_file() {
        let whole = file(&[1, 2, 3]);
        let frame = record(1).len();
        let mut first_lost = whole.to_vec();
        first_lost[HEADER_BYTES + 12] ^= 4;
        let torn = whole.slice(..HEADER_BYTES + 2 * frame + 5);
        let mut header_lost = whole.to_vec();
        header_lost[3] = 0;
        let (first_lost, header_lost) = (Bytes::from(first_lost), Bytes::from(header_lost));
        assert_eq!(
            merged(&[&first_lost, &torn]),
            (whole.clone(), vec![CopyIntegrity::Damaged, CopyIntegrity::Torn])
        );
        assert_eq!(merged(&[&header_lost]), (whole.clone(), vec![CopyIntegrity::Damaged]));
        assert_ne!(merged(&[&torn]).0, whole);
    }

    #[test]
    fn records_of_another_file_are_ignored() {
        let other = TeeName { boot: 8, ..NAME };
        let mut merge = TeeMerge::new(other);
        let mut copy = other.header().to_vec();
        copy.extend(record(1));
        assert_eq!(merge.add(&copy.into()), CopyIntegrity::Damaged);
        assert_eq!(merge.records(), 0);
    }
}
