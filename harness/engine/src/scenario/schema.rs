//! The published JSON Schema of scenarios: the engine's fields and the system's in one object.

use super::Head;
use crate::System;
use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, Schema};
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;

/// Which top-level fields there are, and whose.
pub(crate) struct Fields {
    pub head: BTreeSet<String>,
    pub topic: BTreeSet<String>,
}

/// The names of all top-level fields of a scenario for `S`.
pub(crate) fn top_level_fields<S: System>() -> Fields {
    let mut generator = SchemaSettings::draft2020_12().into_generator();
    let names = |schema: &Schema| section(schema, "properties").into_iter().map(|(name, _)| name).collect();
    let head: BTreeSet<String> = names(&Head::json_schema(&mut generator));
    let topic: BTreeSet<String> = names(&S::Topic::json_schema(&mut generator));
    let both: Vec<&String> = head.intersection(&topic).collect();
    assert!(both.is_empty(), "the Topic of {} has fields of the engine's own: {both:?}", S::NAME);
    Fields { head, topic }
}

/// The schema of a whole scenario for `S`.
pub(crate) fn merged<S: System>() -> Value {
    let mut generator = SchemaSettings::draft2020_12().into_generator();
    let (head, topic) = (Head::json_schema(&mut generator), S::Topic::json_schema(&mut generator));
    let mut properties = section(&head, "properties");
    properties.extend(section(&topic, "properties"));
    let required: BTreeSet<String> = [&head, &topic]
        .into_iter()
        .filter_map(|schema| schema.get("required")?.as_array())
        .flatten()
        .filter_map(|name| name.as_str().map(str::to_owned))
        .collect();
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": format!("{} scenario", S::NAME),
        "type": "object",
        "properties": properties,
        "required": required,
        "additionalProperties": false,
        "$defs": generator.take_definitions(true),
    })
}

fn section(schema: &Schema, name: &str) -> Map<String, Value> {
    schema.get(name).and_then(Value::as_object).cloned().unwrap_or_default()
}
