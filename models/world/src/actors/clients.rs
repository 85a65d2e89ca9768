//! The customers: one task per project sends its stream; others read exports. All run on one node outside of the
//! system, and the ledger learns everything it knows here.
//!
//! A client retries missing answers, 429 and 5xx with back-off, as a new request; it never retries a 4xx. It uses the
//! edges in turn and another one after a failure. There is one process per project; phones that lose unsent requests
//! are not modelled.
//!
//! After about 35 minutes without a definite answer a client drops a request, unless its retry policy keeps a
//! backlog: then later requests wait, and after a success all are sent in order. In an impatient window a client
//! times out early and sends the request again at once, as a separate request.

mod exports;
mod response;

use self::response::{ResponseOutcome, verdict};
use crate::marks;
use crate::mutex::lock;
use crate::observe::client_state::{Acknowledgement, ClientState};
use crate::plan::draws::between;
use crate::plan::load::ClientRetryPolicy;
use crate::plan::streams::stream_of;
use crate::plan::workload::{ExplicitRequest, PlannedEvent, PlannedRequest};
use crate::plan::{Tenant, WorldPlan};
use bytes::Bytes;
use http::Request;
use latent_engine::sim::{SimEnv, World};
use latent_oracle::invariants::i14_answers::{AnsweredRequest, ResponseGranularity};
use latent_oracle::{ClientRequest, SentEvent, request_digest};
use latent_ports::{Clock, Env, Mark, NodeId, UnixMs};
use latent_storekit::http_message::http_call;
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

const ANSWER_TIMEOUT: Duration = Duration::from_secs(60);
/// Maximum attempts of a request, the first back-off, and the maximum to which it doubles.
const MAX_ATTEMPTS: u32 = 12;
const FIRST_BACKOFF: Duration = Duration::from_secs(1);
const MAX_BACKOFF: Duration = Duration::from_secs(3600);
/// Maximum impatient attempts, before a client uses the usual timeout.
const MAX_IMPATIENT_ATTEMPTS: u32 = 6;
/// Maximum back-off of a client with a backlog.
const MAX_BACKLOG_BACKOFF: Duration = Duration::from_secs(600);
/// Maximum failed attempts with a backlog, more than 40 days; the rest is dropped.
const MAX_BACKLOG_ATTEMPTS: u32 = 6_000;

/// Starts every client on the clients' node.
pub(crate) fn start(
    env: &SimEnv,
    world: &World,
    plan: &WorldPlan,
    client_state: &Arc<ClientState>,
    edges: &[NodeId],
    sends_ms: std::ops::Range<i64>,
) {
    for tenant in &plan.tenants {
        client_state.active_clients.fetch_add(1, Ordering::Relaxed);
        let client = CustomerClient {
            env: env.clone(),
            client_state: client_state.clone(),
            edges: edges.to_vec(),
            secret: tenant.workload.secret.clone(),
            world: world.clone(),
            retry_policy: tenant.retry_policy.clone(),
        };
        let (tenant, world, sends_ms) = (tenant.clone(), world.clone(), sends_ms.clone());
        env.spawn(async move {
            client.send_stream(&tenant, &world, sends_ms).await;
            client.client_state.active_clients.fetch_sub(1, Ordering::Relaxed);
        });
    }
    for export in &plan.exports {
        // A shrunk case may lack the customer who would read it.
        let Some(tenant) = plan.tenant(export.project) else { continue };
        let secret = tenant.workload.secret.clone();
        let (world, retry_policy) = (world.clone(), ClientRetryPolicy::default());
        let client = CustomerClient {
            env: env.clone(),
            client_state: client_state.clone(),
            edges: edges.to_vec(),
            secret,
            world,
            retry_policy,
        };
        let export = export.clone();
        env.spawn(async move { client.read_export(&export).await });
    }
}

struct CustomerClient {
    env: SimEnv,
    client_state: Arc<ClientState>,
    edges: Vec<NodeId>,
    secret: String,
    world: World,
    retry_policy: ClientRetryPolicy,
}

/// Requests that a client keeps until it can send them.
struct ClientBacklog {
    requests: VecDeque<PlannedRequest>,
    /// Time of the next attempt, and the back-off after it.
    next_attempt_ms: i64,
    pause: Duration,
    failed_attempts: u32,
}

/// FaultAction of a client when a request has no answer.
#[derive(Clone, Copy)]
enum OnNoAnswer {
    Retry,
    GiveUp,
}

impl CustomerClient {
    async fn send_stream(&self, tenant: &Tenant, world: &World, sends_ms: std::ops::Range<i64>) {
        if let Some(requests) = &tenant.requests {
            let in_time = |request: &&ExplicitRequest| sends_ms.contains(&request.at.0.0);
            let project = tenant.workload.project;
            return self.send_all(requests.iter().filter(in_time).map(|it| it.planned(project))).await;
        }
        let draw = |stream: &'static str, key: u128| world.draw(stream, key);
        // An invalid specification is an error in the plan: it stops the run with its message.
        let stream = stream_of(tenant, sends_ms, draw).unwrap_or_else(|error| panic!("plan: {error}"));
        self.send_all(stream).await;
    }

    async fn send_all(&self, stream: impl Iterator<Item = PlannedRequest>) {
        if self.retry_policy.keeps_backlog {
            return self.send_in_order(stream).await;
        }
        for request in stream {
            self.wait_until(request.at_ms).await;
            // A request that is retried for hours must not delay later requests.
            if !self.send(&request, OnNoAnswer::Retry).await {
                let (client, request) = (self.clone_for_retry(), request);
                self.client_state.active_clients.fetch_add(1, Ordering::Relaxed);
                self.env.spawn(async move {
                    client.retry(&request).await;
                    client.client_state.active_clients.fetch_sub(1, Ordering::Relaxed);
                });
            }
        }
    }

    fn clone_for_retry(&self) -> CustomerClient {
        let (env, client_state, world) = (self.env.clone(), self.client_state.clone(), self.world.clone());
        let (edges, secret, retry_policy) =
            (self.edges.clone(), self.secret.clone(), self.retry_policy.clone());
        CustomerClient { env, client_state, edges, secret, world, retry_policy }
    }

    /// Sends the stream in order: later requests wait for earlier ones. The queue is at most as long as the stream.
    async fn send_in_order(&self, stream: impl Iterator<Item = PlannedRequest>) {
        let mut backlog = ClientBacklog {
            requests: VecDeque::new(),
            next_attempt_ms: 0,
            pause: FIRST_BACKOFF,
            failed_attempts: 0,
        };
        for request in stream {
            self.flush_backlog(&mut backlog, request.at_ms).await;
            self.wait_until(request.at_ms).await;
            backlog.requests.push_back(request);
        }
        self.flush_backlog(&mut backlog, i64::MAX).await;
    }

    /// Sends the backlog until it is empty or the next attempt is not before `until_ms`.
    async fn flush_backlog(&self, backlog: &mut ClientBacklog, until_ms: i64) {
        while let Some(request) = backlog.requests.front()
            && backlog.next_attempt_ms < until_ms
            && backlog.failed_attempts < MAX_BACKLOG_ATTEMPTS
        {
            self.wait_until(backlog.next_attempt_ms).await;
            let is_last = backlog.failed_attempts + 1 == MAX_BACKLOG_ATTEMPTS;
            if self.send(request, if is_last { OnNoAnswer::GiveUp } else { OnNoAnswer::Retry }).await {
                backlog.requests.pop_front();
                (backlog.pause, backlog.failed_attempts) = (FIRST_BACKOFF, 0);
                continue;
            }
            self.env.mark(Mark { name: marks::CLIENT_REQUEUED, subject: "" });
            backlog.next_attempt_ms = (self.env.clock().wall() + backlog.pause).0;
            backlog.pause = (backlog.pause * 2).min(MAX_BACKLOG_BACKOFF);
            backlog.failed_attempts += 1;
        }
    }

    /// Sends a request, with impatient retries in an impatient window; returns false if it must be sent again later.
    async fn send(&self, request: &PlannedRequest, on_no_answer: OnNoAnswer) -> bool {
        for nth in 0..MAX_IMPATIENT_ATTEMPTS {
            let Some(max_ms) = self.retry_policy.impatient_wait_ms(self.env.clock().wall().0) else { break };
            let key = u128::from(request.project) << 96 | u128::from(nth) << 64 | u128::from(request.key);
            let wait_ms = between(self.world.draw("client.hurry", key), 1, i64::from(max_ms));
            if self.attempt(request, Duration::from_millis(wait_ms.unsigned_abs()), OnNoAnswer::Retry).await {
                return true;
            }
            self.env.mark(Mark { name: marks::CLIENT_IMPATIENT_RETRY, subject: "" });
        }
        self.attempt(request, ANSWER_TIMEOUT, on_no_answer).await
    }

    async fn wait_until(&self, at_ms: i64) {
        let wait = UnixMs(at_ms).since(self.env.clock().wall());
        if !wait.is_zero() {
            self.env.clock().sleep(wait).await;
        }
    }

    async fn retry(&self, request: &PlannedRequest) {
        let mut pause = FIRST_BACKOFF;
        for nth in 1..MAX_ATTEMPTS {
            self.env.clock().sleep(pause).await;
            pause = (pause * 2).min(MAX_BACKOFF);
            self.env.mark(Mark { name: marks::CLIENT_RETRIED, subject: "" });
            let on_no_answer = if nth + 1 == MAX_ATTEMPTS { OnNoAnswer::GiveUp } else { OnNoAnswer::Retry };
            if self.attempt(request, ANSWER_TIMEOUT, on_no_answer).await {
                return;
            }
        }
        self.env.mark(Mark { name: marks::CLIENT_GAVE_UP, subject: "" });
    }

    /// Makes one attempt; returns false if the request must be sent again.
    async fn attempt(&self, planned: &PlannedRequest, timeout: Duration, on_no_answer: OnNoAnswer) -> bool {
        let id = self.client_state.requests.fetch_add(1, Ordering::Relaxed);
        let request = planned.to_http(&self.secret);
        let (sent_at_ms, body_bytes) = (self.env.clock().wall().0, request.body().len() as u64);
        self.record_sent(id, planned, &request);
        let edge = self.edges[(id % self.edges.len() as u64) as usize];
        let answer = http_call(&self.env, edge, request, timeout).await;
        let mut ledger = lock(&self.client_state.ledger);
        let now_ms = self.env.clock().wall().0;
        let mut accepted = Vec::new();
        let outcome = answer.as_ref().map(|response| verdict(response, planned));
        if let Ok(outcome) = &outcome {
            let answered = AnsweredRequest {
                project: planned.project,
                granularity: if planned.api.is_import() {
                    ResponseGranularity::PerItem
                } else {
                    ResponseGranularity::PerRequest
                },
                sent_at_ms,
                answered_at_ms: now_ms,
                clock_skew_ms: ledger.config().clock_skew_ms,
                text_bytes: planned.text.len() as u64,
                body_bytes,
            };
            outcome.checker(&answered, planned, &mut lock(&self.client_state.answers));
        }
        let outcome = match outcome {
            Ok(ResponseOutcome::Accepted { rejected }) if rejected.len() < planned.events.len() => {
                ledger.record_acked(id, &rejected, now_ms).map(|events| {
                    accepted = events;
                    true
                })
            }
            Ok(ResponseOutcome::Accepted { .. } | ResponseOutcome::Rejected) => {
                ledger.record_rejected(id).map(|()| true)
            }
            Ok(ResponseOutcome::TryAgain) | Err(_) => match on_no_answer {
                OnNoAnswer::Retry => ledger.record_unknown(id),
                OnNoAnswer::GiveUp => ledger.record_given_up(id),
            }
            .map(|()| false),
        };
        let last = ledger.last_acknowledged().filter(|_| !accepted.is_empty());
        drop(ledger);
        if let (Some((sent_at_ms, digest)), Some(on_acknowledged)) =
            (last, lock(&self.client_state.on_acknowledged).as_mut())
        {
            on_acknowledged(&Acknowledgement { request: id, sent_at_ms, digest, accepted });
        }
        outcome.unwrap_or_else(|error| panic!("duplicate ledger entry: {error}"))
    }

    fn record_sent(&self, id: u64, planned: &PlannedRequest, request: &Request<Bytes>) {
        let headers =
            request.headers().iter().map(|(name, value)| (name.as_str().as_bytes(), value.as_bytes()));
        let target = request.uri().path_and_query().map_or("/", |target| target.as_str());
        let digest = request_digest(
            request.method() == http::Method::POST,
            target.as_bytes(),
            headers,
            request.body(),
        );
        let events: Vec<SentEvent<'_>> = planned.events.iter().map(sent_event).collect();
        let sent_at_ms = self.env.clock().wall().0;
        let sent = ClientRequest { id, project: planned.project, sent_at_ms, digest, events: &events };
        lock(&self.client_state.ledger).record_sent(&sent).unwrap_or_else(|error| panic!("ledger: {error}"));
    }
}

/// Converts an event for the ledger.
fn sent_event(event: &PlannedEvent) -> SentEvent<'_> {
    SentEvent {
        json: &event.json,
        name: &event.name,
        distinct_id: &event.distinct_id,
        insert_id: event.insert_id.as_deref(),
        time_ms: event.time_ms,
    }
}
