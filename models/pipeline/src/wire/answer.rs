//! What clients are told, in the shapes that they expect.
//!
//! `/track` answers `1` or `0`, or with `verbose=1` an object; `/import` answers objects, and 400 is its partial
//! success. Failures of the service itself have the same status on both: 413 and 4xx mean do not send it again as
//! it is, 429 and 503 mean send it again later.
//!
//! An answer is bounded: an item's message is at most 200 characters and there are at most [`super::MAX_EVENTS`] items.

use super::{Api, Decoded, WireError};
use bytes::Bytes;
use http::header::{CONTENT_TYPE, RETRY_AFTER};
use http::{Response, StatusCode};
use serde::Serialize;

/// What became of a decoded request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// What [`Decoded::accepted`] gives is durable on enough disks.
    Stored,
    /// Too many requests; nothing was stored.
    Throttled {
        /// When to try again, in seconds.
        retry_after_s: u32,
    },
    /// Not enough disks confirmed. Parts may have been stored: the client must send it again.
    Unavailable {
        /// When to try again, in seconds.
        retry_after_s: u32,
    },
}

#[derive(Serialize)]
struct Track<'a> {
    error: Option<&'a str>,
    status: u8,
}

#[derive(Serialize)]
struct Import<'a> {
    code: u16,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'a str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    failed_records: Vec<FailedRecord<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    num_records_imported: Option<usize>,
    status: &'a str,
}

#[derive(Serialize)]
struct FailedRecord<'a> {
    index: u32,
    insert_id: Option<&'a str>,
    field: &'a str,
    message: &'a str,
}

/// The answer to a request that was decoded.
#[must_use]
pub fn answer(decoded: &Decoded, outcome: Outcome) -> Response<Bytes> {
    match (outcome, decoded.api) {
        (Outcome::Stored, Api::Track { verbose }) => track_stored(decoded, verbose),
        (Outcome::Stored, Api::Import { strict, .. }) => import_stored(decoded, strict),
        (Outcome::Throttled { retry_after_s }, api) => {
            failure(api, StatusCode::TOO_MANY_REQUESTS, "too many requests; try again", Some(retry_after_s))
        }
        (Outcome::Unavailable { retry_after_s }, api) => {
            failure(api, StatusCode::SERVICE_UNAVAILABLE, "not stored; try again", Some(retry_after_s))
        }
    }
}

/// The answer to a request that could not be decoded.
#[must_use]
pub fn refuse(error: &WireError) -> Response<Bytes> {
    let text = error.to_string();
    match error {
        WireError::UnknownPath(_) => plain(StatusCode::NOT_FOUND, text),
        WireError::Method { .. } => plain(StatusCode::METHOD_NOT_ALLOWED, text),
        // A malformed tracking call is answered like a wrong event, because its clients look at the body alone.
        WireError::Malformed { api: Api::Track { verbose }, .. } => {
            track(StatusCode::OK, *verbose, Some(&text))
        }
        WireError::Malformed { api, .. } => failure(*api, StatusCode::BAD_REQUEST, &text, None),
        WireError::Unauthorized { api } => failure(*api, StatusCode::UNAUTHORIZED, &text, None),
        WireError::TooLarge { api, .. } => failure(*api, StatusCode::PAYLOAD_TOO_LARGE, &text, None),
    }
}

fn track_stored(decoded: &Decoded, verbose: bool) -> Response<Bytes> {
    let wrong = decoded.failed().next().map(|item| {
        let field = if item.field.is_empty() { "event" } else { item.field };
        format!("event {}: {field}: {}", item.index, item.message)
    });
    track(StatusCode::OK, verbose, wrong.as_deref())
}

fn import_stored(decoded: &Decoded, strict: bool) -> Response<Bytes> {
    let failed_records: Vec<_> = decoded
        .failed()
        .map(|item| FailedRecord {
            index: item.index,
            insert_id: item.insert_id.as_deref(),
            field: item.field,
            message: &item.message,
        })
        .collect();
    let imported = Some(decoded.accepted().count());
    // A request of which nothing was stored has failed, whatever the client asked to be spared.
    if failed_records.is_empty() || (!strict && imported > Some(0)) {
        let body = Import {
            code: 200,
            error: None,
            failed_records: vec![],
            num_records_imported: imported,
            status: "OK",
        };
        return json(StatusCode::OK, &body);
    }
    let error = Some("some data points in the request failed validation");
    let status = "Bad Request";
    let body = Import { code: 400, error, failed_records, num_records_imported: imported, status };
    json(StatusCode::BAD_REQUEST, &body)
}

fn failure(api: Api, status: StatusCode, error: &str, retry_after_s: Option<u32>) -> Response<Bytes> {
    let mut response = match api {
        Api::Track { verbose } => track(status, verbose, Some(error)),
        Api::Import { .. } => {
            let body = Import {
                code: status.as_u16(),
                error: Some(error),
                failed_records: vec![],
                num_records_imported: None,
                status: status.canonical_reason().unwrap_or_default(),
            };
            json(status, &body)
        }
    };
    if let Some(seconds) = retry_after_s {
        response.headers_mut().insert(RETRY_AFTER, seconds.into());
    }
    response
}

fn track(status: StatusCode, verbose: bool, error: Option<&str>) -> Response<Bytes> {
    let sign = u8::from(error.is_none());
    if verbose { json(status, &Track { error, status: sign }) } else { plain(status, sign.to_string()) }
}

fn plain(status: StatusCode, text: String) -> Response<Bytes> {
    respond(status, "text/plain", text.into())
}

fn json<T: Serialize>(status: StatusCode, body: &T) -> Response<Bytes> {
    let text = serde_json::to_vec(body).expect("answers hold texts and numbers, which have JSON");
    respond(status, "application/json", text.into())
}

fn respond(status: StatusCode, content_type: &'static str, body: Bytes) -> Response<Bytes> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, http::HeaderValue::from_static(content_type));
    response
}
