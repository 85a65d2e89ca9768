//! Translates serde's errors for the author of a scenario.
//!
//! serde's messages name Rust types and list every field; those that a scenario can cause are translated to the problem
//! and its fix. An unknown message is kept. No crate does this: miette and annotate-snippets lay out a finished message.

use super::suggest::suggest;
use crate::Problem;

/// Returns the problem that serde's error at `pointer` states.
pub(super) fn translate(error: &str, pointer: &str) -> Problem {
    let place = if pointer.is_empty() { "the scenario".to_owned() } else { pointer.to_owned() };
    if let Some(rest) = error.strip_prefix("unknown field ") {
        return unknown("field", rest, &place);
    }
    if let Some(rest) = error.strip_prefix("unknown variant ") {
        return unknown("choice", rest, &place);
    }
    if let Some(name) = error.strip_prefix("missing field ").and_then(quoted) {
        return Problem::new(format!("{place} has no field `{name}`"), format!("add \"{name}\": …"));
    }
    if let Some(name) = error.strip_prefix("duplicate field ").and_then(quoted) {
        return Problem::new(format!("field `{name}` appears twice in {place}"), "remove one of them");
    }
    let typed = ["invalid type: ", "invalid value: ", "invalid "];
    if let Some((found, expected)) =
        typed.iter().find_map(|p| error.strip_prefix(p)?.split_once(", expected "))
    {
        return Problem::new(
            format!("{place} cannot be {}", found_in_json(found)),
            format!("write {}", in_json(expected)),
        );
    }
    match error.split_once('\n') {
        // The text of a `Problem`.
        Some((message, hint)) => Problem::new(message, hint),
        None => Problem::new(error, ""),
    }
}

/// An unknown field or choice at `place`: the nearest known one, then all of them.
pub(super) fn unknown_among(what: &str, word: &str, known: &[&str], place: &str) -> Problem {
    let message = format!("unknown {what} `{word}` in {place}");
    let all = match known {
        [] => format!("no {what} is allowed here"),
        known => format!("known here: {}", known.join(", ")),
    };
    match suggest(word, known.iter().copied()).first() {
        Some(nearest) => Problem::new(message, format!("did you mean `{nearest}`? {all}")),
        None => Problem::new(message, all),
    }
}

/// From "`zoen`, expected one of `zone`, `name`".
fn unknown(what: &str, rest: &str, place: &str) -> Problem {
    let word = quoted(rest).unwrap_or_default();
    let known: Vec<&str> = match rest.split_once(", expected ") {
        Some((_, list)) => list.split('`').skip(1).step_by(2).collect(),
        None => Vec::new(),
    };
    unknown_among(what, word, &known, place)
}

/// The text between the first two back-ticks.
fn quoted(text: &str) -> Option<&str> {
    text.split('`').nth(1)
}

/// The found value, in terms of JSON.
fn found_in_json(found: &str) -> String {
    match found.split_once(' ') {
        None if found == "map" => "an object".into(),
        None if found == "sequence" => "a list".into(),
        Some(("integer" | "boolean", value)) => value.trim_matches('`').to_owned(),
        Some(("floating", value)) => value.trim_start_matches("point ").trim_matches('`').to_owned(),
        Some(("length", count)) => format!("a list of {count}"),
        Some(("string", value)) => format!("the text {value}"),
        _ => found.to_owned(),
    }
}

/// The expected type, in terms of JSON.
fn in_json(expected: &str) -> String {
    match expected {
        "u8" => "a whole number from 0 to 255".into(),
        "u16" => "a whole number from 0 to 65535".into(),
        "u32" => "a whole number from 0 to 4294967295".into(),
        "u64" | "usize" => "a whole number, 0 or more".into(),
        "i8" | "i16" | "i32" | "i64" | "isize" => "a whole number".into(),
        "f32" | "f64" => "a number".into(),
        "a boolean" => "true or false".into(),
        "a string" => "a text in double quotes".into(),
        "a sequence" => "a list: [ … ]".into(),
        other if other.starts_with("a tuple of size ") => other.replace("a tuple of size", "a list of"),
        "a map" => "an object: { … }".into(),
        other if other.starts_with("struct ") => "an object: { … }".into(),
        other if other.starts_with("enum ") || other == "string or map" => {
            "one of the choices that `schema` prints: \"name\" or { \"name\": … }".into()
        }
        other => other.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn serde_errors_are_translated() {
        let error = [
            ("unknown field `zoen`, expected one of `name`, `zone`", "/tenants/3"),
            ("unknown field `x`, there are no fields", ""),
            ("unknown variant `kil`, expected `kill` or `pause`", "/faults/0/action"),
            ("missing field `start`", ""),
            ("duplicate field `zone`", "/tenants/3"),
            ("invalid type: string \"5\", expected u32", "/replicas"),
            ("invalid value: integer `-1`, expected u8", "/replicas"),
            ("invalid type: map, expected a sequence", "/faults"),
            ("invalid type: floating point `1.5`, expected u64", "/seed"),
            ("invalid type: null, expected struct Tenant", "/tenants/0"),
            ("invalid length 3, expected a tuple of size 2", "/range"),
            ("invalid type: integer `1`, expected string or map", "/faults/0/action"),
            ("'Mars/Base' is not a zone\nwrite one of the zone database", "/zone"),
            ("something else", "/zone"),
        ];
        let lines = error.map(|(error, pointer)| {
            let Problem { message, hint } = translate(error, pointer);
            format!("{message} | {hint}")
        });
        insta::assert_snapshot!(lines.join("\n"), @r#"
        unknown field `zoen` in /tenants/3 | did you mean `zone`? known here: name, zone
        unknown field `x` in the scenario | no field is allowed here
        unknown choice `kil` in /faults/0/action | did you mean `kill`? known here: kill, pause
        the scenario has no field `start` | add "start": …
        field `zone` appears twice in /tenants/3 | remove one of them
        /replicas cannot be the text "5" | write a whole number from 0 to 4294967295
        /replicas cannot be -1 | write a whole number from 0 to 255
        /faults cannot be an object | write a list: [ … ]
        /seed cannot be 1.5 | write a whole number, 0 or more
        /tenants/0 cannot be null | write an object: { … }
        /range cannot be a list of 3 | write a list of 2
        /faults/0/action cannot be 1 | write one of the choices that `schema` prints: "name" or { "name": … }
        'Mars/Base' is not a zone | write one of the zone database
        something else |
        "#);
    }
}
