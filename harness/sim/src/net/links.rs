//! Links and what is on them.

use super::troubles::{Troubles, Worse};
use super::{Incoming, nothing};
use crate::draw::scale;
use crate::faults::CallPart;
use crate::lock::lock;
use crate::slab::{Slab, SlabKey};
use crate::timers::{Due, TimerKey};
use crate::trace::{CallOutcome, Event};
use crate::world::World;
use latent_ports::{Message, NetErrorKind, NodeId};
use rand_chacha::rand_core::Rng;
use std::collections::BTreeMap;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

/// The slow few: one message in `one_in` takes `times` as long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tail {
    /// One in how many; 0 is none.
    pub one_in: u32,
    /// How many times the latency drawn.
    pub times: u32,
}

/// One direction of a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LinkSpec {
    /// Latency of a message in microseconds, from and to, drawn evenly.
    pub latency_us: (u32, u32),
    /// The long tail.
    pub tail: Tail,
    /// Messages lost, in parts per million.
    pub loss_ppm: u32,
    /// Messages queue for this many bytes per second; `None`: no limit.
    pub bandwidth_bytes_per_s: Option<u64>,
}

impl Default for LinkSpec {
    /// Within a data center: 100 to 500 us, one in 1,000 takes 20 times as long, nothing lost, no limit.
    fn default() -> LinkSpec {
        LinkSpec {
            latency_us: (100, 500),
            tail: Tail { one_in: 1_000, times: 20 },
            loss_ppm: 0,
            bandwidth_bytes_per_s: None,
        }
    }
}

/// All links, all calls, all messages on their way.
#[derive(Default)]
pub(crate) struct Links {
    default: LinkSpec,
    specs: BTreeMap<(NodeId, NodeId), LinkSpec>,
    /// Directions that were cut by hand.
    severed: BTreeMap<(NodeId, NodeId), ()>,
    /// What faults hold against links.
    pub(super) troubles: Troubles,
    busy_until_ns: BTreeMap<(NodeId, NodeId), u64>,
    /// How often a message was sent on a lossy link, so that its retry has another fate.
    sent_before: BTreeMap<(NodeId, NodeId, u128), u64>,
    calls: Slab<CallState>,
    flights: Slab<Flight>,
}

struct CallState {
    caller: NodeId,
    server: NodeId,
    gives_up: Option<TimerKey>,
    waker: Option<Waker>,
    result: Option<Result<Message, NetErrorKind>>,
    /// Which of its messages a fault loses.
    doomed: Option<CallPart>,
}

#[derive(Clone)]
struct Flight {
    link: (NodeId, NodeId),
    call: SlabKey,
    digest: u128,
    cargo: Cargo,
}

#[derive(Clone)]
enum Cargo {
    Request(Message),
    Answer(Result<Message, NetErrorKind>),
}

impl Links {
    fn spec(&self, link: (NodeId, NodeId)) -> LinkSpec {
        if self.specs.is_empty() { self.default } else { *self.specs.get(&link).unwrap_or(&self.default) }
    }

    /// Counts a message that something may befall; 0 where nothing can.
    fn times_sent(&mut self, link: (NodeId, NodeId), key: u128, spec: LinkSpec, worse: Option<Worse>) -> u64 {
        if spec.loss_ppm == 0 && worse.is_none() {
            return 0;
        }
        let times = self.sent_before.entry((link.0, link.1, key)).or_default();
        *times += 1;
        *times
    }

    /// Whether a fault loses this very message.
    fn is_doomed(&self, flight: &Flight) -> bool {
        let doomed = self.calls.get(flight.call).and_then(|call| call.doomed);
        match flight.cargo {
            Cargo::Request(_) => doomed == Some(CallPart::Request),
            Cargo::Answer(_) => doomed == Some(CallPart::Answer),
        }
    }

    fn is_cut(&self, link: (NodeId, NodeId)) -> bool {
        self.troubles.is_cut(link) || (!self.severed.is_empty() && self.severed.contains_key(&link))
    }
}

impl World {
    /// What every direction is like that has no description of its own.
    pub fn set_default_link(&self, spec: LinkSpec) {
        self.assert_not_observing("change links");
        lock(&self.inner.links).default = spec;
    }

    /// Describes one direction.
    pub fn set_link(&self, from: NodeId, to: NodeId, spec: LinkSpec) {
        self.assert_not_observing("change links");
        lock(&self.inner.links).specs.insert((from, to), spec);
    }

    /// Cuts one direction: messages on it are lost, those on their way included.
    pub fn cut(&self, from: NodeId, to: NodeId) {
        self.assert_not_observing("cut a link");
        lock(&self.inner.links).severed.insert((from, to), ());
    }

    /// Undoes [`World::cut`]; faults that cut the same direction stay.
    pub fn join(&self, from: NodeId, to: NodeId) {
        self.assert_not_observing("join a link");
        lock(&self.inner.links).severed.remove(&(from, to));
    }

    pub(crate) fn start_call(
        &self,
        link: (NodeId, NodeId),
        message: Message,
        digest: u128,
        timeout: Duration,
    ) -> SlabKey {
        let call = {
            let mut links = lock(&self.inner.links);
            let doomed = links.troubles.doom(link.0);
            let (caller, server) = link;
            links.calls.insert(CallState {
                caller,
                server,
                gives_up: None,
                waker: None,
                result: None,
                doomed,
            })
        };
        let timeout_ns = u64::try_from(timeout.as_nanos()).unwrap_or(u64::MAX);
        let gives_up = self.timers().insert(self.now_ns().saturating_add(timeout_ns), Due::GiveUp(call));
        if let Some(state) = lock(&self.inner.links).calls.get_mut(call) {
            state.gives_up = Some(gives_up);
        }
        let len = message.len_bytes() as u64;
        self.launch(Flight { link, call, digest, cargo: Cargo::Request(message) }, digest, len);
        call
    }

    /// `request_digest` keys the latency: many answers look alike, what they answer does not.
    pub(crate) fn send_answer(
        &self,
        call: SlabKey,
        link: (NodeId, NodeId),
        request_digest: u128,
        result: Result<(Message, u128), NetErrorKind>,
    ) {
        let (digest, len, result) = match result {
            Ok((message, digest)) => (digest, message.len_bytes() as u64, Ok(message)),
            Err(kind) => (0, 0, Err(kind)),
        };
        let key = request_digest.rotate_left(31) ^ digest;
        self.launch(Flight { link, call, digest, cargo: Cargo::Answer(result) }, key, len);
    }

    /// Puts a message on its link, unless it is lost there.
    fn launch(&self, flight: Flight, key: u128, len_bytes: u64) {
        let link = flight.link;
        // The draw hashes its key; here it is enough that no two links share one.
        let key = key ^ (u128::from(link.0.0) << 112) ^ (u128::from(link.1.0) << 96);
        let now_ns = self.now_ns();
        let mut links = lock(&self.inner.links);
        let mut spec = links.spec(link);
        let worse = links.troubles.worse(link);
        if let Some(worse) = worse {
            spec.loss_ppm = spec.loss_ppm.max(worse.loss_ppm);
            let narrow = [spec.bandwidth_bytes_per_s, worse.bandwidth_bytes_per_s];
            spec.bandwidth_bytes_per_s = narrow.into_iter().flatten().min();
        }
        // A message that is sent again has another fate, where there is anything to be drawn for it.
        let fate = key ^ (u128::from(links.times_sent(link, key, spec, worse)) << 64);
        if links.is_cut(link) || links.is_doomed(&flight) || self.happens("net.loss", fate, spec.loss_ppm) {
            drop(links);
            self.record_at(link.0, Event::Lost { to: link.1, digest: flight.digest });
            return;
        }
        let mut leaves_ns = now_ns;
        if let Some(bytes_per_s) = spec.bandwidth_bytes_per_s {
            let busy_until_ns = links.busy_until_ns.entry(link).or_default();
            let takes_ns = u128::from(len_bytes) * 1_000_000_000 / u128::from(bytes_per_s.max(1));
            let takes_ns = u64::try_from(takes_ns).unwrap_or(u64::MAX);
            leaves_ns = now_ns.max(*busy_until_ns).saturating_add(takes_ns);
            *busy_until_ns = leaves_ns;
        }
        let mut latency_us = self.latency_us(spec, key);
        let mut doubled = None;
        if let Some(worse) = worse {
            latency_us = latency_us.saturating_mul(worse.latency_times);
            if self.happens("net.reorder", fate, worse.reorder_ppm) {
                latency_us = latency_us.saturating_add(u64::from(worse.reorder_by_ms) * 1_000);
            }
            if self.happens("net.duplicate", fate, worse.duplicate_ppm) {
                let second_us = self.latency_us(spec, !key).saturating_mul(worse.latency_times);
                let arrives_ns = leaves_ns.saturating_add(second_us.saturating_mul(1_000));
                doubled = Some((arrives_ns, links.flights.insert(flight.clone())));
            }
        }
        let arrives_ns = leaves_ns.saturating_add(latency_us.saturating_mul(1_000));
        let digest = flight.digest;
        let flight = links.flights.insert(flight);
        drop(links);
        self.timers().insert(arrives_ns, Due::Deliver(flight));
        if let Some((arrives_ns, second)) = doubled {
            self.record_at(link.0, Event::Doubled { to: link.1, digest });
            self.timers().insert(arrives_ns, Due::Deliver(second));
        }
    }

    fn latency_us(&self, spec: LinkSpec, key: u128) -> u64 {
        let bits = self.draws().rng("net.latency", key).next_u64();
        let latency_us = u64::from(scale(bits, spec.latency_us));
        // The low bits are as random as the high ones, and `scale` uses the high ones.
        let slow = spec.tail.one_in > 0 && (bits & 0xffff_ffff).is_multiple_of(u64::from(spec.tail.one_in));
        if slow { latency_us * u64::from(spec.tail.times.max(1)) } else { latency_us }
    }

    /// Whether something of `ppm` parts per million befalls the message of this key.
    fn happens(&self, stream: &'static str, key: u128, ppm: u32) -> bool {
        ppm > 0 && scale(self.draws().draw(stream, key), (0, 999_999)) < ppm
    }

    pub(crate) fn deliver(&self, flight: SlabKey) {
        let (flight, cut) = {
            let mut links = lock(&self.inner.links);
            let Some(flight) = links.flights.remove(flight) else { return };
            let cut = links.is_cut(flight.link);
            (flight, cut)
        };
        let Flight { link, call, digest, cargo } = flight;
        if cut {
            self.record_at(link.0, Event::Lost { to: link.1, digest });
            return;
        }
        match cargo {
            Cargo::Request(message) => {
                let incoming = Incoming { call, from: link.0, message, digest };
                self.hand_over(link, incoming);
            }
            Cargo::Answer(result) => self.finish_call(call, result, digest),
        }
    }

    fn hand_over(&self, link: (NodeId, NodeId), incoming: Incoming) {
        let (call, digest) = (incoming.call, incoming.digest);
        let accepted = match self.find_number(link.1) {
            None => Err(NetErrorKind::Refused),
            Some(node) => node.mailbox(|mailbox| match mailbox {
                Some(mailbox) => mailbox.accept(incoming),
                None => Err(NetErrorKind::Refused),
            }),
        };
        match accepted {
            Ok(Some(waker)) => waker.wake(),
            Ok(None) => {}
            Err(kind) => self.send_answer(call, (link.1, link.0), digest, Err(kind)),
        }
    }

    fn finish_call(&self, call: SlabKey, result: Result<Message, NetErrorKind>, digest: u128) {
        let (ended, waker, gives_up) = {
            let mut links = lock(&self.inner.links);
            // Nobody waits for it any more: the caller died, dropped the call or gave up.
            let Some(state) = links.calls.get_mut(call).filter(|state| state.result.is_none()) else {
                return;
            };
            let outcome =
                result.as_ref().map_or_else(|kind| CallOutcome::Failed(*kind), |_| CallOutcome::Answered);
            let len_bytes = result.as_ref().map_or(0, |message| message.len_bytes() as u64);
            let event = Event::Called { to: state.server, outcome, len_bytes, digest };
            state.result = Some(result);
            ((state.caller, event), state.waker.take(), state.gives_up.take())
        };
        if let Some(entry) = gives_up {
            self.timers().remove(entry);
        }
        self.record_at(ended.0, ended.1);
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    pub(crate) fn give_up(&self, call: SlabKey) {
        self.finish_call(call, Err(NetErrorKind::Timeout), 0);
    }

    pub(crate) fn poll_call(&self, call: SlabKey, cx: &Context<'_>) -> Poll<Result<Message, NetErrorKind>> {
        let mut links = lock(&self.inner.links);
        let Some(state) = links.calls.get_mut(call) else { return Poll::Pending };
        match &mut state.result {
            Some(result) => Poll::Ready(std::mem::replace(result, Ok(nothing()))),
            None => {
                state.waker = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }

    pub(crate) fn forget_call(&self, call: SlabKey) {
        let forgotten = lock(&self.inner.links).calls.remove(call);
        if let Some(entry) = forgotten.and_then(|state| state.gives_up) {
            self.timers().remove(entry);
        }
    }
}
