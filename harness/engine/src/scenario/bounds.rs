//! Checks of the published schema beyond serde: bounds of numbers (`minimum` and `maximum`), and objects written as
//! lists.
//!
//! serde has read the text before, so types and names are right, but serde accepts a list for the fields of an object
//! in their order. Where a value has several alternatives (`oneOf`, `anyOf`), it is checked against those with its type
//! and required names. One match is enough.

use serde_json::{Number, Value};

/// A number outside its bounds, or a list in place of an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct BoundsViolation {
    /// JSON pointer to it: `/tenants/0/count`.
    pub pointer: String,
    /// The invalid value: the number as written, or `a list`.
    pub found: String,
    /// The allowed values.
    pub hint: String,
}

/// Returns the first value that `schema` does not allow, in the order of the field names.
pub(super) fn first_outside(schema: &Value, value: &Value) -> Option<BoundsViolation> {
    SchemaWalker { whole: schema }.visit(schema, value, String::new())
}

/// Describes the schema's bounds of a number at `pointer`; `None` if it is not a number, or has no bounds.
pub(super) fn hint_at(schema: &Value, value: &Value, pointer: &str) -> Option<String> {
    let walk = SchemaWalker { whole: schema };
    let parts: Vec<&str> = pointer.split('/').skip(1).collect();
    walk.bounds_of(schema, value, &parts).map(Bounds::hint)
}

#[derive(Clone, Copy)]
struct Bounds<'s> {
    least: Option<&'s Number>,
    most: Option<&'s Number>,
}

impl<'s> Bounds<'s> {
    fn stated_by(schema: &'s Value) -> Option<Bounds<'s>> {
        let number = |name: &str| match schema.get(name) {
            Some(Value::Number(number)) => Some(number),
            _ => None,
        };
        let bounds = Bounds { least: number("minimum"), most: number("maximum") };
        (bounds.least.is_some() || bounds.most.is_some()).then_some(bounds)
    }

    fn hold(self, number: &Number) -> bool {
        self.least.is_none_or(|least| !is_less(number, least))
            && self.most.is_none_or(|most| !is_less(most, number))
    }

    fn hint(self) -> String {
        match (self.least, self.most) {
            (Some(least), Some(most)) => format!("write a whole number from {least} to {most}"),
            (Some(least), None) => format!("write a whole number from {least} on"),
            (None, Some(most)) => format!("write a whole number up to {most}"),
            (None, None) => "write a whole number".to_owned(),
        }
    }
}

/// Compares integers exactly: a float holds only 53 bits.
fn is_less(one: &Number, other: &Number) -> bool {
    match (one.as_i128(), other.as_i128()) {
        (Some(one), Some(other)) => one < other,
        _ => one.as_f64() < other.as_f64(),
    }
}

struct SchemaWalker<'s> {
    /// The schema whose `$defs` are referred to.
    whole: &'s Value,
}

impl<'s> SchemaWalker<'s> {
    fn visit(&self, schema: &'s Value, value: &Value, pointer: String) -> Option<BoundsViolation> {
        if let (Value::Number(number), Some(bounds)) = (value, Bounds::stated_by(schema)) {
            // Bounds next to a reference are narrower: they apply to this field.
            return (!bounds.hold(number)).then(|| BoundsViolation {
                pointer,
                found: number.to_string(),
                hint: bounds.hint(),
            });
        }
        if let Some(target) = self.target(schema) {
            let found = self.visit(target, value, pointer.clone());
            if found.is_some() {
                return found;
            }
        }
        let found = inside(schema, value)
            .into_iter()
            .find_map(|Child { name, schema, value }| self.visit(schema, value, format!("{pointer}/{name}")));
        if found.is_some() {
            return found;
        }
        let choices = self.choices(schema, value);
        let is_list_for_object = match schema.get("type") {
            Some(name) => name == "object",
            // None of the alternatives is a list.
            None => choices.is_empty() && has_choices(schema),
        };
        if value.is_array() && is_list_for_object {
            return Some(BoundsViolation { pointer, found: "a list".to_owned(), hint: AN_OBJECT.to_owned() });
        }
        let mut first = None;
        for choice in choices {
            match self.visit(choice, value, pointer.clone()) {
                None => return None,
                Some(outside) => first = first.or(Some(outside)),
            }
        }
        first
    }

    fn bounds_of(&self, schema: &'s Value, value: &Value, parts: &[&str]) -> Option<Bounds<'s>> {
        let here = || match parts.split_first() {
            None => Bounds::stated_by(schema),
            Some((part, rest)) => {
                let inside = inside(schema, value).into_iter().find(|inside| inside.name == *part)?;
                self.bounds_of(inside.schema, inside.value, rest)
            }
        };
        here().or_else(|| self.bounds_of(self.target(schema)?, value, parts)).or_else(|| {
            self.choices(schema, value).into_iter().find_map(|choice| self.bounds_of(choice, value, parts))
        })
    }

    /// Resolves `$ref`.
    fn target(&self, schema: &Value) -> Option<&'s Value> {
        let pointer = schema.get("$ref")?.as_str()?.strip_prefix('#')?;
        self.whole.pointer(pointer)
    }

    /// The alternatives that match the type of `value`.
    fn choices(&self, schema: &'s Value, value: &Value) -> Vec<&'s Value> {
        let all = CHOICES.into_iter().filter_map(|name| schema.get(name)?.as_array()).flatten();
        all.filter(|choice| self.is_meant(choice, value)).collect()
    }

    fn is_meant(&self, schema: &'s Value, value: &Value) -> bool {
        let schema = self.target(schema).unwrap_or(schema);
        let is_of = |name: &Value| match name.as_str() {
            Some("object") => value.is_object(),
            Some("array") => value.is_array(),
            Some("string") => value.is_string(),
            Some("boolean") => value.is_boolean(),
            Some("null") => value.is_null(),
            Some("integer" | "number") => value.is_number(),
            _ => true,
        };
        let has_type = match schema.get("type") {
            Some(Value::Array(names)) => names.iter().any(is_of),
            Some(name) => is_of(name),
            None => true,
        };
        let required = schema.get("required").and_then(Value::as_array).into_iter().flatten();
        has_type && required.filter_map(Value::as_str).all(|name| value.get(name).is_some())
    }
}

const AN_OBJECT: &str = "write an object: { … }";
const CHOICES: [&str; 3] = ["oneOf", "anyOf", "allOf"];

fn has_choices(schema: &Value) -> bool {
    CHOICES.iter().any(|name| schema.get(name).is_some())
}

/// A nested value, with its name and its schema.
struct Child<'s, 'v> {
    name: String,
    schema: &'s Value,
    value: &'v Value,
}

/// The nested values of an object or a list.
fn inside<'s, 'v>(schema: &'s Value, value: &'v Value) -> Vec<Child<'s, 'v>> {
    match value {
        Value::Object(fields) => {
            let of_field = |(name, value): (&String, &'v Value)| {
                let known = schema.get("properties").and_then(|properties| properties.get(name));
                let schema = known.or_else(|| schema.get("additionalProperties"))?;
                Some(Child { name: name.clone(), schema, value })
            };
            fields.iter().filter_map(of_field).collect()
        }
        Value::Array(items) => {
            let of_item = |(at, value): (usize, &'v Value)| {
                let own = schema.get("prefixItems").and_then(|schemas| schemas.get(at));
                Some(Child { name: at.to_string(), schema: own.or_else(|| schema.get("items"))?, value })
            };
            items.iter().enumerate().filter_map(of_item).collect()
        }
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use schemars::{JsonSchema, schema_for};
    use serde::Deserialize;
    use serde_json::json;

    #[derive(Deserialize, JsonSchema)]
    #[expect(dead_code, reason = "only its schema matters")]
    struct Whole {
        #[schemars(range(min = 1, max = 5))]
        edges: u8,
        #[schemars(range(max = u64::MAX))]
        seed: u64,
        #[schemars(range(min = -5, max = 5))]
        step: Option<i64>,
        inner: Vec<Inner>,
        strikes: Vec<Choice>,
    }

    #[derive(Deserialize, JsonSchema)]
    #[expect(dead_code, reason = "only its schema matters")]
    struct Inner {
        #[schemars(range(max = 10))]
        share: u32,
    }

    #[derive(Deserialize, JsonSchema)]
    #[serde(rename_all = "snake_case")]
    #[expect(dead_code, reason = "only its schema matters")]
    enum Choice {
        Never,
        Named(Inner),
        Nth {
            #[schemars(range(min = 1, max = 9))]
            n: u64,
        },
    }

    fn schema() -> Value {
        schema_for!(Whole).to_value()
    }

    fn message(value: &Value) -> Option<String> {
        let found = first_outside(&schema(), value)?;
        Some(format!("{} {}: {}", found.pointer, found.found, found.hint))
    }

    #[test]
    fn a_number_out_of_bounds_is_reported_with_its_position_and_range() {
        let inside = json!({"edges": 1, "seed": u64::MAX, "step": null, "inner": [{"share": 10}],
            "strikes": ["never", {"named": {"share": 0}}, {"nth": {"n": 9}}]});
        assert_eq!(message(&inside), None);
        let with = |pointer: &str, number: Value| {
            let mut value = inside.clone();
            *value.pointer_mut(pointer).unwrap() = number;
            message(&value).unwrap_or_default()
        };
        assert_eq!(with("/edges", json!(6)), "/edges 6: write a whole number from 1 to 5");
        assert_eq!(with("/edges", json!(0)), "/edges 0: write a whole number from 1 to 5");
        assert_eq!(with("/step", json!(-6)), "/step -6: write a whole number from -5 to 5");
        assert_eq!(with("/inner/0/share", json!(11)), "/inner/0/share 11: write a whole number from 0 to 10");
        assert_eq!(
            with("/strikes/1/named/share", json!(11)),
            "/strikes/1/named/share 11: write a whole number from 0 to 10"
        );
        assert_eq!(
            with("/strikes/2/nth/n", json!(0)),
            "/strikes/2/nth/n 0: write a whole number from 1 to 9"
        );
    }

    #[test]
    fn bounds_beside_a_reference_or_a_choice_are_those_of_the_place() {
        let schema = json!({"$defs": {"wide": {"type": "integer", "maximum": 100}}, "properties": {
            "narrow": {"$ref": "#/$defs/wide", "maximum": 10},
            "maybe": {"anyOf": [{"$ref": "#/$defs/wide"}, {"type": "null"}]}
        }});
        let outside = |value: Value| first_outside(&schema, &value).map(|found| found.hint);
        assert_eq!(outside(json!({"narrow": 11})).as_deref(), Some("write a whole number up to 10"));
        assert_eq!(outside(json!({"maybe": 11})), None);
        assert_eq!(outside(json!({"maybe": 101})).as_deref(), Some("write a whole number up to 100"));
        assert_eq!(outside(json!({"maybe": null})), None);
    }

    #[test]
    fn a_list_is_no_object_although_serde_takes_it_for_one() {
        let schema = json!({"$defs": {"pair": {"type": "object"}}, "properties": {
            "own": {"$ref": "#/$defs/pair"},
            "maybe": {"anyOf": [{"$ref": "#/$defs/pair"}, {"type": "null"}]},
            "list": {"type": "array"}
        }});
        let outside = |value: Value| first_outside(&schema, &value).map(|found| found.pointer);
        assert_eq!(outside(json!({"own": [1]})).as_deref(), Some("/own"));
        assert_eq!(outside(json!({"maybe": []})).as_deref(), Some("/maybe"));
        assert_eq!(outside(json!({"own": {}, "maybe": null, "list": [1]})), None);
    }

    #[test]
    fn the_bounds_of_a_field_are_found_for_any_value() {
        let value = json!({"edges": "many", "strikes": [{"nth": {"n": -1}}], "inner": [{}]});
        let hint = |pointer: &str| hint_at(&schema(), &value, pointer);
        assert_eq!(hint("/edges").as_deref(), Some("write a whole number from 1 to 5"));
        assert_eq!(hint("/strikes/0/nth/n").as_deref(), Some("write a whole number from 1 to 9"));
        assert_eq!((hint("/inner"), hint("/nowhere/at/all")), (None, None));
    }

    proptest! {
        #[test]
        fn integers_are_compared_to_the_last_bit(one: u64, other: i64) {
            let (a, b) = (Number::from(one), Number::from(other));
            prop_assert_eq!(is_less(&a, &b), i128::from(one) < i128::from(other));
            prop_assert_eq!(is_less(&b, &a), i128::from(other) < i128::from(one));
        }
    }
}
