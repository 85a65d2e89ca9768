//! A scenario error as a diagnostic: file, line, column, what is wrong and how to fix it.

use crate::print::escape::is_unprintable;
use std::fmt;

/// Position in a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SourceSpan {
    /// From 1.
    pub line: usize,
    /// From 1, in characters.
    pub column: usize,
    /// In characters, at least 1, at most to the end of the line.
    pub length: usize,
    /// The line itself.
    pub source: String,
}

impl SourceSpan {
    /// Returns the position of the bytes `start..end` of `text`; offsets past the end mean the end.
    pub(crate) fn of(text: &str, start: usize, end: usize) -> Box<SourceSpan> {
        let start = text.floor_char_boundary(start.min(text.len()));
        let end = text.ceil_char_boundary(end.clamp(start, text.len()));
        let line_start = text[..start].rfind('\n').map_or(0, |newline| newline + 1);
        let line_end = text[start..].find('\n').map_or(text.len(), |newline| start + newline);
        Box::new(SourceSpan {
            line: text[..start].matches('\n').count() + 1,
            column: text[line_start..start].chars().count() + 1,
            length: text[start..end.min(line_end)].chars().count().max(1),
            source: text[line_start..line_end].trim_end().to_owned(),
        })
    }
}

/// Reason why a scenario cannot run. One error at a time: the first in the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScenarioError {
    /// The file as named on the command line, or the scenario's built-in name.
    pub(crate) file: String,
    /// Position of the error; `None` when the file could not be read at all.
    pub(crate) place: Option<Box<SourceSpan>>,
    /// Description of the error.
    pub(crate) message: String,
    /// How to fix it. May be empty.
    pub(crate) hint: String,
    /// Number of further problems in the file.
    pub(crate) more: usize,
}

/// The longest source line that is quoted in full, in characters.
const QUOTED_COLUMNS: usize = 96;

impl fmt::Display for ScenarioError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.file)?;
        if let Some(place) = &self.place {
            write!(f, ":{}:{}", place.line, place.column)?;
        }
        writeln!(f, ": {}", self.message)?;
        if let Some(place) = &self.place {
            quote(f, place)?;
        }
        if !self.hint.is_empty() {
            writeln!(f, "  {}", self.hint)?;
        }
        match self.more {
            0 => Ok(()),
            1 => writeln!(f, "  1 more problem in this file"),
            more => writeln!(f, "  {more} more problems in this file"),
        }
    }
}

/// Prints the source line with the error underlined. A long line (a minified file) is cut to the surrounding text.
/// annotate-snippets takes seven lines for these four and sends U+009B to the terminal; miette also sends escape
/// characters, and does not cut a line.
fn quote(f: &mut fmt::Formatter<'_>, place: &SourceSpan) -> fmt::Result {
    let skipped = if place.source.chars().count() <= QUOTED_COLUMNS {
        0
    } else {
        place.column.saturating_sub(1 + QUOTED_COLUMNS / 3)
    };
    let shown: String = place.source.chars().skip(skipped).take(QUOTED_COLUMNS).map(visible).collect();
    let before: String =
        shown.chars().take(place.column - 1 - skipped).map(|c| if c == '\t' { '\t' } else { ' ' }).collect();
    let marks = place.length.min(QUOTED_COLUMNS.saturating_sub(before.chars().count()).max(1));
    writeln!(f, "{:5} | {shown}", place.line)?;
    writeln!(f, "      | {before}{}", "^".repeat(marks))
}

/// Replaces control characters by pictures, one column each, so that the underline stays aligned.
fn visible(c: char) -> char {
    match u32::from(c) {
        _ if c == '\t' || !is_unprintable(c) => c,
        0x7f => '\u{2421}',
        code @ 0..0x20 => char::from_u32(0x2400 + code).unwrap_or(char::REPLACEMENT_CHARACTER),
        _ => char::REPLACEMENT_CHARACTER,
    }
}

impl std::error::Error for ScenarioError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_counts_characters_not_bytes() {
        let text = "{\n  \"äö\": 1\n}";
        let start = text.find('1').unwrap();
        let place = SourceSpan::of(text, start, start + 1);
        assert_eq!((place.line, place.column, place.length), (2, 9, 1));
        assert_eq!(place.source, "  \"äö\": 1");
    }

    #[test]
    fn a_place_past_the_end_is_the_end() {
        let place = SourceSpan::of("{", 10, 20);
        assert_eq!((place.line, place.column, place.length), (1, 2, 1));
        assert_eq!(SourceSpan::of("", 0, 0).column, 1);
    }

    #[test]
    fn control_characters_are_quoted_as_pictures() {
        let text = "{ \"name\": \"a\u{1b}[31m\u{9b}b\", 5 }";
        let place = Some(SourceSpan::of(text, text.find('5').unwrap(), text.find('5').unwrap() + 1));
        let bad =
            ScenarioError { file: "x".into(), place, message: "m".into(), hint: String::new(), more: 0 };
        let shown = bad.to_string();
        assert!(shown.contains("␛[31m\u{fffd}b"), "{shown}");
        let lines: Vec<&str> = shown.lines().collect();
        let column = |line: &str, c| line.chars().position(|one| one == c);
        assert_eq!(column(lines[1], '5'), column(lines[2], '^'));
    }

    #[test]
    fn a_long_line_is_quoted_around_the_place() {
        let text = format!("[{}5{}]", "1,".repeat(400), ",1".repeat(400));
        let start = text.find('5').unwrap();
        let bad = ScenarioError {
            file: "long.json".into(),
            place: Some(SourceSpan::of(&text, start, start + 1)),
            message: "five".into(),
            hint: String::new(),
            more: 2,
        };
        let shown = bad.to_string();
        let lines: Vec<&str> = shown.lines().collect();
        assert_eq!(lines[1].find('5'), lines[2].find('^'));
        assert!(lines.iter().all(|line| line.len() < 110), "{shown}");
        assert!(shown.ends_with("2 more problems in this file\n"));
    }
}
