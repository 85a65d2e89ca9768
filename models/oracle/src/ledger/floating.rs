//! Events whose day depends on their arrival time, which the client cannot know.
//!
//! An event without a time gets the time at which an edge receives its request. Where a project's zone was edited, the
//! day of an event with a time depends on the zone at that instant. A send without an answer may arrive whenever its
//! edge recovers, days later: any arrival after the send is legal, and after a retry elsewhere the event may exist
//! twice, on two days. An answer bounds the arrival: the events arrived before it was given. If that leaves one day,
//! the send belongs to that day from then on, like any other. Where the network may deliver a send twice, the answer
//! bounds only one of the copies.
//!
//! This module derives what follows for days, copies and duplicates, and the invariants query it: the days that a send
//! may be on ([`Ledger::floating_on`]), and the copies that no send accounts for ([`Ledger::unaccounted_copies`]).

use super::entry::NEVER;
use super::{EventIdentity, Ledger};
use crate::identity::{EventDigest, ProjectDay};
use crate::read_view::ReadView;
use std::collections::{BTreeMap, BTreeSet};

/// Last day of a send whose arrival is unbounded.
pub(crate) const ANY_LATER_DAY: i32 = i32::MAX;

/// One send of a floating event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FloatingSend {
    pub request: u64,
    /// Time at which it was sent, by the world's clock.
    pub sent_at_ms: i64,
    /// The event's own time, if it has one.
    pub time_ms: Option<i64>,
    /// First and last possible day of the event, once it was acknowledged.
    pub days: (i32, i32),
    /// Last day on which any copy of it may have arrived.
    pub last_day: i32,
    pub content: EventDigest,
    /// [`NEVER`] if it was not acknowledged.
    pub acked_at_ms: i64,
    pub rejected: bool,
    /// The client sent it for the last time and got no answer.
    pub given_up: bool,
}

impl FloatingSend {
    pub(crate) fn is_open(&self) -> bool {
        self.acked_at_ms == NEVER && !self.rejected
    }

    pub(crate) fn is_acked(&self) -> bool {
        self.acked_at_ms != NEVER
    }

    /// Returns the days that an acknowledged event may be on.
    pub(crate) fn acked_days(&self) -> impl Iterator<Item = i32> + Clone + use<> {
        let (first, last) = if self.is_acked() { self.days } else { (1, 0) };
        first..=last
    }

    pub(crate) fn may_be_on(&self, day: i32) -> bool {
        (self.days.0..=self.last_day).contains(&day) && !self.rejected
    }
}

impl Ledger {
    /// Returns the sends of a floating event that may be stored on this day.
    pub(crate) fn floating_on(
        &self,
        project_day: ProjectDay,
        identity: EventIdentity,
    ) -> impl Iterator<Item = &FloatingSend> {
        let sends = self.floating.get(&(project_day.project, identity));
        sends.into_iter().flatten().filter(move |send| send.may_be_on(project_day.day))
    }

    /// Whether any send of this event floats.
    pub(crate) fn is_floating(&self, project: u32, identity: EventIdentity) -> bool {
        self.floating.contains_key(&(project, identity))
    }

    /// Returns `found` for the days of `read_view` that a send of this event may be on.
    pub(crate) fn days_with_floating<'s, T>(
        &self,
        read_view: &'s ReadView,
        (project, identity): (u32, EventIdentity),
        found: impl Fn(&'s crate::read_view::DayView) -> Option<T>,
    ) -> BTreeMap<i32, T> {
        let sends = self.floating.get(&(project, identity)).map_or(&[][..], Vec::as_slice);
        let Some(first) = sends.iter().map(|send| send.days.0).min() else { return BTreeMap::new() };
        let days = ProjectDay { project, day: first }..=ProjectDay { project, day: ANY_LATER_DAY };
        let may_be = |day: i32| sends.iter().any(|send| send.may_be_on(day));
        let day_view = read_view.days.range(days).filter(|(project_day, _)| may_be(project_day.day));
        day_view.filter_map(|(project_day, day_view)| Some((project_day.day, found(day_view)?))).collect()
    }

    /// Returns how many of the copies `found` on each day no send accounts for. Each day allows as many copies as were
    /// sent for it, plus `spare`. Each floating send accounts for one copy on any one of its days, times the number of
    /// deliveries per send.
    pub(crate) fn unaccounted_copies(
        &self,
        (project, identity): (u32, EventIdentity),
        found: &BTreeMap<i32, u32>,
        spare: u32,
    ) -> BTreeMap<i32, u32> {
        let deliveries = self.config.deliveries_per_send;
        let mut left: Vec<(&FloatingSend, u32)> = self
            .floating
            .get(&(project, identity))
            .into_iter()
            .flatten()
            .filter(|send| !send.rejected)
            .map(|send| (send, deliveries))
            .collect();
        // Process days in order, and use the sends whose days end first: if any assignment accounts for all copies,
        // this one does.
        left.sort_unstable_by_key(|(send, _)| send.last_day);
        let mut unaccounted_copies = BTreeMap::new();
        for (day, count) in found {
            let fixed =
                self.entry(ProjectDay { project, day: *day }, identity).map_or(0, |entry| entry.max_copies());
            let mut excess = count.saturating_sub(fixed.saturating_mul(deliveries).saturating_add(spare));
            for (_, copies) in left.iter_mut().filter(|(send, _)| send.may_be_on(*day)) {
                let taken = excess.min(*copies);
                (excess, *copies) = (excess - taken, *copies - taken);
            }
            if excess > 0 {
                unaccounted_copies.insert(*day, excess);
            }
        }
        unaccounted_copies
    }

    /// Records that a floating send was acknowledged, and returns the event with its possible days. With one day left,
    /// the send no longer floats.
    pub(super) fn resolve_floating(
        &mut self,
        request: u64,
        item: &super::EventId,
        at_ms: i64,
    ) -> super::EventId {
        let skew_ms = self.config.clock_skew_ms;
        let bounds_all = self.config.deliveries_per_send == 1;
        let key = (item.project, item.identity);
        let Some(sends) = self.floating.get_mut(&key) else { return *item };
        let Some(at) = sends.iter().position(|send| send.request == request && send.is_open()) else {
            return *item;
        };
        let send = &mut sends[at];
        let (from_ms, to_ms) = (send.sent_at_ms - skew_ms, at_ms + skew_ms);
        // The conversion succeeded when the event was sent, so it succeeds now.
        let days = self.zones.days_within(item.project, send.time_ms, from_ms, to_ms).unwrap_or(send.days);
        (send.days, send.acked_at_ms) = (days, at_ms);
        let landed = super::EventId { days, ..*item };
        if !bounds_all {
            return landed;
        }
        send.last_day = days.1;
        if !landed.is_floating() {
            let content = send.content;
            sends.remove(at);
            if sends.is_empty() {
                self.floating.remove(&key);
            }
            self.add_send_to_day(&landed, content);
            self.add_ack_to_day(&landed, at_ms);
        }
        landed
    }

    /// Records the floating events that every reader of `read_view` sees, by day: they must not vanish from it.
    pub(super) fn record_observed_floating(&mut self, read_view: &ReadView) {
        let mut surely: Vec<((u32, EventIdentity), BTreeSet<i32>)> = Vec::new();
        for (project, identity) in self.floating.keys() {
            let EventIdentity::Keyed(key) = *identity else { continue };
            let there = |day_view: &crate::read_view::DayView| {
                let at = day_view.events.binary_search_by_key(&key, |event| event.key).ok()?;
                (day_view.events[at].replicas >= read_view.min_replicas).then_some(())
            };
            let days = self.days_with_floating(read_view, (*project, *identity), there);
            surely.push(((*project, *identity), days.into_keys().collect()));
        }
        for (key, days) in surely.into_iter().filter(|(_, days)| !days.is_empty()) {
            self.observed_floating.entry(key).or_default().extend(days);
        }
    }

    /// Returns events that floated when every reader saw them on a day, and that no acknowledgement requires there.
    pub(crate) fn observed_floating(&self) -> impl Iterator<Item = (ProjectDay, EventIdentity)> {
        let day_view = self.observed_floating.iter();
        let each = day_view.flat_map(|((project, identity), days)| {
            days.iter().map(|day| (ProjectDay { project: *project, day: *day }, *identity))
        });
        each.filter(|(project_day, identity)| {
            let is_asked_for = |send: &FloatingSend| send.acked_days().any(|day| day == project_day.day);
            let entry = self.entry(*project_day, *identity);
            entry.is_none_or(|entry| entry.acks == 0 && !entry.observed)
                && !self.floating_on(*project_day, *identity).any(is_asked_for)
        })
    }
}
