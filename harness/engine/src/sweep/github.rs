//! Output for GitHub Actions: an annotation for each kind of failure, and the job summary.

use super::summary::SweepSummary;
use crate::exit;
use crate::print::humanize::counted;
use std::fs::OpenOptions;
use std::io::{self, Write};
use std::path::Path;

/// Returns the workflow commands for the annotations.
pub(crate) fn lines(summary: &SweepSummary, screen: &str) -> String {
    let mut lines = String::new();
    for group in &summary.failures {
        let fastest = &group.cases[0];
        let title = format!("{} {}", group.ended(), group.fingerprint);
        let name = format!("{}@{}", fastest.scenario, fastest.seed);
        let cases = counted(group.cases.len() as u64, "cases");
        let detail = &fastest.finding.detail;
        let detail = if detail.is_empty() { String::new() } else { format!(": {detail}") };
        let message = format!("{cases}, the fastest is {name}{detail}");
        lines.push_str(&format!("::error title={}::{}\n", property(&title), data(&message)));
    }
    if !summary.is_slice() {
        for (mark, _) in &summary.marks_not_reached {
            let message = format!("required mark {mark} was not reached");
            lines.push_str(&format!("::error title=required mark::{}\n", data(&message)));
        }
    }
    let heading = data(screen.lines().next().unwrap_or_default());
    match summary.exit_code() {
        exit::CLEAN => lines.push_str(&format!("::notice title=sweep::{heading}\n")),
        exit::NOTHING_RAN => lines.push_str(&format!("::error title=sweep::{heading}\n")),
        _ => {}
    }
    lines
}

/// Appends the summary to the file that Actions names.
///
/// # Errors
/// It cannot be written.
pub(crate) fn write_summary(path: &Path, screen: &str) -> io::Result<()> {
    let mut file = OpenOptions::new().create(true).append(true).open(path)?;
    // More back-ticks than a detail is likely to contain.
    writeln!(file, "### Sweep\n\n`````text\n{}\n`````", screen.trim_end())
}

/// Escapes `%`, carriage return and line feed, as the documentation of workflow commands requires.
fn data(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

/// Also escapes `:` and `,`, as in a property.
fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn workflow_command_characters_are_escaped() {
        assert_eq!(data("100% of\nit"), "100%25 of%0Ait");
        assert_eq!(property("I4:missing, loss"), "I4%3Amissing%2C loss");
    }
}
