//! Encoding of an event: its JSON text, byte for byte, and what its client remembers.
//!
//! Texts are as varied as those of real clients: times in seconds, with fractions, or in milliseconds; names and
//! people in several scripts, some escaped; numbers that change when parsed and printed again (`1.50`, 2^53 + 1);
//! members in another order; some with white space (see [`super::layout`]). They expose a system that stores the
//! parsed event instead of the received bytes.

use super::event_traits::EventTraits;
use super::event_values::{self, JsonWord};
use super::json_text::{push, push_all, push_hex, push_number};
use super::prng::{Prng, mix};
use super::time_format::TimeFormat;
use super::workload_spec::{Defect, WorkloadSpec};

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
