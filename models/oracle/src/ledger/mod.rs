//! The record of what clients sent and were told: the oracle's only source of truth.
//!
//! Each send of an event goes `Sent -> Acked | Rejected | Unknown`. Sends of one key within one project-day are one
//! event: acknowledged if any send was, and allowed any of the contents sent under its key. Events without
//! `$insert_id` have no key and are distinguished by content: as many may exist as were sent and not refused, and as
//! many must exist as were acknowledged. An unknown event may exist or not.
//!
//! An event whose day depends on its arrival (it has no time of its own, or its project's zone is edited) is
//! *floating* until an answer determines the day: see `floating`.
//!
//! Not modelled: how the system decides. The ledger records answers and never guesses them.

mod counts;
mod entry;
mod error;
mod floating;
mod provenance;
mod request;

pub use counts::{AttemptCounts, EventCounts};
pub(crate) use entry::LedgerEntry;
pub use error::LedgerError;
pub(crate) use floating::FloatingSend;
pub use provenance::Provenance;
pub use request::{ClientRequest, EventId, EventIdentity, SentEvent, request_digest};

use crate::day::{ProjectZones, ZoneError};
use crate::identity::{DedupKey, EventDigest, ProjectDay};
use crate::read_view::ReadView;
use std::collections::{BTreeMap, BTreeSet};

/// Assumptions of the ledger about the world.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LedgerConfig {
    /// Maximal difference of an edge's clock from the world's, either way.
    pub clock_skew_ms: i64,
    /// Maximal number of deliveries of a request that was sent once. Where a plan lets links to edges duplicate
    /// messages, no client knows which of its requests were duplicated.
    pub deliveries_per_send: u32,
}

impl Default for LedgerConfig {
    fn default() -> LedgerConfig {
        LedgerConfig { clock_skew_ms: 1_000, deliveries_per_send: 1 }
    }
}

#[derive(Debug)]
struct InFlightRequest {
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

/// Events that clients sent to one project-day.
#[derive(Debug, Default)]
pub(crate) struct LedgerDay {
    pub keyed: BTreeMap<u128, LedgerEntry>,
    pub anonymous: BTreeMap<u128, LedgerEntry>,
    /// Contents beyond the first that were sent under a key.
    pub other_contents: BTreeMap<u128, Vec<u128>>,
    /// Incremented by every client action on this day: an equal revision means an unchanged day.
    pub revision: u64,
    /// Time of the last acknowledgement.
    pub last_acked_ms: Option<i64>,
}

/// Everything that clients sent and were told.
#[derive(Debug)]
pub struct Ledger {
    config: LedgerConfig,
    zones: ProjectZones,
    pub(crate) days: BTreeMap<ProjectDay, LedgerDay>,
    pub(crate) floating: BTreeMap<(u32, EventIdentity), Vec<FloatingSend>>,
    /// Days on which every reader saw an event that floated.
    observed_floating: BTreeMap<(u32, EventIdentity), BTreeSet<i32>>,
    in_flight: BTreeMap<u64, InFlightRequest>,
    pub(crate) acked_requests: Vec<AckedRequest>,
    requests: AttemptCounts,
    event_attempts: AttemptCounts,
}

impl Ledger {
    /// Creates an empty ledger for projects with these zones.
    #[must_use]
    pub fn new(config: LedgerConfig, zones: ProjectZones) -> Ledger {
        Ledger {
            config,
            zones,
            days: BTreeMap::new(),
            floating: BTreeMap::new(),
            observed_floating: BTreeMap::new(),
            in_flight: BTreeMap::new(),
            acked_requests: Vec::new(),
            requests: AttemptCounts::default(),
            event_attempts: AttemptCounts::default(),
        }
    }

    /// Returns the keys of a day's events that were acknowledged before a time.
    pub(crate) fn acknowledged_before(
        &self,
        project_day: ProjectDay,
        before_ms: i64,
    ) -> impl Iterator<Item = DedupKey> {
        let keyed = self.days.get(&project_day).into_iter().flat_map(|day| &day.keyed);
        keyed.filter(move |(_, entry)| entry.is_acked_before(before_ms)).map(|(key, _)| DedupKey(*key))
    }

    /// Records that a client is about to send a request. Call it before the request can arrive anywhere.
    ///
    /// # Errors
    /// An id that was used before, or a project without zones; the request is then not in the ledger.
    pub fn record_sent(&mut self, request: &ClientRequest<'_>) -> Result<(), LedgerError> {
        if self.in_flight.contains_key(&request.id) {
            return Err(LedgerError::DuplicateId(request.id));
        }
        let mut items = Vec::with_capacity(request.events.len());
        for event in request.events {
            items.push(self.event_id(request, event)?);
        }
        for (item, event) in items.iter().zip(request.events) {
            self.apply_send(request, item, event);
        }
        self.requests.sent += 1;
        self.event_attempts.sent += items.len() as u64;
        let in_flight = InFlightRequest { sent_at_ms: request.sent_at_ms, digest: request.digest, items };
        self.in_flight.insert(request.id, in_flight);
        Ok(())
    }

    fn event_id(&self, request: &ClientRequest<'_>, event: &SentEvent<'_>) -> Result<EventId, LedgerError> {
        let from_ms = request.sent_at_ms - self.config.clock_skew_ms;
        let days = match self.zones.days_from(request.project, event.time_ms, from_ms) {
            // A time outside the calendar is not legal: no stored day can hold it.
            Err(ZoneError::OutOfRange(_)) => (i32::MIN, i32::MIN),
            other => other?,
        };
        let identity = match event.insert_id {
            Some(insert_id) => EventIdentity::Keyed(DedupKey::of(event.name, event.distinct_id, insert_id)),
            None => EventIdentity::Anonymous(EventDigest::of_sent(event.json)),
        };
        Ok(EventId { project: request.project, days, identity })
    }

    fn apply_send(&mut self, request: &ClientRequest<'_>, item: &EventId, event: &SentEvent<'_>) {
        let content = match item.identity {
            EventIdentity::Anonymous(content) => content,
            EventIdentity::Keyed(_) => EventDigest::of_sent(event.json),
        };
        if item.is_floating() {
            let sends = self.floating.entry((item.project, item.identity)).or_default();
            sends.push(FloatingSend {
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
        self.add_send_to_day(item, content);
    }

    fn add_send_to_day(&mut self, item: &EventId, content: EventDigest) {
        let day = self.days.entry(item.project_day()).or_default();
        day.revision += 1;
        let entry = match item.identity {
            EventIdentity::Keyed(key) => day.keyed.entry(key.0),
            EventIdentity::Anonymous(content) => day.anonymous.entry(content.0),
        };
        let entry = entry.or_insert(LedgerEntry::new(content.0));
        entry.sends = entry.sends.saturating_add(1);
        if let (EventIdentity::Keyed(key), true) = (item.identity, entry.content != content.0) {
            let others = day.other_contents.entry(key.0).or_default();
            if !others.contains(&content.0) {
                others.push(content.0);
            }
        }
    }

    /// Records that every event of the request was accepted, except those at the positions `rejected`. Returns the
    /// accepted ones.
    ///
    /// # Errors
    /// A request that is not in flight, or a position that it does not have; the ledger is then unchanged.
    pub fn record_acked(
        &mut self,
        id: u64,
        rejected: &[u32],
        at_ms: i64,
    ) -> Result<Vec<EventId>, LedgerError> {
        let request = self.in_flight.get(&id).ok_or(LedgerError::NotInFlight(id))?;
        let items = request.items.len();
        if let Some(item) = rejected.iter().find(|item| **item as usize >= items) {
            return Err(LedgerError::NoSuchItem { request: id, item: *item, items });
        }
        let InFlightRequest { sent_at_ms, digest, items } = self.conclude(id)?;
        let mut accepted = Vec::with_capacity(items.len());
        for (position, item) in (0u32..).zip(items) {
            if rejected.contains(&position) {
                self.apply_rejection(id, &item);
            } else {
                accepted.push(self.apply_ack(id, &item, at_ms));
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

    /// Records that nothing of the request was accepted or ever will be (401, 413, an item error for all). After a
    /// 429, a 5xx or a time-out call [`Ledger::record_unknown`] instead.
    ///
    /// # Errors
    /// A request that is not in flight.
    pub fn record_rejected(&mut self, id: u64) -> Result<(), LedgerError> {
        let request = self.conclude(id)?;
        request.items.iter().for_each(|item| self.apply_rejection(id, item));
        self.requests.rejected += 1;
        Ok(())
    }

    /// Records that there was no answer, or an inconclusive one: the events may exist, in whole or in part.
    ///
    /// # Errors
    /// A request that is not in flight.
    pub fn record_unknown(&mut self, id: u64) -> Result<(), LedgerError> {
        self.conclude_unknown(id).map(drop)
    }

    /// Like [`Ledger::record_unknown`], and the client does not send these events again.
    ///
    /// # Errors
    /// A request that is not in flight.
    pub fn record_given_up(&mut self, id: u64) -> Result<(), LedgerError> {
        for item in &self.conclude_unknown(id)?.items {
            if item.is_floating() {
                self.floating_send(id, item, |send| send.given_up = true);
            } else if let Some(entry) = self.entry_mut(item) {
                entry.given_up = true;
            }
        }
        Ok(())
    }

    fn conclude_unknown(&mut self, id: u64) -> Result<InFlightRequest, LedgerError> {
        let request = self.conclude(id)?;
        self.requests.unknown += 1;
        self.event_attempts.unknown += request.items.len() as u64;
        Ok(request)
    }

    fn conclude(&mut self, id: u64) -> Result<InFlightRequest, LedgerError> {
        self.in_flight.remove(&id).ok_or(LedgerError::NotInFlight(id))
    }

    /// Returns the event with the days that the answer leaves.
    fn apply_ack(&mut self, request: u64, item: &EventId, at_ms: i64) -> EventId {
        self.event_attempts.acked += 1;
        if item.is_floating() {
            return self.resolve_floating(request, item, at_ms);
        }
        self.add_ack_to_day(item, at_ms);
        *item
    }

    fn add_ack_to_day(&mut self, item: &EventId, at_ms: i64) {
        if let Some(day) = self.days.get_mut(&item.project_day()) {
            day.last_acked_ms = day.last_acked_ms.max(Some(at_ms));
        }
        if let Some(entry) = self.entry_mut(item) {
            entry.acks = entry.acks.saturating_add(1);
            entry.acked_at_ms = match item.identity {
                // Without identity all acknowledged copies are owed together, so the last acknowledgement counts.
                EventIdentity::Anonymous(_) => at_ms,
                EventIdentity::Keyed(_) => entry.acked_at_ms.min(at_ms),
            };
        }
    }

    fn apply_rejection(&mut self, request: u64, item: &EventId) {
        self.event_attempts.rejected += 1;
        if item.is_floating() {
            self.floating_send(request, item, |send| send.rejected = true);
        } else if let Some(entry) = self.entry_mut(item) {
            entry.rejections = entry.rejections.saturating_add(1);
        }
    }

    fn floating_send(&mut self, request: u64, item: &EventId, change: impl FnOnce(&mut FloatingSend)) {
        let sends = self.floating.get_mut(&(item.project, item.identity));
        let open =
            sends.and_then(|sends| sends.iter_mut().find(|send| send.request == request && send.is_open()));
        if let Some(send) = open {
            change(send);
        }
    }

    fn entry_mut(&mut self, item: &EventId) -> Option<&mut LedgerEntry> {
        let day = self.days.get_mut(&item.project_day())?;
        day.revision += 1;
        match item.identity {
            EventIdentity::Keyed(key) => day.keyed.get_mut(&key.0),
            EventIdentity::Anonymous(content) => day.anonymous.get_mut(&content.0),
        }
    }

    /// Records that every reader of `read_view` sees these events: they must not vanish later, acknowledged or not.
    /// Keyed events only: copies without identity cannot be told apart.
    pub fn record_observed(&mut self, read_view: &ReadView) {
        self.record_observed_floating(read_view);
        for (project_day, day_view) in &read_view.days {
            let Some(day) = self.days.get_mut(project_day) else { continue };
            let mut event =
                day_view.events.iter().filter(|event| event.replicas >= read_view.min_replicas).peekable();
            for (key, entry) in day.keyed.iter_mut().filter(|(_, entry)| entry.is_open() && !entry.observed) {
                while event.next_if(|event| event.key.0 < *key).is_some() {}
                entry.observed = event.peek().is_some_and(|event| event.key.0 == *key);
            }
        }
    }

    /// Returns the projects' zones.
    #[must_use]
    pub fn zones(&self) -> &ProjectZones {
        &self.zones
    }

    /// Returns the configuration.
    #[must_use]
    pub fn config(&self) -> LedgerConfig {
        self.config
    }

    /// Returns the number of acknowledged events per project-day; floating ones count for the first of their days.
    #[must_use]
    pub fn acked_by_day(&self) -> BTreeMap<ProjectDay, u64> {
        let mut acked = BTreeMap::new();
        let mut add = |project_day, count: u64| {
            if count > 0 {
                *acked.entry(project_day).or_insert(0) += count;
            }
        };
        for (project_day, day) in &self.days {
            add(*project_day, day.keyed.values().filter(|entry| entry.acks > 0).count() as u64);
            add(*project_day, day.anonymous.values().map(|entry| u64::from(entry.acks)).sum());
        }
        for ((project, _), sends) in &self.floating {
            for send in sends.iter().filter(|send| send.is_acked()) {
                add(ProjectDay { project: *project, day: send.days.0 }, 1);
            }
        }
        acked
    }

    /// Returns every project-day that an event was sent to, except for floating events.
    pub fn project_days(&self) -> impl Iterator<Item = ProjectDay> {
        self.days.keys().copied()
    }

    /// Returns when the request that was acknowledged last was sent, in milliseconds since 1970, and its digest.
    #[must_use]
    pub fn last_acknowledged(&self) -> Option<(i64, u128)> {
        self.acked_requests.last().map(|request| (request.sent_at_ms, request.digest))
    }

    /// Drops acknowledged requests sent before `before_ms`: the tee need not hold them any more.
    pub fn prune_acked_requests(&mut self, before_ms: i64) {
        self.acked_requests.retain(|request| request.sent_at_ms >= before_ms);
    }
}

#[cfg(test)]
mod tests;
