//! Decodes the form of a request: path, parameters, encodings, and the position of each event in the body.

use super::event::decode_event;
use super::form::{basic_user, form_value, header, lenient_base64, path_of, query_of, query_value};
use super::{
    Api, DecodedRequest, MAX_BODY_BYTES, MAX_EVENT_BYTES, MAX_EVENTS, MAX_GZIP_MEMBERS, MAX_GZIP_RATIO,
    RawRequest, RequestError, clip,
};
use bytes::Bytes;
use flate2::bufread::GzDecoder;
use latent_storekit::http_message::Method;
use serde::de::{Deserializer, IgnoredAny, SeqAccess, Visitor};
use serde_json::value::RawValue;
use std::fmt;
use std::io::Read;

/// Decodes a request of `/track` or `/import`. `may_import` checks the user name of Basic auth for the project; it is
/// called before the body is read. On `/track` the credentials are in the events.
///
/// # Errors
/// The request as a whole is invalid; none of it may be stored. Invalid items alone are not an error: see
/// [`DecodedRequest::items`].
pub fn decode(
    request: &RawRequest<'_>,
    may_import: impl FnOnce(Option<u32>, Option<&str>) -> bool,
) -> Result<DecodedRequest, RequestError> {
    let mut api = api_of(request)?;
    if let Api::Import { project, .. } = api
        && !may_import(project, basic_user(request.headers).as_deref())
    {
        return Err(RequestError::Unauthorized { api });
    }
    let body = inflate(api, request)?;
    let events = match &mut api {
        Api::Track { verbose } => {
            *verbose |= form_value(&body, "verbose").as_deref() == Some(b"1");
            track_text(api, request, body)?
        }
        Api::Import { .. } => body,
    };
    let items = split(api, &events)?
        .into_iter()
        .zip(0..)
        .map(|(raw, index)| decode_event(api, request.arrived_ms, index, raw))
        .collect();
    Ok(DecodedRequest { api, items })
}

fn api_of(request: &RawRequest<'_>) -> Result<Api, RequestError> {
    let path = path_of(request.target);
    let flag = |name| query_value(request.target, name);
    match (path.trim_end_matches('/'), request.method) {
        ("/track", _) => Ok(Api::Track { verbose: flag("verbose").as_deref() == Some("1") }),
        ("/import", Method::Post) => {
            let mut api = Api::Import { project: None, strict: flag("strict").as_deref() != Some("0") };
            if let (Some(text), Api::Import { project, .. }) = (flag("project_id"), &mut api) {
                let Ok(number) = text.parse() else {
                    let text = clip(&text);
                    return Err(malformed(api, format!("project_id '{text}' is not a project's number")));
                };
                *project = Some(number);
            }
            Ok(api)
        }
        ("/import", method) => Err(RequestError::Method { method, path: "/import", expected: "POST" }),
        _ => Err(RequestError::UnknownPath(clip(path))),
    }
}

fn malformed(api: Api, why: impl Into<String>) -> RequestError {
    RequestError::Malformed { api, why: why.into() }
}

/// Decompresses the body.
fn inflate(api: Api, request: &RawRequest<'_>) -> Result<Bytes, RequestError> {
    let body = match header(request.headers, "content-encoding").map(str::trim) {
        None | Some("" | "identity") => request.body.clone(),
        Some("gzip") => return gunzip(api, &request.body),
        Some(other) => {
            return Err(malformed(api, format!("content-encoding '{}': expected gzip", clip(other))));
        }
    };
    let why = format!("more than {MAX_BODY_BYTES} bytes");
    if body.len() > MAX_BODY_BYTES { Err(RequestError::TooLarge { api, why }) } else { Ok(body) }
}

/// Decompresses a gzip body of one or several members. A body that is cut off or has data between members is malformed:
/// a part of it must not be mistaken for the whole.
fn gunzip(api: Api, body: &[u8]) -> Result<Bytes, RequestError> {
    let (by_ratio, event) = (body.len().saturating_mul(MAX_GZIP_RATIO), MAX_EVENT_BYTES);
    let most = by_ratio.max(event).min(MAX_BODY_BYTES);
    let too_large = |why| Err(RequestError::TooLarge { api, why });
    let mut inflated = Vec::new();
    let mut rest = body;
    for _ in 0..MAX_GZIP_MEMBERS {
        let mut member = GzDecoder::new(rest);
        let one_too_many = (most - inflated.len()) as u64 + 1;
        let read = member.by_ref().take(one_too_many).read_to_end(&mut inflated);
        read.map_err(|error| malformed(api, format!("gzip: {}", clip(&error.to_string()))))?;
        if inflated.len() > MAX_BODY_BYTES {
            return too_large(format!("more than {MAX_BODY_BYTES} bytes uncompressed"));
        }
        if inflated.len() > most {
            return too_large(format!("more than {MAX_GZIP_RATIO} times as long uncompressed"));
        }
        rest = member.into_inner();
        if rest.is_empty() {
            return Ok(inflated.into());
        }
    }
    too_large(format!("more than {MAX_GZIP_MEMBERS} gzip members"))
}

/// Returns the JSON of a `/track` request: the body itself, or the value of `data` in the form or the query.
fn track_text(api: Api, request: &RawRequest<'_>, body: Bytes) -> Result<Bytes, RequestError> {
    if request.method == Method::Post && starts_json(&body) {
        return Ok(body);
    }
    let form = if request.method == Method::Post && !body.is_empty() {
        form_value(&body, "data")
    } else {
        form_value(query_of(request.target).as_bytes(), "data")
    };
    let data = form.ok_or_else(|| malformed(api, "neither JSON nor a form with 'data'"))?;
    if starts_json(&data) {
        return Ok(data.into());
    }
    let decoded = lenient_base64(&data).ok_or_else(|| malformed(api, "'data' is neither JSON nor base64"))?;
    Ok(decoded.into())
}

fn starts_json(text: &[u8]) -> bool {
    matches!(text.trim_ascii_start().first(), Some(b'{' | b'['))
}

/// Splits a text into items, as slices of `text`: the elements of an array, or a sequence of values (one object, or
/// NDJSON).
///
/// A malformed array has no items, because the start of its elements is unknown. A malformed line is an invalid item.
fn split(api: Api, text: &Bytes) -> Result<Vec<Bytes>, RequestError> {
    let Ok(valid) = std::str::from_utf8(text) else {
        return Err(malformed(api, "not UTF-8"));
    };
    let items: Vec<Bytes> = if valid.trim_ascii_start().starts_with('[') {
        let mut reader = serde_json::Deserializer::from_str(valid);
        let elements = reader.deserialize_seq(Elements).and_then(|elements| reader.end().map(|()| elements));
        let elements = elements.map_err(|error| malformed(api, clip(&error.to_string())))?;
        elements.into_iter().map(|element| text.slice_ref(element.get().as_bytes())).collect()
    } else if matches!(api, Api::Track { .. }) {
        vec![text.slice_ref(valid.trim_ascii().as_bytes())]
    } else {
        let lines = valid.lines().map(str::trim_ascii).filter(|line| !line.is_empty());
        lines.take(MAX_EVENTS + 1).map(|line| text.slice_ref(line.as_bytes())).collect()
    };
    if items.len() > MAX_EVENTS {
        return Err(RequestError::TooLarge { api, why: format!("more than {MAX_EVENTS} events") });
    }
    if items.is_empty() {
        return Err(malformed(api, "no event in the body"));
    }
    Ok(items)
}

/// Elements of an array as raw text: at most one more than a request may have; the rest is skipped.
struct Elements;

impl<'de> Visitor<'de> for Elements {
    type Value = Vec<&'de RawValue>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array of events")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        let mut elements = Vec::new();
        while elements.len() <= MAX_EVENTS {
            match seq.next_element()? {
                Some(element) => elements.push(element),
                None => return Ok(elements),
            }
        }
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(elements)
    }
}
