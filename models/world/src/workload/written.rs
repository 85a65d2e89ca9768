//! Requests written out one by one, in place of a law: what a person reads in a case that was made small.
//!
//! All that a client sends and remembers stands here, so that a case says everything by itself. Texts are kept byte for
//! byte: as JSON they would lose what makes them hard, such as `1.50` or an escaped letter.

use super::law::Defect;
use super::request::{Api, PlannedEvent, PlannedRequest, frame};
use bytes::Bytes;
use latent_engine::Timestamp;
use latent_ports::UnixMs;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::ops::Range;

/// One request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WrittenRequest {
    /// When it is sent, by the world's clock.
    pub at: Timestamp,
    /// How it travels.
    pub by: Api,
    /// Its number in its project's stream, for keyed draws.
    pub key: u64,
    /// Whether its one event stands alone, not in an array of one.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub bare: bool,
    /// Its events, in the order sent.
    pub events: Vec<WrittenEvent>,
}

/// One event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WrittenEvent {
    /// Its name; empty when that is what it lacks.
    pub name: String,
    /// Its `distinct_id` as text; empty when absent.
    pub distinct_id: String,
    /// Its `$insert_id`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub insert_id: Option<String>,
    /// Its time in milliseconds since 1970; absent: its arrival counts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time_ms: Option<i64>,
    /// Why it must be rejected, if it must.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub defect: Option<Defect>,
    /// Its text, byte for byte.
    pub json: String,
}

impl WrittenRequest {
    /// Writes out a request of a stream.
    #[must_use]
    pub fn of(request: &PlannedRequest) -> WrittenRequest {
        let event = |event: &PlannedEvent| WrittenEvent {
            name: event.name.clone().into_owned(),
            distinct_id: event.distinct_id.clone(),
            insert_id: event.insert_id.clone(),
            time_ms: event.time_ms,
            defect: event.defect,
            json: String::from_utf8_lossy(&event.json).into_owned(),
        };
        WrittenRequest {
            at: Timestamp(UnixMs(request.at_ms)),
            by: request.api,
            key: request.key,
            bare: request.events.len() == 1 && request.text == request.events[0].json,
            events: request.events.iter().map(event).collect(),
        }
    }

    /// The request as it is sent for this project.
    pub(crate) fn planned(&self, project: u32) -> PlannedRequest {
        let lines = matches!(self.by, Api::ImportNdjson { .. });
        let (open, between, close) = frame(lines, self.bare);
        let mut text = open.to_vec();
        let mut places: Vec<Range<usize>> = Vec::with_capacity(self.events.len());
        for (position, event) in self.events.iter().enumerate() {
            text.extend_from_slice(if position == 0 { b"" } else { between });
            let start = text.len();
            text.extend_from_slice(event.json.as_bytes());
            places.push(start..text.len());
        }
        text.extend_from_slice(close);
        let text = Bytes::from(text);
        let planned = |((event, place), index): ((&WrittenEvent, Range<usize>), u64)| PlannedEvent {
            index,
            is_resend: false,
            json: text.slice(place),
            name: Cow::Owned(event.name.clone()),
            distinct_id: event.distinct_id.clone(),
            insert_id: event.insert_id.clone(),
            time_ms: event.time_ms,
            defect: event.defect,
        };
        let events = self.events.iter().zip(places).zip(0..).map(planned).collect();
        PlannedRequest { key: self.key, at_ms: self.at.0.0, project, api: self.by, text, events }
    }
}
