//! The members of an event's text that determine its identity and time.
//!
//! Everything else in the text is opaque; content is compared as bytes, never as values that were printed again.

use super::ReadErrorKind;
use crate::identity::{ArrivalId, DedupKey};
use serde::Deserialize;
use serde_json::value::RawValue;
use std::borrow::Cow;

/// Smallest `time` in milliseconds; smaller values are seconds. The API accepts times from 1971 to an hour from now:
/// 1971 in milliseconds is 31,536,000,000, which in seconds is the year 2969, so no legal time is ambiguous.
const FIRST_IN_MS: i64 = 31_536_000_000;

/// Members of an event that the oracle reads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventFields<'a> {
    /// Event name.
    pub name: Cow<'a, str>,
    /// `distinct_id` as text: a string's content, a number's JSON text, empty when absent.
    pub distinct_id: Cow<'a, str>,
    /// `$insert_id`; if absent, the event has no identity.
    pub insert_id: Option<Cow<'a, str>>,
    /// `time` in milliseconds since 1970, fractions of a millisecond truncated; if absent, the arrival counts.
    pub time_ms: Option<i64>,
    /// `token`, which identifies the project.
    pub token: Option<Cow<'a, str>>,
}

impl<'a> EventFields<'a> {
    /// Parses an event's text.
    ///
    /// # Errors
    /// Text that is not a JSON object with the string `event` and the object `properties`, or whose identifying
    /// members are neither strings nor numbers.
    pub fn of(json: &'a [u8]) -> Result<EventFields<'a>, ReadErrorKind> {
        let parsed: EventJson<'a> =
            serde_json::from_slice(json).map_err(|error| ReadErrorKind::MalformedEvent(error.to_string()))?;
        Ok(EventFields {
            name: parsed.event.0,
            distinct_id: text_of(parsed.properties.distinct_id)?.unwrap_or_default(),
            insert_id: text_of(parsed.properties.insert_id)?,
            time_ms: parsed.properties.time.map(RawValue::get).map(time_ms).transpose()?.flatten(),
            token: text_of(parsed.properties.token)?,
        })
    }

    /// Returns the de-duplication key that the event must be stored under.
    #[must_use]
    pub fn key(&self, arrival: ArrivalId) -> DedupKey {
        match &self.insert_id {
            Some(insert_id) => DedupKey::of(&self.name, &self.distinct_id, insert_id),
            None => DedupKey::of_anonymous(arrival),
        }
    }
}

#[derive(Deserialize)]
struct EventJson<'a> {
    #[serde(borrow)]
    event: JsonString<'a>,
    #[serde(borrow)]
    properties: PropertiesJson<'a>,
}

#[derive(Deserialize)]
struct PropertiesJson<'a> {
    #[serde(borrow, default)]
    time: Option<&'a RawValue>,
    #[serde(borrow, default)]
    distinct_id: Option<&'a RawValue>,
    #[serde(borrow, default, rename = "$insert_id")]
    insert_id: Option<&'a RawValue>,
    #[serde(borrow, default)]
    token: Option<&'a RawValue>,
}

/// A string, borrowed unless it has escapes.
#[derive(Deserialize)]
struct JsonString<'a>(#[serde(borrow)] Cow<'a, str>);

/// Returns a string's content or a number's text; `null` counts as absent.
fn text_of(value: Option<&RawValue>) -> Result<Option<Cow<'_, str>>, ReadErrorKind> {
    let Some(value) = value.map(RawValue::get) else { return Ok(None) };
    match value.as_bytes().first() {
        Some(b'"') => {
            let text: JsonString<'_> =
                serde_json::from_str(value).map_err(|e| ReadErrorKind::MalformedEvent(e.to_string()))?;
            Ok(Some(text.0))
        }
        Some(b'-' | b'0'..=b'9') => Ok(Some(Cow::Borrowed(value))),
        _ if value == "null" => Ok(None),
        _ => Err(ReadErrorKind::MalformedEvent(format!(
            "an identifying member is {value}, not a string or a number"
        ))),
    }
}

/// Converts seconds or milliseconds, distinguished by size, to milliseconds, with decimal digits alone: no float
/// decides a day.
fn time_ms(text: &str) -> Result<Option<i64>, ReadErrorKind> {
    if text == "null" {
        return Ok(None);
    }
    let plain = text.parse::<i64>().ok();
    if let Some(value) = plain.filter(|value| (0..FIRST_IN_MS).contains(value)) {
        return Ok(Some(value * 1000));
    }
    if let Some(value) = plain.filter(|value| *value >= FIRST_IN_MS) {
        return Ok(Some(value));
    }
    let wrong =
        || ReadErrorKind::MalformedEvent(format!("time {text} is not a number of seconds or milliseconds"));
    let (mantissa, exponent) = match text.find(['e', 'E']) {
        Some(at) => (&text[..at], text[at + 1..].parse::<i32>().map_err(|_| wrong())?),
        None => (text, 0),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let scaled = |places: i32| shifted(whole, fraction, exponent.saturating_add(places));
    match scaled(0) {
        Some(value) if value >= FIRST_IN_MS => Ok(Some(value)),
        Some(_) => scaled(3).map(Some).ok_or_else(wrong),
        None => Err(wrong()),
    }
}

/// Returns `whole.fraction` times ten to the power of `places`, truncated towards zero.
fn shifted(whole: &str, fraction: &str, places: i32) -> Option<i64> {
    let (negative, whole) = match whole.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, whole),
    };
    let digits: Vec<u8> = whole.bytes().chain(fraction.bytes()).collect();
    let keep = i32::try_from(whole.len()).ok()?.checked_add(places)?;
    let mut value: i64 = 0;
    for at in 0..keep.clamp(0, 400) {
        let digit = digits.get(usize::try_from(at).ok()?).copied().unwrap_or(b'0');
        value =
            value.checked_mul(10)?.checked_add(i64::from(digit.checked_sub(b'0').filter(|d| *d < 10)?))?;
    }
    Some(if negative { -value } else { value })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(json: &str) -> Result<EventFields<'_>, ReadErrorKind> {
        EventFields::of(json.as_bytes())
    }

    #[test]
    fn an_event_states_its_identity_and_time() {
        let json = r#"{"event":"Signed up","properties":{"time":1456190481,"distinct_id":"u1","$insert_id":"i-1","token":"t","n":1.5e3}}"#;
        let fields = fields(json).unwrap();
        assert_eq!(
            (&*fields.name, &*fields.distinct_id, fields.time_ms),
            ("Signed up", "u1", Some(1_456_190_481_000))
        );
        assert_eq!(
            fields.key(ArrivalId { edge: 0, sequence: 0, item: 0 }),
            DedupKey::of("Signed up", "u1", "i-1")
        );
        assert_eq!(fields.token.as_deref(), Some("t"));
    }

    #[test]
    fn numbers_keep_their_text_and_strings_lose_their_escapes() {
        let json = r#"{"properties":{"distinct_id":12.50,"$insert_id":null},"event":"a\u0062\"c"}"#;
        let fields = fields(json).unwrap();
        assert_eq!((&*fields.name, &*fields.distinct_id), ("ab\"c", "12.50"));
        assert_eq!((fields.insert_id, fields.time_ms), (None, None));
    }

    #[test]
    fn time_is_seconds_or_milliseconds() {
        for (text, expected) in [
            ("1456190481", Some(1_456_190_481_000)),
            ("1456190481000", Some(1_456_190_481_000)),
            ("1456190481.25", Some(1_456_190_481_250)),
            ("1456190481.2509", Some(1_456_190_481_250)),
            ("1.456190481e9", Some(1_456_190_481_000)),
            ("1456190481000.9", Some(1_456_190_481_000)),
            ("31535999999", Some(31_535_999_999_000)),
            ("31536000000", Some(31_536_000_000)),
            ("-5", Some(-5_000)),
            ("null", None),
        ] {
            assert_eq!(time_ms(text), Ok(expected), "{text}");
        }
        assert!(time_ms("\"soon\"").is_err());
        assert!(time_ms("1e999").is_err());
    }

    #[test]
    fn malformed_events_are_rejected() {
        for json in ["", "[]", "{}", r#"{"event":1,"properties":{}}"#, r#"{"event":"a"}"#, "{\"event\":\"a\""]
        {
            assert!(fields(json).is_err(), "{json}");
        }
        let odd = r#"{"event":"a","properties":{"distinct_id":{"a":1}}}"#;
        assert!(fields(odd).unwrap_err().to_string().contains("not a string or a number"));
    }
}
