//! A request stream: the requests of a specification in the order in which they are sent, planned a day at a time.
//!
//! Events that are not yet due are kept as placements of 32 bytes each; a text is encoded when its request is due.

use super::calendar::{BurstSlots, Calendar, LocalDay, SendSlot, SendSlotId, SlotLane};
use super::device;
use super::event::{self, EventSource, EventSubject};
use super::event_traits::EventTraits;
use super::layout::JsonLayout;
use super::placement::{Placement, place, place_in_burst};
use super::prng::Prng;
use super::ranges::{intersect, is_kept, merge_ranges};
use super::request::{self, PlannedEvent, PlannedRequest, RequestApi};
use super::workload_spec::{Burst, Defect, MINUTE_MS, TRACK_AGE_MS, WorkloadSpec, WorkloadSpecError};
use bytes::Bytes;
use std::borrow::Cow;
use std::collections::{BTreeMap, VecDeque};
use std::ops::Range;
use std::sync::Arc;

/// Maximum number of events in a request of the API.
const MAX_ITEMS: usize = 2_000;
/// Parts of a slot's requests: valid events, in chunks; from here on the events that `/track` must reject.
const PART_REJECTED: u64 = 1 << 10;
/// From here on events with a request of their own, by index.
const PART_ALONE: u64 = 1 << 11;
/// Base of the indices of burst events, followed by the minute in which the burst starts, the day, and the number in
/// the day.
const EXTRA: u64 = 1 << 62;

/// An event that is placed and not yet sent.
#[derive(Clone, Copy, Debug)]
struct PendingEvent {
    time_ms: i64,
    own: EventSource,
    defect: Option<Defect>,
    is_resend: bool,
    is_huge: bool,
    is_clock_wrong: bool,
}

impl PendingEvent {
    /// Returns true if the event needs a request of its own: it is huge, or `/track` may reject its time, and an
    /// answer of one digit describes one event only.
    fn needs_own_request(&self, api: RequestApi, at_ms: i64) -> bool {
        let may_be_refused = self.is_clock_wrong || at_ms - self.time_ms >= TRACK_AGE_MS;
        self.is_huge || (!api.is_import() && self.defect.is_none() && may_be_refused)
    }
}

/// Iterator over the requests of a specification, in the order in which they are sent.
///
/// `Z` returns start and end of a local day in milliseconds since 1970, for the project's zone and days counted from
/// 1970-01-01; it is also called for days after the range. `D` draws: a pure function of stream name and key.
#[derive(Debug)]
pub struct RequestStream<Z, D> {
    spec: WorkloadSpec,
    days: Range<i32>,
    sends_ms: Range<i64>,
    zone: Z,
    draw: D,
    kept_indices: Vec<Range<u64>>,
    calendar: Calendar,
    next_day: i32,
    waiting: BTreeMap<(i64, SendSlotId), (RequestApi, Vec<PendingEvent>)>,
    ready: VecDeque<PlannedRequest>,
}

impl<Z: Fn(i32) -> (i64, i64), D: Fn(&'static str, u128) -> u64> RequestStream<Z, D> {
    /// Creates the stream of the events of local `days` whose send time is within `sends_ms`; other events are never
    /// sent.
    ///
    /// # Errors
    /// An invalid specification.
    pub fn new(
        spec: WorkloadSpec,
        days: Range<i32>,
        sends_ms: Range<i64>,
        zone: Z,
        draw: D,
    ) -> Result<Self, WorkloadSpecError> {
        spec.check()?;
        Ok(RequestStream {
            kept_indices: merge_ranges(&spec.kept_indices),
            next_day: days.start,
            calendar: Calendar::new(),
            waiting: BTreeMap::new(),
            ready: VecDeque::new(),
            spec,
            days,
            sends_ms,
            zone,
            draw,
        })
    }

    /// Returns the specification.
    pub fn spec(&self) -> &WorkloadSpec {
        &self.spec
    }

    /// Returns the number of sent events, second sendings included, by the base index with which they are kept.
    /// Encodes no text.
    pub fn sent(mut self) -> BTreeMap<u64, u64> {
        while self.next_day < self.days.end {
            self.plan_day(self.next_day);
            self.next_day += 1;
        }
        let mut sent = BTreeMap::new();
        for draft in self.waiting.values().flat_map(|(_, drafts)| drafts) {
            *sent.entry(self.kept_with(draft.own.index)).or_default() += 1;
        }
        sent
    }

    /// Returns the base index with which an event is kept: that of a burst event differs from its own index.
    fn kept_with(&self, index: u64) -> u64 {
        if index < EXTRA {
            return index;
        }
        let (day_offset, number) = (index >> 24 & 0xFFF, index & 0xFF_FFFF);
        let count = self.events_of(self.days.start.saturating_add_unsigned(day_offset as u32));
        day_offset * self.spec.stride() + number % count.max(1)
    }

    /// Returns the number of events that are planned and not yet sent.
    #[cfg(test)]
    pub(super) fn pending_events(&self) -> usize {
        self.waiting.values().map(|(_, drafts)| drafts.len()).sum()
    }

    /// Plans all days that could precede the next request: nothing is sent before its day starts.
    fn plan_ahead(&mut self) {
        while self.next_day < self.days.end {
            if let Some(((first_at_ms, _), _)) = self.waiting.first_key_value()
                && *first_at_ms < (self.zone)(self.next_day).0
            {
                return;
            }
            self.plan_day(self.next_day);
            self.next_day += 1;
        }
    }

    fn plan_day(&mut self, day: i32) {
        self.calendar.forget_before(day);
        let stride = self.spec.stride();
        let first = u64::from(self.days.start.abs_diff(day)) * stride;
        let count = self.events_of(day);
        for indices in intersect(&self.kept_indices, first..first + count) {
            for index in indices {
                self.plan_event(day, index);
            }
        }
        for nth in 0..self.spec.bursts.len() {
            self.plan_burst(nth as u32, self.spec.bursts[nth], day, first..first + count);
        }
    }

    /// Plans the events that a burst adds to a day. Each is kept together with one base event.
    fn plan_burst(&mut self, nth: u32, burst: Burst, day: i32, usual: Range<u64>) {
        let limits_ms = (self.zone)(day);
        let count = usual.end - usual.start;
        let extra = BurstSlots::lay_out(&self.spec, &burst, day, limits_ms, count, &self.draw);
        let day_offset = u64::from(self.days.start.abs_diff(day));
        let minute = burst.from_ms.div_euclid(MINUTE_MS).cast_unsigned() & ((1 << 25) - 1);
        for number in 0..extra.events {
            if !is_kept(&self.kept_indices, usual.start + number % count) {
                continue;
            }
            let index = EXTRA | minute << 36 | (day_offset & 0xFFF) << 24 | number;
            let own = EventSource { index, seed: self.seed_of(index) };
            let traits = EventTraits::draw(&self.spec, own.seed);
            let lane = SlotLane::Burst(nth);
            if let Some(placement) = place_in_burst(&traits, own.seed, (day, lane), limits_ms, &extra.slots) {
                self.put_placed(own, &traits, &placement);
            }
        }
    }

    fn events_of(&self, day: i32) -> u64 {
        let key = u128::from(self.spec.project) << 64 | u128::from(day.cast_unsigned());
        let (min, max) = self.spec.events_per_day;
        let usual = Prng::new((self.draw)("workload.day", key), 1).within((i64::from(min), i64::from(max)));
        usual.unsigned_abs()
    }

    fn plan_event(&mut self, day: i32, index: u64) {
        let own = EventSource { index, seed: self.seed_of(index) };
        let RequestStream { spec, calendar, zone, draw, .. } = self;
        let traits = EventTraits::draw(spec, own.seed);
        let mut days = |day: i32| -> Arc<LocalDay> { calendar.day(spec, day, zone, draw) };
        let Some(placement) = place(spec, &traits, own.seed, day, &mut days) else { return };
        self.put_placed(own, &traits, &placement);
    }

    fn put_placed(&mut self, own: EventSource, traits: &EventTraits, placement: &Placement) {
        let mut draft = PendingEvent {
            time_ms: placement.time_ms,
            own,
            defect: placement.defect,
            is_resend: false,
            is_huge: traits.is_huge,
            is_clock_wrong: false,
        };
        if !device::has_device_faults(&self.spec) {
            self.put(placement.sent, draft);
            if let Some(again) = placement.again {
                self.put(again, PendingEvent { is_resend: true, ..draft });
            }
            return;
        }
        let source = self.partner_of(&draft).unwrap_or(own);
        let person = event::person_of(&self.spec, source.seed);
        if traits.has_time
            && draft.defect.is_none()
            && let Some(by_ms) = device::clock_offset_ms(&self.spec, person, &self.draw)
        {
            draft.time_ms = device::reported_ms(draft.time_ms, by_ms, traits.form);
            draft.is_clock_wrong = true;
        }
        self.put(self.slot_when_online(person, placement.sent), draft);
        if let Some(again) = placement.again {
            self.put(self.slot_when_online(person, again), PendingEvent { is_resend: true, ..draft });
        }
    }

    /// Returns the slot in which a person's device sends: the given one, or one after its offline window.
    fn slot_when_online(&self, person: u64, (id, slot): (SendSlotId, SendSlot)) -> (SendSlotId, SendSlot) {
        match device::back(&self.spec, person, slot.at_ms, &self.draw) {
            None => (id, slot),
            Some((nth, slot)) => {
                let nth_person = u32::try_from(person).unwrap_or(u32::MAX);
                (SendSlotId { day: self.days.start, nth: nth_person, lane: SlotLane::Back(nth) }, slot)
            }
        }
    }

    fn put(&mut self, (id, slot): (SendSlotId, SendSlot), draft: PendingEvent) {
        if self.sends_ms.contains(&slot.at_ms) {
            self.waiting.entry((slot.at_ms, id)).or_insert((slot.api, Vec::new())).1.push(draft);
        }
    }

    fn seed_of(&self, index: u64) -> u64 {
        (self.draw)("workload.event", u128::from(self.spec.project) << 64 | u128::from(index))
    }

    /// Encodes the requests of a slot. Events that `/track` must reject have requests of their own, because its
    /// answer of one digit covers the whole request; `/import` answers item by item, so its requests are mixed.
    fn write_slot(&mut self, at_ms: i64, id: SendSlotId, api: RequestApi, mut drafts: Vec<PendingEvent>) {
        drafts.sort_by_key(|draft| (draft.time_ms, draft.own.index, draft.is_resend));
        let slot_key = self.slot_key(id);
        let (alone, usual): (Vec<PendingEvent>, Vec<PendingEvent>) =
            drafts.into_iter().partition(|draft| draft.needs_own_request(api, at_ms));
        let (apart, together): (Vec<PendingEvent>, Vec<PendingEvent>) =
            usual.into_iter().partition(|draft| draft.defect.is_some() && !api.is_import());
        for (first_part, drafts) in [(0, together), (PART_REJECTED, apart)] {
            for (part, drafts) in drafts.chunks(MAX_ITEMS).enumerate() {
                let request = self.write_request(slot_key | (first_part + part as u64), at_ms, api, drafts);
                self.ready.push_back(request);
            }
        }
        for draft in alone {
            let part = PART_ALONE + draft.own.index % (1 << 28) * 2 + u64::from(draft.is_resend);
            let request = self.write_request(slot_key | part, at_ms, api, &[draft]);
            self.ready.push_back(request);
        }
    }

    /// Returns the upper half of the keys of a slot's requests.
    fn slot_key(&self, id: SendSlotId) -> u64 {
        let day = u64::from(self.days.start.abs_diff(id.day));
        let nth = u64::from(id.nth);
        // Slots outside the calendar have separate numbers, with the lane in the upper six bits.
        let lane_key = |lane: u32| (u64::from(lane) & 63) << 58 | ((day << 17 | nth) & ((1 << 26) - 1)) << 32;
        match id.lane {
            SlotLane::Usual => (day * u64::from(self.spec.requests_per_day) + nth) << 32,
            SlotLane::Burst(number) => lane_key(1 + number),
            SlotLane::Back(number) => lane_key(32 + number),
        }
    }

    fn write_request(
        &self,
        key: u64,
        at_ms: i64,
        api: RequestApi,
        drafts: &[PendingEvent],
    ) -> PlannedRequest {
        let lines = matches!(api, RequestApi::ImportNdjson { .. });
        // A client may send a single event bare or as an array of one.
        let bare = drafts.len() == 1 && !api.is_import() && Prng::new(drafts[0].own.seed, 6).one_in(2);
        let (open, between, close) = request::delimiters(lines, bare);
        let mut text = Vec::with_capacity(drafts.len() * (self.spec.event_bytes.1 as usize + 64) + 2);
        text.extend_from_slice(open);
        let mut written = Vec::with_capacity(drafts.len());
        for (position, draft) in drafts.iter().enumerate() {
            text.extend_from_slice(if position == 0 { b"" } else { between });
            let start = text.len();
            let subject = EventSubject {
                own: draft.own,
                partner: self.partner_of(draft),
                time_ms: draft.time_ms,
                defect: draft.defect,
            };
            let event = event::write(&self.spec, &subject, &mut text);
            if let Some(layout) = JsonLayout::draw(draft.own.seed, lines) {
                layout.apply(start, &mut text);
            }
            written.push((draft, start..text.len(), event));
        }
        text.extend_from_slice(close);
        let text = Bytes::from(text);
        let planned =
            |(draft, range, event): (&PendingEvent, Range<usize>, event::EncodedEvent)| PlannedEvent {
                index: draft.own.index,
                is_resend: draft.is_resend,
                json: text.slice(range),
                name: Cow::Borrowed(event.name),
                distinct_id: event.distinct_id,
                insert_id: event.insert_id,
                time_ms: event.time_ms,
                defect: draft.defect,
            };
        let events = written.into_iter().map(planned).collect();
        PlannedRequest { key, at_ms, project: self.spec.project, api: api.for_size(text.len()), text, events }
    }

    /// Returns the previous event if this one shares its identity: the odd one of a pair on one day.
    fn partner_of(&self, draft: &PendingEvent) -> Option<EventSource> {
        let in_day = draft.own.index % self.spec.stride();
        if draft.own.index >= EXTRA
            || in_day.is_multiple_of(2)
            || !EventTraits::draw(&self.spec, draft.own.seed).shares_insert_id
        {
            return None;
        }
        let index = draft.own.index - 1;
        let partner = EventSource { index, seed: self.seed_of(index) };
        let traits = EventTraits::draw(&self.spec, partner.seed);
        (traits.has_insert_id && !traits.is_wrong).then_some(partner)
    }
}

impl<Z: Fn(i32) -> (i64, i64), D: Fn(&'static str, u128) -> u64> Iterator for RequestStream<Z, D> {
    type Item = PlannedRequest;

    fn next(&mut self) -> Option<PlannedRequest> {
        while self.ready.is_empty() {
            self.plan_ahead();
            let ((at_ms, id), (api, drafts)) = self.waiting.pop_first()?;
            self.write_slot(at_ms, id, api, drafts);
        }
        self.ready.pop_front()
    }
}
