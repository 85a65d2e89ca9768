//! Tests of complete streams.

mod load;
mod profile;
mod wire;
mod workload_spec;

use super::*;
use profile::{large, offline, small};
use std::collections::BTreeMap;
use std::ops::Range;

const DAY_MS: i64 = 24 * HOUR_MS;
/// 2016-02-20.
const FIRST_DAY: i32 = 16_851;

/// A keyed draw for tests, mixed twice.
pub(super) fn draw(stream: &'static str, key: u128) -> u64 {
    let name = stream.bytes().fold(7, |hash, byte| prng::mix(hash ^ u64::from(byte)));
    prng::mix(prng::mix(name ^ (key >> 64) as u64) ^ key as u64)
}

/// A zone eight hours behind UTC, whose second day has 23 hours, as when clocks go forward.
pub(super) fn zone(day: i32) -> (i64, i64) {
    let begins = |day: i32| {
        let lost_ms = if day > FIRST_DAY + 1 { HOUR_MS } else { 0 };
        i64::from(day) * DAY_MS + 8 * HOUR_MS - lost_ms
    };
    (begins(day), begins(day + 1))
}

pub(super) fn spec() -> WorkloadSpec {
    large(17, "0123456789abcdef", "s3cret")
}

pub(super) fn run(spec: &WorkloadSpec, days: i32) -> Vec<PlannedRequest> {
    let days = FIRST_DAY..FIRST_DAY + days;
    RequestStream::new(spec.clone(), days, 0..i64::MAX, zone, draw).unwrap().collect()
}

pub(super) fn days_ms(days: Range<i32>) -> Range<i64> {
    zone(days.start).0..zone(days.end - 1).1
}

/// All parts of an event, for comparison.
type Sending = (u64, i64, String, Vec<u8>, Option<i64>);

fn sendings(requests: &[PlannedRequest]) -> BTreeMap<(u64, bool), Sending> {
    let mut sendings = BTreeMap::new();
    for request in requests {
        for event in &request.events {
            let what = (
                request.key,
                request.at_ms,
                format!("{:?} {} {:?}", event.name, event.distinct_id, event.insert_id),
                event.json.to_vec(),
                event.time_ms,
            );
            let before = sendings.insert((event.index, event.is_resend), what);
            assert!(before.is_none(), "event {} is sent twice as the same sending", event.index);
        }
    }
    sendings
}

/// Tutorial: a specification, days, a zone and a draw function make a stream, whose requests are sent as HTTP.
#[test]
fn one_event_a_day() {
    let mut spec = small(17, "0123456789abcdef", "s3cret");
    spec.events_per_day = (1, 1);
    let window = days_ms(FIRST_DAY..FIRST_DAY + 1);
    let mut stream = RequestStream::new(spec, FIRST_DAY..FIRST_DAY + 1, window, zone, draw).unwrap();
    let request = stream.next().unwrap();
    assert!(stream.next().is_none());
    assert_eq!(request.to_http("s3cret").uri(), "/track");
    // A change of this text would silently change all recorded cases.
    let text = std::str::from_utf8(&request.events[0].json).unwrap();
    let expected = concat!(
        r#"{"event":"Video started","properties":{"distinct_id":"u-8c82da8cf7d5","$insert_id":"5349b1a8-011-000000","time":1455987354,"#,
        r#""token":"0123456789abcdef","returning":false,"note":"","coupon":null,"#,
        r#""tags":["new","growth"],"device":{"memory_mb":512,"model":"Android"},"$os":"Android"}}"#,
    );
    assert_eq!(text, expected);
}

#[test]
fn requests_are_ordered_by_send_time() {
    let spec = spec();
    let stream = RequestStream::new(spec, FIRST_DAY..FIRST_DAY + 5, 0..i64::MAX, zone, draw).unwrap();
    let (mut last_ms, mut requests) = (i64::MIN, 0);
    for request in stream {
        assert!(request.at_ms >= last_ms, "request {} goes back in time", request.key);
        assert!(!request.events.is_empty());
        last_ms = request.at_ms;
        requests += 1;
    }
    assert!((5 * 30..5 * 45).contains(&requests), "{requests} requests");
}

#[test]
fn removing_events_leaves_all_others_unchanged() {
    let mut spec = spec();
    (spec.shared_insert_id_ppm, spec.resend_ppm, spec.invalid_ppm) = (200_000, 50_000, 20_000);
    let all = sendings(&run(&spec, 4));
    assert!(all.len() > 2_400);
    let ranges: [&[Range<u64>]; 4] =
        [&[0..100, 101..9_999], &[0..50, 777..1_500], &[2_999..9_999, 40..42, 41..60], &[1..2, 3..4]];
    for kept in ranges {
        spec.kept_indices = kept.to_vec();
        let some = sendings(&run(&spec, 4));
        let expected: BTreeMap<_, _> = all
            .iter()
            .filter(|((index, _), _)| kept.iter().any(|range| range.contains(index)))
            .map(|(key, sending)| (*key, sending.clone()))
            .collect();
        assert!(!expected.is_empty());
        assert_eq!(some, expected, "kept {kept:?}");
    }
}

#[test]
fn ranges_that_keep_nothing_send_nothing() {
    let mut spec = spec();
    spec.kept_indices = vec![5..5, 7..7];
    assert!(run(&spec, 2).is_empty());
}

#[test]
fn keys_of_requests_are_unique_and_insert_ids_are_too() {
    let mut spec = spec();
    spec.invalid_ppm = 20_000;
    spec.shared_insert_id_ppm = 0;
    let requests = run(&spec, 4);
    let keys: std::collections::BTreeSet<u64> = requests.iter().map(|request| request.key).collect();
    assert_eq!(keys.len(), requests.len());
    let mut owners: BTreeMap<String, u64> = BTreeMap::new();
    for event in requests.iter().flat_map(|request| &request.events) {
        if let Some(insert_id) = &event.insert_id {
            assert_eq!(*owners.entry(insert_id.clone()).or_insert(event.index), event.index, "{insert_id}");
        }
    }
    assert!(owners.len() > 2_000);
}

#[test]
fn only_requests_within_the_window_are_sent() {
    let spec = spec();
    let days = FIRST_DAY..FIRST_DAY + 3;
    let all = run(&spec, 3);
    let window = days_ms(days.clone()).start + 5 * HOUR_MS..days_ms(days.clone()).end;
    let within: Vec<u64> =
        RequestStream::new(spec, days, window.clone(), zone, draw).unwrap().map(|r| r.key).collect();
    let expected: Vec<u64> = all.iter().filter(|r| window.contains(&r.at_ms)).map(|r| r.key).collect();
    assert!(expected.len() < all.len());
    assert_eq!(within, expected);
}

#[test]
fn a_specification_survives_serialization() {
    let mut spec = offline(3, "t", "s", 950_000);
    spec.kept_indices = vec![1..5, 9..10];
    spec.bursts = vec![Burst { from_ms: 5, to_ms: 9, times: 20 }];
    spec.offline_windows = vec![OfflineWindow { from_ms: 7, to_ms: 8, share_ppm: 3 }];
    spec.clock_skews = vec![ClockSkew { by_ms: -7, share_ppm: 3 }];
    let text = serde_json::to_string(&spec).unwrap();
    assert_eq!(serde_json::from_str::<WorkloadSpec>(&text).unwrap(), spec);
    assert!(serde_json::from_str::<WorkloadSpec>(&text.replace("users", "user")).is_err());
}

#[test]
fn the_stream_holds_only_unsent_events() {
    let mut stream = RequestStream::new(spec(), FIRST_DAY..FIRST_DAY + 30, 0..i64::MAX, zone, draw).unwrap();
    let mut max = 0;
    while stream.next().is_some() {
        max = max.max(stream.pending_events());
    }
    assert!(max < 2_500, "{max} events were held at once, of some 800 a day");
}
