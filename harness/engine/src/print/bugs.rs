//! The scoreboard of planted bugs: a table for people, and the same as Markdown for the documents.

use super::humanize::{count, counted, span_ms};
use super::screen::{Screen, StyledText};
use crate::scoreboard::{BugRecord, BugResult};

/// Number of seeds within which a good check catches half of the bugs.
const FEW_SEEDS: u64 = 50;

/// Everything that is printed of a scoreboard.
pub(crate) struct Scoreboard<'a> {
    pub records: &'a [BugRecord],
    /// Number of seeds after which a search ends.
    pub limit: u64,
    /// Number of searches for each bug.
    pub searches: usize,
}

/// Cells of one row.
struct Row {
    result: &'static str,
    bug: String,
    seeds: String,
    time: String,
    found_by: String,
    reached: String,
    shrunk: String,
}

const TITLES: [&str; 7] = ["result", "bug", "seeds", "core time", "found by", "reached", "shrinks to"];

/// Returns the screen for people.
pub(crate) fn text(board: &Scoreboard<'_>, verbose: bool) -> Screen {
    let mut screen = Screen::new(verbose);
    let all_caught = tally(board, BugResult::Caught) + tally(board, BugResult::Equivalent);
    let heading = StyledText::new();
    screen.heading(if all_caught == board.records.len() {
        heading.good(summary(board))
    } else {
        heading.bad(summary(board))
    });
    let rows: Vec<[String; 7]> = sorted(board).into_iter().map(|record| row(record).cells()).collect();
    let widths: [usize; 7] = std::array::from_fn(|column| {
        let longest = rows.iter().map(|cells| cells[column].chars().count()).max().unwrap_or(0);
        longest.max(TITLES[column].len())
    });
    let line = |cells: [&str; 7]| -> String {
        let padded: Vec<String> =
            cells.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}")).collect();
        padded.join("  ").trim_end().to_owned()
    };
    screen.verbatim("", &line(TITLES));
    for cells in &rows {
        screen.verbatim("", &line(cells.each_ref().map(String::as_str)));
    }
    for record in board.records {
        for search in record.searches.iter().filter(|search| !search.fail_without_bug.is_empty()) {
            let seeds: Vec<String> = search.fail_without_bug.iter().map(|seed| count(*seed)).collect();
            let what = format!("{}@{} fails without the bug too", record.scenario, seeds.join(", "));
            screen.item("false alarm", StyledText::new().bad(what));
        }
    }
    screen
}

/// Returns the table as Markdown.
pub(crate) fn markdown(board: &Scoreboard<'_>) -> String {
    let mut lines = vec![summary(board), String::new()];
    lines.push(format!("| {} |", TITLES.join(" | ")));
    lines.push(format!("|{}", "---|".repeat(TITLES.len())));
    lines.extend(sorted(board).into_iter().map(|record| format!("| {} |", row(record).cells().join(" | "))));
    lines.push(String::new());
    lines.join("\n")
}

/// `12 of 20 planted bugs caught within 500 seeds at the median of 3 searches, 7 within 50; 5 unseen; 3 not reached`.
pub(crate) fn summary(board: &Scoreboard<'_>) -> String {
    let few = board.records.iter().filter(|one| one.median_seeds().is_some_and(|seeds| seeds <= FEW_SEEDS));
    let mut text = format!(
        "{} of {} caught within {} at the median of {}, {} within {FEW_SEEDS}",
        tally(board, BugResult::Caught),
        counted(board.records.len() as u64, "planted bugs"),
        counted(board.limit, "seeds"),
        searches(board.searches),
        few.count(),
    );
    let rest = [
        (BugResult::Unseen, "reached but unseen"),
        (BugResult::NotReached, "not reached"),
        (BugResult::Equivalent, "equivalent"),
    ];
    for (result, words) in rest {
        let number = tally(board, result);
        if number > 0 {
            text.push_str(&format!("; {number} {words}"));
        }
    }
    text
}

fn searches(number: usize) -> String {
    if number == 1 { "1 search".to_owned() } else { format!("{} searches", count(number as u64)) }
}

fn tally(board: &Scoreboard<'_>, result: BugResult) -> usize {
    board.records.iter().filter(|record| record.result() == result).count()
}

/// Caught bugs first, fastest first.
fn sorted<'a>(board: &Scoreboard<'a>) -> Vec<&'a BugRecord> {
    let mut records: Vec<&BugRecord> = board.records.iter().collect();
    records.sort_by_key(|record| {
        (record.result(), record.median_seeds().unwrap_or(u64::MAX), &record.bug, &record.scenario)
    });
    records
}

fn row(record: &BugRecord) -> Row {
    let result = record.result();
    let (ran, reached) = record
        .searches
        .iter()
        .fold((0, 0), |(ran, reached), search| (ran + search.seeds, reached + search.reached));
    let caught = record.searches.iter().filter(|search| search.caught.is_some()).count();
    let found_by = match (&record.equivalent, record.first_catch()) {
        (Some(reason), _) => reason.clone(),
        (None, None) => "-".to_owned(),
        (None, Some(catch)) => {
            let by = if catch.invariants.is_empty() {
                catch.fingerprint.clone()
            } else {
                catch.invariants.join(" ")
            };
            if result == BugResult::Caught {
                by
            } else {
                format!("{by} in {caught} of {}", searches(record.searches.len()))
            }
        }
    };
    let of_scenario = |bug: &str| match record.scenario.as_str() {
        "generated" => bug.to_owned(),
        scenario => format!("{bug} in {scenario}"),
    };
    Row {
        result: result.into(),
        bug: of_scenario(&record.bug),
        seeds: record.median_seeds().map_or("-".to_owned(), count),
        time: record.median_case_ms().map_or("-".to_owned(), span_ms),
        found_by,
        reached: if record.equivalent.is_some() { "-".to_owned() } else { format!("{reached} of {ran}") },
        shrunk: match record.shrunk.as_slice() {
            [] => "-".to_owned(),
            parts => {
                let parts: Vec<String> = parts.iter().map(|part| counted(part.count, &part.what)).collect();
                parts.join(", ")
            }
        },
    }
}

impl Row {
    fn cells(self) -> [String; 7] {
        let Row { result, bug, seeds, time, found_by, reached, shrunk } = self;
        [result.to_owned(), bug, seeds, time, found_by, reached, shrunk]
    }
}
