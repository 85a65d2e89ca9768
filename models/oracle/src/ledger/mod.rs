//! What clients sent and were told: the only truth that the oracle starts from.
//!
//! Each event goes `Sent -> Acked | Rejected | Unknown`, each time it is sent. Sends of one key within one local day
//! of a project are one event: acknowledged if any of them was, and allowed any of the contents that were sent
//! under its key. Events without `$insert_id` have no key: they are told apart by content, and as many may exist as
//! were sent and not refused, must exist as were acknowledged. An unknown event may exist or not.
//!
//! An event whose day depends on when it arrives (it has no time of its own, or its project's zone is edited) is
//! *floating* until an answer tells the day: see `floating`.
//!
//! What is not modelled: how the system decides. The ledger hears answers, it never guesses them.

mod claim;
mod counts;
mod entry;
mod floating;
mod request;

pub use claim::Claim;
pub use counts::{Attempts, EventCounts};
pub(crate) use entry::Entry;
pub(crate) use floating::Floating;
pub use request::{ClientRequest, EventId, Identity, SentEvent, request_digest};

use crate::day::{ZoneError, Zones};
use crate::identity::{Content, Key, ProjectDay};
use crate::sight::Sight;
use std::collections::{BTreeMap, BTreeSet};

/// What the ledger takes the world to be like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// How far an edge's clock may be from the world's, either way.
    pub clock_skew_ms: i64,
    /// How often the network may deliver a request that was sent once. Where a plan lets links to edges double
    /// messages, no client knows which of its requests that befell.
    pub deliveries_per_send: u32,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings { clock_skew_ms: 1_000, deliveries_per_send: 1 }
    }
}

/// A mistake in how the ledger is told of requests: the harness's own, never the system's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LedgerError {
    /// An answer to a request that was not sent, or was answered before.
    #[error("request {0} is not under way: tell the ledger of each request once, and of each answer once")]
    NotUnderWay(u64),
    /// A number that was used before.
    #[error("request {0} is under way already: number each request anew, retries too")]
    UsedTwice(u64),
    /// An answer that speaks of an item which the request does not have.
    #[error("request {request} has {items} items, its answer rejects item {item}")]
    NoSuchItem {
        /// The request.
        request: u64,
        /// The item, from 0.
        item: u32,
        /// How many items it has.
        items: usize,
    },
    /// The project's zones are not known.
    #[error(transparent)]
    Zone(#[from] ZoneError),
}

#[derive(Debug)]
struct UnderWay {
    sent_at_ms: i64,
    digest: u128,
    items: Vec<EventId>,
}

/// A request that was acknowledged, at least in part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct AckedRequest {
    pub sent_at_ms: i64,
    pub acked_at_ms: i64,
    pub digest: u128,
}

/// What clients sent to one project's day.
#[derive(Debug, Default)]
pub(crate) struct LedgerDay {
    pub keyed: BTreeMap<u128, Entry>,
    pub anonymous: BTreeMap<u128, Entry>,
    /// Contents beyond the first that were sent under a key.
    pub other_contents: BTreeMap<u128, Vec<u128>>,
    /// Counts what clients did and heard here: as long as it stands, nothing else has changed.
    pub revision: u64,
    /// The last acknowledgement.
    pub last_acked_ms: Option<i64>,
}

/// The ledger.
#[derive(Debug)]
pub struct Ledger {
    settings: Settings,
    zones: Zones,
    pub(crate) days: BTreeMap<ProjectDay, LedgerDay>,
    pub(crate) floating: BTreeMap<(u32, Identity), Vec<Floating>>,
    /// Days on which every reader saw an event that floated.
    seen_floating: BTreeMap<(u32, Identity), BTreeSet<i32>>,
    under_way: BTreeMap<u64, UnderWay>,
    pub(crate) acked_requests: Vec<AckedRequest>,
    requests: Attempts,
    event_attempts: Attempts,
}

impl Ledger {
    /// An empty ledger over projects with these zones.
    #[must_use]
    pub fn new(settings: Settings, zones: Zones) -> Ledger {
        Ledger {
            settings,
            zones,
            days: BTreeMap::new(),
            floating: BTreeMap::new(),
            seen_floating: BTreeMap::new(),
            under_way: BTreeMap::new(),
            acked_requests: Vec::new(),
            requests: Attempts::default(),
            event_attempts: Attempts::default(),
        }
    }

    /// A client is about to send a request. Tell the ledger before the request can come in anywhere.
    ///
    /// # Errors
    /// A number used before, or a project whose zones are unknown; the request is then not in the ledger.
    pub fn sent(&mut self, request: &ClientRequest<'_>) -> Result<(), LedgerError> {
        if self.under_way.contains_key(&request.id) {
            return Err(LedgerError::UsedTwice(request.id));
        }
        let mut items = Vec::with_capacity(request.events.len());
        for event in request.events {
            items.push(self.event_id(request, event)?);
        }
        for (item, event) in items.iter().zip(request.events) {
            self.note_sent(request, item, event);
        }
        self.requests.sent += 1;
        self.event_attempts.sent += items.len() as u64;
        let under_way = UnderWay { sent_at_ms: request.sent_at_ms, digest: request.digest, items };
        self.under_way.insert(request.id, under_way);
        Ok(())
    }

    fn event_id(&self, request: &ClientRequest<'_>, event: &SentEvent<'_>) -> Result<EventId, LedgerError> {
        let from_ms = request.sent_at_ms - self.settings.clock_skew_ms;
        let days = match self.zones.days_from(request.project, event.time_ms, from_ms) {
            // A time outside the calendar is no legal time: no day that could be stored holds it.
            Err(ZoneError::OutOfRange(_)) => (i32::MIN, i32::MIN),
            other => other?,
        };
        let identity = match event.insert_id {
            Some(insert_id) => Identity::Keyed(Key::of(event.name, event.distinct_id, insert_id)),
            None => Identity::Anonymous(Content::of_sent(event.json)),
        };
        Ok(EventId { project: request.project, days, identity })
    }

    fn note_sent(&mut self, request: &ClientRequest<'_>, item: &EventId, event: &SentEvent<'_>) {
        let content = match item.identity {
            Identity::Anonymous(content) => content,
            Identity::Keyed(_) => Content::of_sent(event.json),
        };
        if item.is_floating() {
            let sends = self.floating.entry((item.project, item.identity)).or_default();
            sends.push(Floating {
                request: request.id,
                sent_at_ms: request.sent_at_ms,
                time_ms: event.time_ms,
                days: item.days,
                last_day: item.days.1,
                content,
                acked_at_ms: entry::NEVER,
                rejected: false,
                given_up: false,
            });
            return;
        }
        self.note_sent_to_its_day(item, content);
    }

    fn note_sent_to_its_day(&mut self, item: &EventId, content: Content) {
        let day = self.days.entry(item.project_day()).or_default();
        day.revision += 1;
        let entry = match item.identity {
            Identity::Keyed(key) => day.keyed.entry(key.0),
            Identity::Anonymous(content) => day.anonymous.entry(content.0),
        };
        let entry = entry.or_insert(Entry::new(content.0));
        entry.sends = entry.sends.saturating_add(1);
        if let (Identity::Keyed(key), true) = (item.identity, entry.content != content.0) {
            let others = day.other_contents.entry(key.0).or_default();
            if !others.contains(&content.0) {
                others.push(content.0);
            }
        }
    }

    /// The answer: every event of the request was accepted but those at the positions `rejected`. Returns the
    /// accepted ones.
    ///
    /// # Errors
    /// A request that is not under way, or a position that it does not have; nothing is changed then.
    pub fn acked(&mut self, id: u64, rejected: &[u32], at_ms: i64) -> Result<Vec<EventId>, LedgerError> {
        let request = self.under_way.get(&id).ok_or(LedgerError::NotUnderWay(id))?;
        let items = request.items.len();
        if let Some(item) = rejected.iter().find(|item| **item as usize >= items) {
            return Err(LedgerError::NoSuchItem { request: id, item: *item, items });
        }
        let UnderWay { sent_at_ms, digest, items } = self.conclude(id)?;
        let mut accepted = Vec::with_capacity(items.len());
        for (position, item) in (0u32..).zip(items) {
            if rejected.contains(&position) {
                self.note_rejected(id, &item);
            } else {
                accepted.push(self.note_acked(id, &item, at_ms));
            }
        }
        if accepted.is_empty() {
            self.requests.rejected += 1;
        } else {
            self.requests.acked += 1;
            self.acked_requests.push(AckedRequest { sent_at_ms, acked_at_ms: at_ms, digest });
        }
        Ok(accepted)
    }

    /// The answer: nothing of the request was accepted, and nothing ever will be (401, 413, an item error for all).
    /// A 429, a 5xx or a time-out says no such thing: that is [`Ledger::unknown`].
    ///
    /// # Errors
    /// A request that is not under way.
    pub fn rejected(&mut self, id: u64) -> Result<(), LedgerError> {
        let request = self.conclude(id)?;
        request.items.iter().for_each(|item| self.note_rejected(id, item));
        self.requests.rejected += 1;
        Ok(())
    }

    /// No answer, or one that leaves open what became of the request: its events may exist, in whole or in part.
    ///
    /// # Errors
    /// A request that is not under way.
    pub fn unknown(&mut self, id: u64) -> Result<(), LedgerError> {
        self.note_unknown(id).map(drop)
    }

    /// No answer, as with [`Ledger::unknown`], and the client does not send these events again.
    ///
    /// # Errors
    /// A request that is not under way.
    pub fn gave_up(&mut self, id: u64) -> Result<(), LedgerError> {
        for item in &self.note_unknown(id)?.items {
            if item.is_floating() {
                self.floating_send(id, item, |send| send.given_up = true);
            } else if let Some(entry) = self.entry_mut(item) {
                entry.given_up = true;
            }
        }
        Ok(())
    }

    fn note_unknown(&mut self, id: u64) -> Result<UnderWay, LedgerError> {
        let request = self.conclude(id)?;
        self.requests.unknown += 1;
        self.event_attempts.unknown += request.items.len() as u64;
        Ok(request)
    }

    fn conclude(&mut self, id: u64) -> Result<UnderWay, LedgerError> {
        self.under_way.remove(&id).ok_or(LedgerError::NotUnderWay(id))
    }

    /// Returns the event with the days that the answer leaves.
    fn note_acked(&mut self, request: u64, item: &EventId, at_ms: i64) -> EventId {
        self.event_attempts.acked += 1;
        if item.is_floating() {
            return self.land(request, item, at_ms);
        }
        self.note_acked_on_its_day(item, at_ms);
        *item
    }

    fn note_acked_on_its_day(&mut self, item: &EventId, at_ms: i64) {
        if let Some(day) = self.days.get_mut(&item.project_day()) {
            day.last_acked_ms = day.last_acked_ms.max(Some(at_ms));
        }
        if let Some(entry) = self.entry_mut(item) {
            entry.acks = entry.acks.saturating_add(1);
            entry.acked_at_ms = match item.identity {
                // Without identity all acknowledged ones are owed together, so the last one counts.
                Identity::Anonymous(_) => at_ms,
                Identity::Keyed(_) => entry.acked_at_ms.min(at_ms),
            };
        }
    }

    fn note_rejected(&mut self, request: u64, item: &EventId) {
        self.event_attempts.rejected += 1;
        if item.is_floating() {
            self.floating_send(request, item, |send| send.rejected = true);
        } else if let Some(entry) = self.entry_mut(item) {
            entry.rejections = entry.rejections.saturating_add(1);
        }
    }

    fn floating_send(&mut self, request: u64, item: &EventId, change: impl FnOnce(&mut Floating)) {
        let sends = self.floating.get_mut(&(item.project, item.identity));
        let open =
            sends.and_then(|sends| sends.iter_mut().find(|send| send.request == request && send.is_open()));
        if let Some(send) = open {
            change(send);
        }
    }

    fn entry_mut(&mut self, item: &EventId) -> Option<&mut Entry> {
        let day = self.days.get_mut(&item.project_day())?;
        day.revision += 1;
        match item.identity {
            Identity::Keyed(key) => day.keyed.get_mut(&key.0),
            Identity::Anonymous(content) => day.anonymous.get_mut(&content.0),
        }
    }

    /// Events that every reader of `sight` sees may not vanish later, acknowledged or not. Keyed events only: of
    /// those without identity nobody can say which one was seen.
    pub fn note_seen(&mut self, sight: &Sight) {
        self.note_seen_floating(sight);
        for (of, seen) in &sight.days {
            let Some(day) = self.days.get_mut(of) else { continue };
            let mut held = seen.held.iter().filter(|held| held.places >= sight.sure).peekable();
            for (key, entry) in day.keyed.iter_mut().filter(|(_, entry)| entry.is_open() && !entry.seen) {
                while held.next_if(|held| held.key.0 < *key).is_some() {}
                entry.seen = held.peek().is_some_and(|held| held.key.0 == *key);
            }
        }
    }

    /// The projects' zones.
    #[must_use]
    pub fn zones(&self) -> &Zones {
        &self.zones
    }

    /// The settings it was made with.
    #[must_use]
    pub fn settings(&self) -> Settings {
        self.settings
    }

    /// How many events of each project's day were acknowledged; floating ones count for the first of their days.
    #[must_use]
    pub fn acked_by_day(&self) -> BTreeMap<ProjectDay, u64> {
        let mut acked = BTreeMap::new();
        let mut add = |of, count: u64| {
            if count > 0 {
                *acked.entry(of).or_insert(0) += count;
            }
        };
        for (of, day) in &self.days {
            add(*of, day.keyed.values().filter(|entry| entry.acks > 0).count() as u64);
            add(*of, day.anonymous.values().map(|entry| u64::from(entry.acks)).sum());
        }
        for ((project, _), sends) in &self.floating {
            for send in sends.iter().filter(|send| send.is_acked()) {
                add(ProjectDay { project: *project, day: send.days.0 }, 1);
            }
        }
        acked
    }

    /// Every project and day that an event was sent to (floating events aside).
    pub fn project_days(&self) -> impl Iterator<Item = ProjectDay> {
        self.days.keys().copied()
    }

    /// Forgets acknowledged requests sent before `before_ms`: the tee need not hold them any more.
    pub fn forget_requests(&mut self, before_ms: i64) {
        self.acked_requests.retain(|request| request.sent_at_ms >= before_ms);
    }
}

#[cfg(test)]
mod tests;
