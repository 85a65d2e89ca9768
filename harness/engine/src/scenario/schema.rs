//! The published JSON Schema of scenarios: the engine's fields and the system's in one object.

use super::engine_fields::EngineFields;
use crate::System;
use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, Schema};
use serde::Deserialize;
use serde_aux::serde_introspection::serde_introspect;
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;

/// Names of the top-level fields, by owner.
pub(crate) struct TopLevelFields {
    pub head: BTreeSet<&'static str>,
    pub config: BTreeSet<&'static str>,
}

/// Returns the names of all top-level fields of a scenario for `S`, as serde reads them. Every case needs them;
/// deriving them from the schema took two fifths of a worker's instructions in a small case.
pub(crate) fn top_level_fields<S: System>() -> TopLevelFields {
    fn names<'de, T: Deserialize<'de>>() -> BTreeSet<&'static str> {
        serde_introspect::<T>().iter().copied().collect()
    }
    let (head, config) = (names::<EngineFields>(), names::<S::Config>());
    let both: Vec<_> = head.intersection(&config).collect();
    assert!(both.is_empty(), "the Topic of {} has fields of the engine's own: {both:?}", S::NAME);
    TopLevelFields { head, config }
}

/// Returns the schema of a complete scenario for `S`.
pub(crate) fn merged<S: System>() -> Value {
    let mut generator = SchemaSettings::draft2020_12().into_generator();
    let (head, config) = (EngineFields::json_schema(&mut generator), S::Config::json_schema(&mut generator));
    let mut properties = section(&head, "properties");
    properties.extend(section(&config, "properties"));
    let fields = top_level_fields::<S>();
    let read: BTreeSet<&str> = fields.head.union(&fields.config).copied().collect();
    let published: BTreeSet<&str> = properties.keys().map(String::as_str).collect();
    assert_eq!(read, published, "fields that serde reads, and that the schema of {} has", S::NAME);
    let required: BTreeSet<String> = [&head, &config]
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
