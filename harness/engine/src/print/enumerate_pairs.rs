//! The part of an enumeration's report that shows pairs of faults.

use super::humanize::{count, op_name};
use super::screen::{Screen, StyledText};
use crate::enumerate::{EnumerationStats, FaultGroup, PairKind, PairStats};
use latent_sim::OpKind;
use serde::Serialize;
use std::collections::BTreeMap;

/// Number of rows shown without `-v`, so that the report is one screen.
const MAX_ROWS: usize = 18;

/// Columns of the table, one for each group of second faults.
const SECOND: [FaultGroup; 3] = [FaultGroup::Crash, FaultGroup::Error, FaultGroup::Lost];

/// One row: the pairs with one group of first faults at one kind of operation.
#[derive(Default)]
struct PairRow {
    by_second: BTreeMap<FaultGroup, PairStats>,
    total: PairStats,
}

/// Adds the table of pairs; `distance` is the largest number of operations from the first fault to the second.
pub(super) fn table(stats: &EnumerationStats, distance: u64, screen: &mut Screen) {
    let about =
        format!("a second fault within {} of the first", super::humanize::counted(distance, "operations"));
    screen.item("pairs", about);
    let heads = ["then crash", "then error", "then lost"].map(|head| format!("{head:>12}")).concat();
    screen.item("", StyledText::new().dim(format!("{:<16}{heads}{:>14}", "failed/pairs", "not reached")));
    let mut rows: Vec<_> = rows(stats).into_iter().collect();
    // Rows with failures first: others may be left out.
    rows.sort_by_key(|(_, row)| row.total.pairs == row.total.as_expected);
    screen.rows("", rows.iter().map(|((first, operation), row)| line(*first, *operation, row)), MAX_ROWS);
}

fn rows(stats: &EnumerationStats) -> BTreeMap<(FaultGroup, OpKind), PairRow> {
    let mut rows: BTreeMap<(FaultGroup, OpKind), PairRow> = BTreeMap::new();
    for (kind, of) in &stats.pairs {
        let row = rows.entry((kind.first.group(), kind.operation)).or_default();
        row.by_second.entry(kind.second.group()).or_default().add(*of);
        row.total.add(*of);
    }
    rows
}

fn line(first: FaultGroup, operation: OpKind, row: &PairRow) -> StyledText {
    let failed = |of: &PairStats| of.pairs - of.as_expected;
    let cell = |second: &FaultGroup| match row.by_second.get(second) {
        None => format!(" {:>11}", "-"),
        Some(of) => format!(" {:>11}", format!("{}/{}", count(failed(of)), count(of.pairs))),
    };
    let cells = SECOND.iter().map(cell).collect::<String>();
    let label = format!("{first} {}", op_name(operation));
    let text = format!("{label:<16}{cells}{:>14}", count(row.total.second_not_reached));
    if failed(&row.total) > 0 { StyledText::new().bad(text) } else { StyledText::new().plain(text) }
}

/// One kind of pair and its counts, in the JSON object.
#[derive(Serialize)]
pub(super) struct PairKindCounts {
    #[serde(flatten)]
    kind: PairKind,
    #[serde(flatten)]
    counts: PairStats,
}

/// Returns the counts of each kind of pair.
pub(super) fn by_kind(stats: &EnumerationStats) -> Vec<PairKindCounts> {
    stats.pairs.iter().map(|(kind, counts)| PairKindCounts { kind: *kind, counts: *counts }).collect()
}
