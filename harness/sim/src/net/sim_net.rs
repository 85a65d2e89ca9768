//! The network port of one incarnation: calls, and the server's loop.

use super::mailbox::{IncomingRequest, Mailbox};
use crate::context::{NodeContext, OpTarget};
use crate::op_kind::OpKind;
use crate::timers::CallKey;
use crate::trace::Event;
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use latent_ports::{Message, Net, NetError, NetErrorKind, NodeId, Request};
use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

/// Network access of one incarnation.
#[derive(Clone)]
pub struct SimNet {
    context: Arc<NodeContext>,
}

impl SimNet {
    pub(crate) fn new(context: Arc<NodeContext>) -> SimNet {
        SimNet { context }
    }

    /// Waits for a request. A dead process receives none, in particular not its successor's.
    async fn receive(&self) -> IncomingRequest {
        std::future::poll_fn(|cx| {
            if !self.context.is_alive() {
                return Poll::Pending;
            }
            self.context.node().mailbox(|mailbox| {
                let Some(mailbox) = mailbox else { return Poll::Pending };
                if let Some(incoming) = mailbox.queue.pop_front() {
                    mailbox.running += 1;
                    return Poll::Ready(incoming);
                }
                mailbox.waker = Some(cx.waker().clone());
                Poll::Pending
            })
        })
        .await
    }

    fn answer(&self, call: CallKey, to: NodeId, request_digest: u128, message: Message) {
        let alive = self.context.is_alive();
        self.context.node().mailbox(|mailbox| {
            if let Some(mailbox) = mailbox.as_mut().filter(|_| alive) {
                mailbox.running -= 1;
            }
        });
        if alive {
            let digest = self.context.kernel().message_digest(&message);
            self.context.record(Event::Answer { to, len_bytes: message.len_bytes() as u64, digest });
            self.context.network().send_answer(
                call,
                (self.context.id(), to),
                request_digest,
                Ok((message, digest)),
            );
        }
    }

    /// Records the receipt of a request and injects the faults that it triggers.
    async fn record_receive(&self, incoming: &IncomingRequest) {
        let deferred = self.context.trigger_faults(|| OpKind::Receive, OpTarget::Peer(incoming.from));
        self.context.record(Event::Receive {
            from: incoming.from,
            len_bytes: incoming.message.len_bytes() as u64,
            digest: incoming.digest,
        });
        self.context.inject_deferred(deferred).await;
    }
}

impl Net for SimNet {
    async fn call(&self, to: NodeId, message: Message, timeout: Duration) -> Result<Message, NetError> {
        self.context.wait_until_runnable().await;
        if !self.context.is_alive() {
            return Err(NetError { kind: NetErrorKind::Timeout, to });
        }
        let deferred = self.context.trigger_faults(|| OpKind::Send, OpTarget::Peer(to));
        let digest = self.context.kernel().message_digest(&message);
        self.context.record(Event::Send { to, len_bytes: message.len_bytes() as u64, digest });
        let key = self.context.network().start_call((self.context.id(), to), message, digest, timeout);
        // The request is already in flight: a process that dies now has sent it.
        let call = PendingCall { context: &self.context, key };
        self.context.inject_deferred(deferred).await;
        let result = call.await;
        self.context.wait_until_runnable().await;
        result.map_err(|kind| NetError { kind, to })
    }

    async fn serve<H, F>(&self, limit: usize, handler: H)
    where
        H: Fn(Request) -> F + Send + Sync + 'static,
        F: Future<Output = Message> + Send + 'static,
    {
        self.context.wait_until_runnable().await;
        if !self.context.is_alive() {
            return;
        }
        self.context.node().mailbox(|mailbox| {
            assert!(
                mailbox.is_none(),
                "node '{}' already serves: call serve once per process",
                self.context.node().name()
            );
            *mailbox = Some(Mailbox { queue: VecDeque::new(), running: 0, limit, waker: None });
        });
        let mut handlers = FuturesUnordered::new();
        loop {
            let next = std::future::poll_fn(|cx| poll_server(&mut handlers, self, cx)).await;
            match next {
                ServerEvent::Handle(incoming) => {
                    self.record_receive(&incoming).await;
                    let IncomingRequest { call, from, message, digest } = incoming;
                    let handling = handler(Request { from, message });
                    handlers.push(async move { (call, from, digest, handling.await) });
                }
                ServerEvent::Answer((call, from, digest, message)) => {
                    let deferred = self.context.trigger_faults(|| OpKind::Answer, OpTarget::Peer(from));
                    self.answer(call, from, digest, message);
                    self.context.inject_deferred(deferred).await;
                }
            }
        }
    }
}

type HandledRequest = (CallKey, NodeId, u128, Message);

enum ServerEvent {
    Handle(IncomingRequest),
    Answer(HandledRequest),
}

/// Polls for answers first, then for new requests: a loaded server finishes the requests that it began.
fn poll_server<F: Future<Output = HandledRequest>>(
    handlers: &mut FuturesUnordered<F>,
    net: &SimNet,
    cx: &mut Context<'_>,
) -> Poll<ServerEvent> {
    if let Poll::Ready(Some(handled)) = handlers.poll_next_unpin(cx) {
        return Poll::Ready(ServerEvent::Answer(handled));
    }
    let mut receive = std::pin::pin!(net.receive());
    receive.as_mut().poll(cx).map(ServerEvent::Handle)
}

/// Call that waits for its outcome.
struct PendingCall<'a> {
    context: &'a NodeContext,
    key: CallKey,
}

impl Future for PendingCall<'_> {
    type Output = Result<Message, NetErrorKind>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.context.network().poll_call(self.key, cx)
    }
}

impl Drop for PendingCall<'_> {
    /// Abandons the answer, not the request.
    fn drop(&mut self) {
        self.context.network().drop_call(self.key);
    }
}
