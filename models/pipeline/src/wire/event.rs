//! Decoding and validation of one event.
//!
//! One pass over the members, with values left as raw text; only the few that identify the event are decoded.

use super::text::nesting_of;
use super::{
    Api, IMPORT_FROM_MS, MAX_AHEAD_MS, MAX_EVENT_BYTES, MAX_INSERT_ID_BYTES, MAX_NAME_BYTES, MAX_NESTING,
    MAX_PROPERTIES, TRACK_WINDOW_MS, clip, compact, time_ms,
};
use bytes::Bytes;
use serde::de::{Deserializer, Error as _, Expected, MapAccess, Unexpected, Visitor};
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::fmt;

/// A valid event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DecodedEvent {
    /// Position in the request, from 0.
    pub index: u32,
    /// `properties.token`; always present on `/track`.
    pub token: Option<String>,
    /// `event`.
    pub name: String,
    /// `properties.distinct_id` as text: a string's content, a number's JSON text; empty when absent.
    pub distinct_id: String,
    /// `properties.$insert_id`, if the event has an identity.
    pub insert_id: Option<String>,
    /// Time in Unix milliseconds; the arrival time when the event has none.
    pub time_ms: i64,
    /// JSON text as stored: as sent, without the white space between its tokens.
    pub raw: Bytes,
}

/// An invalid item.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ItemError {
    /// Position in the request, from 0.
    pub index: u32,
    /// `$insert_id`, if it could be read.
    pub insert_id: Option<String>,
    /// Name of the invalid member; empty for the item as a whole.
    pub field: &'static str,
    /// Description of the error.
    pub message: String,
}

/// An invalid member: its name and the error.
type FieldError = (&'static str, String);

/// Decodes the item with text `raw`.
pub(super) fn decode_event(
    api: Api,
    arrived_ms: i64,
    index: u32,
    raw: Bytes,
) -> Result<DecodedEvent, ItemError> {
    let fail = |insert_id, (field, message): FieldError| ItemError { index, insert_id, field, message };
    if raw.len() >= MAX_EVENT_BYTES {
        let message = format!("{} bytes: must be under {MAX_EVENT_BYTES}", raw.len());
        return Err(fail(None, ("", message)));
    }
    let members = parse(&raw).map_err(|error| fail(None, ("", clip(&error.to_string()))))?;
    let insert_id = insert_id_of(members.properties.insert_id);
    let known_id = insert_id.as_ref().ok().cloned().flatten();
    let checked = check(api, arrived_ms, &members).and_then(|fields| Ok((fields, insert_id?)));
    let (fields, insert_id) = checked.map_err(|wrong| fail(known_id, wrong))?;
    Ok(DecodedEvent {
        index,
        token: fields.token,
        name: fields.name,
        distinct_id: fields.distinct_id,
        insert_id,
        time_ms: fields.time_ms,
        raw: compact(&raw),
    })
}

struct EventFields {
    token: Option<String>,
    name: String,
    distinct_id: String,
    time_ms: i64,
}

fn check(api: Api, arrived_ms: i64, members: &EventMembers<'_>) -> Result<EventFields, FieldError> {
    let properties = &members.properties;
    if properties.count >= MAX_PROPERTIES {
        return Err((
            "properties",
            format!("{} properties: must be under {MAX_PROPERTIES}", properties.count),
        ));
    }
    for (field, nesting) in [("properties", properties.nesting), ("", members.nesting)] {
        if nesting > MAX_NESTING {
            return Err((field, format!("nested {nesting} deep: must be at most {MAX_NESTING}")));
        }
    }
    let name = members.name.ok_or_else(|| ("event", "missing".to_owned()))?;
    let name = string_of(name).ok_or_else(|| ("event", "must be a string".to_owned()))?.into_owned();
    if name.is_empty() || name.len() > MAX_NAME_BYTES {
        return Err(("event", format!("{} bytes: must have 1 to {MAX_NAME_BYTES}", name.len())));
    }
    Ok(EventFields {
        token: token_of(api, properties.token)?,
        name,
        distinct_id: distinct_id_of(properties.distinct_id)?,
        time_ms: time_of(api, arrived_ms, properties.time)?,
    })
}

fn token_of(api: Api, raw: Option<&str>) -> Result<Option<String>, FieldError> {
    let must_have = matches!(api, Api::Track { .. });
    match raw.map(string_of) {
        Some(Some(token)) if !token.is_empty() => Ok(Some(token.into_owned())),
        None if !must_have => Ok(None),
        Some(_) => Err(("properties.token", "must be a string that is not empty".to_owned())),
        None => Err(("properties.token", "missing".to_owned())),
    }
}

fn distinct_id_of(raw: Option<&str>) -> Result<String, FieldError> {
    let Some(raw) = raw else {
        return Ok(String::new());
    };
    let number = raw.starts_with(|first: char| first == '-' || first.is_ascii_digit());
    let text = if number { Some(Cow::Borrowed(raw)) } else { string_of(raw) };
    text.map(Cow::into_owned)
        .ok_or_else(|| ("properties.distinct_id", "must be a string or a number".to_owned()))
}

fn insert_id_of(raw: Option<&str>) -> Result<Option<String>, FieldError> {
    let field = "properties.$insert_id";
    let Some(raw) = raw else {
        return Ok(None);
    };
    let id = string_of(raw).ok_or_else(|| (field, "must be a string".to_owned()))?;
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    if id.is_empty() || id.len() > MAX_INSERT_ID_BYTES || !id.bytes().all(legal) {
        return Err((field, format!("must be 1 to {MAX_INSERT_ID_BYTES} characters of [A-Za-z0-9-]")));
    }
    Ok(Some(id.into_owned()))
}

fn time_of(api: Api, arrived_ms: i64, raw: Option<&str>) -> Result<i64, FieldError> {
    let field = "properties.time";
    let Some(raw) = raw else {
        return Ok(arrived_ms);
    };
    let time =
        time_ms(raw).ok_or_else(|| (field, "must be a number of seconds or milliseconds".to_owned()))?;
    let from = match api {
        Api::Track { .. } => arrived_ms.saturating_sub(TRACK_WINDOW_MS),
        Api::Import { .. } => IMPORT_FROM_MS,
    };
    let to = arrived_ms.saturating_add(MAX_AHEAD_MS);
    if (from..=to).contains(&time) {
        return Ok(time);
    }
    Err((field, format!("{time} ms since 1970: must be from {from} to {to}")))
}

/// Decodes a JSON string; `None` when it is not a string or its escapes are invalid.
fn string_of(raw: &str) -> Option<Cow<'_, str>> {
    let inner = raw.strip_prefix('"')?.strip_suffix('"')?;
    if inner.contains('\\') {
        serde_json::from_str(raw).ok().map(Cow::Owned)
    } else {
        Some(Cow::Borrowed(inner))
    }
}

/// Decoded members of an event, as raw text. `null` counts as absent.
#[derive(Default)]
struct EventMembers<'a> {
    name: Option<&'a str>,
    properties: EventProperties<'a>,
    /// Nesting depth of the other members.
    nesting: usize,
}

#[derive(Default)]
struct EventProperties<'a> {
    token: Option<&'a str>,
    distinct_id: Option<&'a str>,
    insert_id: Option<&'a str>,
    time: Option<&'a str>,
    count: usize,
    nesting: usize,
}

fn parse(raw: &[u8]) -> serde_json::Result<EventMembers<'_>> {
    let mut reader = serde_json::Deserializer::from_slice(raw);
    let members = reader.deserialize_map(EventVisitor)?;
    reader.end()?;
    Ok(members)
}

/// Error for a string in place of an object. The default error would repeat it, with every quote escaped again.
fn unexpected_string<T, E: serde::de::Error>(expected: &dyn Expected) -> Result<T, E> {
    Err(E::invalid_type(Unexpected::Other("string"), expected))
}

struct EventVisitor;

impl<'de> Visitor<'de> for EventVisitor {
    type Value = EventMembers<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an event: an object with 'event' and 'properties'")
    }

    fn visit_str<E: serde::de::Error>(self, _: &str) -> Result<EventMembers<'de>, E> {
        unexpected_string(&self)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<EventMembers<'de>, A::Error> {
        let (mut name, mut properties, mut nesting) = (UniqueMember::default(), None, 0);
        while let Some(MemberName(member)) = map.next_key()? {
            match &*member {
                "event" => name.fill("event", map.next_value()?)?,
                "properties" if properties.is_some() => return Err(A::Error::duplicate_field("properties")),
                "properties" => properties = Some(map.next_value()?),
                _ => nesting = nesting.max(nesting_of(map.next_value::<&RawValue>()?.get())),
            }
        }
        let properties = properties.ok_or_else(|| A::Error::missing_field("properties"))?;
        Ok(EventMembers { name: name.value, properties, nesting })
    }
}

impl<'de> serde::Deserialize<'de> for EventProperties<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(PropertiesVisitor)
    }
}

struct PropertiesVisitor;

impl<'de> Visitor<'de> for PropertiesVisitor {
    type Value = EventProperties<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of properties")
    }

    fn visit_str<E: serde::de::Error>(self, _: &str) -> Result<EventProperties<'de>, E> {
        unexpected_string(&self)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<EventProperties<'de>, A::Error> {
        let mut slots = [UniqueMember::default(); 4];
        let (mut count, mut nesting) = (0, 0);
        while let Some(MemberName(name)) = map.next_key()? {
            let value: &RawValue = map.next_value()?;
            count += 1;
            match &*name {
                "token" => slots[0].fill("token", value)?,
                "distinct_id" => slots[1].fill("distinct_id", value)?,
                "$insert_id" => slots[2].fill("$insert_id", value)?,
                "time" => slots[3].fill("time", value)?,
                _ => nesting = nesting.max(nesting_of(value.get())),
            }
        }
        let [token, distinct_id, insert_id, time] = slots.map(|slot| slot.value);
        Ok(EventProperties { token, distinct_id, insert_id, time, count, nesting })
    }
}

/// A member that must not occur twice: which of two counts would depend on the reader.
#[derive(Clone, Copy, Default)]
struct UniqueMember<'a> {
    seen: bool,
    value: Option<&'a str>,
}

impl<'a> UniqueMember<'a> {
    fn fill<E: serde::de::Error>(&mut self, name: &'static str, raw: &'a RawValue) -> Result<(), E> {
        if self.seen {
            return Err(E::duplicate_field(name));
        }
        *self = UniqueMember { seen: true, value: Some(raw.get()).filter(|text| *text != "null") };
        Ok(())
    }
}

/// Name of a member, borrowed unless it has escapes.
struct MemberName<'a>(Cow<'a, str>);

impl<'de> serde::Deserialize<'de> for MemberName<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct NameVisitor;
        impl<'de> Visitor<'de> for NameVisitor {
            type Value = MemberName<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a member's name")
            }
            fn visit_borrowed_str<E>(self, name: &'de str) -> Result<MemberName<'de>, E> {
                Ok(MemberName(Cow::Borrowed(name)))
            }
            fn visit_str<E>(self, name: &str) -> Result<MemberName<'de>, E> {
                Ok(MemberName(Cow::Owned(name.to_owned())))
            }
        }
        deserializer.deserialize_str(NameVisitor)
    }
}
