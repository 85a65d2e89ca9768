//! Requests byte for byte as clients sent them, from the wire to storage, export and response. Project 17 has token
//! `tok-17` and secret `secret17`.

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use latent_pipeline::config::{Cluster, CompactionConfig, Project, ReplicationConfig};
use latent_pipeline::export::export_line;
use latent_pipeline::ingest::classify::classify;
use latent_pipeline::record::Record;
use latent_pipeline::wire::{self, MAX_EVENTS, RawRequest, StoreOutcome};
use latent_pipeline::zone::ZoneHistory;
use latent_storekit::http_message::{Headers, Method};
use serde_json::Value;
use std::collections::BTreeMap;
use std::io::Write;
use std::time::Duration;

/// 2016-02-23T01:20:00Z.
const ARRIVED_MS: i64 = 1_456_190_400_000;
/// Maximum length of a response to the invalid requests below.
const MAX_RESPONSE_BYTES: usize = 1 << 10;

/// A parsed request.
struct SentRequest {
    method: Method,
    target: String,
    headers: Headers,
    body: Bytes,
}

impl SentRequest {
    /// A request as sent on the wire.
    fn read(bytes: &[u8]) -> SentRequest {
        let end = bytes.windows(4).position(|four| four == b"\r\n\r\n").unwrap();
        let head = std::str::from_utf8(&bytes[..end]).unwrap();
        let mut lines = head.split("\r\n");
        let mut first = lines.next().unwrap().split(' ');
        let method = if first.next().unwrap() == "GET" { Method::Get } else { Method::Post };
        let target = first.next().unwrap().to_owned();
        let header = |line: &str| {
            let (name, value) = line.split_once(": ").unwrap();
            (name.to_ascii_lowercase(), value.as_bytes().to_vec())
        };
        let (headers, body) = (lines.map(header).collect(), Bytes::copy_from_slice(&bytes[end + 4..]));
        SentRequest { method, target, headers, body }
    }

    fn import(target: &str, body: impl Into<Bytes>) -> SentRequest {
        let basic = ("authorization".to_owned(), b"Basic c2VjcmV0MTc6".to_vec());
        SentRequest {
            method: Method::Post,
            target: target.to_owned(),
            headers: vec![basic],
            body: body.into(),
        }
    }

    fn gzipped(mut self) -> SentRequest {
        self.headers.push(("content-encoding".to_owned(), b"gzip".to_vec()));
        self
    }
}

fn cluster() -> Cluster {
    let zones = ZoneHistory::constant("UTC").unwrap();
    let (token, secret) = ("tok-17".to_owned(), "secret17".to_owned());
    let project = Project { id: 17, token: token.clone(), secret, zones };
    Cluster {
        projects: BTreeMap::from([(17, project)]),
        by_token: BTreeMap::from([(token, 17)]),
        disks: Vec::new(),
        ingest: Vec::new(),
        workers: Vec::new(),
        edges: Vec::new(),
        replication: ReplicationConfig::default(),
        compaction: CompactionConfig::default(),
        backup: None,
        tee: None,
        audit: None,
        scrub_after_midnight: Duration::from_secs(6 * 3600),
    }
}

/// Stored records of a request, and the response to its client.
struct ReceivedResponse {
    records: Vec<Record>,
    status: u16,
    body: Bytes,
}

impl ReceivedResponse {
    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    /// Whether the client was told, in few words, that nothing was stored, and nothing was.
    fn is_refused(&self) -> bool {
        let told = match self.status {
            200 => self.body == "0" || self.json()["status"] == 0,
            status => (400..500).contains(&status),
        };
        told && self.records.is_empty() && self.body.len() <= MAX_RESPONSE_BYTES
    }
}

fn answered(sent: &SentRequest) -> ReceivedResponse {
    let request = RawRequest {
        method: sent.method,
        target: &sent.target,
        headers: &sent.headers,
        body: sent.body.clone(),
        arrived_ms: ARRIVED_MS,
    };
    let (records, response) = match classify(&cluster(), &request, 0, 1) {
        Ok(sorted) => {
            let response = wire::response(&sorted.decoded, StoreOutcome::Stored);
            (sorted.records.into_values().flatten().collect(), response)
        }
        Err(error) => (Vec::new(), wire::error_response(&error)),
    };
    ReceivedResponse { records, status: response.status().as_u16(), body: response.into_body() }
}

const EVENT: &str = r#"{"event":"a","properties":{"distinct_id":"u1","time":1456190400,"$insert_id":"i-1"}}"#;

#[test]
fn an_event_sent_over_several_lines_is_one_line_of_an_export() {
    for sent in [
        SentRequest::read(include_bytes!("requests/pretty-json-import.http")),
        SentRequest::read(include_bytes!("requests/pretty-json-track.http")),
    ] {
        let answered = answered(&sent);
        assert_eq!((answered.status, answered.records.len()), (200, 1));
        let line = export_line(&answered.records[0]).unwrap();
        assert_eq!(
            line,
            r#"{"event":"a","properties":{"token":"tok-17","distinct_id":"u1","time":1456190400,"$insert_id":"i-1","mp_processing_time_ms":1456190400000}}"#
        );
    }
}

#[test]
fn an_event_keeps_its_numbers_escapes_and_strings_when_compacted() {
    let sent = "{\r\n\t\"event\" : \"a  b\",\r\n\t\"properties\" : {\"n\" : [1.50, 1e3, -0.0], \"t\" : \"\\u00e9 \\\" {\" }\r\n}";
    let answered = answered(&SentRequest::import("/import?project_id=17", format!("[{sent}]")));
    assert_eq!(
        answered.records[0].json,
        r#"{"event":"a  b","properties":{"n":[1.50,1e3,-0.0],"t":"\u00e9 \" {"}}"#
    );
}

#[test]
fn a_body_without_valid_events_fails_even_with_strict_0() {
    for sent in [
        SentRequest::read(include_bytes!("requests/strict0-form.http")),
        SentRequest::read(include_bytes!("requests/strict0-garbage.http")),
        SentRequest::import("/import?strict=0&project_id=17", "{\n \"event\": \"a\"\n}"),
        SentRequest::import("/import?strict=0&project_id=17", "[]"),
        SentRequest::import("/import?strict=1&project_id=17", "[]"),
        SentRequest::import("/import?strict=0&project_id=17", "[1, null]"),
        SentRequest::import("/track", "[]"),
    ] {
        let answered = answered(&sent);
        assert!(answered.is_refused(), "{} {:?}", answered.status, answered.body);
    }
    let some =
        answered(&SentRequest::import("/import?strict=0&project_id=17", format!("{EVENT}\nhello world")));
    assert_eq!((some.status, some.records.len()), (200, 1), "what is right is stored, and that is told");
    assert_eq!(some.json()["num_records_imported"], 1);
}

/// An empty gzip member: 20 bytes.
fn empty_member() -> Vec<u8> {
    GzEncoder::new(Vec::new(), Compression::fast()).finish().unwrap()
}

fn member(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn credentials_are_checked_before_decompression() {
    assert_eq!(
        answered(&SentRequest::read(include_bytes!("requests/many-empty-gzip-members.http"))).status,
        401
    );
    for body in [member(&vec![b' '; 64 << 20]), b"no gzip at all".to_vec()] {
        let mut sent = SentRequest::import("/import?project_id=17", body).gzipped();
        assert!((400..=413).contains(&answered(&sent).status), "with credentials the body is what is wrong");
        sent.headers.remove(0);
        assert_eq!(answered(&sent).status, 401);
    }
}

#[test]
fn a_body_of_a_million_empty_gzip_members_is_refused_early() {
    let most = wire::MAX_GZIP_MEMBERS;
    for target in ["/import?strict=1&project_id=17", "/track"] {
        let bomb = empty_member().repeat(1 << 20);
        let answered = answered(&SentRequest::import(target, bomb).gzipped());
        assert_eq!(answered.status, 413);
        assert!(String::from_utf8_lossy(&answered.body).contains("gzip members") || answered.body == "0");
    }
    let few = [empty_member().repeat(most - 1), member(EVENT.as_bytes())].concat();
    let stored = answered(&SentRequest::import("/import?project_id=17", few.clone()).gzipped());
    assert_eq!((stored.status, stored.records.len()), (200, 1));
    let one_too_many = [few, empty_member()].concat();
    assert_eq!(answered(&SentRequest::import("/import?project_id=17", one_too_many).gzipped()).status, 413);
}

#[test]
fn the_compression_ratio_is_bounded() {
    let event = |padding: usize| EVENT.replace("i-1\"", &format!("i-1\",\"x\":\"{}\"", "x".repeat(padding)));
    // A single event may be highly compressible.
    let one =
        answered(&SentRequest::import("/import?project_id=17", member(event(900_000).as_bytes())).gzipped());
    assert_eq!((one.status, one.records.len()), (200, 1));
    let ten = member([event(900_000).as_str()].repeat(10).join("\n").as_bytes());
    assert!(ten.len() < 20_000);
    let answered = answered(&SentRequest::import("/import?project_id=17", ten).gzipped());
    assert_eq!(answered.status, 413);
    assert!(answered.json()["error"].as_str().unwrap().contains("200 times"), "{:?}", answered.body);
}

#[test]
fn nesting_is_bounded_in_every_member() {
    let deep = "[".repeat(50_000) + &"]".repeat(50_000);
    let outside = format!(r#"[{{"event":"a","properties":{{}},"x":{deep}}}]"#);
    for sent in [
        SentRequest::read(include_bytes!("requests/nesting-outside-properties.http")),
        SentRequest::import("/import?project_id=17", outside.clone()),
        SentRequest::import("/import?project_id=17", outside.replace("\"a\"", &deep)),
        SentRequest::import("/import?project_id=17", outside.replace("{}", &deep)),
        SentRequest::import("/import?project_id=17", outside.replace("{}", &format!("{{\"y\":{deep}}}"))),
        SentRequest::import("/import?project_id=17", outside.replace("{}", &format!("{{\"token\":{deep}}}"))),
        SentRequest::import("/import?project_id=17", outside.replace("{}", &format!("{{\"time\":{deep}}}"))),
        SentRequest::import("/import?project_id=17", deep.clone()),
    ] {
        let answered = answered(&sent);
        assert!(answered.is_refused(), "{} {:?}", answered.status, answered.body);
    }
    let three = EVENT.replace("}}", r#"},"x":[[[1]]]}"#);
    assert_eq!(answered(&SentRequest::import("/import?project_id=17", three.clone())).records.len(), 1);
    let four = three.replace("[[[1]]]", "[[[[1]]]]");
    assert!(answered(&SentRequest::import("/import?project_id=17", four)).is_refused());
}

#[test]
fn an_error_repeats_at_most_200_characters_of_the_request() {
    let long = "\\\"".repeat(400_000);
    let with = |target: String| SentRequest { target, ..SentRequest::import("", EVENT) };
    for sent in [
        SentRequest::read(include_bytes!("requests/gzip-of-one-long-string.http")),
        SentRequest::import("/track?verbose=1", format!("[\"{long}\"]")),
        SentRequest::import("/import?project_id=17", format!("[\"{long}\"]")),
        SentRequest::import(
            "/import?project_id=17",
            format!("[{{\"event\":\"a\",\"properties\":\"{long}\"}}]"),
        ),
        SentRequest::import(
            "/import?project_id=17",
            format!("[{{\"event\":\"{long}\",\"properties\":{{}}}}]"),
        ),
        SentRequest::import("/import?project_id=17", long.clone()),
        with(format!("/import?project_id={}", "%22".repeat(10_000))),
        with(format!("/{}", "\"".repeat(10_000))),
    ] {
        let answered = answered(&sent);
        assert!(answered.is_refused(), "{} bytes: {:?}", answered.body.len(), answered.body.get(..300));
    }
    let mut encoded = SentRequest::import("/import?project_id=17", EVENT);
    encoded.headers.push(("content-encoding".to_owned(), long.clone().into_bytes()));
    assert!(answered(&encoded).is_refused());
    let all =
        answered(&SentRequest::import("/import?project_id=17", vec![&long[..4_000]; MAX_EVENTS].join("\n")));
    assert_eq!(all.json()["failed_records"].as_array().unwrap().len(), MAX_EVENTS);
    assert!(all.body.len() < MAX_EVENTS * 300, "{} bytes", all.body.len());
}
