//! Ranges of event indices: the indices that a shrunk case keeps.

use std::ops::Range;

/// Returns the kept ranges in order without overlaps; everything if there are none.
pub(super) fn merge_ranges(kept: &[Range<u64>]) -> Vec<Range<u64>> {
    let mut sorted: Vec<Range<u64>> = kept.iter().filter(|range| !range.is_empty()).cloned().collect();
    if kept.is_empty() {
        sorted.push(0..u64::MAX);
    }
    sorted.sort_by_key(|range| range.start);
    let mut merged: Vec<Range<u64>> = Vec::with_capacity(sorted.len());
    for range in sorted {
        match merged.last_mut() {
            Some(last) if range.start <= last.end => last.end = last.end.max(range.end),
            _ => merged.push(range),
        }
    }
    merged
}

/// Returns true if the index is in one of the ranges.
pub(super) fn is_kept(kept: &[Range<u64>], index: u64) -> bool {
    let first = kept.partition_point(|range| range.end <= index);
    kept.get(first).is_some_and(|range| range.contains(&index))
}

/// Returns the kept parts of `all`.
pub(super) fn intersect(kept: &[Range<u64>], all: Range<u64>) -> Vec<Range<u64>> {
    let first = kept.partition_point(|range| range.end <= all.start);
    kept[first..]
        .iter()
        .take_while(|range| range.start < all.end)
        .map(|range| range.start.max(all.start)..range.end.min(all.end))
        .collect()
}
