//! JSON with the position of each value: from an offset to the value, from a JSON pointer to its position, and the
//! split of one object in two without moving a line.

use super::bounds;
use super::diagnostic::{ScenarioError, SourceSpan};
use crate::Problem;
use jsonc_parser::ast::{Object, Value};
use jsonc_parser::common::{Range, Ranged};
use jsonc_parser::{CollectOptions, ParseOptions, parse_to_ast};
use serde::de::DeserializeOwned;

/// A text that is one JSON object.
pub(super) struct SpannedJson<'a> {
    file: &'a str,
    text: &'a str,
    root: Object<'a>,
    /// The same without positions.
    plain: serde_json::Value,
}

/// A value with its position and its JSON pointer.
struct SpannedValue {
    range: Range,
    pointer: String,
}

impl<'a> SpannedJson<'a> {
    /// Parses `text` as strict JSON.
    ///
    /// # Errors
    /// The text is not JSON, or is JSON but not an object.
    pub(super) fn parse(file: &'a str, text: &'a str) -> Result<SpannedJson<'a>, ScenarioError> {
        let bad = |place, message: String, hint: &str| ScenarioError {
            file: file.to_owned(),
            place: Some(place),
            message,
            hint: hint.to_owned(),
            more: 0,
        };
        if text.trim().is_empty() {
            return Err(bad(SourceSpan::of(text, 0, 0), "the file is empty".into(), A_SCENARIO_IS));
        }
        // serde_json decides what is valid JSON, and has the better messages.
        let plain = serde_json::from_str(text).map_err(|error: serde_json::Error| {
            let offset = offset_of(text, error.line(), error.column());
            let place = SourceSpan::of(text, offset, offset + 1);
            let hint = syntax_hint(text, offset);
            let message = without_place(&error).replace("expected ident", "expected value");
            let hint = if error.is_eof() { NEVER_CLOSED } else { hint };
            bad(place, format!("not JSON: {message}"), hint)
        })?;
        match parse_to_ast(text, &CollectOptions::default(), &STRICT) {
            Ok(parsed) => match parsed.value {
                Some(Value::Object(root)) => Ok(SpannedJson { file, text, root, plain }),
                Some(other) => {
                    let place = SourceSpan::of(text, other.start(), other.end());
                    Err(bad(place, "this is JSON, but not an object".into(), A_SCENARIO_IS))
                }
                None => Err(bad(SourceSpan::of(text, 0, 0), "the file is empty".into(), A_SCENARIO_IS)),
            },
            Err(error) => {
                let place = SourceSpan::of(text, error.range().start, error.range().end);
                Err(bad(place, format!("not JSON: {}", error.kind()), A_SCENARIO_IS))
            }
        }
    }

    /// Names of the top-level fields, in the order of the text.
    pub(super) fn keys(&self) -> impl Iterator<Item = &str> {
        self.root.properties.iter().map(|property| property.name.as_str())
    }

    /// Reads the fields for which `mine` holds as a `T`. All others are blanked out in place, so that an error still
    /// names the right line and column.
    ///
    /// # Errors
    /// The fields are not a valid `T`: with position and fix. For a number, `schema` gives a narrower range than its
    /// type.
    pub(super) fn read<T: DeserializeOwned>(
        &self,
        mine: impl Fn(&str) -> bool,
        schema: Option<&serde_json::Value>,
    ) -> Result<T, ScenarioError> {
        let text = self.only(mine);
        serde_json::from_str(&text).map_err(|error| {
            let offset = offset_of(self.text, error.line(), error.column());
            let found = self.at_offset(offset);
            let Problem { message, hint } =
                super::serde_errors::translate(&without_place(&error), &found.pointer);
            let bounds = schema.filter(|_| hint.starts_with("write a whole number"));
            let narrower = bounds.and_then(|schema| bounds::hint_at(schema, &self.plain, &found.pointer));
            self.bad(found.range, message, narrower.unwrap_or(hint))
        })
    }

    /// The text as plain JSON.
    pub(super) fn plain(&self) -> &serde_json::Value {
        &self.plain
    }

    /// Creates an error at the value that `pointer` names; if it is missing, at the nearest enclosing value.
    pub(super) fn error_at(&self, pointer: &str, message: String, hint: String) -> ScenarioError {
        self.bad(self.at_pointer(pointer), message, hint)
    }

    /// Creates an error at the name of the top-level field `key`.
    pub(super) fn error_at_key(&self, key: &str, message: String, hint: String) -> ScenarioError {
        let named = self.root.properties.iter().find(|property| property.name.as_str() == key);
        self.bad(named.map_or(self.root.range, |property| property.name.range()), message, hint)
    }

    /// The offset of the value that `pointer` names, to sort errors by position.
    pub(super) fn offset_at(&self, pointer: &str) -> usize {
        self.at_pointer(pointer).start
    }

    fn bad(&self, range: Range, message: String, hint: String) -> ScenarioError {
        ScenarioError {
            file: self.file.to_owned(),
            place: Some(SourceSpan::of(self.text, range.start, range.end)),
            message,
            hint,
            more: 0,
        }
    }

    /// Returns the text with all fields blanked out for which `mine` does not hold, and matching commas.
    fn only(&self, mine: impl Fn(&str) -> bool) -> String {
        let mut bytes = self.text.as_bytes().to_vec();
        let mut kept_before = false;
        for (index, property) in self.root.properties.iter().enumerate() {
            let kept = mine(property.name.as_str());
            if index > 0 {
                // Only white space and one comma separate two fields. They stay if they separate this kept field from
                // an earlier one.
                let gap = self.root.properties[index - 1].end()..property.start();
                if !(kept && kept_before) {
                    blank(&mut bytes[gap]);
                }
            }
            if !kept {
                blank(&mut bytes[property.start()..property.end()]);
            }
            kept_before |= kept;
        }
        String::from_utf8(bytes).expect("whole tokens became spaces, so no character was cut")
    }

    /// The innermost name or value whose text covers `offset`. serde_json's offset is more exact than the path of
    /// serde_path_to_error, which stops at the enclosing object for a repeated field or an unknown choice.
    fn at_offset(&self, offset: usize) -> SpannedValue {
        let mut found = SpannedValue { range: self.root.range, pointer: String::new() };
        let mut next = Some(Container::Object(&self.root));
        while let Some(step) = next.take() {
            match step {
                Container::Object(object) => {
                    let covers = |range: Range| range.start <= offset && offset < range.end;
                    let Some(property) = object.properties.iter().find(|p| covers(p.range)) else { break };
                    if covers(property.name.range()) {
                        // An error at a name concerns the enclosing object.
                        found.range = property.name.range();
                        break;
                    }
                    found.pointer = format!("{}/{}", found.pointer, property.name.as_str());
                    found.range = property.value.range();
                    next = Container::into(&property.value);
                }
                Container::Array(elements) => {
                    let covering =
                        elements.iter().enumerate().find(|(_, e)| e.start() <= offset && offset < e.end());
                    let Some((index, element)) = covering else { break };
                    found.pointer = format!("{}/{index}", found.pointer);
                    found.range = element.range();
                    next = Container::into(element);
                }
            }
        }
        found
    }

    fn at_pointer(&self, pointer: &str) -> Range {
        let mut range = self.root.range;
        let mut next = Some(Container::Object(&self.root));
        for part in pointer.split('/').filter(|part| !part.is_empty()) {
            let value = match next {
                Some(Container::Object(object)) => {
                    object.properties.iter().find(|p| p.name.as_str() == part).map(|p| &p.value)
                }
                Some(Container::Array(elements)) => {
                    part.parse().ok().and_then(|index: usize| elements.get(index))
                }
                None => None,
            };
            let Some(value) = value else { break };
            range = value.range();
            next = Container::into(value);
        }
        range
    }
}

/// A value that contains values.
enum Container<'a> {
    Object(&'a Object<'a>),
    Array(&'a [Value<'a>]),
}

impl<'a> Container<'a> {
    fn into(value: &'a Value<'a>) -> Option<Container<'a>> {
        match value {
            Value::Object(object) => Some(Container::Object(object)),
            Value::Array(array) => Some(Container::Array(&array.elements)),
            _ => None,
        }
    }
}

const A_SCENARIO_IS: &str = "a scenario is one JSON object: { \"name\": …, \"start\": …, \"run_for\": … }";

const NEVER_CLOSED: &str = "a bracket, a brace or a quote was never closed";

const STRICT: ParseOptions = ParseOptions {
    allow_comments: false,
    allow_loose_object_property_names: false,
    allow_trailing_commas: false,
    allow_missing_commas: false,
    allow_single_quoted_strings: false,
    allow_hexadecimal_numbers: false,
    allow_unary_plus_numbers: false,
    allow_bare_decimal_point_numbers: false,
    allow_non_finite_numbers: false,
    allow_extended_string_escapes: false,
};

fn blank(bytes: &mut [u8]) {
    for byte in bytes {
        if !matches!(byte, b'\n' | b'\r' | b'\t') {
            *byte = b' ';
        }
    }
}

/// serde_json counts lines from 1, and columns in bytes read of the line: the last byte read is at `column - 1`.
fn offset_of(text: &str, line: usize, column: usize) -> usize {
    let line_start = text.split_inclusive('\n').take(line.saturating_sub(1)).map(str::len).sum::<usize>();
    (line_start + column.saturating_sub(1)).min(text.len())
}

/// Returns serde_json's message without its "at line 3 column 4".
fn without_place(error: &serde_json::Error) -> String {
    let whole = error.to_string();
    let place = format!(" at line {} column {}", error.line(), error.column());
    whole.strip_suffix(&place).unwrap_or(&whole).to_owned()
}

/// Guesses the fix from the text at the error.
fn syntax_hint(text: &str, offset: usize) -> &'static str {
    let rest = text.get(offset..).unwrap_or_default();
    let before = text.get(..offset).unwrap_or_default().trim_end();
    if rest.starts_with("//") || rest.starts_with("/*") || rest.starts_with('#') {
        "JSON has no comments; use \"about\""
    } else if rest.starts_with(['}', ']']) && before.ends_with(',') {
        "remove the comma before it"
    } else if rest.starts_with('\'') {
        "put names and texts in double quotes"
    } else if rest.starts_with('"') {
        "a comma or a colon may be missing before it"
    } else {
        A_SCENARIO_IS
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;

    const TEXT: &str = r#"{ "mine": 1,
  "yours": { "list": [10, {"x": "}"}, 30] } ,
  "our/s": [true], "last": null
}"#;

    #[test]
    fn finds_the_innermost_value_at_an_offset() {
        let located = SpannedJson::parse("t.json", TEXT).unwrap();
        let at = |needle: &str| {
            let found = located.at_offset(TEXT.find(needle).unwrap());
            (found.pointer, TEXT[found.range.start..found.range.end].to_owned())
        };
        assert_eq!(at("30"), ("/yours/list/2".into(), "30".into()));
        assert_eq!(at("\"}\""), ("/yours/list/1/x".into(), "\"}\"".into()));
        assert_eq!(at("\"x\""), ("/yours/list/1".into(), "\"x\"".into()));
        assert_eq!(at("\"yours\"").0, "");
    }

    #[test]
    fn finds_the_value_of_a_pointer_or_the_nearest_enclosing_one() {
        let located = SpannedJson::parse("t.json", TEXT).unwrap();
        let at = |pointer: &str| {
            let range = located.at_pointer(pointer);
            TEXT[range.start..range.end].to_owned()
        };
        assert_eq!(at("/yours/list/1/x"), "\"}\"");
        assert_eq!(at("/yours/list/1/missing/deeper"), "{\"x\": \"}\"}");
        assert_eq!(at("/mine"), "1");
        assert_eq!(at(""), TEXT);
    }

    #[test]
    fn every_choice_of_fields_stays_json_line_for_line() {
        let located = SpannedJson::parse("t.json", TEXT).unwrap();
        let keys: Vec<&str> = located.keys().collect();
        for choice in 0..(1 << keys.len()) {
            let mine =
                |key: &str| keys.iter().position(|k| *k == key).is_some_and(|bit| choice >> bit & 1 == 1);
            let only = located.only(mine);
            let value: serde_json::Map<String, serde_json::Value> = serde_json::from_str(&only).unwrap();
            assert_eq!(value.len(), (choice as u32).count_ones() as usize, "{only}");
            assert!(value.keys().all(|key| mine(key)));
            assert_eq!(only.len(), TEXT.len());
            assert_eq!(only.matches('\n').count(), TEXT.matches('\n').count());
        }
    }

    #[test]
    fn an_error_keeps_its_position_when_other_fields_are_blanked() {
        #[derive(Debug, Deserialize)]
        struct Last {
            #[expect(dead_code, reason = "only its type matters")]
            last: u32,
        }
        let located = SpannedJson::parse("t.json", TEXT).unwrap();
        let bad = located.read::<Last>(|key| key == "last", None).unwrap_err();
        let place = bad.place.unwrap();
        assert_eq!((place.line, place.column, place.length), (3, 28, 4));
    }
}
