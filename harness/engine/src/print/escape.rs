//! Escaping of control characters: in printed text they could colour or clear the terminal, or hide text.

use std::borrow::Cow;
use std::fmt::Write as _;

/// Escapes each control character except line feed and tab as `\u001b`, which JSON reads as the same character.
/// Characters that change the text direction are escaped too.
pub(crate) fn escaped(text: &str) -> Cow<'_, str> {
    if !text.chars().any(is_unprintable) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        if is_unprintable(c) {
            write!(out, "\\u{:04x}", u32::from(c)).expect("a String takes whatever is written to it");
        } else {
            out.push(c);
        }
    }
    Cow::Owned(out)
}

/// Whether a terminal interprets the character instead of showing it.
pub(crate) fn is_unprintable(c: char) -> bool {
    let turns_direction =
        matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{200e}' | '\u{200f}');
    (c.is_control() && c != '\n' && c != '\t') || turns_direction
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_are_escaped() {
        assert_eq!(escaped("plain\n\ttext, ö and 漢"), "plain\n\ttext, ö and 漢");
        assert_eq!(escaped("\u{1b}[31mred\r\u{7}\u{9b}2J\u{7f}"), r"\u001b[31mred\u000d\u0007\u009b2J\u007f");
        assert_eq!(escaped("abc\u{202e}fed"), r"abc\u202efed");
        let json = serde_json::to_string("a\u{9b}\u{1b}").unwrap();
        let read: String = serde_json::from_str(&escaped(&json)).unwrap();
        assert_eq!(read, "a\u{9b}\u{1b}", "JSON stays what it was");
    }
}
