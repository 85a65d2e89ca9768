//! I14: every answer is right. The API accepts what it must accept and refuses what it must refuse.
//!
//! Without this check a system that refuses everything would lose nothing. Answers are judged at the client, from what
//! the client knows of its events: whether they are well formed, and their times. Only final answers count: a 429, a
//! 5xx or a time-out decides nothing.
//!
//! Undetermined, because the API's rules leave it open:
//! - a time that is legal for some possible arrivals and not for others: the edge's clock decides, and the client
//!   knows it only up to the skew, between sending and answer;
//! - an event of a `/track` request together with an event with another expected outcome: the request has one answer;
//! - a request near or above the size limits, which may be refused as a whole.
//!
//! Documented in docs/invariants.md#i14.

use crate::identity::{DedupKey, EventDigest};
use crate::ledger::{EventIdentity, SentEvent};
use latent_verdict::Violation;
use std::collections::BTreeMap;

const DAY_MS: i64 = 86_400_000;
/// `/track` accepts events of the last five days.
const MAX_TRACK_AGE_MS: i64 = 5 * DAY_MS;
/// `/import` accepts events from 1971 on.
const IMPORT_FROM_MS: i64 = 365 * DAY_MS;
/// Both accept events up to an hour ahead.
const MAX_AHEAD_MS: i64 = DAY_MS / 24;
/// A request with more text than this may be refused as a whole (10 MB).
const SIZE_LIMIT_BYTES: u64 = 10_000_000;
/// A request with more text than this (1 MB) may also be refused if it was compressed by more than this ratio.
const COMPRESSION_LIMIT: (u64, u64) = (1_000_000, 200);

/// Granularity of the answer to a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResponseGranularity {
    /// `/track`: one answer for all items.
    PerRequest,
    /// `/import`: one answer per item.
    PerItem,
}

/// A request with a final answer.
#[derive(Clone, Copy, Debug)]
pub struct AnsweredRequest {
    /// Project number.
    pub project: u32,
    /// Granularity of the answer.
    pub granularity: ResponseGranularity,
    /// Time at which it was sent, by the world's clock.
    pub sent_at_ms: i64,
    /// Time at which the answer arrived, by the world's clock.
    pub answered_at_ms: i64,
    /// Maximal difference of an edge's clock from the world's, either way.
    pub clock_skew_ms: i64,
    /// Length of its events' text.
    pub text_bytes: u64,
    /// Length of its body.
    pub body_bytes: u64,
}

/// An event of an answered request.
#[derive(Clone, Copy, Debug)]
pub struct AnsweredRequestEvent<'a> {
    /// The event as sent.
    pub event: SentEvent<'a>,
    /// Whether the event is valid, apart from its time.
    pub is_well_formed: bool,
    /// Whether the client was told that the event was accepted.
    pub is_accepted: bool,
}

/// Outcome that the API's rules require for an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ExpectedOutcome {
    Accepted,
    Refused,
    Undetermined,
}

/// Wrong answers of one kind in one project.
#[derive(Clone, Debug)]
struct WrongAnswers {
    first_at_ms: i64,
    events: u64,
    keys: Vec<String>,
}

/// Checks answers and accumulates the wrong ones.
#[derive(Clone, Debug, Default)]
pub struct AnswerChecker {
    wrong: BTreeMap<(u32, &'static str), WrongAnswers>,
    judged: u64,
}

impl AnswerChecker {
    /// Checks one answer.
    pub fn check(&mut self, request: &AnsweredRequest, events: &[AnsweredRequestEvent<'_>]) {
        let mut due: Vec<ExpectedOutcome> =
            events.iter().map(|event| request.expected_outcome(event)).collect();
        if request.granularity == ResponseGranularity::PerRequest && due.iter().any(|one| *one != due[0]) {
            due.fill(ExpectedOutcome::Undetermined);
        }
        for (event, due) in events.iter().zip(due) {
            self.judged += u64::from(due != ExpectedOutcome::Undetermined);
            let kind = match (due, event.is_accepted) {
                (ExpectedOutcome::Accepted, false) => "valid-refused",
                (ExpectedOutcome::Refused, true) => "invalid-accepted",
                _ => continue,
            };
            let first_at_ms = request.answered_at_ms;
            let wrong = self.wrong.entry((request.project, kind)).or_insert(WrongAnswers {
                first_at_ms,
                events: 0,
                keys: Vec::new(),
            });
            wrong.events += 1;
            if wrong.keys.len() < Violation::KEYS {
                wrong.keys.push(identity_text(&event.event));
            }
        }
    }

    /// Returns the number of events with a determined expected outcome.
    #[must_use]
    pub fn judged(&self) -> u64 {
        self.judged
    }

    /// Returns the wrong answers.
    #[must_use]
    pub fn violations(&self) -> Vec<Violation> {
        let violation = |((project, kind), wrong): (&(u32, &'static str), &WrongAnswers)| {
            let what = match *kind {
                "valid-refused" => super::pluralize(wrong.events, "valid event was", "valid events were"),
                _ => super::pluralize(wrong.events, "invalid event was", "invalid events were"),
            };
            let outcome = if *kind == "valid-refused" { "permanently refused" } else { "accepted" };
            Violation::new("I14", *kind, "answer")
                .of(format!("p{project}"), wrong.events)
                .at(wrong.first_at_ms)
                .keys(wrong.keys.clone())
                .because(format!("p{project}: {what} {outcome}"))
        };
        self.wrong.iter().map(violation).collect()
    }
}

impl AnsweredRequest {
    fn expected_outcome(&self, answered: &AnsweredRequestEvent<'_>) -> ExpectedOutcome {
        let by_time = self.expected_by_time(answered.event.time_ms);
        match (answered.is_well_formed, by_time) {
            (false, _) | (_, ExpectedOutcome::Refused) => ExpectedOutcome::Refused,
            (true, ExpectedOutcome::Accepted) if !self.may_be_too_large() => ExpectedOutcome::Accepted,
            _ => ExpectedOutcome::Undetermined,
        }
    }

    fn may_be_too_large(&self) -> bool {
        let (text_bytes, ratio) = COMPRESSION_LIMIT;
        self.text_bytes > SIZE_LIMIT_BYTES
            || (self.text_bytes > text_bytes && self.text_bytes / ratio >= self.body_bytes)
    }

    /// Returns the outcome by the event's time, for every arrival that is possible.
    fn expected_by_time(&self, time_ms: Option<i64>) -> ExpectedOutcome {
        let Some(time_ms) = time_ms else { return ExpectedOutcome::Accepted };
        let is_taken = |arrived_ms: i64| {
            let from_ms = match self.granularity {
                ResponseGranularity::PerRequest => arrived_ms - MAX_TRACK_AGE_MS,
                ResponseGranularity::PerItem => IMPORT_FROM_MS,
            };
            (from_ms..=arrived_ms + MAX_AHEAD_MS).contains(&time_ms)
        };
        let first_ms = self.sent_at_ms.saturating_sub(self.clock_skew_ms);
        let last_ms = self.answered_at_ms.saturating_add(self.clock_skew_ms);
        // The window of legal times moves with the arrival. If two arrivals agree, every arrival between them agrees,
        // unless the whole window lies between them.
        let spans_window = last_ms - first_ms > MAX_TRACK_AGE_MS + MAX_AHEAD_MS;
        match (is_taken(first_ms), is_taken(last_ms)) {
            (true, true) if !spans_window => ExpectedOutcome::Accepted,
            (false, false) if !spans_window => ExpectedOutcome::Refused,
            _ => ExpectedOutcome::Undetermined,
        }
    }
}

fn identity_text(event: &SentEvent<'_>) -> String {
    let identity = match event.insert_id {
        Some(insert_id) => EventIdentity::Keyed(DedupKey::of(event.name, event.distinct_id, insert_id)),
        None => EventIdentity::Anonymous(EventDigest::of_sent(event.json)),
    };
    identity.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_support::{NOON_MS, TestRecord, sent_event};

    const REQUEST: AnsweredRequest = AnsweredRequest {
        project: 17,
        granularity: ResponseGranularity::PerItem,
        sent_at_ms: NOON_MS,
        answered_at_ms: NOON_MS + 40,
        clock_skew_ms: 1_000,
        text_bytes: 300,
        body_bytes: 300,
    };

    /// Returns the violations when events with these times, in milliseconds from noon, get these answers.
    fn found(request: AnsweredRequest, events: &[(Option<i64>, bool, bool)]) -> Vec<(String, u64)> {
        let recs: Vec<TestRecord> = events
            .iter()
            .map(|(from_noon_ms, ..)| TestRecord {
                time_ms: from_noon_ms.map(|ms| NOON_MS + ms),
                ..TestRecord::new("a", "i1", NOON_MS)
            })
            .collect();
        let texts: Vec<String> = recs.iter().map(TestRecord::json).collect();
        let answered: Vec<AnsweredRequestEvent<'_>> = recs
            .iter()
            .zip(&texts)
            .zip(events)
            .map(|((rec, json), (_, is_well_formed, is_accepted))| AnsweredRequestEvent {
                event: sent_event(rec, json),
                is_well_formed: *is_well_formed,
                is_accepted: *is_accepted,
            })
            .collect();
        let mut answers = AnswerChecker::default();
        answers.check(&request, &answered);
        answers.violations().into_iter().map(|one| (one.kind, one.items)).collect()
    }

    #[test]
    fn right_answers_pass_for_full_partial_and_no_acceptance() {
        let track = AnsweredRequest { granularity: ResponseGranularity::PerRequest, ..REQUEST };
        assert_eq!(found(REQUEST, &[(Some(-5), true, true), (None, true, true), (None, false, false)]), []);
        assert_eq!(found(track, &[(Some(-5), true, true), (None, true, true)]), []);
        assert_eq!(found(track, &[(Some(-6 * DAY_MS), true, false), (None, false, false)]), []);
    }

    #[test]
    fn a_refused_valid_event_and_an_accepted_invalid_event_are_reported() {
        let events =
            [(None, true, false), (Some(0), true, false), (Some(0), false, true), (None, true, true)];
        let expected = [("invalid-accepted".to_owned(), 1), ("valid-refused".to_owned(), 2)];
        assert_eq!(found(REQUEST, &events), expected);
        let track = AnsweredRequest { granularity: ResponseGranularity::PerRequest, ..REQUEST };
        assert_eq!(found(track, &[(None, true, false); 3]), [("valid-refused".to_owned(), 3)]);
        assert_eq!(found(track, &[(None, false, true)]), [("invalid-accepted".to_owned(), 1)]);
    }

    #[test]
    fn a_time_is_checked_against_every_possible_arrival() {
        let violations = |granularity, from_noon_ms, is_accepted| {
            found(AnsweredRequest { granularity, ..REQUEST }, &[(Some(from_noon_ms), true, is_accepted)])
                .len()
        };
        let (track, import) = (ResponseGranularity::PerRequest, ResponseGranularity::PerItem);
        for (granularity, from_noon_ms, due) in [
            (track, -MAX_TRACK_AGE_MS + 1_100, ExpectedOutcome::Accepted),
            (track, -MAX_TRACK_AGE_MS + 500, ExpectedOutcome::Undetermined),
            (track, -MAX_TRACK_AGE_MS - 1_100, ExpectedOutcome::Refused),
            (track, MAX_AHEAD_MS - 1_100, ExpectedOutcome::Accepted),
            (import, -MAX_TRACK_AGE_MS - 1_100, ExpectedOutcome::Accepted),
            (import, IMPORT_FROM_MS - NOON_MS - 1, ExpectedOutcome::Refused),
            (import, MAX_AHEAD_MS + 900, ExpectedOutcome::Undetermined),
            (import, MAX_AHEAD_MS + 1_100, ExpectedOutcome::Refused),
        ] {
            let wrong =
                (violations(granularity, from_noon_ms, false), violations(granularity, from_noon_ms, true));
            let expected =
                (usize::from(due == ExpectedOutcome::Accepted), usize::from(due == ExpectedOutcome::Refused));
            assert_eq!(wrong, expected, "{granularity:?} {from_noon_ms}");
        }
        let lost = AnsweredRequest { clock_skew_ms: 10 * DAY_MS, ..REQUEST };
        for time in [0, -20 * DAY_MS, 5 * DAY_MS] {
            let track = AnsweredRequest { granularity: track, ..lost };
            assert_eq!(found(track, &[(Some(time), true, false)]), [], "the clock is too far off to decide");
        }
    }

    #[test]
    fn ambiguous_requests_are_not_judged() {
        let track = AnsweredRequest { granularity: ResponseGranularity::PerRequest, ..REQUEST };
        assert_eq!(found(track, &[(None, true, false), (None, false, false)]), []);
        let long = AnsweredRequest { text_bytes: 10_000_001, ..REQUEST };
        let dense = AnsweredRequest { text_bytes: 2_000_000, body_bytes: 10_000, ..REQUEST };
        for request in [long, dense] {
            assert_eq!(found(request, &[(None, true, false)]), []);
            assert_eq!(found(request, &[(None, false, true)]), [("invalid-accepted".to_owned(), 1)]);
        }
    }
}
