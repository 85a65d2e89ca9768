//! I13: a backup that says that a data center holds its segments has read them back there.
//!
//! A store may keep other bytes than it confirms, and a listing shows names. So when a catalog is stored, each of its
//! segments has been read in that data center since it was written, and by the process that stored the catalog: a
//! process that has restarted knows nothing of what was read before.
//!
//! Documented in docs/invariants.md#i13.

use super::CheckContext;
use crate::reader::catalog::Catalog;
use latent_verdict::Violation;

/// Reports the segments of a catalog that were not read back. `is_read_back` is asked for each, by its hash.
#[must_use]
pub fn unread_segments(
    data_center: &str,
    catalog: &Catalog,
    is_read_back: impl Fn(&str) -> bool,
    context: &CheckContext,
) -> Option<Violation> {
    let hashes = catalog.days.iter().flat_map(|day| &day.segments).map(|segment| segment.hash.as_str());
    let unread: Vec<&str> = hashes.filter(|hash| !is_read_back(hash)).collect();
    let first = *unread.first()?;
    let detail = format!("{data_center}: nothing read segment {first} back before the catalog was stored");
    let found = Violation::new("I13", "not-read-back", context.stage.as_str());
    let found = found.of(data_center, unread.len() as u64).at(context.at_ms).because(detail);
    Some(found.keys(unread))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::invariants::noon_context;
    use crate::reader::catalog::{CatalogDay, CatalogSegment};

    #[test]
    fn each_segment_that_was_not_read_back_counts() {
        let segment = |hash: &str| CatalogSegment { hash: hash.to_owned(), bytes: 1, records: 1 };
        let day = CatalogDay { project: 1, day: 2, segments: vec![segment("a"), segment("b")] };
        let catalog = Catalog { format: 2, position_ms: 3, taken_ms: 4, behind: vec![], days: vec![day] };
        let items = |is_read: fn(&str) -> bool| {
            unread_segments("dc-1", &catalog, is_read, &noon_context()).map(|found| found.items)
        };
        assert_eq!([items(|_| true), items(|hash| hash == "a"), items(|_| false)], [None, Some(1), Some(2)]);
    }
}
