//! `explain [WORD]...`, and `marks [PREFIX]`: what the words of a verdict mean.

use super::Failure;
use crate::explain::{Entry, EntryKind, find, glossary};
use crate::print::words::{hanging, wrapped};
use crate::print::{Screen, Text, out};
use crate::scenario::near::near;
use crate::{System, exit};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// An invariant (I10, L2), outcome, exit code, mark, fingerprint, or any word of a screen [default: list them]
    #[arg(value_name = "WORD")]
    words: Vec<String>,
}

#[derive(Debug, clap::Args)]
pub(super) struct MarksArgs {
    /// Only marks that begin with this, such as `compaction`
    #[arg(value_name = "PREFIX")]
    prefix: Option<String>,
}

/// Longer lines than this are hard to read.
const COLUMNS: usize = 80;
/// Columns in front of a part's text: its label.
const LABEL_COLUMNS: usize = 14;

pub(super) fn run<S: System>(arguments: &Args) -> Result<u8, Failure> {
    if arguments.words.is_empty() {
        out::print(&listed::<S>())?;
        return Ok(exit::CLEAN);
    }
    let mut entries: Vec<Entry> = Vec::new();
    for word in &arguments.words {
        for found in find::<S>(word).map_err(Failure::Usage)? {
            if !entries.contains(&found) {
                entries.push(found);
            }
        }
    }
    for (index, entry) in entries.iter().enumerate() {
        if index > 0 {
            out::print("\n")?;
        }
        out::screen(&screen(entry))?;
    }
    Ok(exit::CLEAN)
}

fn columns() -> usize {
    out::columns().map_or(COLUMNS, |columns| columns.min(COLUMNS))
}

fn screen(entry: &Entry) -> Screen {
    let mut screen = Screen::new(true);
    screen.heading(Text::new().good(&entry.name).dim(format!("  ({})", entry.kind.name())));
    let (means, causes) = match entry.kind {
        EntryKind::Invariant => ("must hold", "broken by"),
        EntryKind::Mark => ("reached when", "not if"),
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

/// Everything that can be explained, by kind.
fn listed<S: System>() -> String {
    let all = glossary::<S>();
    let mut text = String::new();
    for kind in EntryKind::ALL {
        let names: Vec<&str> =
            all.iter().filter(|one| one.kind == kind).map(|one| one.name.as_str()).collect();
        let names = match kind {
            EntryKind::Mark if !names.is_empty() => {
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

pub(super) fn marks<S: System>(arguments: &MarksArgs) -> Result<u8, Failure> {
    let mut marks: Vec<Entry> =
        glossary::<S>().into_iter().filter(|one| one.kind == EntryKind::Mark).collect();
    marks.sort_by(|a, b| a.name.cmp(&b.name));
    let prefix = arguments.prefix.as_deref().unwrap_or_default();
    let shown: Vec<&Entry> = marks.iter().filter(|one| one.name.starts_with(prefix)).collect();
    if shown.is_empty() {
        let groups: Vec<&str> = marks.iter().filter_map(|one| one.name.split('.').next()).collect();
        let mut groups: Vec<&str> = near(prefix, groups);
        groups.dedup();
        let meant = groups.first().map_or(String::new(), |group| format!("did you mean {group}? "));
        let hint = format!("{meant}`{} marks` lists all {}", S::NAME, marks.len());
        return Err(Failure::Usage(format!("no mark begins with '{prefix}'\n  {hint}")));
    }
    let width = shown.iter().map(|one| one.name.len()).max().unwrap_or(0);
    let row = |one: &&Entry| hanging(&format!("{:<width$}  ", one.name), &one.means, out::columns());
    out::print(&shown.iter().map(row).collect::<String>())?;
    Ok(exit::CLEAN)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::toy::Toy;

    #[test]
    fn an_explanation_fits_a_screen() {
        for entry in glossary::<Toy>() {
            let shown = anstream::adapter::strip_str(&screen(&entry).to_string()).to_string();
            assert!(shown.lines().count() <= Screen::LINES, "{}", entry.name);
            assert!(shown.lines().all(|line| line.chars().count() <= COLUMNS), "{shown}");
        }
    }
}
