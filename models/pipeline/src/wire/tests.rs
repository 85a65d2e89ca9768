//! Event API by example: each test is a request as a client sends it.

use super::*;
use flate2::{Compression, write::GzEncoder};
use proptest::prelude::*;
use std::io::Write;

const NOW: i64 = 1_456_190_481_123;

fn headers(pairs: &[(&str, &str)]) -> Headers {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), value.as_bytes().to_vec())).collect()
}

fn send(
    method: Method,
    target: &str,
    pairs: &[(&str, &str)],
    body: &[u8],
) -> Result<DecodedRequest, RequestError> {
    let headers = headers(pairs);
    let body = Bytes::copy_from_slice(body);
    decode(&RawRequest { method, target, headers: &headers, body, arrived_ms: NOW }, |_, _| true)
}

fn track(body: &str) -> DecodedRequest {
    send(Method::Post, "/track", &[], body.as_bytes()).unwrap()
}

fn import(body: &str) -> DecodedRequest {
    send(Method::Post, "/import?strict=1&project_id=17", &[], body.as_bytes()).unwrap()
}

fn item_error(decoded: &DecodedRequest, index: usize) -> (&str, &str) {
    let error = decoded.items[index].as_ref().unwrap_err();
    assert_eq!(error.index as usize, index);
    (error.field, &error.message)
}

fn gzip(text: &str) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(text.as_bytes()).unwrap();
    encoder.finish().unwrap()
}

fn body_of(response: &http::Response<Bytes>) -> serde_json::Value {
    serde_json::from_slice(response.body()).unwrap()
}

const SIGNED_UP: &str = r#"{"event": "Signed up", "properties": {"token":"t1", "distinct_id":"u1","$insert_id":"i-1","time":1456190400}}"#;

#[test]
fn an_event_is_tracked_as_raw_json() {
    let decoded = track(&format!(" {SIGNED_UP}\n"));
    let event = decoded.items[0].as_ref().unwrap();
    assert_eq!(event.token.as_deref(), Some("t1"));
    assert_eq!((event.name.as_str(), event.distinct_id.as_str()), ("Signed up", "u1"));
    assert_eq!((event.insert_id.as_deref(), event.time_ms), (Some("i-1"), 1_456_190_400_000));
    assert_eq!(event.raw, SIGNED_UP.replace("\": ", "\":").replace(", \"", ",\""));
    assert_eq!(response(&decoded, StoreOutcome::Stored).body(), "1");
}

#[test]
fn all_encodings_of_an_event_decode_to_the_same_event() {
    use base64::Engine;
    let base64 = base64::engine::general_purpose::STANDARD.encode(SIGNED_UP);
    let percent: String = SIGNED_UP.bytes().map(|byte| format!("%{byte:02X}")).collect();
    let expected = track(SIGNED_UP);
    let get = |query: String| send(Method::Get, &format!("/track?{query}"), &[], b"").unwrap();
    let form = |body: String| track(&body);
    for same in [
        track(&format!("[{SIGNED_UP}]")),
        form(format!("data={base64}")),
        form(format!("ip=1&data={}", base64.trim_end_matches('='))),
        form(format!("data={percent}")),
        get(format!("data={base64}")),
        get(format!("data={percent}")),
        send(Method::Post, "/track/", &[("content-encoding", "gzip")], &gzip(SIGNED_UP)).unwrap(),
    ] {
        assert_eq!(same, expected);
    }
}

#[test]
fn base64_with_spaces_for_plus_is_accepted() {
    use base64::Engine;
    // Chosen so that the encoding contains a plus.
    let json = SIGNED_UP.replace("u1", "~~>>~>>");
    let base64 = base64::engine::general_purpose::STANDARD.encode(&json);
    assert!(base64.contains('+'), "{base64}");
    let decoded = track(&format!("data={base64}"));
    assert_eq!(decoded.items[0].as_ref().unwrap().distinct_id, "~~>>~>>");
}

#[test]
fn verbose_responses_contain_the_error() {
    let ok = send(Method::Post, "/track?verbose=1", &[], SIGNED_UP.as_bytes()).unwrap();
    assert_eq!(response(&ok, StoreOutcome::Stored).body(), r#"{"error":null,"status":1}"#);
    let bad = send(Method::Post, "/track?verbose=1", &[], br#"{"event":"a","properties":{}}"#).unwrap();
    let body = body_of(&response(&bad, StoreOutcome::Stored));
    assert_eq!(body["status"], 0);
    assert_eq!(body["error"], "event 0: properties.token: missing");
}

#[test]
fn track_is_all_or_nothing_and_import_is_per_item() {
    let bad = r#"{"event":"","properties":{"token":"t1","$insert_id":"i-2"}}"#;
    let tracked = track(&format!("[{SIGNED_UP},{bad}]"));
    assert_eq!(tracked.accepted().count(), 0);
    assert_eq!(response(&tracked, StoreOutcome::Stored).body(), "0");

    let imported = import(&format!("[{SIGNED_UP},{bad},7]"));
    assert_eq!(imported.accepted().count(), 1);
    let response = response(&imported, StoreOutcome::Stored);
    assert_eq!(response.status(), 400);
    let body = body_of(&response);
    assert_eq!((&body["num_records_imported"], &body["code"]), (&1.into(), &400.into()));
    assert_eq!(body["status"], "Bad Request");
    let failed = body["failed_records"].as_array().unwrap();
    assert_eq!((&failed[0]["index"], &failed[0]["insert_id"]), (&1.into(), &"i-2".into()));
    assert_eq!(failed[0]["field"], "event");
    assert_eq!((&failed[1]["index"], &failed[1]["insert_id"]), (&2.into(), &serde_json::Value::Null));
}

#[test]
fn a_complete_import_is_answered_200() {
    let decoded = import(&format!("{SIGNED_UP}\n\n{SIGNED_UP}\r\n"));
    assert_eq!(decoded.api, Api::Import { project: Some(17), strict: true });
    let response = response(&decoded, StoreOutcome::Stored);
    assert_eq!(response.status(), 200);
    assert_eq!(response.body(), r#"{"code":200,"num_records_imported":2,"status":"OK"}"#);
}

#[test]
fn import_accepts_several_gzip_members_but_no_truncated_one() {
    let mut body = gzip(&format!("{SIGNED_UP}\n"));
    body.extend(gzip(SIGNED_UP));
    let pairs = [("content-encoding", "gzip")];
    let decoded = send(Method::Post, "/import", &pairs, &body).unwrap();
    assert_eq!(decoded.accepted().count(), 2);
    for broken in [&body[..body.len() - 5], &[body.as_slice(), b"junk"].concat()] {
        let error = send(Method::Post, "/import", &pairs, broken).unwrap_err();
        assert!(matches!(error, RequestError::Malformed { .. }), "{error}");
        assert_eq!(error_response(&error).status(), 400);
    }
}

#[test]
fn requests_over_the_limits_are_answered_413() {
    let many = format!("[{}]", vec![SIGNED_UP; MAX_EVENTS + 1].join(","));
    let lines = vec![SIGNED_UP; MAX_EVENTS + 1].join("\n");
    let bomb = gzip(&" ".repeat(MAX_BODY_BYTES + 1));
    let huge = " ".repeat(MAX_BODY_BYTES + 1);
    let gzipped = [("content-encoding", "gzip")];
    for (pairs, body) in
        [(&[][..], many.as_bytes()), (&[], lines.as_bytes()), (&gzipped, &bomb), (&[], huge.as_bytes())]
    {
        let error = send(Method::Post, "/import", pairs, body).unwrap_err();
        let response = error_response(&error);
        assert_eq!(response.status(), 413, "{error}");
        assert_eq!(body_of(&response)["code"], 413);
    }
    assert_eq!(import(&vec![SIGNED_UP; MAX_EVENTS].join("\n")).accepted().count(), MAX_EVENTS);
}

#[test]
fn time_units_are_distinguished_per_event() {
    let event = |time: &str| format!(r#"{{"event":"a","properties":{{"time":{time}}}}}"#);
    let times = ["1456190400", "1456190400250", "1456190400.75", "null"];
    let decoded = import(&times.map(event).join("\n"));
    let read: Vec<_> = decoded.accepted().map(|event| event.time_ms).collect();
    assert_eq!(read, [1_456_190_400_000, 1_456_190_400_250, 1_456_190_400_750, NOW]);
}

#[test]
fn times_outside_the_window_are_rejected() {
    let event = |time: i64| format!(r#"[{{"event":"a","properties":{{"token":"t","time":{time}}}}}]"#);
    let accepted = |decoded: DecodedRequest| decoded.accepted().count() == 1;
    for (time, tracked, imported) in [
        (NOW, true, true),
        (NOW - TRACK_WINDOW_MS, true, true),
        (NOW - TRACK_WINDOW_MS - 1, false, true),
        (NOW + MAX_AHEAD_MS, true, true),
        (NOW + MAX_AHEAD_MS + 1, false, false),
        (IMPORT_FROM_MS, false, true),
        (-5, false, false),
    ] {
        assert_eq!(accepted(track(&event(time))), tracked, "track {time}");
        assert_eq!(accepted(import(&event(time))), imported, "import {time}");
    }
}

#[test]
fn errors_of_invalid_items_name_the_member() {
    let deep = r#"{"event":"a","properties":{"x":[{"y":[{"z":1}]}]}}"#;
    let wide: String = (0..MAX_PROPERTIES).map(|n| format!(r#""p{n}":1"#)).collect::<Vec<_>>().join(",");
    for (json, field) in [
        (r#"{"properties":{}}"#.to_owned(), "event"),
        (r#"{"event":7,"properties":{}}"#.to_owned(), "event"),
        (r#"{"event":"a","properties":{"$insert_id":"a b"}}"#.to_owned(), "properties.$insert_id"),
        (r#"{"event":"a","properties":{"$insert_id":""}}"#.to_owned(), "properties.$insert_id"),
        (
            format!(r#"{{"event":"a","properties":{{"$insert_id":"{}"}}}}"#, "x".repeat(37)),
            "properties.$insert_id",
        ),
        (r#"{"event":"a","properties":{"time":"soon"}}"#.to_owned(), "properties.time"),
        (r#"{"event":"a","properties":{"distinct_id":[1]}}"#.to_owned(), "properties.distinct_id"),
        (r#"{"event":"a","properties":{"token":""}}"#.to_owned(), "properties.token"),
        (deep.to_owned(), "properties"),
        (format!(r#"{{"event":"a","properties":{{{wide}}}}}"#), "properties"),
        (r#"{"event":"a"}"#.to_owned(), ""),
        (r#"{"event":"a","event":"b","properties":{}}"#.to_owned(), ""),
        (r#"{"event":"a","properties":{"time":1,"time":2}}"#.to_owned(), ""),
        (r#"{"event":"a","properties":{}} {}"#.to_owned(), ""),
        (r#"{"event":"a","properties":{}"#.to_owned(), ""),
    ] {
        assert_eq!(item_error(&import(&json), 0).0, field, "{json}");
    }
    let big = format!(r#"{{"event":"a","properties":{{"x":"{}"}}}}"#, "y".repeat(MAX_EVENT_BYTES));
    assert!(item_error(&import(&big), 0).1.contains("bytes"));
}

#[test]
fn numbers_and_escapes_keep_their_text() {
    let json = r#"{"event":"a\u0062","properties":{"distinct_id":1.50,"x":1e999,"\u0074ime":1456190400,"n":[[[1]]]}}"#;
    let decoded = import(json);
    let event = decoded.items[0].as_ref().unwrap();
    assert_eq!((event.name.as_str(), event.distinct_id.as_str()), ("ab", "1.50"));
    assert_eq!(event.time_ms, 1_456_190_400_000);
    assert_eq!(event.raw, json);
}

#[test]
fn malformed_requests_are_refused_as_a_whole() {
    for (method, target, body, status) in [
        (Method::Post, "/engage", "[]", 404),
        (Method::Get, "/import", "", 405),
        (Method::Post, "/import", "", 400),
        (Method::Post, "/import?project_id=x", "[]", 400),
        (Method::Post, "/import", "[{},", 400),
        (Method::Post, "/import", "[] []", 400),
        (Method::Post, "/track", "hello", 200),
        (Method::Get, "/track", "", 200),
        (Method::Post, "/track", "data=*", 200),
        (Method::Post, "/track", "data=%ff%ff", 200),
    ] {
        let error = send(method, target, &[], body.as_bytes()).unwrap_err();
        let response = error_response(&error);
        assert_eq!(response.status(), status, "{target} {body}: {error}");
        assert!(status != 200 || response.body() == "0", "{target} {body}");
    }
    assert!(send(Method::Post, "/import", &[], b"[\"\xff\"]").is_err());
}

#[test]
fn service_failures_have_the_same_status_on_both_apis() {
    for decoded in [track(SIGNED_UP), import(SIGNED_UP)] {
        let unavailable = response(&decoded, StoreOutcome::Unavailable { retry_after_s: 2 });
        assert_eq!((unavailable.status().as_u16(), &unavailable.headers()["retry-after"]), (503, &2.into()));
        assert_eq!(response(&decoded, StoreOutcome::Throttled { retry_after_s: 1 }).status(), 429);
        let unauthorized = RequestError::Unauthorized { api: decoded.api };
        assert_eq!(error_response(&unauthorized).status(), 401);
    }
}

#[test]
fn import_credentials_are_checked_before_the_body_is_read() {
    let headers = headers(&[("content-encoding", "gzip"), ("authorization", "Basic c2VjcmV0Og==")]);
    let (target, body) = ("/import?project_id=17", Bytes::from_static(b"no gzip"));
    let request = RawRequest { method: Method::Post, target, headers: &headers, body, arrived_ms: NOW };
    let is_secret = |project, user: Option<&str>| (project, user) == (Some(17), Some("secret"));
    let with = |headers| decode(&RawRequest { headers, ..request.clone() }, is_secret).unwrap_err();
    assert!(matches!(with(&headers), RequestError::Malformed { .. }));
    assert!(matches!(with(&headers[..1].to_vec()), RequestError::Unauthorized { .. }));
}

proptest! {
    #[test]
    fn no_input_panics(
        method in prop_oneof![Just(Method::Get), Just(Method::Post)],
        target in prop_oneof![Just("/track"), Just("/track?verbose=1"), Just("/import"), Just("/import?strict=0")],
        gzipped in any::<bool>(),
        body in prop_oneof![
            prop::collection::vec(any::<u8>(), 0..300),
            "(data=)?[\\[{]?[\\[{}\\],:\"0-9a-zA-Z\\\\ ]{0,200}".prop_map(String::into_bytes),
        ],
    ) {
        let encoding: &[_] = if gzipped { &[("content-encoding", "gzip")] } else { &[] };
        match send(method, target, encoding, &body) {
            Ok(decoded) => drop(response(&decoded, StoreOutcome::Stored)),
            Err(error) => drop(error_response(&error)),
        }
    }

    #[test]
    fn cutting_or_flipping_an_import_never_invents_an_event(at in 0..SIGNED_UP.len(), byte in any::<u8>()) {
        let mut damaged = SIGNED_UP.as_bytes().to_vec();
        damaged[at] = byte;
        if let Ok(decoded) = send(Method::Post, "/import", &[], &damaged) {
            for event in decoded.accepted() {
                let whole = compact(&Bytes::copy_from_slice(&damaged));
                prop_assert!(whole.windows(event.raw.len()).any(|part| part == event.raw));
            }
        }
        if let Ok(decoded) = send(Method::Post, "/import", &[], &SIGNED_UP.as_bytes()[..at]) {
            prop_assert_eq!(decoded.accepted().count(), 0);
        }
    }
}
