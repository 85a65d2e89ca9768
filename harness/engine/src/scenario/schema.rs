//! The published JSON Schema of scenarios: the engine's fields and the system's in one object.

use super::Head;
use crate::System;
use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, Schema};
use serde::Deserialize;
use serde_aux::serde_introspection::serde_introspect;
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;

/// Which top-level fields there are, and whose.
pub(crate) struct Fields {
    pub head: BTreeSet<&'static str>,
    pub topic: BTreeSet<&'static str>,
}

/// The names of all top-level fields of a scenario for `S`: those that serde reads. Every case asks, and making the
/// schema to learn them took a worker two fifths of its instructions where little happened.
pub(crate) fn top_level_fields<S: System>() -> Fields {
    fn names<'de, T: Deserialize<'de>>() -> BTreeSet<&'static str> {
        serde_introspect::<T>().iter().copied().collect()
    }
    let (head, topic) = (names::<Head>(), names::<S::Topic>());
    let both: Vec<_> = head.intersection(&topic).collect();
    assert!(both.is_empty(), "the Topic of {} has fields of the engine's own: {both:?}", S::NAME);
    Fields { head, topic }
}

/// The schema of a whole scenario for `S`.
pub(crate) fn merged<S: System>() -> Value {
    let mut generator = SchemaSettings::draft2020_12().into_generator();
    let (head, topic) = (Head::json_schema(&mut generator), S::Topic::json_schema(&mut generator));
    let mut properties = section(&head, "properties");
    properties.extend(section(&topic, "properties"));
    let fields = top_level_fields::<S>();
    let read: BTreeSet<&str> = fields.head.union(&fields.topic).copied().collect();
    let published: BTreeSet<&str> = properties.keys().map(String::as_str).collect();
    assert_eq!(read, published, "fields that serde reads, and that the schema of {} has", S::NAME);
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
