//! The verdict screen: labelled lines, cut to a width, coloured only on a terminal.
//!
//! A line has 100 columns, or as many as the terminal if that has more; the rest is cut. On a narrower terminal the 100
//! columns are wrapped at spaces, with the label's indent. Command lines for pasting are never cut.

use super::escape::escaped;
use anstyle::{AnsiColor, Style};
use std::fmt::{self, Write as _};

/// A line of text in pieces, each with its style.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StyledText(Vec<(Tone, String)>);

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

impl StyledText {
    /// Empty text.
    #[must_use]
    pub fn new() -> StyledText {
        StyledText::default()
    }

    /// Adds plain text.
    #[must_use]
    pub fn plain(self, text: impl Into<String>) -> StyledText {
        self.piece(Tone::Plain, text)
    }

    /// Adds text in the style of success.
    #[must_use]
    pub fn good(self, text: impl Into<String>) -> StyledText {
        self.piece(Tone::Good, text)
    }

    /// Adds text in the style of failure.
    #[must_use]
    pub fn bad(self, text: impl Into<String>) -> StyledText {
        self.piece(Tone::Bad, text)
    }

    /// Adds secondary text.
    #[must_use]
    pub fn dim(self, text: impl Into<String>) -> StyledText {
        self.piece(Tone::Dim, text)
    }

    fn piece(mut self, tone: Tone, text: impl Into<String>) -> StyledText {
        // A line must stay a line: a system's text (a path, an error) may contain any character.
        let text: String = text.into().chars().map(|c| if c.is_whitespace() { ' ' } else { c }).collect();
        self.0.push((tone, escaped(&text).into_owned()));
        self
    }

    fn chars(&self) -> Vec<(Tone, char)> {
        self.0.iter().flat_map(|(tone, text)| text.chars().map(|c| (*tone, c))).collect()
    }

    fn of_chars(chars: &[(Tone, char)]) -> StyledText {
        let runs = chars.chunk_by(|a, b| a.0 == b.0);
        StyledText(runs.map(|run| (run[0].0, run.iter().map(|(_, c)| *c).collect())).collect())
    }

    /// Cuts to `columns`, with `…` in place of the rest.
    fn cut(self, columns: usize) -> StyledText {
        let chars = self.chars();
        if chars.len() <= columns {
            return self;
        }
        StyledText::of_chars(&chars[..columns.saturating_sub(1)]).dim("…")
    }

    /// Wraps to rows of at most `columns`, at spaces where possible; all rows but the first begin with `indent` spaces.
    fn wrapped(&self, columns: usize, indent: usize) -> Vec<StyledText> {
        let chars = self.chars();
        let (mut rows, mut rest) = (Vec::new(), &chars[..]);
        loop {
            let room = if rows.is_empty() { columns } else { columns.saturating_sub(indent).max(1) };
            let margin =
                if rows.is_empty() { StyledText::new() } else { StyledText::new().plain(" ".repeat(indent)) };
            // A break inside the label would leave an empty row.
            let least = if rows.is_empty() { indent + 1 } else { 1 };
            let space = || rest[..=room].iter().rposition(|(_, c)| *c == ' ').filter(|at| *at >= least);
            let end = if rest.len() <= room { rest.len() } else { space().unwrap_or(room) };
            let mut row = margin;
            let blanks = rest[..end].iter().rev().take_while(|(_, c)| *c == ' ').count();
            row.0.extend(StyledText::of_chars(&rest[..end - blanks]).0);
            rows.push(row);
            let blanks = rest[end..].iter().take_while(|(_, c)| *c == ' ').count();
            rest = &rest[end + blanks..];
            if rest.is_empty() {
                return rows;
            }
        }
    }
}

impl From<&str> for StyledText {
    fn from(text: &str) -> StyledText {
        StyledText::new().plain(text)
    }
}

impl From<String> for StyledText {
    fn from(text: String) -> StyledText {
        StyledText::new().plain(text)
    }
}

impl fmt::Display for StyledText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|(tone, text)| {
            let style = tone.style();
            write!(f, "{style}{text}{style:#}")
        })
    }
}

/// A screen of labelled lines.
#[derive(Clone, Debug)]
pub struct Screen {
    lines: Vec<ScreenLine>,
    verbose: bool,
}

#[derive(Clone, Debug)]
struct ScreenLine {
    text: StyledText,
    /// Indent of its rows after the first, if it is wrapped.
    indent: usize,
    /// A command line for pasting: neither cut nor wrapped.
    is_whole: bool,
}

impl Screen {
    /// Lines are cut to this many columns, except with `-v`.
    pub const COLUMNS: usize = 100;
    /// A verdict should have no more lines than this, except with `-v`.
    #[cfg(test)]
    pub(crate) const LINES: usize = 30;
    const LABEL_COLUMNS: usize = 12;

    pub(crate) fn new(verbose: bool) -> Screen {
        Screen { lines: Vec::new(), verbose }
    }

    /// Whether `-v` was given.
    #[must_use]
    pub fn verbose(&self) -> bool {
        self.verbose
    }

    /// Adds a labelled line. An empty label continues the previous line.
    pub fn item(&mut self, label: &str, text: impl Into<StyledText>) {
        self.push(label, text.into(), false);
    }

    /// Adds a labelled table: its first `most` rows (all with `-v`), one a line, and the number of omitted rows.
    pub fn rows<T: Into<StyledText>>(&mut self, label: &str, rows: impl IntoIterator<Item = T>, most: usize) {
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
        self.item(label, StyledText::new().dim(format!("and {rows} more (-v or --json shows all)")));
    }

    pub(crate) fn heading(&mut self, text: StyledText) {
        self.lines.push(ScreenLine { text, indent: 2, is_whole: false });
    }

    /// Adds a command line for pasting, which is never cut.
    pub(crate) fn verbatim(&mut self, label: &str, text: &str) {
        self.push(label, StyledText::new().plain(text), true);
    }

    fn push(&mut self, label: &str, text: StyledText, is_whole: bool) {
        let width = Self::LABEL_COLUMNS;
        let mut line = StyledText::new().plain("  ").piece(Tone::Label, format!("{label:<width$}"));
        line.0.extend(text.0);
        self.lines.push(ScreenLine { text: line, indent: 2 + width, is_whole });
    }

    /// Renders the screen at a width, with its colours.
    pub(crate) fn render(&self, columns: usize) -> String {
        let mut out = String::new();
        for ScreenLine { text, indent, is_whole } in &self.lines {
            // `-v` shows everything, so nothing is cut.
            let rows = if self.verbose || *is_whole {
                vec![text.clone()]
            } else if columns >= Self::COLUMNS {
                vec![text.clone().cut(columns)]
            } else {
                text.clone().cut(Self::COLUMNS).wrapped(columns, *indent)
            };
            for row in rows {
                writeln!(out, "{row}").expect("a String takes whatever is written to it");
            }
        }
        out
    }
}

impl fmt::Display for Screen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.render(Self::COLUMNS))
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
        screen.item("", StyledText::new().plain("1 lost ").bad("for good"));
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
        screen.item("path", StyledText::new().plain("a\nb\x1b[31m").bad("ö".repeat(200)).plain("never seen"));
        let shown = bare(&screen);
        assert!(shown.contains(r"a b\u001b[31mö"), "{shown}");
        assert_eq!(shown.lines().count(), 1);
        let line = shown.lines().next().unwrap();
        assert_eq!(line.chars().count(), Screen::COLUMNS);
        assert!(line.ends_with("ö…"), "{line}");
    }

    #[test]
    fn a_narrow_terminal_gets_all_of_it_under_the_label() {
        let mut screen = Screen::new(false);
        screen.heading(
            StyledText::new()
                .plain("a-scenario@1: ")
                .bad("unrecoverable-loss")
                .plain(", but expected to be clean"),
        );
        screen.item("events", "12,345 sent by 12 projects, 12,345 acknowledged, 0 unknown, 0 rejected");
        screen.item("path", "x".repeat(40));
        screen.verbatim("reproduce", "latent run a-scenario-with-a-very-long-name@12345678901234567890");
        insta::assert_snapshot!(anstream::adapter::strip_str(&screen.render(40)).to_string(), @"
        a-scenario@1: unrecoverable-loss, but
          expected to be clean
          events      12,345 sent by 12
                      projects, 12,345
                      acknowledged, 0 unknown, 0
                      rejected
          path        xxxxxxxxxxxxxxxxxxxxxxxxxx
                      xxxxxxxxxxxxxx
          reproduce   latent run a-scenario-with-a-very-long-name@12345678901234567890
        ");
        let wide = screen.render(120);
        assert_eq!(wide.lines().count(), 4);
    }
}
