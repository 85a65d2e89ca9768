//! What a client makes of an answer, and how right the answer is.

use super::sent_event;
use crate::workload::PlannedRequest;
use bytes::Bytes;
use http::{Response, StatusCode};
use latent_oracle::invariants::i14_answers::{AnswerChecker, AnsweredRequest, AnsweredRequestEvent};
use serde::Deserialize;

/// What a client makes of an answer.
pub(super) enum Told {
    /// Safe, but for the items at these positions.
    Accepted { rejected: Vec<u32> },
    /// Refused for good.
    Rejected,
    /// Not now.
    TryAgain,
}

impl Told {
    /// Holds an answer that settles something to what the client knows of its events.
    pub(super) fn judge(
        &self,
        answered: &AnsweredRequest,
        planned: &PlannedRequest,
        answers: &mut AnswerChecker,
    ) {
        let rejected = match self {
            Told::Accepted { rejected } => Some(rejected),
            Told::Rejected => None,
            Told::TryAgain => return,
        };
        let is_accepted = |item: u32| rejected.is_some_and(|rejected| !rejected.contains(&item));
        let events: Vec<AnsweredRequestEvent<'_>> = (0..)
            .zip(&planned.events)
            .map(|(item, event)| AnsweredRequestEvent {
                event: sent_event(event),
                is_well_formed: event.is_well_formed(),
                is_accepted: is_accepted(item),
            })
            .collect();
        answers.check(answered, &events);
    }
}

#[derive(Deserialize)]
struct ImportAnswer {
    #[serde(default)]
    num_records_imported: Option<u64>,
    #[serde(default)]
    failed_records: Vec<FailedRecord>,
}

#[derive(Deserialize)]
struct FailedRecord {
    index: u32,
}

#[derive(Deserialize)]
struct TrackAnswer {
    status: u8,
}

/// What the answer to a request tells its client.
pub(super) fn verdict(response: &Response<Bytes>, planned: &PlannedRequest) -> Told {
    match (response.status(), planned.api.is_import()) {
        (StatusCode::OK | StatusCode::BAD_REQUEST, true) => {
            match serde_json::from_slice::<ImportAnswer>(response.body()) {
                Ok(answer) if answer.num_records_imported.is_some() => Told::Accepted {
                    rejected: answer.failed_records.iter().map(|failed| failed.index).collect(),
                },
                _ => Told::Rejected,
            }
        }
        (StatusCode::OK, false) => {
            let body = response.body();
            let verbose = serde_json::from_slice::<TrackAnswer>(body).is_ok_and(|answer| answer.status == 1);
            if body.as_ref() == b"1" || verbose {
                Told::Accepted { rejected: Vec::new() }
            } else {
                Told::Rejected
            }
        }
        (StatusCode::TOO_MANY_REQUESTS, _) => Told::TryAgain,
        (status, _) if status.is_server_error() => Told::TryAgain,
        _ => Told::Rejected,
    }
}
