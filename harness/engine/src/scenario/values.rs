//! Times and durations in a scenario.
//!
//! serde passes on only the text of an error: its message and its hint are two lines there, which `serde_errors`
//! separates again.

use crate::Problem;
use jiff::fmt::friendly::{Spacing, SpanPrinter};
use jiff::{SpanRelativeTo, SpanRound, Unit};
use latent_ports::UnixMs;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// A point in time, written as RFC 3339 with its offset: `2016-02-22T17:21:00-08:00`. Precision: milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Timestamp(pub UnixMs);

impl FromStr for Timestamp {
    type Err = Problem;
    fn from_str(text: &str) -> Result<Timestamp, Problem> {
        let wrong = |why: &dyn fmt::Display| {
            Problem::new(
                format!("invalid date and time '{text}': {why}"),
                "write it like 2016-02-22T17:21:00-08:00 or 2016-02-23T01:21:00Z",
            )
        };
        if !text.is_ascii() || text.contains('[') {
            return Err(wrong(&"only digits, '-', ':', '.', 'T', 'Z' and '+' are allowed"));
        }
        // The date first: jiff's message about a whole timestamp hides which part of it is impossible.
        if let Some(date) = text.get(..10) {
            date.parse::<jiff::civil::Date>().map_err(|why| wrong(&innermost(&why)))?;
        }
        let parsed: jiff::Timestamp = text.parse().map_err(|why: jiff::Error| wrong(&innermost(&why)))?;
        Ok(Timestamp(UnixMs(parsed.as_millisecond())))
    }
}

/// The last of an error's causes, which names the value.
fn innermost(error: &jiff::Error) -> String {
    let whole = error.to_string();
    whole.rsplit(": ").next().unwrap_or(&whole).to_owned()
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match jiff::Timestamp::from_millisecond(self.0.0) {
            Ok(timestamp) => fmt::Display::fmt(&timestamp, f),
            Err(_) => write!(f, "{} ms", self.0.0),
        }
    }
}

/// A duration, written with units, largest first: `5d`, `12h`, `1d12h`, `90s`, `250ms`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Span(pub Duration);

/// The longest duration in a scenario: 50 years, the offset of a wrong clock.
const MAX_DAYS: u64 = 50 * 366;

/// Prints `1d12h`.
const PRINTER: SpanPrinter = SpanPrinter::new().spacing(Spacing::None);

impl FromStr for Span {
    type Err = Problem;
    fn from_str(text: &str) -> Result<Span, Problem> {
        let wrong = || {
            Problem::new(
                format!("invalid duration '{text}'"),
                "write it like 5d, 12h, 1d12h, 90s or 250ms (d, h, m, s, ms)",
            )
        };
        // jiff also reads words, signs, fractions and ISO 8601, which the schema's pattern refuses.
        if !text.bytes().all(|byte| byte.is_ascii_digit() || b"dhms".contains(&byte)) {
            return Err(wrong());
        }
        let parsed: jiff::Span = text.parse().map_err(|_| wrong())?;
        let days_are_24_hours = SpanRelativeTo::days_are_24_hours();
        let duration =
            parsed.to_duration(days_are_24_hours).and_then(Duration::try_from).map_err(|_| wrong())?;
        if duration > Duration::from_secs(MAX_DAYS * 86_400) {
            return Err(Problem::new(
                format!("{text} is longer than any duration of a scenario"),
                format!("write at most {MAX_DAYS}d"),
            ));
        }
        Ok(Span(duration))
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ms = i64::try_from(self.0.as_millis()).unwrap_or(i64::MAX);
        let to_days = SpanRound::new().largest(Unit::Day).days_are_24_hours();
        match jiff::Span::new().try_milliseconds(ms).and_then(|span| span.round(to_days)) {
            Ok(span) => PRINTER.print_span(&span, jiff::fmt::StdFmtWrite(f)).map_err(|_| fmt::Error),
            Err(_) => write!(f, "{} ms", self.0.as_millis()),
        }
    }
}

/// Implements serde through text, and a schema that describes the text.
macro_rules! written_as_text {
    ($type:ident, $schema_name:literal, $expecting:literal, $schema:expr) => {
        impl Serialize for $type {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<$type, D::Error> {
                struct Text;
                impl de::Visitor<'_> for Text {
                    type Value = $type;
                    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                        f.write_str($expecting)
                    }
                    fn visit_str<E: de::Error>(self, text: &str) -> Result<$type, E> {
                        text.parse().map_err(E::custom)
                    }
                }
                deserializer.deserialize_str(Text)
            }
        }

        impl JsonSchema for $type {
            fn schema_name() -> Cow<'static, str> {
                $schema_name.into()
            }
            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                $schema
            }
        }
    };
}

written_as_text!(
    Timestamp,
    "Moment",
    "a date and time such as \"2016-02-22T17:21:00-08:00\"",
    json_schema!({
        "type": "string",
        "format": "date-time",
        "description": "An instant, RFC 3339 with its offset: 2016-02-22T17:21:00-08:00"
    })
);
written_as_text!(
    Span,
    "Span",
    "a duration such as \"5d\" or \"12h\"",
    json_schema!({
        "type": "string",
        "pattern": "^(?=.)([0-9]+d)?([0-9]+h)?([0-9]+m)?([0-9]+s)?([0-9]+ms)?$",
        "description": "A duration with units, largest first: 5d, 12h, 1d12h, 90s, 250ms"
    })
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timestamp_respects_its_offset() {
        let pacific: Timestamp = "2016-02-22T17:21:00-08:00".parse().unwrap();
        let utc: Timestamp = "2016-02-23T01:21:00Z".parse().unwrap();
        assert_eq!(pacific, utc);
        assert_eq!(utc.0, UnixMs(1_456_190_460_000));
        assert_eq!(pacific.to_string(), "2016-02-23T01:21:00Z");
    }

    #[test]
    fn impossible_dates_are_explained() {
        let errors =
            ["2016-02-30T00:00:00Z", "2016-02-22T25:00:00Z", "2016-02-22T10:00:00", "22.2.2016", "yesterday"]
                .map(|text| text.parse::<Timestamp>().unwrap_err());
        insta::assert_snapshot!(errors.map(|problem| problem.message).join("\n"), @"
        invalid date and time '2016-02-30T00:00:00Z': parameter 'day' for `2016-02` is invalid, must be in range `1..=29`
        invalid date and time '2016-02-22T25:00:00Z': parameter 'hour' is not in the required range of 0..=23
        invalid date and time '2016-02-22T10:00:00': failed to find offset component, which is required for parsing a timestamp
        invalid date and time '22.2.2016': invalid digit, expected 0-9 but got .
        invalid date and time 'yesterday': invalid digit, expected 0-9 but got y
        ");
    }

    #[test]
    fn lengths_read_and_print() {
        for (text, ms) in
            [("5d", 432_000_000), ("1d12h", 129_600_000), ("90s", 90_000), ("250ms", 250), ("0s", 0)]
        {
            assert_eq!(text.parse::<Span>().unwrap().0.as_millis(), ms, "{text}");
        }
        for (text, canonical) in [("36h", "1d12h"), ("90s", "1m30s"), ("1500ms", "1s500ms"), ("0d", "0s")] {
            assert_eq!(text.parse::<Span>().unwrap().to_string(), canonical, "{text}");
        }
        for text in
            ["", "5", "d", "5 d", "12h1d", "5d5d", "-1d", "5x", "99999999999999999d", "P5D", "1.5h", "5days"]
        {
            text.parse::<Span>().unwrap_err();
        }
        assert_eq!("18300d".parse::<Span>().unwrap().to_string(), "18300d");
        let too_long = "18301d".parse::<Span>().unwrap_err();
        assert_eq!(too_long.message, "18301d is longer than any duration of a scenario");
    }
}
