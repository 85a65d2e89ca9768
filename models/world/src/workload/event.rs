//! Encoding of an event: its JSON text, byte for byte, and what its client remembers.
//!
//! Texts are as varied as those of real clients: times in seconds, with fractions, or in milliseconds; names and
//! people in several scripts, some escaped; numbers that change when parsed and printed again (`1.50`, 2^53 + 1);
//! members in another order; some with white space (see [`super::layout`]). They expose a system that stores the
//! parsed event instead of the received bytes.

use super::event_values::{self, JsonWord};
use super::placement::EventTraits;
use super::prng::{Prng, mix};
use super::workload_spec::{Defect, HOUR_MS, WorkloadSpec};

/// Format of an event's time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TimeFormat {
    Seconds,
    Fraction,
    Milliseconds,
}

impl TimeFormat {
    pub(super) fn draw(prng: &mut Prng) -> TimeFormat {
        prng.pick(&[
            TimeFormat::Seconds,
            TimeFormat::Seconds,
            TimeFormat::Seconds,
            TimeFormat::Fraction,
            TimeFormat::Milliseconds,
        ])
    }

    /// Returns the format for this time: early 1970 in milliseconds would be read as seconds of another year.
    pub(super) fn for_time(self, time_ms: i64) -> TimeFormat {
        const MIN_MS: i64 = 365 * 24 * HOUR_MS;
        if time_ms < MIN_MS { TimeFormat::Seconds } else { self }
    }

    /// Truncates `time_ms` to the precision of the format.
    pub(super) fn truncate_ms(self, time_ms: i64) -> i64 {
        if self == TimeFormat::Seconds { time_ms - time_ms.rem_euclid(1_000) } else { time_ms }
    }

    fn write(self, time_ms: i64, out: &mut Vec<u8>) {
        match self {
            TimeFormat::Milliseconds => push_number(out, time_ms.unsigned_abs()),
            TimeFormat::Seconds => push_number(out, time_ms.unsigned_abs() / 1_000),
            TimeFormat::Fraction => {
                push_number(out, time_ms.unsigned_abs() / 1_000);
                let rest = time_ms.unsigned_abs() % 1_000;
                out.extend([b'.', digit(rest / 100), digit(rest / 10 % 10), digit(rest % 10)]);
            }
        }
    }
}

/// Index and seed of an event, from which its identity and contents follow.
#[derive(Clone, Copy, Debug)]
pub(super) struct EventSource {
    pub(super) index: u64,
    pub(super) seed: u64,
}

/// An event to encode.
#[derive(Clone, Copy, Debug)]
pub(super) struct EventSubject {
    pub(super) own: EventSource,
    /// Event whose person and `$insert_id` it shares, if any.
    pub(super) partner: Option<EventSource>,
    pub(super) time_ms: i64,
    pub(super) defect: Option<Defect>,
}

/// The client's record of an encoded event.
#[derive(Debug)]
pub(super) struct EncodedEvent {
    pub(super) name: &'static str,
    pub(super) distinct_id: String,
    pub(super) insert_id: Option<String>,
    pub(super) time_ms: Option<i64>,
}

const NAMING: u64 = 3;
const PERSON: u64 = 4;
const FILLING: u64 = 5;

/// Appends the event's text to `out`.
pub(super) fn write(spec: &WorkloadSpec, subject: &EventSubject, out: &mut Vec<u8>) -> EncodedEvent {
    let start = out.len();
    let traits = EventTraits::draw(spec, subject.own.seed);
    let name = match subject.defect {
        Some(Defect::MissingName) => None,
        _ => Some(name_of(subject)),
    };
    let mut prng = Prng::new(subject.own.seed, FILLING);
    let target_bytes = match traits.is_huge {
        true => prng.within((200_000, 900_000)),
        false => prng.within((i64::from(spec.event_bytes.0), i64::from(spec.event_bytes.1))),
    };
    let name_first = !prng.one_in(16);
    push(out, "{");
    if let Some(name) = name.filter(|_| name_first) {
        push_all(out, ["\"event\":\"", name.json, "\","]);
    }
    push(out, "\"properties\":{");
    let (distinct_id, insert_id) = write_identity(spec, subject, &traits, out);
    if traits.has_time {
        push(out, "\"time\":");
        let form = if subject.defect.is_some() {
            TimeFormat::Seconds
        } else {
            traits.form.for_time(subject.time_ms)
        };
        form.write(subject.time_ms, out);
        push(out, ",");
    }
    push_all(out, ["\"token\":\"", &spec.token, "\""]);
    write_defect(subject.defect, out);
    // Reserves bytes for the closing braces, and the name if it is last.
    let tail_bytes = 2 + name.filter(|_| !name_first).map_or(0, |name| name.json.len() + 11);
    event_values::fill(&mut prng, start + target_bytes as usize - tail_bytes.min(target_bytes as usize), out);
    push(out, "}");
    if let Some(name) = name.filter(|_| !name_first) {
        push_all(out, [",\"event\":\"", name.json, "\""]);
    }
    push(out, "}");
    EncodedEvent {
        name: name.map_or("", |name| name.plain),
        distinct_id,
        insert_id,
        time_ms: traits.has_time.then_some(subject.time_ms),
    }
}

fn name_of(subject: &EventSubject) -> &'static JsonWord {
    let nth = |seed: u64| Prng::new(seed, NAMING).below(event_values::NAMES.len() as u64) as usize;
    let own = nth(subject.own.seed);
    // Two events with one `$insert_id` differ by name alone.
    let same = subject.partner.is_some_and(|partner| nth(partner.seed) == own);
    &event_values::NAMES[(own + usize::from(same)) % event_values::NAMES.len()]
}

fn write_identity(
    spec: &WorkloadSpec,
    subject: &EventSubject,
    traits: &EventTraits,
    out: &mut Vec<u8>,
) -> (String, Option<String>) {
    let source = subject.partner.unwrap_or(subject.own);
    let distinct_id = write_person(spec, source.seed, out);
    if !(traits.has_insert_id || subject.partner.is_some() || is_of_insert_id(subject.defect)) {
        return (distinct_id, None);
    }
    let insert_id = insert_id_of(spec.project, source, subject.defect);
    push_all(out, ["\"$insert_id\":\"", &insert_id, "\","]);
    (distinct_id, Some(insert_id))
}

fn is_of_insert_id(defect: Option<Defect>) -> bool {
    matches!(defect, Some(Defect::LongInsertId | Defect::WrongInsertId))
}

/// Returns the number of the person, from 0, of the event with this seed.
pub(super) fn person_of(spec: &WorkloadSpec, seed: u64) -> u64 {
    Prng::new(seed, PERSON).below(u64::from(spec.users))
}

/// Writes the person's `distinct_id`: usually a string, for some people a number, for a few absent.
fn write_person(spec: &WorkloadSpec, seed: u64, out: &mut Vec<u8>) -> String {
    let person = mix(u64::from(spec.project) << 32 | person_of(spec, seed));
    let mut plain = Vec::with_capacity(24);
    match person % 32 {
        0 => return String::new(),
        1 | 2 => {
            push_number(&mut plain, person >> 16);
            push(out, "\"distinct_id\":");
            out.extend_from_slice(&plain);
            push(out, ",");
        }
        kind => {
            let prefix = match kind {
                3 => &JsonWord { json: "usuário-", plain: "usuário-" },
                4 => &JsonWord { json: "\\u987e\\u5ba2/", plain: "顾客/" },
                5 => &JsonWord { json: "o\\u0027Brien-", plain: "o'Brien-" },
                _ => &JsonWord { json: "u-", plain: "u-" },
            };
            push(&mut plain, prefix.plain);
            push_hex(&mut plain, person >> 16, 12);
            push_all(out, ["\"distinct_id\":\"", prefix.json]);
            push_hex(out, person >> 16, 12);
            push(out, "\",");
        }
    }
    String::from_utf8(plain).expect("a str prefix and ASCII digits are UTF-8")
}

/// Returns the `$insert_id`, unique because it contains project and index; at most 34 characters unless it is the
/// defect.
fn insert_id_of(project: u32, source: EventSource, defect: Option<Defect>) -> String {
    let mut id = Vec::with_capacity(48);
    push_hex(&mut id, mix(source.seed) >> 32, 8);
    push(&mut id, if defect == Some(Defect::WrongInsertId) { "_#" } else { "-" });
    push_hex(&mut id, u64::from(project), 3);
    push(&mut id, "-");
    push_hex(&mut id, source.index, 6);
    if defect == Some(Defect::LongInsertId) {
        push(&mut id, "-00000000000000000000000000000000");
    }
    String::from_utf8(id).expect("hexadecimal digits and punctuation are ASCII")
}

fn write_defect(defect: Option<Defect>, out: &mut Vec<u8>) {
    match defect {
        Some(Defect::TooDeep) => push(out, ",\"cart\":{\"a\":{\"b\":{\"c\":{\"d\":{\"e\":1}}}}}"),
        Some(Defect::TooManyProperties) => {
            for number in 0..300 {
                push(out, ",\"p");
                push_number(out, number);
                push(out, "\":1");
            }
        }
        _ => {}
    }
}

fn digit(value: u64) -> u8 {
    b'0' + value as u8
}

pub(super) fn push(out: &mut Vec<u8>, text: &str) {
    out.extend_from_slice(text.as_bytes());
}

fn push_all<const N: usize>(out: &mut Vec<u8>, texts: [&str; N]) {
    texts.into_iter().for_each(|text| push(out, text));
}

pub(super) fn push_number(out: &mut Vec<u8>, mut value: u64) {
    let mut digits = [0; 20];
    let mut first = digits.len();
    loop {
        first -= 1;
        digits[first] = digit(value % 10);
        value /= 10;
        if value == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[first..]);
}

/// Appends `value` in at least `min` lower-case hexadecimal digits.
pub(super) fn push_hex(out: &mut Vec<u8>, value: u64, min: usize) {
    let needed = 16 - value.leading_zeros() as usize / 4;
    out.extend(
        (0..needed.max(min)).rev().map(|place| b"0123456789abcdef"[(value >> (place * 4) & 15) as usize]),
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_in_full() {
        let mut out = Vec::new();
        push_number(&mut out, 0);
        push(&mut out, " ");
        push_number(&mut out, u64::MAX);
        push(&mut out, " ");
        push_hex(&mut out, 0x1_2345, 3);
        push(&mut out, " ");
        push_hex(&mut out, 0xABC, 6);
        assert_eq!(String::from_utf8(out).unwrap(), "0 18446744073709551615 12345 000abc");
    }

    #[test]
    fn a_time_is_written_with_the_precision_of_its_format() {
        let text_of = |form: TimeFormat| {
            let mut out = Vec::new();
            form.write(form.truncate_ms(1_456_190_481_052), &mut out);
            String::from_utf8(out).unwrap()
        };
        assert_eq!(text_of(TimeFormat::Seconds), "1456190481");
        assert_eq!(text_of(TimeFormat::Fraction), "1456190481.052");
        assert_eq!(text_of(TimeFormat::Milliseconds), "1456190481052");
        assert_eq!(TimeFormat::Seconds.truncate_ms(1_456_190_481_052), 1_456_190_481_000);
    }
}
