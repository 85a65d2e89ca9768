//! Events whose day depends on when they arrive, and the client cannot know that.
//!
//! An event without a time takes the time at which an edge takes its request; where a project's zone was edited, an
//! event with a time belongs to the day by the zone of that instant. A send that has no answer may arrive whenever its
//! edge wakes up, days later: any arrival after it was sent is legal, and with a retry elsewhere the event is then there
//! twice, on two days. An answer bounds the arrival: its events came in before it was given. If that leaves one day,
//! the send is one of that day from then on, like any other. Where the network may deliver a send twice, only one of the
//! copies is bounded by the answer.
//!
//! What follows for the day, for copies and for doubles stands here, and the invariants ask for it: which days a send
//! may be on ([`Ledger::floating_on`]), and which of the copies found no send accounts for ([`Ledger::unaccounted`]).

use super::entry::NEVER;
use super::{Identity, Ledger};
use crate::identity::{Content, ProjectDay};
use crate::sight::Sight;
use std::collections::{BTreeMap, BTreeSet};

/// The last day of a send whose arrival nothing bounds.
pub(crate) const ANY_LATER_DAY: i32 = i32::MAX;

/// One send of such an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Floating {
    pub request: u64,
    /// When it was sent, by the world's clock.
    pub sent_at_ms: i64,
    /// The event's own time, if it has one.
    pub time_ms: Option<i64>,
    /// The first and the last day of one of which the event is, once it was acknowledged.
    pub days: (i32, i32),
    /// The last day on which any copy of it may have arrived.
    pub last_day: i32,
    pub content: Content,
    /// [`NEVER`] if it was not acknowledged.
    pub acked_at_ms: i64,
    pub rejected: bool,
    /// The client sent it for the last time, and had no answer.
    pub given_up: bool,
}

impl Floating {
    pub(crate) fn is_open(&self) -> bool {
        self.acked_at_ms == NEVER && !self.rejected
    }

    pub(crate) fn is_acked(&self) -> bool {
        self.acked_at_ms != NEVER
    }

    /// The days that an acknowledged event may be on.
    pub(crate) fn acked_days(&self) -> impl Iterator<Item = i32> + Clone + use<> {
        let (first, last) = if self.is_acked() { self.days } else { (1, 0) };
        first..=last
    }

    pub(crate) fn may_be_on(&self, day: i32) -> bool {
        (self.days.0..=self.last_day).contains(&day) && !self.rejected
    }
}

impl Ledger {
    /// Sends of a floating event that may be stored on this day.
    pub(crate) fn floating_on(&self, of: ProjectDay, identity: Identity) -> impl Iterator<Item = &Floating> {
        let sends = self.floating.get(&(of.project, identity));
        sends.into_iter().flatten().filter(move |send| send.may_be_on(of.day))
    }

    /// Whether any send of this event floats.
    pub(crate) fn is_floating(&self, project: u32, identity: Identity) -> bool {
        self.floating.contains_key(&(project, identity))
    }

    /// Of the days of `sight` those on which a send of this event may be, with what `found` says of each.
    pub(crate) fn found_floating<'s, T>(
        &self,
        sight: &'s Sight,
        (project, identity): (u32, Identity),
        found: impl Fn(&'s crate::sight::SeenDay) -> Option<T>,
    ) -> BTreeMap<i32, T> {
        let sends = self.floating.get(&(project, identity)).map_or(&[][..], Vec::as_slice);
        let Some(first) = sends.iter().map(|send| send.days.0).min() else { return BTreeMap::new() };
        let days = ProjectDay { project, day: first }..=ProjectDay { project, day: ANY_LATER_DAY };
        let may_be = |day: i32| sends.iter().any(|send| send.may_be_on(day));
        let seen = sight.days.range(days).filter(|(of, _)| may_be(of.day));
        seen.filter_map(|(of, seen)| Some((of.day, found(seen)?))).collect()
    }

    /// How many of the copies of an event that were `found` on each day no send accounts for. On each day there may be
    /// as many as were sent for that day, and `spare` more; each floating send accounts for one copy on any one of its
    /// days, as often as the network may deliver it.
    pub(crate) fn unaccounted(
        &self,
        (project, identity): (u32, Identity),
        found: &BTreeMap<i32, u32>,
        spare: u32,
    ) -> BTreeMap<i32, u32> {
        let deliveries = self.settings.deliveries_per_send;
        let mut left: Vec<(&Floating, u32)> = self
            .floating
            .get(&(project, identity))
            .into_iter()
            .flatten()
            .filter(|send| !send.rejected)
            .map(|send| (send, deliveries))
            .collect();
        // Days in order, and of the sends that may be on a day the one whose days end first: if any choice accounts
        // for all copies, this one does.
        left.sort_unstable_by_key(|(send, _)| send.last_day);
        let mut unaccounted = BTreeMap::new();
        for (day, count) in found {
            let fixed =
                self.entry(ProjectDay { project, day: *day }, identity).map_or(0, |entry| entry.most());
            let mut excess = count.saturating_sub(fixed.saturating_mul(deliveries).saturating_add(spare));
            for (_, copies) in left.iter_mut().filter(|(send, _)| send.may_be_on(*day)) {
                let taken = excess.min(*copies);
                (excess, *copies) = (excess - taken, *copies - taken);
            }
            if excess > 0 {
                unaccounted.insert(*day, excess);
            }
        }
        unaccounted
    }

    /// A floating send was acknowledged. Returns the days that its event is on one of: if it is one day, the send floats
    /// no longer.
    pub(super) fn land(&mut self, request: u64, item: &super::EventId, at_ms: i64) -> super::EventId {
        let skew_ms = self.settings.clock_skew_ms;
        let bounds_all = self.settings.deliveries_per_send == 1;
        let key = (item.project, item.identity);
        let Some(sends) = self.floating.get_mut(&key) else { return *item };
        let Some(at) = sends.iter().position(|send| send.request == request && send.is_open()) else {
            return *item;
        };
        let send = &mut sends[at];
        let (from_ms, to_ms) = (send.sent_at_ms - skew_ms, at_ms + skew_ms);
        // It was worked out when it was sent, so it can be now.
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
            self.note_sent_to_its_day(&landed, content);
            self.note_acked_on_its_day(&landed, at_ms);
        }
        landed
    }

    /// Notes the floating events that every reader of `sight` sees, by day: there they may not vanish.
    pub(super) fn note_seen_floating(&mut self, sight: &Sight) {
        let mut surely: Vec<((u32, Identity), BTreeSet<i32>)> = Vec::new();
        for (project, identity) in self.floating.keys() {
            let Identity::Keyed(key) = *identity else { continue };
            let there = |seen: &crate::sight::SeenDay| {
                let at = seen.held.binary_search_by_key(&key, |held| held.key).ok()?;
                (seen.held[at].places >= sight.sure).then_some(())
            };
            let days = self.found_floating(sight, (*project, *identity), there);
            surely.push(((*project, *identity), days.into_keys().collect()));
        }
        for (key, days) in surely.into_iter().filter(|(_, days)| !days.is_empty()) {
            self.seen_floating.entry(key).or_default().extend(days);
        }
    }

    /// Events that floated when a reader surely saw them on a day, and that no acknowledgement asks for there.
    pub(crate) fn seen_floating(&self) -> impl Iterator<Item = (ProjectDay, Identity)> {
        let seen = self.seen_floating.iter();
        let each = seen.flat_map(|((project, identity), days)| {
            days.iter().map(|day| (ProjectDay { project: *project, day: *day }, *identity))
        });
        each.filter(|(of, identity)| {
            let is_asked_for = |send: &Floating| send.acked_days().any(|day| day == of.day);
            let entry = self.entry(*of, *identity);
            entry.is_none_or(|entry| entry.acks == 0 && !entry.seen)
                && !self.floating_on(*of, *identity).any(is_asked_for)
        })
    }
}
