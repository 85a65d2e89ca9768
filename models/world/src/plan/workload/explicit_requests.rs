//! Explicit requests, which replace a specification in a shrunk case, so that a person can read them.
//!
//! They contain everything that a client sends and remembers, so a case is self-contained. Texts are kept byte for
//! byte: as parsed JSON they would lose the difficult parts, such as `1.50` or an escaped letter.

use super::request::{PlannedEvent, PlannedRequest, RequestApi, delimiters};
use super::workload_spec::Defect;
use bytes::Bytes;
use latent_engine::Timestamp;
use latent_ports::UnixMs;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::ops::Range;

/// An explicit request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExplicitRequest {
    /// Send time by the world's clock.
    pub at: Timestamp,
    /// Request format.
    pub api: RequestApi,
    /// Number in the project's stream, used as key of draws.
    pub key: u64,
    /// True if its single event is bare, not in an array of one.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub bare: bool,
    /// Events in the order sent.
    pub events: Vec<ExplicitEvent>,
}

/// An explicit event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExplicitEvent {
    /// Event name; empty if missing.
    pub name: String,
    /// `distinct_id` as text; empty if absent.
    pub distinct_id: String,
    /// `$insert_id`, if present.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub insert_id: Option<String>,
    /// Event time in milliseconds since 1970; absent: the arrival time counts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time_ms: Option<i64>,
    /// Defect for which the event must be rejected.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub defect: Option<Defect>,
    /// JSON text, byte for byte.
    pub json: String,
}

impl ExplicitRequest {
    /// Converts a request of a stream.
    #[must_use]
    pub fn from_planned(request: &PlannedRequest) -> ExplicitRequest {
        let event = |event: &PlannedEvent| ExplicitEvent {
            name: event.name.clone().into_owned(),
            distinct_id: event.distinct_id.clone(),
            insert_id: event.insert_id.clone(),
            time_ms: event.time_ms,
            defect: event.defect,
            json: String::from_utf8_lossy(&event.json).into_owned(),
        };
        ExplicitRequest {
            at: Timestamp(UnixMs(request.at_ms)),
            api: request.api,
            key: request.key,
            bare: request.events.len() == 1 && request.text == request.events[0].json,
            events: request.events.iter().map(event).collect(),
        }
    }

    /// Returns the request as it is sent for this project.
    pub(crate) fn planned(&self, project: u32) -> PlannedRequest {
        let lines = matches!(self.api, RequestApi::ImportNdjson { .. });
        let (open, between, close) = delimiters(lines, self.bare);
        let mut text = open.to_vec();
        let mut ranges: Vec<Range<usize>> = Vec::with_capacity(self.events.len());
        for (position, event) in self.events.iter().enumerate() {
            text.extend_from_slice(if position == 0 { b"" } else { between });
            let start = text.len();
            text.extend_from_slice(event.json.as_bytes());
            ranges.push(start..text.len());
        }
        text.extend_from_slice(close);
        let text = Bytes::from(text);
        let planned = |((event, place), index): ((&ExplicitEvent, Range<usize>), u64)| PlannedEvent {
            index,
            is_resend: false,
            json: text.slice(place),
            name: Cow::Owned(event.name.clone()),
            distinct_id: event.distinct_id.clone(),
            insert_id: event.insert_id.clone(),
            time_ms: event.time_ms,
            defect: event.defect,
        };
        let events = self.events.iter().zip(ranges).zip(0..).map(planned).collect();
        PlannedRequest { key: self.key, at_ms: self.at.0.0, project, api: self.api, text, events }
    }
}
