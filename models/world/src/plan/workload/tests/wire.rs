//! Tests that the API's own decoder reads the planned requests.

use super::*;
use latent_oracle::json_text::compact_json;
use latent_pipeline::wire::{RawRequest, decode};
use latent_storekit::http_message::Method;
use serde_json::Value;
use std::collections::BTreeSet;

fn decoded(request: &PlannedRequest, secret: &str) -> latent_pipeline::wire::DecodedRequest {
    let http = request.to_http(secret);
    let headers = http
        .headers()
        .iter()
        .map(|(name, value)| (name.as_str().to_owned(), value.as_bytes().to_vec()))
        .collect();
    let raw = RawRequest {
        method: if http.method() == http::Method::GET { Method::Get } else { Method::Post },
        target: &http.uri().to_string(),
        headers: &headers,
        body: http.body().clone(),
        arrived_ms: request.at_ms + 250,
    };
    let may_import = |project, user: Option<&str>| (project, user) == (Some(request.project), Some(secret));
    decode(&raw, may_import).unwrap_or_else(|error| panic!("{:?}: {error}", request.api))
}

fn every_kind() -> Vec<PlannedRequest> {
    let mut spec = spec();
    spec.requests_per_day = 60;
    (spec.invalid_ppm, spec.late.share_ppm, spec.ahead_ppm) = (20_000, 100_000, 10_000);
    (spec.no_time_ppm, spec.shared_insert_id_ppm, spec.no_insert_id_ppm) = (20_000, 50_000, 20_000);
    (spec.api.track_get, spec.api.track_form, spec.api.gzip_ppm, spec.huge_ppm) = (25, 40, 400_000, 1_000);
    run(&spec, 5)
}

#[test]
fn the_api_accepts_exactly_the_valid_events() {
    let (mut defects, mut apis) = (BTreeMap::new(), BTreeSet::new());
    for request in every_kind() {
        let decoded = decoded(&request, "s3cret");
        apis.insert(format!("{:?}", request.api));
        assert_eq!(decoded.items.len(), request.events.len(), "{:?}", request.api);
        for (item, event) in decoded.items.iter().zip(&request.events) {
            match (item, event.defect) {
                (Ok(found), None) => {
                    assert_eq!(found.raw, *compact_json(&event.json));
                    assert_eq!(found.name, event.name);
                    assert_eq!(found.distinct_id, event.distinct_id);
                    assert_eq!(found.insert_id, event.insert_id);
                    assert_eq!(found.time_ms, event.time_ms.unwrap_or(request.at_ms + 250));
                    assert_eq!(found.token.as_deref(), Some("0123456789abcdef"));
                }
                (Err(_), Some(defect)) => *defects.entry(defect).or_insert(0) += 1,
                (item, defect) => panic!("{defect:?} gave {item:?}"),
            }
        }
    }
    assert_eq!(defects.len(), 7, "{defects:?}");
    // Raw and GET, verbose or not; form in three encodings, verbose or not; two imports with no, one or two gzip
    // members.
    assert_eq!(apis.len(), 2 + 2 + 6 + 6, "{apis:?}");
}

#[test]
fn no_track_request_mixes_valid_and_invalid_events() {
    let requests = every_kind();
    let kinds = |request: &PlannedRequest| {
        request.events.iter().map(PlannedEvent::is_valid).collect::<BTreeSet<bool>>().len()
    };
    assert!(requests.iter().filter(|request| !request.api.is_import()).all(|request| kinds(request) == 1));
    assert!(requests.iter().any(|request| request.api.is_import() && kinds(request) == 2));
}

#[test]
fn an_import_names_its_project_and_its_secret() {
    let requests = every_kind();
    let import = requests.iter().find(|request| request.api.is_import()).unwrap();
    assert_eq!(import.to_http("s3cret").headers()["authorization"], "Basic czNjcmV0Og==");
    assert_eq!(import.to_http("s3cret").uri(), "/import?strict=1&project_id=17");
    let track = requests.iter().find(|request| !request.api.is_import()).unwrap();
    assert!(!track.to_http("s3cret").headers().contains_key("authorization"));
}

#[test]
fn a_retry_sends_the_same_bytes() {
    for request in every_kind().iter().take(100) {
        let (first, second) = (request.to_http("s"), request.to_http("s"));
        assert_eq!(first.body(), second.body());
        assert_eq!((first.uri(), first.headers()), (second.uri(), second.headers()));
    }
}

#[test]
fn texts_are_varied_enough_to_distinguish_a_copy_from_a_reprint() {
    let requests = every_kind();
    let texts: Vec<&str> = requests
        .iter()
        .flat_map(|request| &request.events)
        .map(|event| std::str::from_utf8(&event.json).unwrap())
        .collect();
    for needle in [
        "1.50",
        "9007199254740993",
        "\\ud83c\\udf89",
        "購入完了",
        "\"distinct_id\":\"o\\u0027Brien",
        ",\"event\":\"",
        "{\n  \"event\": ",
        ",\r\n\t\"properties\": {",
        "{\t\"event\":",
    ] {
        assert!(texts.iter().any(|text| text.contains(needle)), "no event has {needle}");
    }
    let reprinted = |text: &str| serde_json::from_str::<Value>(text).unwrap().to_string();
    let changed = |text: &&&str| reprinted(text).as_str() != **text;
    assert!(texts.iter().filter(changed).count() * 2 > texts.len());
    assert!(texts.iter().any(|text| !text.contains("distinct_id")));
}
