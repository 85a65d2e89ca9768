//! The one screen that a verdict must fit: labelled lines, cut to a width, coloured only where someone looks.

use anstyle::{AnsiColor, Style};
use std::fmt;

/// A line of text in pieces, each with its colour.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Text(Vec<(Tone, String)>);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Tone {
    Plain,
    Good,
    Bad,
    Dim,
    Label,
}

impl Tone {
    fn style(self) -> Style {
        match self {
            Tone::Plain => Style::new(),
            Tone::Good => AnsiColor::Green.on_default().bold(),
            Tone::Bad => AnsiColor::Red.on_default().bold(),
            Tone::Dim => Style::new().dimmed(),
            Tone::Label => AnsiColor::Cyan.on_default(),
        }
    }
}

impl Text {
    /// No text yet.
    #[must_use]
    pub fn new() -> Text {
        Text::default()
    }

    /// Adds plain text.
    #[must_use]
    pub fn plain(self, text: impl Into<String>) -> Text {
        self.piece(Tone::Plain, text)
    }

    /// Adds good news.
    #[must_use]
    pub fn good(self, text: impl Into<String>) -> Text {
        self.piece(Tone::Good, text)
    }

    /// Adds bad news.
    #[must_use]
    pub fn bad(self, text: impl Into<String>) -> Text {
        self.piece(Tone::Bad, text)
    }

    /// Adds what is there for whoever wants it.
    #[must_use]
    pub fn dim(self, text: impl Into<String>) -> Text {
        self.piece(Tone::Dim, text)
    }

    fn piece(mut self, tone: Tone, text: impl Into<String>) -> Text {
        // A line is a line: what a system puts in (a path, an error) may hold anything.
        let text: String = text.into().chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        self.0.push((tone, text));
        self
    }

    /// Cut to `columns`, with `…` in place of what is left out.
    fn cut(mut self, columns: usize) -> Text {
        let width: usize = self.0.iter().map(|(_, text)| text.chars().count()).sum();
        if width <= columns {
            return self;
        }
        let mut left = columns.saturating_sub(1);
        self.0.retain_mut(|(_, text)| {
            let keep = left > 0;
            *text = text.chars().take(left).collect();
            left -= text.chars().count();
            keep
        });
        self.dim("…")
    }
}

impl From<&str> for Text {
    fn from(text: &str) -> Text {
        Text::new().plain(text)
    }
}

impl From<String> for Text {
    fn from(text: String) -> Text {
        Text::new().plain(text)
    }
}

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|(tone, text)| {
            let style = tone.style();
            write!(f, "{style}{text}{style:#}")
        })
    }
}

/// Lines of a verdict.
#[derive(Clone, Debug)]
pub struct Screen {
    lines: Vec<Text>,
    verbose: bool,
}

impl Screen {
    /// Lines are cut to this many columns, `-v` aside.
    pub const COLUMNS: usize = 100;
    /// A verdict should have no more lines than this, `-v` aside.
    pub const LINES: usize = 30;
    const LABEL_COLUMNS: usize = 12;

    pub(crate) fn new(verbose: bool) -> Screen {
        Screen { lines: Vec::new(), verbose }
    }

    /// Whether `-v` was given.
    #[must_use]
    pub fn verbose(&self) -> bool {
        self.verbose
    }

    /// A labelled line. An empty label continues the line before.
    pub fn item(&mut self, label: &str, text: impl Into<Text>) {
        let mut line =
            Text::new().plain("  ").piece(Tone::Label, format!("{label:<w$}", w = Self::LABEL_COLUMNS));
        line.0.extend(text.into().0);
        self.push(line);
    }

    /// A labelled table: its first `most` rows (all with `-v`), one a line, and how many are left out.
    pub fn rows<T: Into<Text>>(&mut self, label: &str, rows: impl IntoIterator<Item = T>, most: usize) {
        let (mut label, mut left_out) = (label, 0);
        for (index, row) in rows.into_iter().enumerate() {
            if index >= most && !self.verbose {
                left_out += 1;
                continue;
            }
            self.item(label, row);
            label = "";
        }
        if left_out > 0 {
            self.left_out(label, left_out);
        }
    }

    pub(crate) fn left_out(&mut self, label: &str, rows: usize) {
        self.item(label, Text::new().dim(format!("and {rows} more (-v or --json shows all)")));
    }

    pub(crate) fn heading(&mut self, text: Text) {
        self.push(text);
    }

    /// With `-v` everything is wanted, so nothing is cut.
    fn push(&mut self, line: Text) {
        self.lines.push(if self.verbose { line } else { line.cut(Self::COLUMNS) });
    }

    /// A line that is for pasting: never cut.
    pub(crate) fn uncut(&mut self, label: &str, text: &str) {
        let line =
            Text::new().plain("  ").piece(Tone::Label, format!("{label:<w$}", w = Self::LABEL_COLUMNS));
        self.lines.push(line.plain(text));
    }
}

impl fmt::Display for Screen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.lines.iter().try_for_each(|line| writeln!(f, "{line}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bare(text: &impl fmt::Display) -> String {
        anstream::adapter::strip_str(&text.to_string()).to_string()
    }

    #[test]
    fn a_screen_has_labels_and_columns() {
        let mut screen = Screen::new(false);
        screen.item("events", "3 sent");
        screen.item("", Text::new().plain("1 lost ").bad("for good"));
        screen.rows("loss", ["a", "b", "c", "d"], 2);
        insta::assert_snapshot!(bare(&screen), @"
        events      3 sent
                    1 lost for good
        loss        a
                    b
                    and 2 more (-v or --json shows all)
        ");
    }

    #[test]
    fn verbose_rows_leave_nothing_out() {
        let mut screen = Screen::new(true);
        screen.rows("loss", (0..9).map(|n| n.to_string()), 2);
        assert_eq!(bare(&screen).lines().count(), 9);
    }

    #[test]
    fn long_lines_are_cut_and_control_characters_do_no_harm() {
        let mut screen = Screen::new(false);
        screen.item("path", Text::new().plain("a\nb\x1b[31m").bad("ö".repeat(200)).plain("never seen"));
        let shown = bare(&screen);
        assert_eq!(shown.lines().count(), 1);
        let line = shown.lines().next().unwrap();
        assert_eq!(line.chars().count(), Screen::COLUMNS);
        assert!(line.ends_with("ö…"), "{line}");
    }
}
