//! Events of a damaged day before and after the loss, as a unified diff.

use crate::judge::judgement::SmallestLossKeys;
use similar::{ChangeTag, TextDiff};

/// Returns the diff of the project-day with the smallest loss, the easiest to read; empty without a loss.
pub(crate) fn of_smallest_loss(smallest: Option<&SmallestLossKeys>) -> Vec<String> {
    let Some((title, before, after)) = smallest else { return Vec::new() };
    let (before, after) = (before.join("\n"), after.join("\n"));
    let diff = TextDiff::from_lines(&before, &after);
    let mut lines = vec![title.clone()];
    for group in diff.grouped_ops(1) {
        for op in group {
            for change in diff.iter_changes(&op) {
                let sign = match change.tag() {
                    ChangeTag::Delete => '-',
                    ChangeTag::Insert => '+',
                    ChangeTag::Equal => ' ',
                };
                lines.push(format!("{sign}{}", change.value().trim_end()));
            }
        }
    }
    lines
}
