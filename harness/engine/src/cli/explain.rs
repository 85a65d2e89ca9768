//! `explain [WORD]...`, and `marks [PREFIX]`: explain the terms of a verdict.

use super::CliError;
use crate::explain::{GlossaryEntry, GlossaryKind, find, glossary};
use crate::print::humanize::{hanging, wrapped};
use crate::print::{Screen, StyledText, terminal};
use crate::scenario::suggest::suggest;
use crate::{System, exit};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// An invariant (I10, L2), outcome, exit code, mark, fingerprint, or any term of a screen [default: list them]
    #[arg(value_name = "WORD")]
    words: Vec<String>,
}

#[derive(Debug, clap::Args)]
pub(super) struct MarksArgs {
    /// List only marks that begin with this prefix, such as `compaction`
    #[arg(value_name = "PREFIX")]
    prefix: Option<String>,
}

/// Longer lines than this are hard to read.
const COLUMNS: usize = 80;
/// Width of the label column.
const LABEL_COLUMNS: usize = 14;

pub(super) fn run<S: System>(arguments: &Args) -> Result<u8, CliError> {
    if arguments.words.is_empty() {
        terminal::print(&listed::<S>())?;
        return Ok(exit::CLEAN);
    }
    let mut entries: Vec<GlossaryEntry> = Vec::new();
    for word in &arguments.words {
        for found in find::<S>(word).map_err(CliError::Usage)? {
            if !entries.contains(&found) {
                entries.push(found);
            }
        }
    }
    for (index, entry) in entries.iter().enumerate() {
        if index > 0 {
            terminal::print("\n")?;
        }
        terminal::screen(&screen(entry))?;
    }
    Ok(exit::CLEAN)
}

fn columns() -> usize {
    terminal::columns().map_or(COLUMNS, |columns| columns.min(COLUMNS))
}

fn screen(entry: &GlossaryEntry) -> Screen {
    let mut screen = Screen::new(true);
    screen.heading(StyledText::new().good(&entry.name).dim(format!("  ({})", entry.kind.name())));
    let (means, causes) = match entry.kind {
        GlossaryKind::Invariant => ("must hold", "broken by"),
        GlossaryKind::Mark => ("reached when", "not if"),
        _ => ("means", "causes"),
    };
    let parts =
        [(means, &entry.means), ("matters", &entry.matters), (causes, &entry.causes), ("next", &entry.next)];
    for (label, text) in parts.into_iter().filter(|(_, text)| !text.is_empty()) {
        for (index, row) in wrapped(text, columns() - LABEL_COLUMNS - 1).into_iter().enumerate() {
            let label = if index == 0 { label } else { "" };
            screen.item(label, format!(" {row}"));
        }
    }
    screen
}

/// Lists all terms, by category.
fn listed<S: System>() -> String {
    let all = glossary::<S>();
    let mut text = String::new();
    for &kind in GlossaryKind::ALL {
        let names: Vec<&str> =
            all.iter().filter(|one| one.kind == kind).map(|one| one.name.as_str()).collect();
        let names = match kind {
            GlossaryKind::Mark if !names.is_empty() => {
                format!("{}: `{} marks` lists them", names.len(), S::NAME)
            }
            _ => names.join(", "),
        };
        if !names.is_empty() {
            text.push_str(&hanging(&format!("{:<12}", kind.name()), &names, Some(columns())));
        }
    }
    text
}

pub(super) fn marks<S: System>(arguments: &MarksArgs) -> Result<u8, CliError> {
    let mut marks: Vec<GlossaryEntry> =
        glossary::<S>().into_iter().filter(|one| one.kind == GlossaryKind::Mark).collect();
    marks.sort_by(|a, b| a.name.cmp(&b.name));
    let prefix = arguments.prefix.as_deref().unwrap_or_default();
    let shown: Vec<&GlossaryEntry> = marks.iter().filter(|one| one.name.starts_with(prefix)).collect();
    if shown.is_empty() {
        let groups: Vec<&str> = marks.iter().filter_map(|one| one.name.split('.').next()).collect();
        let mut groups: Vec<&str> = suggest(prefix, groups);
        groups.dedup();
        let suggestion = groups.first().map_or(String::new(), |group| format!("did you mean {group}? "));
        let hint = format!("{suggestion}`{} marks` lists all {}", S::NAME, marks.len());
        return Err(CliError::Usage(format!("no mark begins with '{prefix}'\n  {hint}")));
    }
    let width = shown.iter().map(|one| one.name.len()).max().unwrap_or(0);
    let row =
        |one: &&GlossaryEntry| hanging(&format!("{:<width$}  ", one.name), &one.means, terminal::columns());
    terminal::print(&shown.iter().map(row).collect::<String>())?;
    Ok(exit::CLEAN)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_system::TestSystem;

    #[test]
    fn an_explanation_fits_a_screen() {
        for entry in glossary::<TestSystem>() {
            let shown = anstream::adapter::strip_str(&screen(&entry).to_string()).to_string();
            assert!(shown.lines().count() <= Screen::LINES, "{}", entry.name);
            assert!(shown.lines().all(|line| line.chars().count() <= COLUMNS), "{shown}");
        }
    }
}
