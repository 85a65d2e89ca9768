//! How many requests were made, and what became of the events in them.
//!
//! An event is counted once, however often it is sent: one key, or one content without identity, of one project's
//! day. How often clients tried is a number of its own.

use super::{Entry, Floating, Identity, Ledger};
use crate::identity::ProjectDay;

/// How often something was sent, retries included, and what clients were told each time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Attempts {
    /// Sent.
    pub sent: u64,
    /// Acknowledged (a request: at least one of its events).
    pub acked: u64,
    /// Refused for good (a request: all of its events).
    pub rejected: u64,
    /// Without an answer, or with one that says nothing.
    pub unknown: u64,
}

impl Attempts {
    /// Sent and not yet concluded.
    #[must_use]
    pub fn under_way(&self) -> u64 {
        self.sent - self.acked - self.rejected - self.unknown
    }
}

/// How many events were sent, each counted once, and what became of them: each is acknowledged, rejected or unknown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EventCounts {
    /// Sent at least once.
    pub sent: u64,
    /// Acknowledged at least once.
    pub acked: u64,
    /// Refused for good each time.
    pub rejected: u64,
    /// Without a final answer: may exist or not.
    pub unknown: u64,
    /// Of the unknown ones, those that their client does not send again.
    pub given_up: u64,
}

/// What became of one event.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fate {
    Acked,
    Rejected,
    Unknown { given_up: bool },
}

impl Fate {
    fn of_entry(entry: &Entry) -> Fate {
        match (entry.acks, entry.is_rejected()) {
            (1.., _) => Fate::Acked,
            (_, true) => Fate::Rejected,
            _ => Fate::Unknown { given_up: entry.given_up },
        }
    }

    fn of_sends(sends: &[Floating]) -> Fate {
        if sends.iter().any(Floating::is_acked) {
            Fate::Acked
        } else if sends.iter().all(|send| send.rejected) {
            Fate::Rejected
        } else {
            Fate::Unknown { given_up: sends.iter().any(|send| send.given_up) }
        }
    }
}

impl EventCounts {
    fn add(&mut self, fate: Fate) {
        self.sent += 1;
        match fate {
            Fate::Acked => self.acked += 1,
            Fate::Rejected => self.rejected += 1,
            Fate::Unknown { given_up } => {
                self.unknown += 1;
                self.given_up += u64::from(given_up);
            }
        }
    }

    fn take(&mut self, fate: Fate) {
        self.sent -= 1;
        match fate {
            Fate::Acked => self.acked -= 1,
            Fate::Rejected => self.rejected -= 1,
            Fate::Unknown { given_up } => {
                self.unknown -= 1;
                self.given_up -= u64::from(given_up);
            }
        }
    }
}

impl Ledger {
    /// Requests so far. A retry is a request of its own.
    #[must_use]
    pub fn requests(&self) -> Attempts {
        self.requests
    }

    /// Events in requests so far, each counted as often as it was sent.
    #[must_use]
    pub fn event_attempts(&self) -> Attempts {
        self.event_attempts
    }

    /// Events so far, each counted once.
    ///
    /// An event that floats on one send and has a day on another is one event: its best answer counts.
    #[must_use]
    pub fn events(&self) -> EventCounts {
        let mut counts = EventCounts::default();
        for day in self.days.values() {
            let entries = day.keyed.values().chain(day.anonymous.values());
            entries.for_each(|entry| counts.add(Fate::of_entry(entry)));
        }
        for ((project, identity), sends) in &self.floating {
            let floating = Fate::of_sends(sends);
            let Some(with_a_day) = self.fate_with_a_day(*project, *identity, sends) else {
                counts.add(floating);
                continue;
            };
            counts.take(with_a_day);
            counts.add(match (with_a_day, floating) {
                (Fate::Acked, _) | (_, Fate::Acked) => Fate::Acked,
                (Fate::Rejected, other) | (other, Fate::Rejected) => other,
                (Fate::Unknown { given_up: one }, Fate::Unknown { given_up: other }) => {
                    Fate::Unknown { given_up: one || other }
                }
            });
        }
        counts
    }

    /// What became of the sends of a floating event whose day is known, if there are any.
    fn fate_with_a_day(&self, project: u32, identity: Identity, sends: &[Floating]) -> Option<Fate> {
        let first = ProjectDay { project, day: sends.iter().map(|send| send.days.0).min()? };
        let last = ProjectDay { project, day: i32::MAX };
        let mut entries =
            self.days.range(first..=last).filter_map(|(of, _)| self.entry(*of, identity)).map(Fate::of_entry);
        let first = entries.next()?;
        Some(entries.find(|fate| *fate == Fate::Acked).unwrap_or(first))
    }
}
