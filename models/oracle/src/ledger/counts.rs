//! Counts of requests and events, and their outcomes.
//!
//! An event is counted once, however often it is sent: one key, or one content without identity, per project-day.
//! Attempts are counted separately.

use super::{EventIdentity, FloatingSend, Ledger, LedgerEntry};
use crate::identity::ProjectDay;

/// Number of sends, retries included, and their answers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AttemptCounts {
    /// Sent.
    pub sent: u64,
    /// Acknowledged (a request: at least one of its events).
    pub acked: u64,
    /// Permanently refused (a request: all of its events).
    pub rejected: u64,
    /// Without an answer, or with an inconclusive one.
    pub unknown: u64,
}

impl AttemptCounts {
    /// Returns the number of sends without a conclusion.
    #[must_use]
    pub fn in_flight(&self) -> u64 {
        self.sent - self.acked - self.rejected - self.unknown
    }
}

/// Number of distinct events and their outcomes: each is acknowledged, rejected or unknown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EventCounts {
    /// Sent at least once.
    pub sent: u64,
    /// Acknowledged at least once.
    pub acked: u64,
    /// Permanently refused each time.
    pub rejected: u64,
    /// Without a final answer: may exist or not.
    pub unknown: u64,
    /// Unknown events that their client does not send again.
    pub given_up: u64,
}

/// Outcome of one event.
#[derive(Clone, Copy, PartialEq, Eq)]
enum EventOutcome {
    Acked,
    Rejected,
    Unknown { given_up: bool },
}

impl EventOutcome {
    fn of_entry(entry: &LedgerEntry) -> EventOutcome {
        match (entry.acks, entry.is_rejected()) {
            (1.., _) => EventOutcome::Acked,
            (_, true) => EventOutcome::Rejected,
            _ => EventOutcome::Unknown { given_up: entry.given_up },
        }
    }

    fn of_sends(sends: &[FloatingSend]) -> EventOutcome {
        if sends.iter().any(FloatingSend::is_acked) {
            EventOutcome::Acked
        } else if sends.iter().all(|send| send.rejected) {
            EventOutcome::Rejected
        } else {
            EventOutcome::Unknown { given_up: sends.iter().any(|send| send.given_up) }
        }
    }
}

impl EventCounts {
    fn add(&mut self, outcome: EventOutcome) {
        self.sent += 1;
        match outcome {
            EventOutcome::Acked => self.acked += 1,
            EventOutcome::Rejected => self.rejected += 1,
            EventOutcome::Unknown { given_up } => {
                self.unknown += 1;
                self.given_up += u64::from(given_up);
            }
        }
    }

    fn remove(&mut self, outcome: EventOutcome) {
        self.sent -= 1;
        match outcome {
            EventOutcome::Acked => self.acked -= 1,
            EventOutcome::Rejected => self.rejected -= 1,
            EventOutcome::Unknown { given_up } => {
                self.unknown -= 1;
                self.given_up -= u64::from(given_up);
            }
        }
    }
}

impl Ledger {
    /// Returns the counts of requests. A retry is a separate request.
    #[must_use]
    pub fn requests(&self) -> AttemptCounts {
        self.requests
    }

    /// Returns the counts of events in requests, each counted as often as it was sent.
    #[must_use]
    pub fn event_attempts(&self) -> AttemptCounts {
        self.event_attempts
    }

    /// Returns the counts of distinct events.
    ///
    /// An event that floats on one send and has a day on another is one event: its best answer counts.
    #[must_use]
    pub fn events(&self) -> EventCounts {
        let mut counts = EventCounts::default();
        for day in self.days.values() {
            let entries = day.keyed.values().chain(day.anonymous.values());
            entries.for_each(|entry| counts.add(EventOutcome::of_entry(entry)));
        }
        for ((project, identity), sends) in &self.floating {
            let floating = EventOutcome::of_sends(sends);
            let Some(fixed_day) = self.fixed_day_outcome(*project, *identity, sends) else {
                counts.add(floating);
                continue;
            };
            counts.remove(fixed_day);
            counts.add(match (fixed_day, floating) {
                (EventOutcome::Acked, _) | (_, EventOutcome::Acked) => EventOutcome::Acked,
                (EventOutcome::Rejected, other) | (other, EventOutcome::Rejected) => other,
                (EventOutcome::Unknown { given_up: one }, EventOutcome::Unknown { given_up: other }) => {
                    EventOutcome::Unknown { given_up: one || other }
                }
            });
        }
        counts
    }

    /// Returns the outcome of the sends of a floating event whose day is known, if there are any.
    fn fixed_day_outcome(
        &self,
        project: u32,
        identity: EventIdentity,
        sends: &[FloatingSend],
    ) -> Option<EventOutcome> {
        let first = ProjectDay { project, day: sends.iter().map(|send| send.days.0).min()? };
        let last = ProjectDay { project, day: i32::MAX };
        let mut entries = self
            .days
            .range(first..=last)
            .filter_map(|(project_day, _)| self.entry(*project_day, identity))
            .map(EventOutcome::of_entry);
        let first = entries.next()?;
        Some(entries.find(|outcome| *outcome == EventOutcome::Acked).unwrap_or(first))
    }
}
