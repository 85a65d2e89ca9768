//! JSON text as bytes: removal of white space between tokens, nesting depth, and clipping of error messages.
//!
//! An event is never re-serialized, since numbers and escapes would change. Only the white space between its tokens is
//! removed: a line of an export is one event, however it was formatted when it was sent.

use bytes::Bytes;

/// Maximum length of an error message, in characters. A client sees the error without getting its request back.
const MAX_MESSAGE_CHARS: usize = 200;

/// Scanner that distinguishes the bytes of strings, quotes included, from other bytes of (valid) JSON text.
#[derive(Clone, Copy, Default)]
struct StringScanner {
    inside: bool,
    escaped: bool,
}

impl StringScanner {
    /// Whether the next byte, `byte`, belongs to a string.
    fn is_in_string(&mut self, byte: u8) -> bool {
        let was_inside = self.inside;
        match byte {
            _ if self.escaped => self.escaped = false,
            b'\\' => self.escaped = self.inside,
            b'"' => self.inside = !self.inside,
            _ => {}
        }
        was_inside || self.inside
    }
}

const fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r')
}

/// Removes the white space between the tokens of (valid) JSON text; every other byte is kept. The result shares its
/// bytes with a text without white space.
#[must_use]
pub fn compact(text: &Bytes) -> Bytes {
    let mut strings = StringScanner::default();
    let is_token = |byte: &u8, strings: &mut StringScanner| strings.is_in_string(*byte) || !is_space(*byte);
    let Some(first) = text.iter().position(|byte| !is_token(byte, &mut strings)) else {
        return text.clone();
    };
    let mut kept = Vec::with_capacity(text.len());
    kept.extend_from_slice(&text[..first]);
    // The first white space is between tokens, so no string is open after it.
    let mut strings = StringScanner::default();
    kept.extend(text[first..].iter().copied().filter(|byte| is_token(byte, &mut strings)));
    kept.into()
}

/// Returns the nesting depth of a value's (valid) JSON text: 0 for a scalar.
pub(super) fn nesting_of(text: &str) -> usize {
    if !text.starts_with(['{', '[']) {
        return 0;
    }
    let (mut depth, mut deepest, mut strings) = (0_usize, 0, StringScanner::default());
    for byte in text.bytes() {
        match byte {
            _ if strings.is_in_string(byte) => {}
            b'{' | b'[' => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b'}' | b']' => depth -= 1,
            _ => {}
        }
    }
    deepest
}

/// Returns at most the first 200 characters of a text that may repeat client input.
#[must_use]
pub fn clip(text: &str) -> String {
    match text.char_indices().nth(MAX_MESSAGE_CHARS) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::Value;

    fn compacted(text: &str) -> String {
        String::from_utf8(compact(&Bytes::from(text.to_owned())).to_vec()).unwrap()
    }

    /// Table shared with the oracle's own reader of formats.md.
    #[test]
    fn white_space_between_tokens_is_removed_and_every_other_byte_kept() {
        let table = include_str!("../../../compact-examples.json");
        let table: Vec<[String; 2]> = serde_json::from_str(table).unwrap();
        assert!(table.len() >= 6);
        for [sent, stored] in table {
            assert_eq!(compacted(&sent), stored, "{sent}");
        }
    }

    #[test]
    fn a_text_without_white_space_is_not_copied() {
        let text = Bytes::from_static(br#"{"event":"Signed up","properties":{"note":"a\tb \" c"}}"#);
        assert_eq!(compact(&text).as_ptr(), text.as_ptr());
    }

    #[test]
    fn brackets_in_strings_do_not_nest() {
        assert_eq!(nesting_of(r#""[[[""#), 0);
        assert_eq!(nesting_of(r#"[{"a":"]]\"]"},[[1]]]"#), 3);
    }

    #[test]
    fn clipping_respects_character_boundaries() {
        assert_eq!(clip("short"), "short");
        assert_eq!(clip(&"é".repeat(200)), "é".repeat(200));
        assert_eq!(clip(&"é".repeat(201)), "é".repeat(200) + "…");
    }

    proptest! {
        #[test]
        fn compaction_changes_only_the_layout(values in prop::collection::btree_map("[a \"\\\\\n]{0,4}", "[ \"\\\\\t{}:,]{0,6}", 0..4)) {
            let value = serde_json::to_value(&values).unwrap();
            let pretty = serde_json::to_string_pretty(&value).unwrap();
            prop_assert_eq!(compacted(&pretty), value.to_string());
            prop_assert_eq!(serde_json::from_str::<Value>(&compacted(&pretty)).unwrap(), value);
        }
    }
}
