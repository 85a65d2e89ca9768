//! White-space layout of an event's JSON: most clients write none, some indent.
//!
//! White space is inserted between tokens only, so every layout has the same meaning. An NDJSON line holds a whole
//! event, so those layouts have no line ends.

use super::prng::Prng;

const LAYING_OUT: u64 = 7;
/// One event in this many has white space.
const ONE_IN: u64 = 16;

/// The white space to insert.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct JsonLayout {
    line_end: &'static str,
    indent: &'static str,
    behind_colon: &'static str,
}

const IN_LINES: [JsonLayout; 3] = [
    JsonLayout { line_end: "\n", indent: "  ", behind_colon: " " },
    JsonLayout { line_end: "\r\n", indent: "\t", behind_colon: " " },
    JsonLayout { line_end: "\n", indent: "", behind_colon: "\t" },
];
const IN_ONE_LINE: [JsonLayout; 2] = [
    JsonLayout { line_end: "", indent: " ", behind_colon: " " },
    JsonLayout { line_end: "\t", indent: "", behind_colon: "" },
];

impl JsonLayout {
    /// Draws the layout of an event; `None` for most. With `one_line` it contains no line end.
    pub(super) fn draw(seed: u64, one_line: bool) -> Option<JsonLayout> {
        let mut prng = Prng::new(seed, LAYING_OUT);
        let (is_drawn, in_lines, in_one_line) =
            (prng.one_in(ONE_IN), prng.pick(&IN_LINES), prng.pick(&IN_ONE_LINE));
        is_drawn.then_some(if one_line { in_one_line } else { in_lines })
    }

    /// Inserts white space into the compact JSON value that starts at `start` of `text`.
    pub(super) fn apply(self, start: usize, text: &mut Vec<u8>) {
        let compact = text.split_off(start);
        let (mut depth, mut in_string, mut escaped) = (0_usize, false, false);
        for byte in compact {
            match byte {
                _ if in_string => {
                    text.push(byte);
                    in_string = escaped || byte != b'"';
                    escaped = !escaped && byte == b'\\';
                    continue;
                }
                b'}' | b']' => {
                    depth = depth.saturating_sub(1);
                    self.begin_line(depth, text);
                }
                _ => {}
            }
            text.push(byte);
            match byte {
                b'"' => in_string = true,
                b'{' | b'[' => {
                    depth += 1;
                    self.begin_line(depth, text);
                }
                b',' => self.begin_line(depth, text),
                b':' => text.extend_from_slice(self.behind_colon.as_bytes()),
                _ => {}
            }
        }
    }

    fn begin_line(self, depth: usize, text: &mut Vec<u8>) {
        text.extend_from_slice(self.line_end.as_bytes());
        (0..depth).for_each(|_| text.extend_from_slice(self.indent.as_bytes()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use latent_oracle::json_text::compact_json;

    const COMPACT: &str = r#"{"event":"a \"{, b\\","properties":{"n":[1.50,1e3],"x":{},"t":"]:"}}"#;

    #[test]
    fn every_layout_keeps_the_value_and_adds_white_space_between_tokens_only() {
        for layout in IN_LINES.into_iter().chain(IN_ONE_LINE) {
            let mut text = b"before ".to_vec();
            layout.apply(7, &mut text);
            assert_eq!(text, b"before ", "nothing to lay out");
            text.extend_from_slice(COMPACT.as_bytes());
            layout.apply(7, &mut text);
            let (before, laid_out) = text.split_at(7);
            assert_eq!(before, b"before ");
            assert_ne!(laid_out, COMPACT.as_bytes());
            assert_eq!(*compact_json(laid_out), *COMPACT.as_bytes());
            assert_eq!(laid_out.contains(&b'\n'), IN_LINES.contains(&layout));
        }
    }

    #[test]
    fn few_events_have_white_space_and_each_layout_occurs() {
        let drawn = |one_line| (0..3_200).filter_map(move |seed| JsonLayout::draw(seed, one_line));
        assert!((120..300).contains(&drawn(false).count()), "{}", drawn(false).count());
        assert_eq!(drawn(false).count(), drawn(true).count());
        assert!(IN_LINES.iter().all(|layout| drawn(false).any(|drawn| drawn == *layout)));
        assert!(IN_ONE_LINE.iter().all(|layout| drawn(true).any(|drawn| drawn == *layout)));
    }
}
