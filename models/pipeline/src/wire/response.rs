//! Responses to clients, in the shapes of the event API.
//!
//! `/track` answers `1` or `0`, or an object with `verbose=1`. `/import` answers objects; 400 is its partial success.
//! Failures of the service itself have the same status on both: 413 and 4xx mean that the client must not resend the
//! request unchanged, 429 and 503 that it should resend it later.
//!
//! A response is bounded: an item's message is at most 200 characters, and there are at most [`super::MAX_EVENTS`]
//! items.

use super::{Api, DecodedRequest, RequestError};
use bytes::Bytes;
use http::header::{CONTENT_TYPE, RETRY_AFTER};
use http::{Response, StatusCode};
use serde::Serialize;

/// Result of storing a decoded request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StoreOutcome {
    /// The events of [`DecodedRequest::accepted`] are durable on enough disks.
    Stored,
    /// Too many requests; nothing was stored.
    Throttled {
        /// Delay before a retry, in seconds.
        retry_after_s: u32,
    },
    /// Not enough disks confirmed. Some events may have been stored: the client must send the request again.
    Unavailable {
        /// Delay before a retry, in seconds.
        retry_after_s: u32,
    },
}

#[derive(Serialize)]
struct TrackResponse<'a> {
    error: Option<&'a str>,
    status: u8,
}

#[derive(Serialize)]
struct ImportResponse<'a> {
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

/// Returns the response to a decoded request.
#[must_use]
pub fn response(decoded: &DecodedRequest, outcome: StoreOutcome) -> Response<Bytes> {
    match (outcome, decoded.api) {
        (StoreOutcome::Stored, Api::Track { verbose }) => track_stored(decoded, verbose),
        (StoreOutcome::Stored, Api::Import { strict, .. }) => import_stored(decoded, strict),
        (StoreOutcome::Throttled { retry_after_s }, api) => {
            failure(api, StatusCode::TOO_MANY_REQUESTS, "too many requests; try again", Some(retry_after_s))
        }
        (StoreOutcome::Unavailable { retry_after_s }, api) => {
            failure(api, StatusCode::SERVICE_UNAVAILABLE, "not stored; try again", Some(retry_after_s))
        }
    }
}

/// Returns the response to a request that could not be decoded.
#[must_use]
pub fn error_response(error: &RequestError) -> Response<Bytes> {
    let text = error.to_string();
    match error {
        RequestError::UnknownPath(_) => text_response(StatusCode::NOT_FOUND, text),
        RequestError::Method { .. } => text_response(StatusCode::METHOD_NOT_ALLOWED, text),
        // A malformed tracking call is answered like an invalid event, because its clients check only the body.
        RequestError::Malformed { api: Api::Track { verbose }, .. } => {
            track_response(StatusCode::OK, *verbose, Some(&text))
        }
        RequestError::Malformed { api, .. } => failure(*api, StatusCode::BAD_REQUEST, &text, None),
        RequestError::Unauthorized { api } => failure(*api, StatusCode::UNAUTHORIZED, &text, None),
        RequestError::TooLarge { api, .. } => failure(*api, StatusCode::PAYLOAD_TOO_LARGE, &text, None),
    }
}

fn track_stored(decoded: &DecodedRequest, verbose: bool) -> Response<Bytes> {
    let wrong = decoded.failed().next().map(|item| {
        let field = if item.field.is_empty() { "event" } else { item.field };
        format!("event {}: {field}: {}", item.index, item.message)
    });
    track_response(StatusCode::OK, verbose, wrong.as_deref())
}

fn import_stored(decoded: &DecodedRequest, strict: bool) -> Response<Bytes> {
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
    // A request of which nothing was stored has failed, even with `strict=0`.
    if failed_records.is_empty() || (!strict && imported > Some(0)) {
        let body = ImportResponse {
            code: 200,
            error: None,
            failed_records: vec![],
            num_records_imported: imported,
            status: "OK",
        };
        return json_response(StatusCode::OK, &body);
    }
    let error = Some("some data points in the request failed validation");
    let status = "Bad Request";
    let body = ImportResponse { code: 400, error, failed_records, num_records_imported: imported, status };
    json_response(StatusCode::BAD_REQUEST, &body)
}

fn failure(api: Api, status: StatusCode, error: &str, retry_after_s: Option<u32>) -> Response<Bytes> {
    let mut response = match api {
        Api::Track { verbose } => track_response(status, verbose, Some(error)),
        Api::Import { .. } => {
            let body = ImportResponse {
                code: status.as_u16(),
                error: Some(error),
                failed_records: vec![],
                num_records_imported: None,
                status: status.canonical_reason().unwrap_or_default(),
            };
            json_response(status, &body)
        }
    };
    if let Some(seconds) = retry_after_s {
        response.headers_mut().insert(RETRY_AFTER, seconds.into());
    }
    response
}

fn track_response(status: StatusCode, verbose: bool, error: Option<&str>) -> Response<Bytes> {
    let sign = u8::from(error.is_none());
    if verbose {
        json_response(status, &TrackResponse { error, status: sign })
    } else {
        text_response(status, sign.to_string())
    }
}

fn text_response(status: StatusCode, text: String) -> Response<Bytes> {
    respond(status, "text/plain", text.into())
}

fn json_response<T: Serialize>(status: StatusCode, body: &T) -> Response<Bytes> {
    let text = serde_json::to_vec(body).expect("answers hold texts and numbers, which have JSON");
    respond(status, "application/json", text.into())
}

fn respond(status: StatusCode, content_type: &'static str, body: Bytes) -> Response<Bytes> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, http::HeaderValue::from_static(content_type));
    response
}
