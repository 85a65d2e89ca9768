//! The scenario reference, `docs/scenarios.md`, is what the published schema says: `LATENT_BLESS=1` writes it.

use crate::root;
use serde_json::Value;
use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::Command;

/// Columns of a line of prose.
const WIDTH: usize = 120;

fn file() -> PathBuf {
    root().join("docs/scenarios.md")
}

/// One field, or one variant of a choice.
struct Entry<'s> {
    name: &'s str,
    schema: &'s Value,
    is_required: bool,
}

/// The fields of a type and the variants of a choice, in the order of the schema.
fn entries(schema: &Value) -> Vec<Entry<'_>> {
    let required: Vec<&str> =
        schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let fields = schema["properties"].as_object().into_iter().flatten();
    let mut found: Vec<Entry<'_>> = fields
        .map(|(name, schema)| Entry { name, schema, is_required: required.contains(&name.as_str()) })
        .collect();
    for choice in ["oneOf", "anyOf"].iter().filter_map(|key| schema[*key].as_array()).flatten() {
        if let Some(name) = choice["const"].as_str() {
            found.push(Entry { name, schema: choice, is_required: false });
        }
        found.extend(entries(choice).into_iter().map(|entry| Entry { is_required: false, ..entry }));
    }
    let constants = schema["enum"].as_array().into_iter().flatten().filter_map(Value::as_str);
    found.extend(constants.map(|name| Entry { name, schema, is_required: false }));
    found
}

/// The type of a value, in words, with a link where it has a section of its own.
fn type_of(schema: &Value) -> String {
    if let Some(name) = schema["$ref"].as_str().and_then(|path| path.strip_prefix("#/$defs/")) {
        return format!("[{name}](#{})", name.to_lowercase());
    }
    let choices = ["anyOf", "oneOf"].iter().filter_map(|key| schema[*key].as_array()).flatten();
    let choices: Vec<String> = choices.map(type_of).filter(|name| name != "null").collect();
    if !choices.is_empty() {
        return choices.join(" or ");
    }
    let names = match &schema["type"] {
        Value::String(name) => vec![name.as_str()],
        Value::Array(names) => {
            names.iter().filter_map(Value::as_str).filter(|name| *name != "null").collect()
        }
        _ => return String::new(),
    };
    let of_items = |name: &str| match (name, &schema["items"], schema["prefixItems"].as_array()) {
        ("array", _, Some(items)) => {
            format!("list of {}: {}", items.len(), items.first().map(type_of).unwrap_or_default())
        }
        ("array", items, None) if items.is_object() => format!("list of {}", type_of(items)),
        _ => name.to_owned(),
    };
    let mut words: String = names.into_iter().map(of_items).collect::<Vec<_>>().join(" or ");
    let bound = |key: &str| schema[key].as_f64().map(|value| value.to_string());
    match (bound("minimum"), bound("maximum")) {
        (Some(least), Some(most)) => write!(words, ", {least} to {most}"),
        (Some(least), None) => write!(words, ", at least {least}"),
        (None, Some(most)) => write!(words, ", at most {most}"),
        (None, None) => Ok(()),
    }
    .expect("a string takes text");
    words
}

/// `text` in lines of at most [`WIDTH`] columns, those after the first indented.
fn wrapped(text: &str, indent: &str) -> String {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        let line = lines.last_mut().expect("there is always a line");
        if line.len() + 1 + word.len() > WIDTH && line.len() > indent.len() {
            lines.push(format!("{indent}{word}"));
        } else {
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        }
    }
    lines.join("\n")
}

fn section(title: &str, schema: &Value, page: &mut String) {
    write!(page, "\n## {title}\n").expect("a string takes text");
    if let Some(about) = schema["description"].as_str() {
        write!(page, "\n{}\n", wrapped(about, "")).expect("a string takes text");
    }
    let entries = entries(schema);
    if !entries.is_empty() {
        page.push('\n');
    }
    for Entry { name, schema, is_required } in entries {
        let mut line = format!("- `{name}`");
        let type_name = type_of(schema);
        let facts = [
            (!type_name.is_empty() && schema["const"].is_null()).then_some(type_name),
            is_required.then(|| "required".to_owned()),
            schema.get("default").filter(|value| !value.is_null()).map(|value| format!("default `{value}`")),
        ];
        let facts: Vec<String> = facts.into_iter().flatten().collect();
        if !facts.is_empty() {
            write!(line, " ({})", facts.join("; ")).expect("a string takes text");
        }
        let is_shared = schema["enum"].is_array();
        if let Some(about) = schema["description"].as_str().filter(|_| !is_shared) {
            write!(line, ": {about}").expect("a string takes text");
        }
        writeln!(page, "{}", wrapped(&line, "  ")).expect("a string takes text");
    }
}

fn rendered() -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_latent")).arg("schema").output();
    let output = output.expect("cargo built the binary");
    let schema: Value = serde_json::from_slice(&output.stdout).expect("the schema is JSON");
    let mut page = String::from(
        "# Scenario reference\n\nGenerated from `latent schema`; do not edit. The comments of the types in \
         `models/world/src/scenario` and\n`harness/sim/src/faults` are the source.\n",
    );
    section("Scenario", &schema, &mut page);
    for (name, schema) in schema["$defs"].as_object().into_iter().flatten() {
        section(name, schema, &mut page);
    }
    page
}

#[test]
#[expect(clippy::disallowed_methods, reason = "blessing is asked for in the environment")]
fn the_scenario_reference_is_what_the_schema_says() {
    let page = rendered();
    if std::env::var("LATENT_BLESS").is_ok_and(|value| value == "1") {
        std::fs::write(file(), page).expect("the tree can be written");
        return;
    }
    let written = std::fs::read_to_string(file()).unwrap_or_default();
    assert!(written == page, "docs/scenarios.md is out of date: LATENT_BLESS=1 writes it");
    for field in ["`run_for`", "`required_marks`", "`misdirected_write`", "`at_ms`"] {
        assert!(page.contains(field), "{field} is documented");
    }
}
