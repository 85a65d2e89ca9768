//! De-duplication keys: identity of events.

use crate::record::{ArrivalId, Key};

/// Returns the de-duplication key of an event, as specified in `models/formats.md`. Without `insert_id` an event is
/// identified only by its arrival, so a client's retry is a different event.
#[must_use]
pub fn key(name: &str, distinct_id: &str, insert_id: Option<&str>, arrival: ArrivalId) -> Key {
    let mut hasher = blake3::Hasher::new();
    match insert_id {
        Some(insert_id) => {
            for part in [name, distinct_id, insert_id] {
                // The parts of an event are shorter than 1 MB.
                hasher.update(&(part.len() as u32).to_le_bytes());
                hasher.update(part.as_bytes());
            }
        }
        None => {
            hasher.update(&u32::MAX.to_le_bytes());
            hasher.update(&arrival.edge.to_le_bytes());
            hasher.update(&arrival.sequence.to_le_bytes());
            hasher.update(&arrival.item.to_le_bytes());
        }
    }
    let mut key = Key::default();
    key.copy_from_slice(&hasher.finalize().as_bytes()[..16]);
    key
}

#[cfg(test)]
mod tests {
    use super::*;

    const ARRIVAL: ArrivalId = ArrivalId { edge: 1, sequence: 2, item: 3 };

    #[test]
    fn keys_depend_on_name_distinct_id_and_insert_id_separately() {
        let base = key("ab", "c", Some("d"), ARRIVAL);
        let elsewhere = ArrivalId { edge: 9, ..ARRIVAL };
        assert_eq!(base, key("ab", "c", Some("d"), elsewhere), "an identity does not depend on the arrival");
        for other in [
            key("a", "bc", Some("d"), ARRIVAL),
            key("ab", "cd", Some(""), ARRIVAL),
            key("ab", "c", None, ARRIVAL),
        ] {
            assert_ne!(base, other);
        }
    }

    #[test]
    fn without_insert_id_every_arrival_is_a_separate_event() {
        let base = key("a", "b", None, ARRIVAL);
        assert_eq!(base, key("x", "y", None, ARRIVAL));
        for other in [
            ArrivalId { edge: 2, ..ARRIVAL },
            ArrivalId { sequence: 3, ..ARRIVAL },
            ArrivalId { item: 4, ..ARRIVAL },
        ] {
            assert_ne!(base, key("a", "b", None, other));
        }
    }

    #[test]
    fn keys_match_the_specified_format() {
        let hash = blake3::hash(b"\x02\0\0\0ab\x01\0\0\0c\x01\0\0\0d");
        assert_eq!(key("ab", "c", Some("d"), ARRIVAL), hash.as_bytes()[..16]);
        let hash = blake3::hash(&[255, 255, 255, 255, 1, 0, 2, 0, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0]);
        assert_eq!(key("ab", "c", None, ARRIVAL), hash.as_bytes()[..16]);
    }
}
