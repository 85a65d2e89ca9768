//! Interpretation of a response by its client, and the check of its correctness.

use super::sent_event;
use crate::plan::workload::PlannedRequest;
use bytes::Bytes;
use http::{Response, StatusCode};
use latent_oracle::invariants::i14_answers::{AnswerChecker, AnsweredRequest, AnsweredRequestEvent};
use serde::Deserialize;

/// Interpretation of a response.
pub(super) enum ResponseOutcome {
    /// Accepted, except for the items at these positions.
    Accepted { rejected: Vec<u32> },
    /// Permanently rejected.
    Rejected,
    /// Temporarily refused.
    TryAgain,
}

impl ResponseOutcome {
    /// Checks a definite answer against the client's knowledge of its events.
    pub(super) fn checker(
        &self,
        answered: &AnsweredRequest,
        planned: &PlannedRequest,
        answers: &mut AnswerChecker,
    ) {
        let rejected = match self {
            ResponseOutcome::Accepted { rejected } => Some(rejected),
            ResponseOutcome::Rejected => None,
            ResponseOutcome::TryAgain => return,
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
    failed_records: Vec<FailedImportRecord>,
}

#[derive(Deserialize)]
struct FailedImportRecord {
    index: u32,
}

#[derive(Deserialize)]
struct TrackAnswer {
    status: u8,
}

/// Interprets the response to a request.
pub(super) fn verdict(response: &Response<Bytes>, planned: &PlannedRequest) -> ResponseOutcome {
    match (response.status(), planned.api.is_import()) {
        (StatusCode::OK | StatusCode::BAD_REQUEST, true) => {
            match serde_json::from_slice::<ImportAnswer>(response.body()) {
                Ok(answer) if answer.num_records_imported.is_some() => ResponseOutcome::Accepted {
                    rejected: answer.failed_records.iter().map(|failed| failed.index).collect(),
                },
                _ => ResponseOutcome::Rejected,
            }
        }
        (StatusCode::OK, false) => {
            let body = response.body();
            let verbose = serde_json::from_slice::<TrackAnswer>(body).is_ok_and(|answer| answer.status == 1);
            if body.as_ref() == b"1" || verbose {
                ResponseOutcome::Accepted { rejected: Vec::new() }
            } else {
                ResponseOutcome::Rejected
            }
        }
        (StatusCode::TOO_MANY_REQUESTS, _) => ResponseOutcome::TryAgain,
        (status, _) if status.is_server_error() => ResponseOutcome::TryAgain,
        _ => ResponseOutcome::Rejected,
    }
}
