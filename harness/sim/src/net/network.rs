//! The network: links, calls and messages in flight.

use super::link_faults::{CallPart, EffectiveDegradation, LinkFaults};
use super::link_spec::LinkSpec;
use super::mailbox::IncomingRequest;
use crate::kernel::Kernel;
use crate::lock::lock;
use crate::node::NodeTable;
use crate::prng::scale_to_range;
use crate::timers::{CallKey, MessageKey, TimerEvent, TimerKey};
use crate::trace::{CallOutcome, Event};
use bytes::Bytes;
use latent_ports::{Message, NetErrorKind, NodeId};
use rand_chacha::rand_core::Rng;
use slotmap::SlotMap;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

/// All links, all calls, all messages in flight.
#[derive(Default)]
struct LinkTable {
    default: LinkSpec,
    specs: BTreeMap<(NodeId, NodeId), LinkSpec>,
    /// Directions cut by [`Network::cut_link`].
    manual_cuts: BTreeMap<(NodeId, NodeId), ()>,
    /// Active link faults.
    link_faults: LinkFaults,
    busy_until_ns: BTreeMap<(NodeId, NodeId), u64>,
    /// Number of times that a message was sent on a degraded link, so that a retry has a draw of its own.
    send_counts: BTreeMap<(NodeId, NodeId, u128), u64>,
    calls: SlotMap<CallKey, CallState>,
    in_flight: SlotMap<MessageKey, InFlightMessage>,
}

struct CallState {
    caller: NodeId,
    server: NodeId,
    timeout_timer: Option<TimerKey>,
    waker: Option<Waker>,
    result: Option<Result<Message, NetErrorKind>>,
    /// The message of this call that a fault drops.
    dropped_part: Option<CallPart>,
}

#[derive(Clone)]
struct InFlightMessage {
    link: (NodeId, NodeId),
    call: CallKey,
    digest: u128,
    payload: Payload,
}

#[derive(Clone)]
enum Payload {
    Request(Message),
    Answer(Result<Message, NetErrorKind>),
}

impl LinkTable {
    fn spec(&self, link: (NodeId, NodeId)) -> LinkSpec {
        if self.specs.is_empty() { self.default } else { *self.specs.get(&link).unwrap_or(&self.default) }
    }

    /// Counts a message for whose link something is drawn; 0 on other links.
    fn count_send(
        &mut self,
        link: (NodeId, NodeId),
        key: u128,
        spec: LinkSpec,
        degradation: Option<EffectiveDegradation>,
    ) -> u64 {
        if spec.loss_ppm == 0 && degradation.is_none() {
            return 0;
        }
        let times = self.send_counts.entry((link.0, link.1, key)).or_default();
        *times += 1;
        *times
    }

    /// Whether a fault drops this message.
    fn is_dropped_by_fault(&self, flight: &InFlightMessage) -> bool {
        let dropped_part = self.calls.get(flight.call).and_then(|call| call.dropped_part);
        match flight.payload {
            Payload::Request(_) => dropped_part == Some(CallPart::Request),
            Payload::Answer(_) => dropped_part == Some(CallPart::Answer),
        }
    }

    fn is_cut(&self, link: (NodeId, NodeId)) -> bool {
        self.link_faults.is_cut(link)
            || (!self.manual_cuts.is_empty() && self.manual_cuts.contains_key(&link))
    }
}

/// All links of a world, and the calls on them.
pub(crate) struct Network {
    kernel: Arc<Kernel>,
    nodes: Arc<NodeTable>,
    links: Mutex<LinkTable>,
}

impl Network {
    pub(crate) fn new(kernel: Arc<Kernel>, nodes: Arc<NodeTable>) -> Network {
        Network { kernel, nodes, links: Mutex::default() }
    }

    /// Sets the properties of every direction that has none of its own.
    pub(crate) fn set_default_link(&self, spec: LinkSpec) {
        lock(&self.links).default = spec;
    }

    /// Sets the properties of one direction.
    pub(crate) fn set_link(&self, from: NodeId, to: NodeId, spec: LinkSpec) {
        lock(&self.links).specs.insert((from, to), spec);
    }

    /// Cuts one direction: messages on it are lost, including those in flight.
    pub(crate) fn cut_link(&self, from: NodeId, to: NodeId) {
        lock(&self.links).manual_cuts.insert((from, to), ());
    }

    /// Undoes [`Network::cut_link`]. Faults that cut the same direction remain.
    pub(crate) fn restore_link(&self, from: NodeId, to: NodeId) {
        lock(&self.links).manual_cuts.remove(&(from, to));
    }

    /// Reads or changes the active link faults.
    pub(crate) fn with_link_faults<T>(&self, work: impl FnOnce(&mut LinkFaults) -> T) -> T {
        work(&mut lock(&self.links).link_faults)
    }

    pub(crate) fn start_call(
        &self,
        link: (NodeId, NodeId),
        message: Message,
        digest: u128,
        timeout: Duration,
    ) -> CallKey {
        let call = {
            let mut links = lock(&self.links);
            let dropped_part = links.link_faults.take_message_drop(link.0);
            let (caller, server) = link;
            links.calls.insert(CallState {
                caller,
                server,
                timeout_timer: None,
                waker: None,
                result: None,
                dropped_part,
            })
        };
        let timeout_ns = u64::try_from(timeout.as_nanos()).unwrap_or(u64::MAX);
        let timeout_timer = self
            .kernel
            .timers()
            .insert(self.kernel.now_ns().saturating_add(timeout_ns), TimerEvent::TimeOutCall(call));
        if let Some(state) = lock(&self.links).calls.get_mut(call) {
            state.timeout_timer = Some(timeout_timer);
        }
        let len = message.len_bytes() as u64;
        self.transmit(
            InFlightMessage { link, call, digest, payload: Payload::Request(message) },
            digest,
            len,
        );
        call
    }

    /// Sends an answer. `request_digest` is part of the latency key: many answers are equal, their requests are not.
    pub(crate) fn send_answer(
        &self,
        call: CallKey,
        link: (NodeId, NodeId),
        request_digest: u128,
        result: Result<(Message, u128), NetErrorKind>,
    ) {
        let (digest, len, result) = match result {
            Ok((message, digest)) => (digest, message.len_bytes() as u64, Ok(message)),
            Err(kind) => (0, 0, Err(kind)),
        };
        let key = request_digest.rotate_left(31) ^ digest;
        self.transmit(InFlightMessage { link, call, digest, payload: Payload::Answer(result) }, key, len);
    }

    /// Puts a message on its link, unless it is lost there.
    fn transmit(&self, flight: InFlightMessage, key: u128, len_bytes: u64) {
        let link = flight.link;
        // The draw hashes its key, so it is enough that no two links share one.
        let key = key ^ (u128::from(link.0.0) << 112) ^ (u128::from(link.1.0) << 96);
        let now_ns = self.kernel.now_ns();
        let mut links = lock(&self.links);
        let mut spec = links.spec(link);
        let degradation = links.link_faults.degradation(link);
        if let Some(degradation) = degradation {
            spec.loss_ppm = spec.loss_ppm.max(degradation.loss_ppm);
            let limits = [spec.bandwidth_bytes_per_s, degradation.bandwidth_bytes_per_s];
            spec.bandwidth_bytes_per_s = limits.into_iter().flatten().min();
        }
        // A retry has a draw of its own, where anything is drawn for it.
        let draw_key = key ^ (u128::from(links.count_send(link, key, spec, degradation)) << 64);
        if links.is_cut(link)
            || links.is_dropped_by_fault(&flight)
            || self.is_drawn("net.loss", draw_key, spec.loss_ppm)
        {
            drop(links);
            self.kernel.record_at(link.0, Event::MessageLost { to: link.1, digest: flight.digest });
            return;
        }
        let mut departs_ns = now_ns;
        if let Some(bytes_per_s) = spec.bandwidth_bytes_per_s {
            let busy_until_ns = links.busy_until_ns.entry(link).or_default();
            let transmit_ns = u128::from(len_bytes) * 1_000_000_000 / u128::from(bytes_per_s.max(1));
            let transmit_ns = u64::try_from(transmit_ns).unwrap_or(u64::MAX);
            departs_ns = now_ns.max(*busy_until_ns).saturating_add(transmit_ns);
            *busy_until_ns = departs_ns;
        }
        let mut latency_us = self.latency_us(spec, key);
        let mut duplicate = None;
        if let Some(degradation) = degradation {
            latency_us = latency_us.saturating_mul(degradation.latency_times);
            if self.is_drawn("net.reorder", draw_key, degradation.reorder_ppm) {
                latency_us = latency_us.saturating_add(u64::from(degradation.reorder_by_ms) * 1_000);
            }
            if self.is_drawn("net.duplicate", draw_key, degradation.duplicate_ppm) {
                let duplicate_us = self.latency_us(spec, !key).saturating_mul(degradation.latency_times);
                let arrives_ns = departs_ns.saturating_add(duplicate_us.saturating_mul(1_000));
                duplicate = Some((arrives_ns, links.in_flight.insert(flight.clone())));
            }
        }
        let arrives_ns = departs_ns.saturating_add(latency_us.saturating_mul(1_000));
        let digest = flight.digest;
        let flight = links.in_flight.insert(flight);
        drop(links);
        self.kernel.timers().insert(arrives_ns, TimerEvent::DeliverMessage(flight));
        if let Some((arrives_ns, duplicate)) = duplicate {
            self.kernel.record_at(link.0, Event::MessageDuplicated { to: link.1, digest });
            self.kernel.timers().insert(arrives_ns, TimerEvent::DeliverMessage(duplicate));
        }
    }

    fn latency_us(&self, spec: LinkSpec, key: u128) -> u64 {
        let bits = self.kernel.prng().rng("net.latency", key).next_u64();
        let latency_us = u64::from(scale_to_range(bits, spec.latency_us));
        // The low bits are as random as the high ones, and `scale_to_range` uses the high ones.
        let slow = spec.tail.one_in > 0 && (bits & 0xffff_ffff).is_multiple_of(u64::from(spec.tail.one_in));
        if slow { latency_us * u64::from(spec.tail.multiplier.max(1)) } else { latency_us }
    }

    /// Whether an event with a probability of `ppm` parts per million occurs to the message with this key.
    fn is_drawn(&self, stream: &'static str, key: u128, ppm: u32) -> bool {
        ppm > 0 && scale_to_range(self.kernel.prng().draw(stream, key), (0, 999_999)) < ppm
    }

    pub(crate) fn deliver(&self, flight: MessageKey) {
        let (flight, cut) = {
            let mut links = lock(&self.links);
            let Some(flight) = links.in_flight.remove(flight) else { return };
            let cut = links.is_cut(flight.link);
            (flight, cut)
        };
        let InFlightMessage { link, call, digest, payload } = flight;
        if cut {
            self.kernel.record_at(link.0, Event::MessageLost { to: link.1, digest });
            return;
        }
        match payload {
            Payload::Request(message) => {
                let incoming = IncomingRequest { call, from: link.0, message, digest };
                self.enqueue_request(link, incoming);
            }
            Payload::Answer(result) => self.complete_call(call, result, digest),
        }
    }

    fn enqueue_request(&self, link: (NodeId, NodeId), incoming: IncomingRequest) {
        let (call, digest) = (incoming.call, incoming.digest);
        let accepted = match self.nodes.find_by_id(link.1) {
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

    fn complete_call(&self, call: CallKey, result: Result<Message, NetErrorKind>, digest: u128) {
        let (ended, waker, timeout_timer) = {
            let mut links = lock(&self.links);
            // No task waits for it any more: the caller died, dropped the call or timed out.
            let Some(state) = links.calls.get_mut(call).filter(|state| state.result.is_none()) else {
                return;
            };
            let outcome =
                result.as_ref().map_or_else(|kind| CallOutcome::Failed(*kind), |_| CallOutcome::Answered);
            let len_bytes = result.as_ref().map_or(0, |message| message.len_bytes() as u64);
            let event = Event::CallEnded { to: state.server, outcome, len_bytes, digest };
            state.result = Some(result);
            ((state.caller, event), state.waker.take(), state.timeout_timer.take())
        };
        if let Some(entry) = timeout_timer {
            self.kernel.timers().remove(entry);
        }
        self.kernel.record_at(ended.0, ended.1);
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    pub(crate) fn time_out_call(&self, call: CallKey) {
        self.complete_call(call, Err(NetErrorKind::Timeout), 0);
    }

    pub(crate) fn poll_call(&self, call: CallKey, cx: &Context<'_>) -> Poll<Result<Message, NetErrorKind>> {
        let mut links = lock(&self.links);
        let Some(state) = links.calls.get_mut(call) else { return Poll::Pending };
        match &mut state.result {
            Some(result) => Poll::Ready(std::mem::replace(result, Ok(empty_message()))),
            None => {
                state.waker = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }

    pub(crate) fn drop_call(&self, call: CallKey) {
        let removed = lock(&self.links).calls.remove(call);
        if let Some(entry) = removed.and_then(|state| state.timeout_timer) {
            self.kernel.timers().remove(entry);
        }
    }
}

/// Returns an empty message.
fn empty_message() -> Message {
    Message { head: Bytes::new(), body: Bytes::new() }
}
