//! Stored form of an event's text, from formats.md: as it was sent, without the white space between its tokens.
//!
//! For text that is not JSON the result is deterministic and unspecified. Such text is never stored, so nothing is
//! compared with it.

use std::borrow::Cow;

/// Returns the stored form of an event sent as `json`.
#[must_use]
pub fn compact_json(json: &[u8]) -> Cow<'_, [u8]> {
    if is_compact_json(json) {
        return Cow::Borrowed(json);
    }
    let mut stored = Vec::with_capacity(json.len());
    for part in JsonSpans(json) {
        match part {
            JsonSpan::String(bytes) => stored.extend_from_slice(bytes),
            JsonSpan::Structural(bytes) => {
                bytes.split(|byte| is_whitespace(*byte)).for_each(|run| stored.extend_from_slice(run));
            }
        }
    }
    Cow::Owned(stored)
}

/// Whether the text is already in its stored form.
#[must_use]
pub fn is_compact_json(json: &[u8]) -> bool {
    JsonSpans(json).all(|part| match part {
        JsonSpan::String(_) => true,
        JsonSpan::Structural(bytes) => !bytes.iter().any(|byte| is_whitespace(*byte)),
    })
}

fn is_whitespace(byte: u8) -> bool {
    b" \t\n\r".contains(&byte)
}

enum JsonSpan<'a> {
    /// A string with its quotes.
    String(&'a [u8]),
    /// Everything between two strings.
    Structural(&'a [u8]),
}

/// Iterator over the remaining spans of a text.
struct JsonSpans<'a>(&'a [u8]);

impl<'a> Iterator for JsonSpans<'a> {
    type Item = JsonSpan<'a>;

    fn next(&mut self) -> Option<JsonSpan<'a>> {
        let first = *self.0.first()?;
        let len = if first == b'"' { string_len(self.0) } else { next_quote(self.0) };
        let (part, rest) = self.0.split_at(len);
        self.0 = rest;
        Some(if first == b'"' { JsonSpan::String(part) } else { JsonSpan::Structural(part) })
    }
}

fn next_quote(text: &[u8]) -> usize {
    text.iter().position(|byte| *byte == b'"').unwrap_or(text.len())
}

/// Returns the length of the string that `text` begins with: up to the first quote preceded by an even number of
/// backslashes.
fn string_len(text: &[u8]) -> usize {
    let mut at = 1;
    while at < text.len() {
        match text[at] {
            b'"' => return at + 1,
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The table also tests the pipeline's implementation.
    #[test]
    fn only_white_space_between_tokens_is_removed() {
        let table: Vec<[String; 2]> =
            serde_json::from_str(include_str!("../../compact-examples.json")).unwrap();
        assert!(table.len() >= 6);
        for [sent, stored] in table {
            assert_eq!(compact_json(sent.as_bytes()), stored.as_bytes(), "{sent}");
            assert!(is_compact_json(stored.as_bytes()), "{stored}");
            assert_eq!(is_compact_json(sent.as_bytes()), sent == stored, "{sent}");
        }
    }

    proptest! {
        #[test]
        fn compacting_is_idempotent(bytes in "[\"\\\\ \n{}a:,]{0,40}") {
            let once = compact_json(bytes.as_bytes()).into_owned();
            prop_assert!(is_compact_json(&once));
        }
    }
}
