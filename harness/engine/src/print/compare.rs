//! A comparison: measures in rows, variants in columns, as many side by side as the terminal has room for.

use super::humanize::{count, counted, span_ms, wrapped};
use crate::compare::{Cell, Column, CompareTable, SummaryValue};

/// Widest name of a measure.
const NAME_COLUMNS: usize = 24;
/// Spaces between two columns.
const GAP: usize = 2;

/// Returns what people read: the table in as many blocks as the width needs, and how to read and repeat it.
pub(crate) fn text(
    table: &CompareTable,
    seeds: (u64, u64),
    took: &str,
    reproduce: &[String],
    columns: usize,
) -> String {
    let cases: u64 = table.columns.iter().map(|column| column.cases).sum();
    let (from, to) = seeds;
    let mut lines = vec![format!("{}, seeds {from}..{to}, in {took}", counted(cases, "cases"))];
    let width = table.columns.iter().map(column_width).max().unwrap_or(0) + GAP;
    let side_by_side = (columns.saturating_sub(NAME_COLUMNS) / width.max(1)).max(1);
    for block in table.columns.chunks(side_by_side) {
        lines.push(String::new());
        lines.extend(titles(block, table).iter().map(|titles| line("", titles, width)));
        for (index, name) in table.measures.iter().enumerate() {
            let cells: Vec<&Cell> = block.iter().filter_map(|column| column.cells.get(index)).collect();
            let values: Vec<String> = cells.iter().map(|cell| value(cell)).collect();
            let intervals: Vec<String> = cells.iter().map(|cell| interval(cell)).collect();
            lines.push(line(&format!("  {name}"), &values, width));
            if intervals.iter().any(|interval| !interval.is_empty()) {
                lines.push(line("", &intervals, width));
            }
        }
    }
    lines.push(String::new());
    let notes = [
        "share of the cases, or median; in brackets its interval of 95%, where the cases differ",
        "= : equal seeds show no difference from the column on the left (sign test, 5%)",
    ];
    lines.extend(
        notes
            .iter()
            .flat_map(|note| wrapped(note, columns.saturating_sub(2)))
            .map(|note| format!("  {note}")),
    );
    lines.extend(reproduce.iter().map(|command| format!("  reproduce  {command}")));
    lines.push(String::new());
    lines.join("\n")
}

/// Returns the table as Markdown: variants in rows.
pub(crate) fn markdown(table: &CompareTable) -> String {
    let mut lines = vec![
        format!("| scenario | variant | {} |", table.measures.join(" | ")),
        format!("|---|---|{}", "---|".repeat(table.measures.len())),
    ];
    for column in &table.columns {
        let cell = |cell: &Cell| format!("{} {}", value(cell), interval(cell)).trim_end().to_owned();
        let cells: Vec<String> = column.cells.iter().map(cell).collect();
        lines.push(format!("| {} | {} | {} |", column.scenario, column.variant, cells.join(" | ")));
    }
    lines.push(String::new());
    lines.join("\n")
}

/// Returns the lines above a block: the scenarios, unless the table has one only, and the variants.
fn titles(block: &[Column], table: &CompareTable) -> Vec<Vec<String>> {
    let of = |name: fn(&Column) -> &String| -> Vec<String> { block.iter().map(name).cloned().collect() };
    let is_one = table.columns.windows(2).all(|pair| pair[0].scenario == pair[1].scenario);
    let scenarios = (!is_one).then(|| of(|column| &column.scenario));
    scenarios.into_iter().chain([of(|column| &column.variant)]).collect()
}

fn line(name: &str, cells: &[String], width: usize) -> String {
    let padded: String = cells.iter().map(|cell| format!("{cell:>width$}")).collect();
    format!("{name:NAME_COLUMNS$}{padded}").trim_end().to_owned()
}

fn column_width(column: &Column) -> usize {
    let cells = column.cells.iter().flat_map(|cell| [value(cell), interval(cell)]);
    let longest = cells.map(|text| text.chars().count()).max().unwrap_or(0);
    longest.max(column.variant.chars().count()).max(column.scenario.chars().count())
}

fn percent(share: f64) -> String {
    format!("{:.0}%", share * 100.0)
}

/// Returns the value of a cell, with `=` before it if the column on its left has the same.
fn value(cell: &Cell) -> String {
    let value = match cell.value {
        SummaryValue::Share { share, .. } => percent(share),
        SummaryValue::Count { median, .. } => count(median),
        SummaryValue::Seconds { median, .. } => span(median),
        SummaryValue::Nothing => return "-".to_owned(),
    };
    if cell.is_tie { format!("= {value}") } else { value }
}

/// Returns a duration in seconds: `span_ms` would show none as milliseconds.
fn span(seconds: u64) -> String {
    if seconds == 0 { "0 s".to_owned() } else { span_ms(seconds * 1_000) }
}

/// Returns the interval of a cell; empty if all cases of a median are the same.
fn interval(cell: &Cell) -> String {
    match cell.value {
        SummaryValue::Share { low, high, .. } => format!("({} to {})", percent(low), percent(high)),
        SummaryValue::Count { low, high, .. } if low < high => format!("({} to {})", count(low), count(high)),
        SummaryValue::Seconds { low, high, .. } if low < high => format!("({} to {})", span(low), span(high)),
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cell(value: SummaryValue, is_tie: bool) -> Cell {
        Cell { value, cases: 20, is_tie }
    }

    fn table() -> CompareTable {
        let column = |variant: &str, share: f64, median: u64, is_tie: bool| Column {
            scenario: "incident".to_owned(),
            variant: variant.to_owned(),
            cases: 20,
            cells: vec![
                cell(SummaryValue::Share { share, low: share * 0.84, high: share }, is_tie),
                cell(SummaryValue::Count { median, low: median / 2, high: median }, is_tie),
                cell(SummaryValue::Seconds { median: 0, low: 0, high: 0 }, is_tie),
                cell(SummaryValue::Nothing, false),
            ],
        };
        CompareTable {
            measures: ["whole", "lost", "recovery point", "time to notice"].map(str::to_owned).to_vec(),
            columns: vec![
                column("weekly-backups", 0.0, 2_556, false),
                column("tee-7d", 1.0, 0, false),
                column("tee-14d", 1.0, 0, true),
            ],
        }
    }

    #[test]
    fn a_table_says_what_differs_and_fits_its_width() {
        let commands = ["latent run incident@1 --protection weekly-backups".to_owned()];
        insta::assert_snapshot!(text(&table(), (1, 21), "2 m", &commands, 100), @r"
        60 cases, seeds 1..21, in 2 m

                                    weekly-backups            tee-7d           tee-14d
          whole                                 0%              100%            = 100%
                                        (0% to 0%)     (84% to 100%)     (84% to 100%)
          lost                               2,556                 0               = 0
                                  (1,278 to 2,556)
          recovery point                       0 s               0 s             = 0 s
          time to notice                         -                 -                 -

          share of the cases, or median; in brackets its interval of 95%, where the cases differ
          = : equal seeds show no difference from the column on the left (sign test, 5%)
          reproduce  latent run incident@1 --protection weekly-backups
        ");
        let narrow = text(&table(), (1, 21), "2 m", &commands, 60);
        let is_cut = |line: &&str| !line.contains("reproduce") && line.chars().count() > 60;
        assert_eq!(narrow.lines().find(is_cut), None, "commands alone are as long as they are");
        insta::assert_snapshot!(markdown(&table()), @r"
        | scenario | variant | whole | lost | recovery point | time to notice |
        |---|---|---|---|---|---|
        | incident | weekly-backups | 0% (0% to 0%) | 2,556 (1,278 to 2,556) | 0 s | - |
        | incident | tee-7d | 100% (84% to 100%) | 0 | 0 s | - |
        | incident | tee-14d | = 100% (84% to 100%) | = 0 | = 0 s | - |
        ");
    }
}
