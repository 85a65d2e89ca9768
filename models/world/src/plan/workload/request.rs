//! Planned requests and their HTTP encoding.
//!
//! Encoding is a pure function of the request: a retry sends the same bytes.

use super::prng::Prng;
use super::workload_spec::{Defect, RequestMix};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use http::header::{AUTHORIZATION, CONTENT_ENCODING, CONTENT_TYPE};
use http::{Method, Request};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::io::Write as _;

/// Format of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum RequestApi {
    /// `POST /track` with the JSON as its body.
    TrackRaw {
        /// Requests an answer in JSON instead of `1` or `0`.
        verbose: bool,
    },
    /// `POST /track` with a form.
    TrackForm {
        /// Encoding of `data=`.
        data: FormData,
        /// Requests an answer in JSON instead of `1` or `0`.
        verbose: bool,
    },
    /// `GET /track?data=`, base64, percent-encoded.
    TrackGet {
        /// Requests an answer in JSON instead of `1` or `0`.
        verbose: bool,
    },
    /// `POST /import`, JSON array.
    ImportJson {
        /// Compression of the body.
        gzip: Gzip,
    },
    /// `POST /import`, newline-delimited JSON.
    ImportNdjson {
        /// Compression of the body.
        gzip: Gzip,
    },
}

/// Encoding of a form's `data=`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum FormData {
    /// Percent-encoded JSON.
    Json,
    /// Percent-encoded base64.
    Base64,
    /// Base64 without percent-encoding: a form decoder reads a space for each `+`.
    BareBase64,
}

/// Compression of an import's body.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Gzip {
    /// No compression.
    No,
    /// One gzip member.
    One,
    /// Two gzip members, split at any byte.
    Two,
}

/// Returns the bytes before, between and after the events of a request: lines, a single event, or an array.
pub(super) const fn delimiters(lines: bool, bare: bool) -> (&'static [u8], &'static [u8], &'static [u8]) {
    match (lines, bare) {
        (true, _) => (b"", b"\n", b"\n"),
        (false, true) => (b"", b"", b""),
        (false, false) => (b"[", b",", b"]"),
    }
}

/// Maximum text length in a URL; longer texts use a form.
const MAX_GET_BYTES: usize = 4_096;

impl RequestApi {
    /// Returns true for `/import`, which answers item by item.
    #[must_use]
    pub const fn is_import(self) -> bool {
        matches!(self, RequestApi::ImportJson { .. } | RequestApi::ImportNdjson { .. })
    }

    /// Draws a format from the mix.
    pub(super) fn draw(mix: &RequestMix, prng: &mut Prng) -> RequestApi {
        let weights = [mix.track_raw, mix.track_form, mix.track_get, mix.import_json, mix.import_ndjson];
        let mut rest = prng.below(weights.iter().map(|weight| u64::from(*weight)).sum());
        let variant = weights.iter().position(|weight| {
            let is_selected = rest < u64::from(*weight);
            rest = rest.saturating_sub(u64::from(*weight));
            is_selected
        });
        let verbose = prng.one_in(2);
        let data = prng.pick(&[FormData::Base64, FormData::Base64, FormData::BareBase64, FormData::Json]);
        let gzip = match (prng.chance_ppm(mix.gzip_ppm), prng.one_in(4)) {
            (false, _) => Gzip::No,
            (true, false) => Gzip::One,
            (true, true) => Gzip::Two,
        };
        match variant {
            Some(1) => RequestApi::TrackForm { data, verbose },
            Some(2) => RequestApi::TrackGet { verbose },
            Some(3) => RequestApi::ImportJson { gzip },
            Some(4) => RequestApi::ImportNdjson { gzip },
            _ => RequestApi::TrackRaw { verbose },
        }
    }

    /// Returns the format for a text of this size: a URL has room for little.
    pub(super) fn for_size(self, text_bytes: usize) -> RequestApi {
        match self {
            RequestApi::TrackGet { verbose } if text_bytes > MAX_GET_BYTES => {
                RequestApi::TrackForm { data: FormData::Base64, verbose }
            }
            variant => variant,
        }
    }
}

/// An event as its client sends it.
#[derive(Clone, Debug)]
pub struct PlannedEvent {
    /// Index in the stream. A second sending has the index of the first.
    pub index: u64,
    /// True if it was sent before under the same `$insert_id`, with the same text except for white space.
    pub is_resend: bool,
    /// JSON text, byte for byte, a slice of the request's text.
    pub json: Bytes,
    /// Event name; empty if missing.
    pub name: Cow<'static, str>,
    /// `distinct_id` as text: a string's content or a number's JSON text, empty if absent.
    pub distinct_id: String,
    /// `$insert_id`, if present.
    pub insert_id: Option<String>,
    /// Event time in milliseconds since 1970, as reported; absent: the arrival time counts.
    pub time_ms: Option<i64>,
    /// Defect for which the event must be rejected. The client sends and retries it like any other, and uses this
    /// only to check the answer.
    pub defect: Option<Defect>,
}

impl PlannedEvent {
    /// Returns true if the API must accept the event.
    #[must_use]
    pub const fn is_valid(&self) -> bool {
        self.defect.is_none()
    }

    /// Returns true if the API must accept the event provided that its time is acceptable on arrival.
    #[must_use]
    pub fn is_well_formed(&self) -> bool {
        self.defect.is_none_or(Defect::is_of_time)
    }
}

/// A request as its client sends it.
#[derive(Clone, Debug)]
pub struct PlannedRequest {
    /// Number in the project's stream, used as key of draws: unique, and independent of removed events.
    pub key: u64,
    /// Send time by the world's clock, in milliseconds since 1970.
    pub at_ms: i64,
    /// Number of the project.
    pub project: u32,
    /// Request format.
    pub api: RequestApi,
    /// Texts of the events as one JSON value, or as lines.
    pub text: Bytes,
    /// Events in the order sent: item `i` of an answer refers to `events[i]`.
    pub events: Vec<PlannedEvent>,
}

impl PlannedRequest {
    /// Encodes the request as HTTP; `secret` is the Basic auth user name, used for imports only.
    #[must_use]
    pub fn to_http(&self, secret: &str) -> Request<Bytes> {
        let text = &self.text;
        match self.api {
            RequestApi::TrackRaw { verbose } => post(track_target(verbose), "application/json", text.clone()),
            RequestApi::TrackForm { data, verbose } => {
                post(track_target(verbose), "application/x-www-form-urlencoded", form(data, text))
            }
            RequestApi::TrackGet { verbose } => {
                let mut target = b"/track?data=".to_vec();
                percent_encode(STANDARD.encode(text).as_bytes(), &mut target);
                target.extend_from_slice(if verbose { b"&verbose=1" } else { b"" });
                request(Method::GET, target, Bytes::new())
            }
            RequestApi::ImportJson { gzip } => self.import("application/json", gzip, secret),
            RequestApi::ImportNdjson { gzip } => self.import("application/x-ndjson", gzip, secret),
        }
    }

    fn import(&self, content_type: &'static str, gzip: Gzip, secret: &str) -> Request<Bytes> {
        let target = format!("/import?strict=1&project_id={}", self.project);
        let (head, tail) = match gzip {
            Gzip::No => (None, None),
            Gzip::One => (Some(&self.text[..]), None),
            Gzip::Two => {
                let (head, tail) = self.text.split_at(self.text.len() / 2);
                (Some(head), Some(tail))
            }
        };
        let body = match head {
            None => self.text.clone(),
            Some(_) => head.into_iter().chain(tail).fold(Vec::new(), gzip_member).into(),
        };
        let mut request = post(target, content_type, body);
        let basic = format!("Basic {}", STANDARD.encode(format!("{secret}:")));
        let basic = basic.parse().expect("base64 is made of visible ASCII, which headers take");
        request.headers_mut().insert(AUTHORIZATION, basic);
        if gzip != Gzip::No {
            request.headers_mut().insert(CONTENT_ENCODING, http::HeaderValue::from_static("gzip"));
        }
        request
    }
}

fn track_target(verbose: bool) -> &'static str {
    if verbose { "/track?verbose=1" } else { "/track" }
}

fn post(target: impl AsRef<[u8]>, content_type: &'static str, body: Bytes) -> Request<Bytes> {
    let mut request = request(Method::POST, target, body);
    request.headers_mut().insert(CONTENT_TYPE, http::HeaderValue::from_static(content_type));
    request
}

fn request(method: Method, target: impl AsRef<[u8]>, body: Bytes) -> Request<Bytes> {
    let mut request = Request::new(body);
    *request.method_mut() = method;
    *request.uri_mut() = http::Uri::try_from(target.as_ref()).expect(
        "targets are fixed paths with digits and percent-encoded data, shorter than an address may be",
    );
    request
}

fn form(data: FormData, text: &[u8]) -> Bytes {
    let mut body = Vec::with_capacity(text.len() * 3 / 2 + 8);
    body.extend_from_slice(b"data=");
    match data {
        FormData::Json => percent_encode(text, &mut body),
        FormData::Base64 => percent_encode(STANDARD.encode(text).as_bytes(), &mut body),
        FormData::BareBase64 => body.extend_from_slice(STANDARD.encode(text).as_bytes()),
    }
    body.into()
}

fn percent_encode(bytes: &[u8], out: &mut Vec<u8>) {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    for byte in bytes {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' => out.push(*byte),
            _ => out.extend([b'%', HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]]),
        }
    }
}

/// Appends `part` as a gzip member, at the fastest level: the tests are about the format, not the ratio.
fn gzip_member(out: Vec<u8>, part: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(out, Compression::fast());
    encoder.write_all(part).and_then(|()| encoder.finish()).expect("a Vec takes every byte")
}
